"""Boxes with points out of candidates (added `-pose` models)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, required_output
from framehouse.inference.adapters.boxes import choose, to_inputs
from framehouse.inference.specs import ModelSpec, Size
from framehouse.results.records.boxes import Keypoints

__all__ = ["VERSION", "from_outputs", "to_inputs"]

VERSION: int = 1


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Keypoints:
    """Rows as `boxes` makes them, each with all points of the skeleton.

    Args:
        outputs: `candidates` float32 [B, K, 6] as in `boxes`; `points` float32 [B, K, P, 3]: x, y in input
            pixels, score.
        spec: as in `boxes`; the parameter `keypoint_names` has the P names, by comma.
        frame_offset: int64 [B].
        source_size: (width, height) of the upright video.

    Points are clipped to the picture.
    """
    chosen = choose(outputs, spec=spec, frame_offset=frame_offset, source_size=source_size)
    n_pictures, n_candidates, _ = outputs["candidates"].shape
    names = np.array(spec.settings.get("keypoint_names", "").split(","), np.object_)
    points = required_output(outputs, "points", (n_pictures, n_candidates, len(names), 3))
    points = points[chosen.picture, chosen.place]
    if not np.isfinite(points).all():
        raise TensorMismatch("a point is not finite", model=spec.model_id)
    xy = spec.framing.to_source(points[:, :, :2], source_size).clip(0, source_size)
    return Keypoints(
        **chosen.fields,
        keypoint_name=np.tile(names, (len(points), 1)),
        keypoint_confidence=points[:, :, 2].astype(np.float32).clip(0, 1),
        keypoint_xy=xy.astype(np.float32),
    )
