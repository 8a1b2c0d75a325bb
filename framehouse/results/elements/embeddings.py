"""Elements of vectors, or of what they are like."""

from __future__ import annotations

from typing import Any

import numpy as np

from framehouse.results.elements.base import Element, Frame, Prompts, Scene, shortest
from framehouse.results.records.embeddings import Embeddings
from framehouse.results.vectors import compare, zero_shot


def embeddings(rows: Embeddings, scene: Scene) -> Element:
    """The vector as a plain list, not normalised; or the dictionary form, or cosines, or tags (`Forms`)."""
    prompts = scene.forms.prompts
    if prompts is not None:
        return _tags(rows, scene, prompts) if prompts.form == "labels" else _similarities(rows, prompts)

    def element(frame: Frame) -> Any:
        vectors = [shortest(rows.embedding[row]) for row in frame.rows]
        if scene.forms.embeddings == "dict":
            return {"embeddings": vectors, "time": frame.infer_s}
        return vectors[0] if vectors else []

    return element


def _similarities(rows: Embeddings, prompts: Prompts) -> Element:
    """`{"similarity": cosines, "time": seconds}`: a list in the order of the prompts, or one by name."""
    cosines = compare(rows.embedding, np.array(prompts.vectors, np.float32))

    def element(frame: Frame) -> dict[str, Any]:
        own = [cosine for row in frame.rows for cosine in shortest(cosines[row])]
        named = dict(zip(prompts.names, own, strict=False)) if prompts.form == "map" else own
        return {"similarity": named, "time": frame.infer_s}

    return element


def _tags(rows: Embeddings, scene: Scene, prompts: Prompts) -> Element:
    """The element of a classifier whose classes are the prompts: all of them by falling share; shares add up to 1."""
    shares = zero_shot(rows.embedding, np.array(prompts.vectors, np.float32), prompts.logit_scale)

    def element(frame: Frame) -> dict[str, Any]:
        own = [(i, shares[row, i]) for row in frame.rows for i in np.argsort(-shares[row], kind="stable").tolist()]
        sure = shortest(np.array([share for _, share in own], np.float32))
        found = [
            {"class": prompts.names[i], "class_id": i, "confidence": share}
            for (i, _), share in zip(own, sure, strict=True)
        ]
        return {
            "time": frame.infer_s,
            "image": scene.image,
            "predictions": found,
            "top": found[0]["class"] if found else "",
            "confidence": found[0]["confidence"] if found else 0.0,
        }

    return element
