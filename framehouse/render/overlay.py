"""Which stored result each frame of a video shows."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import MisalignedParts
from framehouse.results.contract import FrameRows
from framehouse.video.sampling import nearest_frames

NOTHING = -1


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """What one model said about some frames of a video.

    Attributes:
        frame_offset: int64 [K], the frames that were planned, strictly increasing.
        pts: int64 [K], their presentation times.
        loaded: bool [K], False where the model gave no answer (a gap).
        rows: of any kind, in those frames, above the wanted threshold.

    Raises:
        MisalignedParts: arrays of different length, or rows of other frames.
    """

    frame_offset: NDArray[np.int64]
    pts: NDArray[np.int64]
    loaded: NDArray[np.bool_]
    rows: FrameRows

    def __post_init__(self) -> None:
        if not len(self.frame_offset) == len(self.pts) == len(self.loaded):
            raise MisalignedParts("planned frames, times and states differ in length")
        if not np.isin(self.rows.frame_offset, self.frame_offset).all():
            raise MisalignedParts("rows of a frame that was never planned")


def shown_results(pts: NDArray[np.int64], inferred: Inferred) -> NDArray[np.int64]:
    """Index into `inferred` of the result that each frame shows, or NOTHING.

    A frame shows the planned frame nearest in time, if that is at most one sampling interval (the median distance of
    planned frames) away. So a box is at most half an interval old or early, and outside the plan nothing is claimed.

    Args:
        pts: presentation times of all frames, int64 [N], strictly increasing.

    Returns:
        int64 [N].
    """
    if len(inferred.pts) == 0:
        return np.full(len(pts), NOTHING, np.int64)
    nearest = nearest_frames(inferred.pts, pts)
    if len(inferred.pts) == 1:
        return nearest  # one frame was asked for: the interval is longer than the video
    interval = float(np.median(np.diff(inferred.pts)))
    return np.where(np.abs(inferred.pts[nearest] - pts) <= interval, nearest, NOTHING)


def rows_by_frame(inferred: Inferred) -> Mapping[int, FrameRows]:
    """Rows of each planned frame that has any, by its index into `inferred`."""
    rows, arrays = inferred.rows, inferred.rows.arrays()
    offsets, starts = np.unique(rows.frame_offset, return_index=True)
    ends = np.append(starts, len(rows))[1:]
    places = np.searchsorted(inferred.frame_offset, offsets)
    return {
        place: type(rows)(**{name: array[a:b] for name, array in arrays.items()})
        for place, a, b in zip(places.tolist(), starts.tolist(), ends.tolist(), strict=True)
    }


def class_colour(class_id: int) -> tuple[int, int, int]:
    """Red, green, blue of a class; the same in every video. Neighbours are far apart on the colour wheel.

    >>> class_colour(0) != class_colour(1)
    True
    """
    hue = class_id * 0.618034 % 1  # golden ratio: spreads any number of classes
    red, green, blue = (round(part * 255) for part in colorsys.hsv_to_rgb(hue, 0.75, 0.95))
    return red, green, blue
