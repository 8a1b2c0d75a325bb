"""Where tracks cross lines and stay in zones: plain geometry in pixels and seconds.

A place is settled only at some distance from the line, so that a box that trembles on it counts once, and a crossing is
counted when a track is settled on the other side and its path in between went through the line's own length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """One track's point over time.

    Args:
        tracker_id: of the track.
        class_name: its class.
        time_s: float64 [N], increasing.
        frame_offset: int64 [N].
        xy: float64 [N, 2], pixels.
        size_px: float64 [N], root of the box's area.
        confidence: float32 [N].
    """

    tracker_id: int
    class_name: str
    time_s: NDArray[np.float64]
    frame_offset: NDArray[np.int64]
    xy: NDArray[np.float64]
    size_px: NDArray[np.float64]
    confidence: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Crossing:
    """A track crosses a line.

    Args:
        inward: from the right hand to the left hand of one who stands at the line's first point and looks along it
            (on the screen; for a line from left to right: upwards). As supervision's LineZone has it.
        time_s: when its path cuts the line, between two frames.
        frame_offset: the first frame on the other side.
        x, y: where, pixels.
        before_s, after_s: times of the two frames between which it was.
    """

    inward: bool
    time_s: float
    frame_offset: int
    x: float
    y: float
    before_s: float
    after_s: float


def crossings(path: Path, line: NDArray[np.float64], band: float = 0.1) -> list[Crossing]:
    """Where a path crosses a line [2, 2] (first and second point, pixels), in order of time.

    Args:
        band: a place within this many sizes of the box from the line is on neither side.

    >>> ones, way = np.ones(3), np.array([[5.0, 9], [5, 6], [5, 1]])
    >>> up = Path(1, "car", np.arange(3.0), np.arange(3), way, ones, ones)
    >>> crossings(up, np.array([[0.0, 4], [10, 4]]))
    [Crossing(inward=True, time_s=1.4, frame_offset=2, x=5.0, y=4.0, before_s=1.0, after_s=2.0)]
    >>> crossings(up, np.array([[6.0, 4], [10, 4]]))
    []
    """
    start, along = line[0], line[1] - line[0]
    length = float(np.linalg.norm(along))
    away = (along[0] * (path.xy[:, 1] - start[1]) - along[1] * (path.xy[:, 0] - start[0])) / length
    side = np.where(np.abs(away) > band * path.size_px, np.sign(away), 0.0)
    found, settled = [], -1
    for i in np.flatnonzero(side).tolist():
        if settled >= 0 and side[i] != side[settled]:
            cut = _cut(path, away, settled, i, start, along, length)
            if cut is not None:
                found.append(cut)
        settled = i
    return found


def _cut(
    path: Path, away: NDArray[np.float64], first: int, last: int, start: NDArray[np.float64],
    along: NDArray[np.float64], length: float,
) -> Crossing | None:  # fmt: skip
    """The last place between two rows where the path cuts the line itself; None where it goes past its ends."""
    for i in range(last, first, -1):
        one, other = away[i - 1], away[i]
        if one == other or one * other > 0:
            continue
        share = one / (one - other)
        at = path.xy[i - 1] + share * (path.xy[i] - path.xy[i - 1])
        if 0 <= float((at - start) @ along) / length**2 <= 1:
            before_s, after_s = float(path.time_s[i - 1]), float(path.time_s[i])
            return Crossing(
                bool(away[last] < 0), before_s + float(share) * (after_s - before_s), int(path.frame_offset[i]),
                float(at[0]), float(at[1]), before_s, after_s,
            )  # fmt: skip
    return None


def inside(xy: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points [N, 2] lie in a polygon [K, 2] (even-odd rule; corners in either order, it closes itself).

    >>> inside(np.array([[1.0, 1], [3, 1]]), np.array([[0.0, 0], [2, 0], [2, 2], [0, 2]])).tolist()
    [True, False]
    """
    x, y = xy[:, 0][:, None], xy[:, 1][:, None]
    x1, y1 = polygon.T
    x2, y2 = np.roll(polygon, -1, axis=0).T
    spans = (y1 > y) != (y2 > y)
    steps = np.where(y2 == y1, 1.0, y2 - y1)
    hits = spans & (x < (x2 - x1) * (y - y1) / steps + x1)
    odd: NDArray[np.bool_] = hits.sum(axis=1) % 2 == 1
    return odd
