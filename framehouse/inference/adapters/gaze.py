"""Faces and where they look, from lists per picture (`triton_models/gaze`, and learned models added beside it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters.base import Tensor, boxes_to_source, pictures_as_input, required_output
from framehouse.inference.specs import ModelSpec, Size
from framehouse.results.records.gazes import Gazes

VERSION: int = 1

_ROW: Mapping[str, tuple[int, ...]] = {"boxes": (4,), "scores": (), "landmarks": (6, 2), "yaw": (), "pitch": ()}
"""Shape of one row of each list."""


def to_inputs(pictures: NDArray[np.uint8]) -> dict[str, Tensor]:
    """`image`: uint8 [B, height, width, 3] RGB, of any size; the model cuts the faces out itself."""
    return {"image": pictures_as_input(pictures)}


def from_outputs(
    outputs: Mapping[str, Tensor], *, spec: ModelSpec, frame_offset: NDArray[np.int64], source_size: Size
) -> Gazes:
    """Rows from lists per picture, of which the first `count` are filled; other outputs are left aside.

    Args:
        outputs: `boxes` float32 [B, K, 4], x1, y1, x2, y2 in input pixels; `scores` [B, K]; `landmarks` [B, K, 6, 2]
            in input pixels; `yaw`, `pitch` [B, K] in radians with the signs of `Gazes`; `count` int32 [B, 1].
        spec: framing and confidence floor are used.
        frame_offset: int64 [B].
        source_size: (width, height) of the upright video.

    Boxes are clipped to the picture; one that then has no area is dropped with its row, as is one below the floor.
    Landmarks are moved to the nearest pixel of the picture. Equal confidences are ordered by place.
    """
    n = frame_offset.size
    count = required_output(outputs, "count", (n, 1))
    k = required_output(outputs, "boxes", (n, None, 4)).shape[1]
    lists = {name: required_output(outputs, name, (n, k, *shape)) for name, shape in _ROW.items()}
    if ((count < 0) | (count > k)).any():
        raise TensorMismatch("count outside the list", model=spec.model_id)
    picture, place = np.nonzero(np.arange(k) < count)
    rows = {name: np.asarray(values[picture, place], np.float32) for name, values in lists.items()}
    if not all(np.isfinite(values).all() for values in rows.values()):
        raise TensorMismatch("a number that is not finite", model=spec.model_id)
    xcycwh = boxes_to_source(rows["boxes"], spec.framing, source_size)
    keep = (rows["scores"] >= np.float32(spec.confidence_floor)) & (xcycwh[:, 2:] > 0).all(axis=1)
    order = _order(picture, rows["scores"], xcycwh)
    order = order[keep[order]]
    marks = spec.framing.to_source(rows["landmarks"], source_size).clip(0, np.array(source_size) - 1)
    return Gazes(
        frame_offset=frame_offset[picture[order]],
        confidence=rows["scores"][order],
        xcycwh=xcycwh[order],
        landmarks=marks.astype(np.float32)[order],
        yaw_rad=rows["yaw"][order],
        pitch_rad=rows["pitch"][order],
    )


def _order(picture: NDArray[np.intp], confidence: NDArray[Any], box: NDArray[Any]) -> NDArray[np.intp]:
    x, y, width, height = box.T
    return np.lexsort((height, width, y, x, -confidence, picture))
