"""Boxes out of candidates (added detectors: YOLO, YOLOX, DETR and their like)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, boxes_to_source, pictures_as_input, required_output
from framehouse.inference.adapters.suppress import suppress
from framehouse.inference.specs import ModelSpec, Size
from framehouse.results.records.boxes import Detections

VERSION: int = 1

MOST_ROWS = 300
"""For a picture, after suppression."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The candidates that become rows, in contract order.

    Attributes:
        picture: [M], index in the batch, non-decreasing.
        place: [M], index among the picture's candidates.
        fields: of the rows, as `Detections` takes them.
    """

    picture: NDArray[np.intp]
    place: NDArray[np.intp]
    fields: dict[str, NDArray[Any]]


def to_inputs(pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
    """`image`: uint8 [B, height, width, 3] RGB, framed by the decoder."""
    return {"image": pictures_as_input(pictures)}


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Detections:
    """Rows from candidates.

    Args:
        outputs: `candidates` float32 [B, K, 6]: x1, y1, x2, y2 in input pixels, score, class; in any order.
        spec: labels, framing, confidence floor and the parameter `iou_threshold` are used; where that is empty the
            model gives no doubles and nothing is suppressed.
        frame_offset: int64 [B].
        source_size: (width, height) of the upright video.

    Candidates below the floor go first, then those that a better one of their class overlaps; at most 300 stay. Boxes
    are clipped to the picture; one that then has no area is dropped.
    """
    return Detections(**choose(outputs, spec=spec, frame_offset=frame_offset, source_size=source_size).fields)


def choose(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Chosen:
    """The candidates that become rows; `from_outputs` says how."""
    candidates = required_output(outputs, "candidates", (frame_offset.size, None, 6))
    if not np.isfinite(candidates).all():
        raise TensorMismatch("a candidate is not finite", model=spec.model_id)
    places = [_places(rows, spec) for rows in candidates]
    picture = np.repeat(np.arange(len(places)), [len(found) for found in places])
    place = np.concatenate([*places, np.empty(0, np.intp)])
    xcycwh = boxes_to_source(candidates[picture, place, :4], spec.framing, source_size)
    confidence = candidates[picture, place, 4].astype(np.float32).clip(0, 1)
    class_id = candidates[picture, place, 5].astype(np.int32)
    if ((class_id < 0) | (class_id >= len(spec.labels))).any():
        raise TensorMismatch(f"a class outside the {len(spec.labels)} labels", model=spec.model_id)
    order = np.lexsort((*xcycwh.T[::-1], class_id, -confidence, picture))
    order = order[(xcycwh[order, 2:] > 0).all(axis=1)]
    return Chosen(
        picture[order],
        place[order],
        {
            "frame_offset": frame_offset[picture[order]],
            "class_id": class_id[order],
            "class_name": np.array(spec.labels, np.object_)[class_id[order]],
            "confidence": confidence[order],
            "xcycwh": xcycwh[order],
        },
    )


def _places(rows: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.intp]:
    """Of one picture's candidates [K, 6], those that stay, by falling score."""
    sure = np.flatnonzero(rows[:, 4] >= np.float32(spec.confidence_floor))
    threshold = spec.settings.get("iou_threshold", "")
    best = rows[sure]
    if threshold:
        return sure[suppress(best[:, :4], best[:, 4], best[:, 5], float(threshold))][:MOST_ROWS]
    return sure[np.argsort(-best[:, 4], kind="stable")][:MOST_ROWS]
