"""Stretches of time out of verdicts on single frames.

A sampled frame speaks for the time from itself to the next one, but never for longer than its reach: where no frame
was asked, or none answered, nothing is known, and that time is *unjudged*. It is never taken for a no. A stretch that
borders on unjudged time says so, as it may be longer than it looks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ContractViolation

LEAST_REACH_S = 2.0
"""A frame speaks for at least this long: video of uneven timing rests on one frame for a second and more."""
_STEPS_OF_REACH = 2.0
_TINY_S = 1e-6
"""Sums of float seconds: 15 frames at 5 a second last 2.9999999999999996 s, and those are 3."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """What was found in the frames that were asked about, in order of time.

    Args:
        frame_offset: int64 [K], strictly increasing.
        time_s: float64 [K], seconds after the first frame of the video, strictly increasing, 0 or more.
        score: float64 [K], how much the frame has of what is asked; NaN where it was not judged (a gap).
        until_s: end of the video. A time before the last frame is taken as that frame's.

    Raises:
        ContractViolation: arrays that do not fit each other, or times that do not increase.
    """

    frame_offset: NDArray[np.int64]
    time_s: NDArray[np.float64]
    score: NDArray[np.float64]
    until_s: float

    def __post_init__(self) -> None:
        if not len(self.frame_offset) == len(self.time_s) == len(self.score):
            raise ContractViolation("frames, times and scores differ in length")
        if (np.diff(self.time_s) <= 0).any() or (self.time_s[:1] < 0).any():
            raise ContractViolation("times of frames do not increase from 0")

    @property
    def judged(self) -> NDArray[np.bool_]:
        """bool [K]: the frame has a verdict."""
        return ~np.isnan(self.score)


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Stretches of time [N], by their start; they do not overlap.

    Attributes:
        start_s, end_s: float64, half open; the end is where the first frame after it was taken, or its reach ended.
        first_frame_offset, last_frame_offset: int64, first and last frame that said yes.
        best_frame_offset, best_s, best_score: the frame with the highest score (the first of equals).
        n_frames: int64, frames that said yes.
        n_between: int64, judged frames that said no and were bridged.
        unjudged_s: float64, seconds inside that nothing is known of.
        open_start, open_end: bool, what lies before or after is unjudged, so it may be longer. The video's own ends
            are no such place.
    """

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    first_frame_offset: NDArray[np.int64]
    last_frame_offset: NDArray[np.int64]
    best_frame_offset: NDArray[np.int64]
    best_s: NDArray[np.float64]
    best_score: NDArray[np.float64]
    n_frames: NDArray[np.int64]
    n_between: NDArray[np.int64]
    unjudged_s: NDArray[np.float64]
    open_start: NDArray[np.bool_]
    open_end: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def duration_s(self) -> NDArray[np.float64]:
        """float64 [N], seconds."""
        return self.end_s - self.start_s

    @property
    def total_s(self) -> float:
        """Seconds of all together."""
        return float(self.duration_s.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """Plain stretches of time [N], by their start, not overlapping: float64 seconds, half open."""

    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.start_s)

    @property
    def total_s(self) -> float:
        """Seconds of all together."""
        return float((self.end_s - self.start_s).sum())


@dataclass(frozen=True, slots=True)
class Wanted:
    """When frames make a stretch.

    Args:
        enter: a stretch has at least one frame of this score or more.
        stay: its other frames have this score or more; None as `enter`. Less than `enter`, it keeps a flickering score
            together (hysteresis), before the first sure frame as well as after it.
        min_s: shorter stretches are left out.
        join_s: stretches at most this far apart are one, whether the time between said no or is unjudged.
        reach_s: how long a frame speaks for at most; None as `usual_reach`.
    """

    enter: float
    stay: float | None = None
    min_s: float = 0.0
    join_s: float = 0.0
    reach_s: float | None = None


def usual_reach(time_s: NDArray[np.float64]) -> float:
    """How long a frame speaks for at most: two usual (median) steps, at least `LEAST_REACH_S`.

    >>> usual_reach(np.arange(5) * 5.0), usual_reach(np.arange(5) * 0.2)
    (10.0, 2.0)
    """
    if len(time_s) < 2:
        return LEAST_REACH_S
    return max(LEAST_REACH_S, _STEPS_OF_REACH * float(np.median(np.diff(time_s))))


def spoken_for(judged: Judged, reach_s: float | None = None) -> NDArray[np.float64]:
    """Where the time ends that each frame speaks for, float64 [K]: at the next frame, or its reach, or the video's end.

    A single frame speaks for its reach alone.
    """
    if not len(judged.time_s):
        return np.empty(0, np.float64)
    reach = usual_reach(judged.time_s) if reach_s is None else reach_s
    following = np.append(judged.time_s[1:], max(judged.until_s, float(judged.time_s[-1])))
    stop_s: NDArray[np.float64] = np.minimum(following, judged.time_s + reach)
    return stop_s


def find_intervals(judged: Judged, wanted: Wanted) -> Intervals:
    """Stretches of frames whose score says yes; see `Wanted`. No frame, or no yes, gives none.

    >>> seen = Judged(np.arange(6), np.arange(6) * 1.0, np.array([0, 0.9, 0.4, np.nan, 0.9, 0]), 6.0)
    >>> found = find_intervals(seen, Wanted(enter=0.5, stay=0.3))
    >>> found.start_s.tolist(), found.end_s.tolist(), found.open_end.tolist()
    ([1.0, 4.0], [3.0, 5.0], [True, False])
    >>> find_intervals(seen, Wanted(enter=0.5, stay=0.3, join_s=1.0)).end_s.tolist()
    [5.0]
    """
    stop_s = spoken_for(judged, wanted.reach_s)
    stays = judged.judged & (judged.score >= (wanted.enter if wanted.stay is None else min(wanted.stay, wanted.enter)))
    first, last = _runs(stays, judged.time_s, stop_s)
    entered = np.concatenate([[0], np.cumsum(judged.judged & (judged.score >= wanted.enter))])
    sure = entered[last + 1] > entered[first]
    first, last = _joined(first[sure], last[sure], judged.time_s, stop_s, wanted.join_s)
    long = stop_s[last] - judged.time_s[first] >= wanted.min_s - _TINY_S
    return _described(judged, stop_s, stays, first[long], last[long])


def unjudged(judged: Judged, reach_s: float | None = None) -> Stretches:
    """The time of the video that no frame speaks for: gaps, holes, and all of it when there is no frame.

    >>> seen = Judged(np.arange(3), np.array([0.0, 1.0, 9.0]), np.array([0, np.nan, 1]), 10.0)
    >>> found = unjudged(seen, reach_s=2.0)
    >>> list(zip(found.start_s.tolist(), found.end_s.tolist()))
    [(1.0, 9.0)]
    """
    stop_s = spoken_for(judged, reach_s)
    known = judged.judged
    ends = np.concatenate([[0.0], stop_s[known]])
    starts = np.concatenate([judged.time_s[known], [max(judged.until_s, *judged.time_s[-1:].tolist(), 0.0)]])
    holes = starts - ends > _TINY_S
    return Stretches(ends[holes], starts[holes])


def overlap_s(stretches: Stretches, start_s: float, end_s: float) -> float:
    """Seconds of [start_s, end_s) that some stretches cover."""
    low, high = np.maximum(stretches.start_s, start_s), np.minimum(stretches.end_s, end_s)
    return float(np.maximum(high - low, 0.0).sum())


def union(*parts: Stretches | Intervals) -> Stretches:
    """The time that at least one of them covers; touching stretches become one."""
    start = np.concatenate([np.empty(0), *(part.start_s for part in parts)])
    end = np.concatenate([np.empty(0), *(part.end_s for part in parts)])
    order = np.argsort(start, kind="stable")
    start, reached = start[order], np.maximum.accumulate(end[order])
    is_first = np.append(True, start[1:] > reached[:-1] + _TINY_S)[: len(start)]
    is_last = np.append(is_first[1:], True)[: len(start)]
    return Stretches(start[is_first], reached[is_last])


def _runs(
    yes: NDArray[np.bool_], time_s: NDArray[np.float64], stop_s: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last index of each run of yes without a hole between its frames."""
    linked = np.zeros(len(yes) + 1, np.bool_)
    linked[1:-1] = yes[1:] & yes[:-1] & (stop_s[:-1] >= time_s[1:] - _TINY_S)
    return np.flatnonzero(yes & ~linked[:-1]), np.flatnonzero(yes & ~linked[1:])


def _joined(
    first: NDArray[np.int64], last: NDArray[np.int64], time_s: NDArray[np.float64], stop_s: NDArray[np.float64],
    join_s: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    if len(first) < 2 or join_s <= 0:
        return first, last
    apart = time_s[first[1:]] - stop_s[last[:-1]] > join_s + _TINY_S
    return first[np.append(True, apart)], last[np.append(apart, True)]


def _described(
    judged: Judged, stop_s: NDArray[np.float64], yes: NDArray[np.bool_], first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> Intervals:  # fmt: skip
    known, time_s, n = judged.judged, judged.time_s, len(judged.time_s)
    score = np.where(yes, judged.score, -np.inf)
    pairs = list(zip(first.tolist(), last.tolist(), strict=True))
    best = np.array([a + int(np.argmax(score[a : b + 1])) for a, b in pairs], np.int64)
    n_yes = np.array([int(yes[a : b + 1].sum()) for a, b in pairs], np.int64)
    n_known = np.array([int(known[a : b + 1].sum()) for a, b in pairs], np.int64)
    spoken = np.where(known, stop_s - time_s, 0.0)
    covered = np.array([float(spoken[a : b + 1].sum()) for a, b in pairs], np.float64)
    before, after = np.maximum(first - 1, 0), np.minimum(last + 1, max(n - 1, 0))
    hole_before = np.where(first > 0, ~known[before] | (stop_s[before] < time_s[first] - _TINY_S), time_s[first] > 0)
    next_s = np.where(last < n - 1, time_s[after], max(judged.until_s, *time_s[-1:].tolist(), 0.0))
    return Intervals(
        start_s=time_s[first],
        end_s=stop_s[last],
        first_frame_offset=judged.frame_offset[first],
        last_frame_offset=judged.frame_offset[last],
        best_frame_offset=judged.frame_offset[best],
        best_s=time_s[best],
        best_score=judged.score[best],
        n_frames=n_yes,
        n_between=n_known - n_yes,
        unjudged_s=np.maximum(0.0, stop_s[last] - time_s[first] - covered),
        open_start=hole_before.astype(np.bool_),
        open_end=((stop_s[last] < next_s - _TINY_S) | ((last < n - 1) & ~known[after])).astype(np.bool_),
    )
