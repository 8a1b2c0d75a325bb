"""How alike vectors of one space are: cosines, and tags that nobody trained.

A frame's vector is stored as the model gave it. What it is compared with, the vector of a text or of another picture,
comes from the same model, or from its text side (`inference.clip`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch


def compare(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float32]:
    """Cosine of each vector of `first` [N, D] with each of `second` [M, D], float32 [N, M]; 0 for a vector of zeros.

    Raises:
        TensorMismatch: vectors of different lengths, and so of different models.

    >>> compare(np.array([[2.0, 0.0]]), np.array([[5.0, 0.0], [0.0, 3.0], [0.0, 0.0]]))
    array([[1., 0., 0.]], dtype=float32)
    """
    return _cosines(first, second).astype(np.float32)


def zero_shot(images: NDArray[Any], texts: NDArray[Any], logit_scale: float) -> NDArray[np.float32]:
    """How likely each text is the right one of them for each picture, float32 [N, M]; each row has the sum 1.

    The texts compete: the right one among wrong ones gets much, also when it is hardly right.
    """
    logits = logit_scale * _cosines(images, texts)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)


def _cosines(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """[N, M]; no vectors may have no dimensions either."""
    if not len(first) or not len(second):
        return np.zeros((len(first), len(second)))
    if first.shape[1] != second.shape[1]:
        raise TensorMismatch(f"vectors of {first.shape[1]} and of {second.shape[1]} dimensions are of two spaces")
    return _unit(first) @ _unit(second).T


def _unit(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Rows of length 1; zeros stay zeros."""
    exact = np.asarray(vectors, np.float64)
    norm = np.linalg.norm(exact, axis=1, keepdims=True)
    return exact / np.where(norm > 0, norm, 1.0)
