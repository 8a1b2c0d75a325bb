"""Faces with six points each, from a fixed-size list per picture (`triton_models/faces`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, boxes_to_source, pictures_as_input, required_output
from framehouse.inference.specs import ModelSpec, Size
from framehouse.results.records.boxes import Keypoints

VERSION: int = 1

POINT_NAMES = ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear")
"""As the person has them: the right eye is on the left of the picture."""


def to_inputs(pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
    """`image`: uint8 [B, height, width, 3] RGB, letterboxed by the decoder."""
    return {"image": pictures_as_input(pictures)}


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Keypoints:
    """Rows from fixed-size lists per picture, of which the first `count` are filled.

    Args:
        outputs: `boxes` float32 [B, K, 4], x1, y1, x2, y2 in input pixels; `scores` float32 [B, K]; `landmarks` float32
            [B, K, 6, 2] in input pixels; `count` int32 [B, 1].
        spec: label, framing and confidence floor are used.
        frame_offset: int64 [B].
        source_size: (width, height) of the upright video.

    Boxes are clipped to the picture, points are not: an ear may lie outside. A box without area is dropped, as is one
    below the floor. The network judges faces, not points, so each point has the confidence of its face. Equal
    confidences are ordered by place.
    """
    n = frame_offset.size
    count = required_output(outputs, "count", (n, 1))
    boxes = required_output(outputs, "boxes", (n, None, 4))
    scores = required_output(outputs, "scores", boxes.shape[:2])
    landmarks = required_output(outputs, "landmarks", (*boxes.shape[:2], len(POINT_NAMES), 2))
    picture, place = np.nonzero(np.arange(boxes.shape[1]) < count)
    if count.sum() != picture.size:
        raise TensorMismatch("count outside the list", model=spec.model_id)
    box, confidence, points = boxes[picture, place], scores[picture, place], landmarks[picture, place]
    if not all(np.isfinite(tensor).all() for tensor in (box, confidence, points)):
        raise TensorMismatch("a box, score or point is not finite", model=spec.model_id)
    xcycwh = boxes_to_source(box, spec.framing, source_size)
    x, y, width, height = xcycwh.T
    order = np.lexsort((height, width, y, x, -confidence, picture))
    keep = (confidence >= np.float32(spec.confidence_floor)) & (width > 0) & (height > 0)
    order = order[keep[order]]
    sure = confidence[order].astype(np.float32)
    return Keypoints(
        frame_offset=frame_offset[picture[order]],
        class_id=np.zeros(order.size, np.int32),
        class_name=np.full(order.size, spec.labels[0], np.object_),
        confidence=sure,
        xcycwh=xcycwh[order],
        keypoint_name=np.tile(np.array(POINT_NAMES, np.object_), (order.size, 1)),
        keypoint_confidence=np.repeat(sure[:, None], len(POINT_NAMES), axis=1),
        keypoint_xy=spec.framing.to_source(points[order], source_size).astype(np.float32),
    )
