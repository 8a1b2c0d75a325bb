"""Boxes of common objects from a fixed-size list per picture (`triton_models/detector`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, boxes_to_source, pictures_as_input, required_output
from framehouse.inference.specs import ModelSpec, Size
from framehouse.results.records.boxes import Detections

VERSION: int = 1


def to_inputs(pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
    """`image`: uint8 [B, height, width, 3] RGB, the whole picture stretched to the input size by the decoder."""
    return {"image": pictures_as_input(pictures)}


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Detections:
    """Rows from fixed-size lists per picture, of which the first `count` are filled.

    Args:
        outputs: `boxes` float32 [B, K, 4], x1, y1, x2, y2 in input pixels; `scores` float32 [B, K]; `classes` int32
            [B, K]; `count` int32 [B, 1].
        spec: labels, framing and confidence floor are used.
        frame_offset: int64 [B].
        source_size: (width, height) of the upright video.

    Boxes are clipped to the picture; one that then has no area is dropped, as is one below the floor. Equal confidences
    are ordered by class, then by place, so that the same outputs always give the same detection ids.
    """
    n = frame_offset.size
    count = required_output(outputs, "count", (n, 1))
    boxes = required_output(outputs, "boxes", (n, None, 4))
    scores = required_output(outputs, "scores", boxes.shape[:2])
    classes = required_output(outputs, "classes", boxes.shape[:2])
    picture, place = np.nonzero(np.arange(boxes.shape[1]) < count)
    confidence = scores[picture, place].astype(np.float32)
    class_id = classes[picture, place].astype(np.int32)
    _check(count, boxes[picture, place], confidence, class_id, spec)
    xcycwh = boxes_to_source(boxes[picture, place], spec.framing, source_size)
    order = _order(picture, confidence, class_id, xcycwh)
    keep = (confidence >= np.float32(spec.confidence_floor)) & (xcycwh[:, 2:] > 0).all(axis=1)
    order = order[keep[order]]
    return Detections(
        frame_offset=frame_offset[picture[order]],
        class_id=class_id[order],
        class_name=np.array(spec.labels, np.object_)[class_id[order]],
        confidence=confidence[order],
        xcycwh=xcycwh[order],
    )


def _check(
    count: Tensor, boxes: Tensor, confidence: NDArray[np.float32], class_id: NDArray[np.int32], spec: ModelSpec
) -> None:
    if not (np.isfinite(boxes).all() and np.isfinite(confidence).all()):
        raise TensorMismatch("a box or score is not finite", model=spec.model_id)
    if ((class_id < 0) | (class_id >= len(spec.labels))).any():
        raise TensorMismatch(f"a class outside the {len(spec.labels)} labels", model=spec.model_id)
    if count.sum() != class_id.size:
        raise TensorMismatch("count outside the list", model=spec.model_id)


def _order(
    picture: NDArray[np.intp], confidence: NDArray[Any], class_id: NDArray[Any], box: NDArray[Any]
) -> NDArray[np.intp]:
    x, y, width, height = box.T
    return np.lexsort((height, width, y, x, class_id, -confidence, picture))
