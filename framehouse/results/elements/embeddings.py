"""Elements of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ContractViolation
from framehouse.results.elements.base import Element, Frame, Prompts, Scene, shortest
from framehouse.results.records.embeddings import Embeddings


def embeddings(rows: Embeddings, scene: Scene) -> Element:
    """The vector as a plain list, not normalised; or another form that is asked for (`Forms`)."""
    if scene.forms.prompts is not None:
        return _compared(rows, scene.forms.prompts)

    def element(frame: Frame) -> Any:
        vectors = [shortest(rows.embedding[row]) for row in frame.rows]
        if scene.forms.embeddings == "dict":
            return {"embeddings": vectors, "time": frame.infer_s}
        return vectors[0] if vectors else []

    return element


def _compared(rows: Embeddings, prompts: Prompts) -> Element:
    """`{"similarity": …, "time": seconds}`: the cosine of the frame with each text, a list or by the texts' names."""
    likeness = _cosines(rows.embedding, prompts.vectors)

    def element(frame: Frame) -> dict[str, Any]:
        values = shortest(likeness[frame.rows.start]) if len(frame.rows) else []
        named = dict(zip(prompts.names, values, strict=False)) if prompts.names else values
        return {"similarity": named, "time": frame.infer_s}

    return element


def _cosines(vectors: NDArray[np.float32], texts: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N, M], to the six decimals that float32 vectors give; 0 for a vector of zeros.

    Raises:
        ContractViolation: vectors of another length, and so of another model.
    """
    if not len(vectors):
        return np.zeros((0, len(texts)), np.float32)
    if vectors.shape[1] != texts.shape[1]:
        raise ContractViolation(f"vectors of {vectors.shape[1]} and of {texts.shape[1]} dimensions are of two spaces")
    return (np.round(_unit(vectors) @ _unit(texts).T, 6) + 0.0).astype(np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = vectors.astype(np.float64)
    norm = np.linalg.norm(exact, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(exact, norm, out=np.zeros_like(exact), where=norm > 0)
    return unit
