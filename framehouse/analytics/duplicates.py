"""Near-duplicates: stretches of two videos that show the same, whatever their encoding, size, brightness and start.

Found by prints (`video.prints`): frames of two videos whose short prints share 16 bits vote for how much later the one
lies in the other; for the likeliest of these offsets the long prints are compared frame by frame. Where the limits come
from: docs/decisions/0016.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from framehouse.video.prints import FINE_BITS, Prints

VERSION = 1
MOST_BITS = 48
"""Of 255: frames that differ in more are not the same. Copies have 0 to 20, half a sample apart up to 48; other videos
96 and more, the same talking head a second later 28 to 80."""
STILL_BITS, STILL_MOST_BITS = 24, 14
"""A picture that changes by less within a second stands still: then only what differs hardly at all is the same."""
_BRIDGE_S = 1.0
_OFFSETS_TRIED, _STRETCHES = 12, 5
_BANDS = 4
_FEW_VIDEOS = 100
"""A look that more videos share than these (a logo, a test card) names no candidates."""
_VOTERS = 40
"""Frames of one look that vote for a pair of videos."""


@dataclass(frozen=True, slots=True)
class Match:
    """A stretch of one video that is in another.

    Args:
        start_s, end_s: in the one.
        other_start_s, other_end_s: in the other.
        similarity: 1 for equal prints, 0 for prints of pictures that have nothing in common; mean over the stretch.
        still: the picture hardly moves, so the other may be another time of one camera.
    """

    start_s: float
    end_s: float
    other_start_s: float
    other_end_s: float
    similarity: float
    still: bool

    @property
    def duration_s(self) -> float:
        """Seconds in the one."""
        return self.end_s - self.start_s

    def turned(self) -> Match:
        """The same, seen from the other video."""
        return Match(
            self.other_start_s, self.other_end_s, self.start_s, self.end_s, self.similarity, self.still
        )  # fmt: skip


def candidates(videos: Mapping[str, Prints]) -> list[tuple[str, str]]:
    """Pairs of videos that share a look at two moments or more, sorted; each pair once, in order."""
    names = sorted(videos)
    owner = (
        np.concatenate([np.full(len(videos[n]), i, np.int64) for i, n in enumerate(names)]) if names else np.zeros(0)
    )
    shared: Counter[tuple[int, int]] = Counter()
    for band in range(_BANDS):
        looks = np.concatenate([_band(videos[n], band) for n in names]) if names else np.zeros(0, np.int64)
        for group in _groups(looks):
            owners = np.unique(owner[group])
            if 2 <= owners.size <= _FEW_VIDEOS:
                shared.update(combinations(owners.tolist(), 2))
    return sorted((names[a], names[b]) for (a, b), n in shared.items() if n >= 2)


def matches(one: Prints, other: Prints, *, least_s: float = 2.0) -> list[Match]:
    """Stretches of one video that are in the other, by start; none overlaps another.

    Args:
        least_s: shorter ones do not count.
    """
    free = ~one.plain
    found: list[Match] = []
    for _ in range(_STRETCHES):
        tried = [
            (match, frames)
            for offset_s in _offsets(one, other, free)
            for match, frames in _stretches(one, other, offset_s, free, least_s)
        ]
        if not tried:
            break
        match, frames = max(tried, key=lambda row: (round(row[0].duration_s, 1), row[0].similarity))
        found.append(match)
        free = free.copy()
        free[frames] = False
    return sorted(found, key=lambda match: match.start_s)


def covered(found: Sequence[Match], duration_s: float) -> float:
    """Share of a video that matches cover, 0..1.

    >>> covered([Match(0, 4, 1, 5, 1.0, False), Match(3, 6, 9, 12, 1.0, False)], 12.0)
    0.5
    """
    total, end = 0.0, 0.0
    for match in sorted(found, key=lambda match: match.start_s):
        total += max(0.0, match.end_s - max(end, match.start_s))
        end = max(end, match.end_s)
    return min(1.0, total / duration_s) if duration_s > 0 else 0.0


def _band(prints: Prints, band: int) -> NDArray[np.int64]:
    """16 of the bits of each short print, so that one of four bands is equal where few bits differ; plain ones: -1."""
    bits = (prints.coarse >> np.uint64(16 * band)) & np.uint64(0xFFFF)
    return np.where(prints.plain, -1, bits.astype(np.int64))


def _groups(values: NDArray[np.int64]) -> list[NDArray[np.intp]]:
    """Places of equal values, for each value that is there twice; -1 is none."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-2)) if values.size else np.zeros(0, np.int64)
    groups = np.split(order, starts[1:]) if starts.size else []
    return [group for group in groups if group.size > 1 and values[group[0]] >= 0]


def _step_s(prints: Prints) -> float:
    """Seconds from one print to the next."""
    return float(np.median(np.diff(prints.time_offset_s))) if len(prints) > 1 else 1.0


def _offsets(one: Prints, other: Prints, free: NDArray[np.bool_]) -> list[float]:
    """How much later the other may show what the one shows, seconds; most votes first."""
    step_s = _step_s(one)
    votes: Counter[int] = Counter()
    for band in range(_BANDS):
        mine, theirs = _band(one, band), _band(other, band)
        mine = np.where(free, mine, -1)
        order = np.argsort(theirs, kind="stable")
        low = np.searchsorted(theirs[order], mine, "left")
        high = np.searchsorted(theirs[order], mine, "right")
        for i in np.flatnonzero((high > low) & (mine >= 0)).tolist():
            voters = order[low[i] : high[i]]
            voters = voters[:: max(1, voters.size // _VOTERS)]
            votes.update(np.rint((other.time_offset_s[voters] - one.time_offset_s[i]) / step_s).astype(int).tolist())
    near = Counter({n: votes[n - 1] + 2 * votes[n] + votes[n + 1] for n in votes})
    return [n * step_s for n, _ in near.most_common(_OFFSETS_TRIED)]


def _stretches(
    one: Prints, other: Prints, offset_s: float, free: NDArray[np.bool_], least_s: float
) -> list[tuple[Match, NDArray[np.intp]]]:
    """Matches at one offset, with the frames of the one that they take."""
    step_s = max(_step_s(one), _step_s(other))
    place = _nearest(other.time_offset_s, one.time_offset_s + offset_s)
    lag_s = np.abs(other.time_offset_s[place] - one.time_offset_s - offset_s)
    bits = np.bitwise_count(one.fine ^ other.fine[place]).sum(axis=1).astype(np.int64)
    same = np.flatnonzero((lag_s <= 0.75 * step_s) & (bits <= MOST_BITS) & free & ~other.plain[place])
    if not same.size:
        return []
    breaks = np.flatnonzero(np.diff(one.time_offset_s[same]) > _BRIDGE_S + step_s) + 1
    found = []
    for frames in np.split(same, breaks):
        start_s, end_s = (float(one.time_offset_s[frames[i]]) for i in (0, -1))
        whole = int(((one.time_offset_s >= start_s) & (one.time_offset_s <= end_s)).sum())
        mean_bits, still = float(bits[frames].mean()), _stands_still(one, frames, step_s)
        if (
            end_s + step_s - start_s < least_s - 1e-6
            or 2 * frames.size < whole
            or (still and mean_bits > STILL_MOST_BITS)
        ):
            continue
        there = other.time_offset_s[place[frames]]
        similarity = max(0.0, 1 - 2 * mean_bits / FINE_BITS)
        match = Match(start_s, end_s + step_s, float(there.min()), float(there.max()) + step_s, similarity, still)
        found.append((match, frames))
    return found


def _stands_still(prints: Prints, frames: NDArray[np.intp], step_s: float) -> bool:
    """Whether the picture changes by few bits within a second, over a stretch."""
    later = _nearest(prints.time_offset_s, prints.time_offset_s[frames] + max(1.0, step_s))
    changed = np.bitwise_count(prints.fine[frames] ^ prints.fine[later]).sum(axis=1)
    return bool(np.median(changed) < STILL_BITS)


def _nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.intp]:
    """Index of the time nearest to each wanted one."""
    after = np.clip(np.searchsorted(times, wanted), 1, max(1, times.size - 1))
    before = after - 1
    after = np.minimum(after, times.size - 1)
    return np.where(np.abs(times[before] - wanted) <= np.abs(times[after] - wanted), before, after)
