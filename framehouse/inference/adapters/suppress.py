"""Non-maximum suppression: of boxes of one class that overlap much, the best stays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def suppress(
    boxes: NDArray[Any], scores: NDArray[Any], classes: NDArray[Any], iou_threshold: float
) -> NDArray[np.intp]:
    """Which boxes stay, by falling score.

    Args:
        boxes: [N, 4], corners x1, y1, x2, y2.
        scores: [N].
        classes: [N]; boxes of different classes do not harm each other.
        iou_threshold: a box goes when its intersection over union with a better one that stays is above this.

    Returns:
        Indices, by falling score; of equal scores by class, then by place. Greedy: what is gone harms nobody.
    """
    order = np.lexsort((*boxes.T[::-1], classes, -scores))
    stays = np.ones(len(order), bool)
    for group in _groups(classes[order]):
        stays[group] = _kept(boxes[order[group]].astype(np.float64), iou_threshold)
    return order[stays]


def _groups(classes: NDArray[Any]) -> list[NDArray[np.intp]]:
    """Places of each class, in order."""
    by_class = np.argsort(classes, kind="stable")
    return np.split(by_class, np.flatnonzero(np.diff(classes[by_class])) + 1)


def _kept(boxes: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Of boxes of one class by falling score."""
    rivals = _overlap(boxes) > threshold
    stays = np.ones(len(boxes), bool)
    for i in np.flatnonzero(np.triu(rivals, 1).any(axis=1)):
        if stays[i]:
            stays[i + 1 :] &= ~rivals[i, i + 1 :]
    return stays


def _overlap(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of each with each, [N, N]."""
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
    width = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1)
    height = np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1)
    common = np.maximum(width, 0) * np.maximum(height, 0)
    area = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    shares: NDArray[np.float64] = common / np.maximum(area[:, None] + area - common, 1e-9)
    return shares
