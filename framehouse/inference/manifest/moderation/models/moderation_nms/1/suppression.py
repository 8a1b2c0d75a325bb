"""Which of overlapping boxes stay."""

import numpy as np


def kept(boxes, iou_threshold):
    """bool [N]; boxes are float32 [N, 4], x1, y1, x2, y2 by falling score."""
    rivals = np.triu(overlap(boxes) > iou_threshold, 1)
    stays = np.ones(len(boxes), bool)
    for i in np.flatnonzero(rivals.any(axis=1)):
        if stays[i]:
            stays &= ~rivals[i]
    return stays


def overlap(boxes):
    """Intersection over union of each box with each, [N, N]; 0 for boxes without area."""
    low = np.maximum(boxes[:, None, :2], boxes[:, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    common = np.maximum(high - low, 0).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return common / np.maximum(area[:, None] + area - common, np.float32(1e-9))
