"""Elements of vectors."""

from __future__ import annotations

from typing import Any

from framehouse.results.elements.base import Element, Frame, Scene, shortest
from framehouse.results.records.embeddings import Embeddings


def embeddings(rows: Embeddings, scene: Scene) -> Element:
    """The vector as a plain list, not normalised; or the dictionary form (`Forms.embeddings`).

    The compare form, `{"similarity": …, "time": …}`, is to be one more form here.
    """

    def element(frame: Frame) -> Any:
        vectors = [shortest(rows.embedding[row]) for row in frame.rows]
        if scene.forms.embeddings == "dict":
            return {"embeddings": vectors, "time": frame.infer_s}
        return vectors[0] if vectors else []

    return element
