"""Where things are in every frame of a video, when models looked at some frames only.

Between two sightings of a tracklet its box is interpolated; before the first and after the last it is held for a while,
and always up to the sample that no longer shows it. A box grows with the time to the nearest sighting, since the thing
may have moved on. Frames that no model looked at near enough are *not analysed*: nothing can be said of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import MisalignedParts
from framehouse.render.tracklets import Sightings, iou
from framehouse.video.index import Size

SEEN, BETWEEN, BEFORE, AFTER = 0, 1, 2, 3
WHY = ("seen", "between sightings", "before the first sighting", "after the last sighting")
"""Why a frame has a region, by `Regions.why`."""

NOT_INFERRED = "not inferred"
MOST_REACH_S = 1.0
_STEPS_OF_REACH, _STEPS_AT_ENDS = 1.75, 1.25
"""Samples further apart than so many usual steps have one missing between them; so has an end of the video."""
_SURE_IOU = 0.3
"""Consecutive sightings that overlap less may be two things."""
_LEAST_MARGIN_PX = 2.0
_TINY_S = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """The frames that a model was asked about.

    Args:
        frame_offset: int64 [K], strictly increasing.
        loaded: bool [K]: it answered, also when it saw nothing.
        gap_reason: object [K] of str, "" where loaded.

    Raises:
        MisalignedParts: arrays of different length, or frames out of order.
    """

    frame_offset: NDArray[np.int64]
    loaded: NDArray[np.bool_]
    gap_reason: NDArray[np.object_]

    def __post_init__(self) -> None:
        if not len(self.frame_offset) == len(self.loaded) == len(self.gap_reason):
            raise MisalignedParts("frames, states and reasons differ in length")
        if (np.diff(self.frame_offset) <= 0).any():
            raise MisalignedParts("samples are not ordered by frame")


@dataclass(frozen=True, slots=True)
class Growth:
    """How much larger than its sighting a region is, on each side.

    Attributes:
        share: of the box's own side.
        side_per_s: of its longer side, for each second to the nearest sighting.
        frame_per_s: of the picture's shorter side, for each such second.
        hold_s: how long a box stands before the first and after the last sighting, at least.
        hull: where two sightings overlap little, cover both and all between them.
    """

    share: float = 0.1
    side_per_s: float = 0.5
    frame_per_s: float = 0.1
    hold_s: float = 0.6
    hull: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Boxes in frames, ordered by frame.

    Attributes:
        frame_offset: int64 [R].
        xyxy: float32 [R, 4], grown, inside the picture, not empty.
        tracklet: int64 [R].
        sighting: int64 [R], row of the sighting nearest in time.
        why: int8 [R], index into `WHY`.
    """

    frame_offset: NDArray[np.int64]
    xyxy: NDArray[np.float32]
    tracklet: NDArray[np.int64]
    sighting: NDArray[np.int64]
    why: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.frame_offset)

    def where(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Self:
        """Some rows, by mask or place."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def in_frame(self, frame_offset: int) -> Self:
        """The rows of one frame."""
        first, end = np.searchsorted(self.frame_offset, [frame_offset, frame_offset + 1])
        return self.where(slice(int(first), int(end)))

    @classmethod
    def joined(cls, pieces: list[Self]) -> Self:
        """All rows of all pieces by frame."""
        whole = cls(*(np.concatenate([getattr(piece, field.name) for piece in pieces]) for field in fields(cls)))
        return whole.where(np.argsort(whole.frame_offset, kind="stable"))


def no_regions() -> Regions:
    """None at all."""
    none = np.empty(0, np.int64)
    return Regions(none, np.empty((0, 4), np.float32), none, none, np.empty(0, np.int8))


def regions_of(
    sightings: Sightings,
    tracklet: NDArray[np.int64],
    samples: Samples,
    second: NDArray[np.float64],
    size: Size,
    growth: Growth,
) -> Regions:
    """Where each tracklet is in every frame that it may be in.

    Args:
        sightings: in sampled frames.
        tracklet: int64 [N], of `link`.
        samples: what the model was asked about.
        second: float64 [n_frames], time of every frame, strictly increasing.
        size: (width, height) of the picture.
    """
    if not len(sightings):
        return no_regions()
    asked = samples.frame_offset[samples.loaded]
    order = np.lexsort((sightings.frame_offset, tracklet))
    cuts = np.flatnonzero(np.diff(tracklet[order])) + 1
    pieces = [_of_tracklet(sightings, rows, asked, second, size, growth) for rows in np.split(order, cuts)]
    whole = Regions.joined(pieces)
    whole = Regions(whole.frame_offset, whole.xyxy, tracklet[whole.sighting], whole.sighting, whole.why)
    kept: NDArray[np.bool_] = np.all(whole.xyxy[:, 2:] > whole.xyxy[:, :2], axis=1)
    return whole.where(kept)


def _of_tracklet(
    sightings: Sightings,
    rows: NDArray[np.int64],
    asked: NDArray[np.int64],
    second: NDArray[np.float64],
    size: Size,
    growth: Growth,
) -> Regions:
    at, box = sightings.frame_offset[rows], sightings.xyxy[rows].astype(np.float64)
    first, end = _span(at, asked, second, growth.hold_s)
    frames = np.arange(first, end)
    last = len(rows) - 1
    before = np.clip(np.searchsorted(at, frames, "right") - 1, 0, last)
    after = np.clip(np.searchsorted(at, frames, "left"), 0, last)
    since, until = second[frames] - second[at[before]], second[at[after]] - second[frames]
    nearest = np.where(np.abs(since) <= np.abs(until), before, after)
    share = since / np.where(before == after, 1.0, since + until)
    between = np.where(before == after, 0.0, share)[:, None]
    placed = (1 - between) * box[before] + between * box[after]
    if growth.hull:
        unsure = iou(box[before].astype(np.float32), box[after].astype(np.float32)) < _SURE_IOU
        placed = _hull(placed, box[nearest])
        placed[unsure] = _hull(box[before[unsure]], box[after[unsure]])
    margin = _margin(placed, np.minimum(np.abs(since), np.abs(until)), size, growth)
    grown = placed + np.concatenate([-margin, margin], axis=1)
    limit = np.array([*size, *size], np.float64)
    why = np.where(frames < at[0], BEFORE, np.where(frames > at[-1], AFTER, np.where(before == after, SEEN, BETWEEN)))
    inside = np.clip(grown, 0, limit).astype(np.float32)
    return Regions(frames, inside, np.zeros(len(frames), np.int64), rows[nearest], why.astype(np.int8))


def _span(
    at: NDArray[np.int64], asked: NDArray[np.int64], second: NDArray[np.float64], hold_s: float
) -> tuple[int, int]:
    """First frame and end of a tracklet: held for a while, and up to the next samples, which do not show it."""
    place_first, place_last = np.searchsorted(asked, at[0]), np.searchsorted(asked, at[-1])
    unseen_before = int(asked[place_first - 1]) + 1 if place_first else 0
    unseen_after = int(asked[place_last + 1]) if place_last + 1 < len(asked) else len(second)
    held = np.searchsorted(second, [second[at[0]] - hold_s, second[at[-1]] + hold_s], "left")
    return min(unseen_before, int(held[0])), max(unseen_after, int(held[1]))


def _margin(
    placed: NDArray[np.float64], away_s: NDArray[np.float64], size: Size, growth: Growth
) -> NDArray[np.float64]:
    """float64 [F, 2], pixels to grow by on the left and right, and above and below."""
    sides = placed[:, 2:] - placed[:, :2]
    moved = away_s * (growth.side_per_s * sides.max(axis=1) + growth.frame_per_s * min(size))
    least = _LEAST_MARGIN_PX if growth.share else 0.0
    return np.asarray(np.maximum(growth.share * sides, least) + moved[:, None])


def _hull(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([np.minimum(one[:, :2], other[:, :2]), np.maximum(one[:, 2:], other[:, 2:])], axis=1)


# --- what was not analysed ------------------------------------------------------------------------------------------


def usual_step(samples: Samples, second: NDArray[np.float64]) -> float:
    """Median time between samples, seconds; infinite for fewer than two."""
    times = second[samples.frame_offset]
    return float(np.median(np.diff(times))) if len(times) > 1 else np.inf


def not_analysed(
    samples: Samples, second: NDArray[np.float64], reach_s: float | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.object_]]:
    """Frames that nothing can be said of: (bool [n_frames], object [n_frames] of str: why; "" where analysed).

    Analysed are sampled frames that have an answer, and those between two of them at most `reach_s` apart with no gap
    between; at the video's ends, those that are within a step of the first or last.

    Args:
        reach_s: None takes what is usual for the model, at most `MOST_REACH_S`.
    """
    step = usual_step(samples, second)
    reach = min(MOST_REACH_S, _STEPS_OF_REACH * step) if reach_s is None else reach_s
    end_reach = min(MOST_REACH_S, _STEPS_AT_ENDS * step) if reach_s is None else reach_s
    asked, gaps = samples.frame_offset[samples.loaded], samples.frame_offset[~samples.loaded]
    frames = np.arange(len(second))
    before = np.append(asked, -1)[np.searchsorted(asked, frames, "right") - 1]  # -1: none
    after = np.append(asked, len(second))[np.searchsorted(asked, frames, "left")]  # n_frames: none
    gap = np.searchsorted(gaps, before, "right")
    has_gap = (before < after) & (np.append(gaps, len(second))[gap] < after)
    first = np.where(before < 0, frames, before)
    last = np.where(after == len(second), frames, after)
    is_end = (before < 0) | (after == len(second))
    too_far = second[last] - second[first] > np.where(is_end, end_reach, reach) + _TINY_S
    lost = has_gap | too_far | ((before < 0) & (after == len(second)))
    reason = np.where(lost, NOT_INFERRED, "").astype(np.object_)
    reason[has_gap] = np.append(samples.gap_reason[~samples.loaded], "")[gap[has_gap]]
    return lost, reason
