"""The points of the one person of a picture (`triton_models/keypoints`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, pictures_as_input, required_output
from framehouse.inference.specs import ModelSpec, Size
from framehouse.results.records.boxes import Keypoints

VERSION: int = 1

COCO_POINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""Left and right are the person's own."""
_FEWEST_SEEN = 3
_POINT_THRESHOLD = "0.2"


def to_inputs(pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
    """`image`: uint8 [B, height, width, 3] RGB, framed by the decoder."""
    return {"image": pictures_as_input(pictures)}


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Keypoints:
    """At most one row per picture.

    Args:
        outputs: `keypoints` float32 [B, 17, 3]: x, y in input pixels, score 0..1.
        spec: framing, labels (one), confidence floor and the parameter `point_threshold` (0.2) are used.
        frame_offset: int64 [B].
        source_size: (width, height) of the upright video.

    A point is seen when its score reaches `point_threshold`. The row's confidence is the mean score of the seen points,
    its box is their bounds; without three of them there is no person and no row. All 17 points are given, clipped to
    the picture, each with its own score. (The mean over all 17 would punish a person who is half out of the picture.)
    """
    n = frame_offset.size
    points = required_output(outputs, "keypoints", (n, len(COCO_POINTS), 3))
    if not np.isfinite(points).all():
        raise TensorMismatch("a keypoint is not finite", model=spec.model_id)
    score = points[:, :, 2].astype(np.float32)
    xy = spec.framing.to_source(points[:, :, :2], source_size).clip(0, source_size)
    seen = score >= np.float32(spec.settings.get("point_threshold", _POINT_THRESHOLD))
    n_seen = seen.sum(axis=1)
    confidence = (np.where(seen, score, 0).sum(axis=1, dtype=np.float64) / n_seen.clip(1)).astype(np.float32)
    low = np.where(seen[:, :, None], xy, np.inf).min(axis=1)
    high = np.where(seen[:, :, None], xy, -np.inf).max(axis=1)
    keep = (n_seen >= _FEWEST_SEEN) & (confidence >= np.float32(spec.confidence_floor)) & (high > low).all(axis=1)
    low, high, n_rows = low[keep], high[keep], int(keep.sum())
    return Keypoints(
        frame_offset=frame_offset[keep],
        class_id=np.zeros(n_rows, np.int32),
        class_name=np.full(n_rows, spec.labels[0], np.object_),
        confidence=confidence[keep],
        xcycwh=np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32),
        keypoint_name=np.tile(np.array(COCO_POINTS, np.object_), (n_rows, 1)),
        keypoint_confidence=score[keep],
        keypoint_xy=xy[keep].astype(np.float32),
    )
