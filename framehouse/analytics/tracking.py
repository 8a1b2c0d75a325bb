"""Which boxes are one object: a tracker for sampled frames, at 1 to 10 a second and with gaps.

It works in seconds, not in frames, so another rate or a gap changes how far an object may have moved and nothing else.
It is a function of the rows alone: no state, no random number, so it gives the same after a restart and anywhere. Why
it is our own: docs/decisions/0014.

The scheme is ByteTrack's (Zhang et al., ECCV 2022): boxes of high confidence are matched first, those of low
confidence only prolong tracks, every match is the cheapest assignment as a whole. Between frames an object keeps its
velocity (an alpha-beta filter). As boxes of one object need not overlap from one sampled frame to the next, they are
matched by the distance of their centres in units of their size, and by how alike their sizes are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from framehouse.store.archive import Boxes

VERSION = 1
"""Part of the version of every use that tracks: raise it when the same boxes give other tracks."""

_ALPHA, _BETA = 0.8, 0.7
"""Share of a surprise that goes into place, and into velocity."""
_SIZE_ALPHA = 0.5
_GATE_STILL, _GATE_PER_S = 0.6, 2.5
_GATE_NEW, _GATE_NEW_PER_S = 0.8, 3.0
_GATE_MISSED_PER_S = 0.25
"""How far, in sizes (root of the area), a box may lie from where its track is expected: so much, and so much more for
each second of the usual step, as things turn; wider while its velocity is not known. For the time after a missed step
it grows little: else whoever comes by takes over the tracks of those who left. A walker goes 1.4 sizes a second, a car
in a street 5. Chosen on made scenes at 1, 2, 5 and 10 frames a second (docs/decisions/0014)."""
_LOW_SHARE = 0.6
"""Boxes of low confidence must lie this much nearer."""
_LARGEST_RATIO = 2.5
"""Of two sizes that may be one object."""
_SIZE_WEIGHT = 0.3
_NEVER = 1e6


@dataclass(frozen=True, slots=True)
class Tracking:
    """How boxes become tracks.

    Args:
        confidence: a track begins with a box of this confidence or more, 0..1.
        low_confidence: a box from here on prolongs a track.
        lost_s: an object not seen for longer is another one when it comes back.
        step_s: usual time between two frames.
        least_boxes: tracks with fewer are no tracks.
    """

    confidence: float = 0.4
    low_confidence: float = 0.15
    lost_s: float = 2.0
    step_s: float = 0.2
    least_boxes: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Live:
    """Tracks that may go on [T].

    xy: centre [T, 2]; v: pixels a second [T, 2]; wh: size [T, 2]; seen_s: time of the last box; n: boxes so far;
    number: which track; kind: class as a number.
    """

    xy: NDArray[np.float64]
    v: NDArray[np.float64]
    wh: NDArray[np.float64]
    seen_s: NDArray[np.float64]
    n: NDArray[np.int64]
    number: NDArray[np.int64]
    kind: NDArray[np.int64]

    def where(self, keep: NDArray[np.bool_]) -> _Live:
        """Only those marked."""
        return _Live(*(getattr(self, name)[keep] for name in self.__slots__))

    def and_also(self, new: _Live) -> _Live:
        """These, then others."""
        return _Live(*(np.concatenate([getattr(self, name), getattr(new, name)]) for name in self.__slots__))


def track(boxes: Boxes, tracking: Tracking) -> NDArray[np.int64]:
    """The track of each box, int64 [N]: from 1 in order of first sight, -1 for a box of no track.

    Only boxes of one class make a track.

    >>> seen = Boxes(np.arange(4), np.arange(4) / 5, np.zeros(4, int), np.array(["car"] * 4, object),
    ...     np.full(4, 0.9, np.float32), np.array([[x, 0, x + 40, 30] for x in (0, 12, 24, 300)], np.float32))
    >>> track(seen, Tracking()).tolist()
    [1, 1, 1, -1]
    """
    kinds = np.unique(boxes.class_name.astype(np.str_), return_inverse=True)[1].reshape(len(boxes))
    xyxy = boxes.xyxy.astype(np.float64)
    xy, wh = (xyxy[:, :2] + xyxy[:, 2:]) / 2, np.maximum(xyxy[:, 2:] - xyxy[:, :2], 1.0)
    times, starts = np.unique(boxes.time_offset_s, return_index=True)
    owner = np.full(len(boxes), -1, np.int64)
    live, n_tracks = _empty(), 0
    edges = [*starts.tolist(), len(boxes)]
    for time_s, start, end in zip(times.tolist(), edges[:-1], edges[1:], strict=True):
        live = live.where(time_s - live.seen_s <= tracking.lost_s + 1e-9)
        rows = np.arange(start, end)
        sure = boxes.confidence[rows] >= np.float32(tracking.confidence)
        usable = boxes.confidence[rows] >= np.float32(tracking.low_confidence)
        for share, chosen in ((1.0, rows[sure]), (_LOW_SHARE, rows[usable & ~sure])):
            waiting = np.flatnonzero(live.seen_s < time_s)
            open_ = live.where(live.seen_s < time_s)
            pairs = _match(open_, xy[chosen], wh[chosen], kinds[chosen], time_s, share, tracking.step_s)
            mine, theirs = waiting[pairs[:, 0]], chosen[pairs[:, 1]]
            owner[theirs] = live.number[mine]
            live = _moved(live, mine, xy[theirs], wh[theirs], time_s)
        fresh = rows[sure & (owner[rows] < 0)]
        owner[fresh] = n_tracks + np.arange(fresh.size)
        live = live.and_also(_begun(xy[fresh], wh[fresh], kinds[fresh], owner[fresh], time_s))
        n_tracks += fresh.size
    return _numbered(owner, n_tracks, tracking.least_boxes)


def _empty() -> _Live:
    none = np.empty(0, np.int64)
    return _begun(np.empty((0, 2)), np.empty((0, 2)), none, none, 0.0)


def _begun(
    xy: NDArray[np.float64], wh: NDArray[np.float64], kind: NDArray[np.int64], number: NDArray[np.int64], time_s: float
) -> _Live:
    n = len(xy)
    return _Live(xy, np.zeros((n, 2)), wh, np.full(n, time_s), np.ones(n, np.int64), number, kind)


def _match(
    live: _Live, xy: NDArray[np.float64], wh: NDArray[np.float64], kind: NDArray[np.int64], time_s: float,
    share: float, step_s: float,
) -> NDArray[np.int64]:  # fmt: skip
    """Pairs (track, box), int64 [K, 2], of the cheapest assignment in which as many as possible are matched."""
    if not len(live.xy) or not len(xy):
        return np.empty((0, 2), np.int64)
    away_s = time_s - live.seen_s
    expected = live.xy + live.v * away_s[:, None]
    once_s, missed_s = np.minimum(away_s, step_s), np.maximum(away_s - step_s, 0.0)
    gate = np.where(live.n > 1, _GATE_STILL + _GATE_PER_S * once_s, _GATE_NEW + _GATE_NEW_PER_S * once_s)
    gate = share * (gate + _GATE_MISSED_PER_S * missed_s)
    size, others = np.sqrt(live.wh.prod(axis=1)), np.sqrt(wh.prod(axis=1))
    scale = np.sqrt(size[:, None] * others[None, :])
    far = np.linalg.norm(expected[:, None, :] - xy[None, :, :], axis=2) / (scale * gate[:, None])
    unlike = np.abs(np.log(size[:, None] / others[None, :])) / np.log(_LARGEST_RATIO)
    allowed = (far <= 1) & (unlike <= 1) & (live.kind[:, None] == kind[None, :])
    cost = np.where(allowed, far + _SIZE_WEIGHT * unlike, _NEVER)
    rows, columns = linear_sum_assignment(cost)
    fits = allowed[rows, columns]
    pairs: NDArray[np.int64] = np.stack([rows[fits], columns[fits]], axis=1).astype(np.int64)
    return pairs


def _moved(
    live: _Live, mine: NDArray[np.int64], xy: NDArray[np.float64], wh: NDArray[np.float64], time_s: float
) -> _Live:
    """The tracks after these of them were seen there."""
    away_s = (time_s - live.seen_s[mine])[:, None]
    expected = live.xy[mine] + live.v[mine] * away_s
    surprise, second = xy - expected, (live.n[mine] == 1)[:, None]
    moved = replace(live, **{name: getattr(live, name).copy() for name in ("xy", "v", "wh", "seen_s", "n")})
    moved.xy[mine] = expected + np.where(second, 1.0, _ALPHA) * surprise
    moved.v[mine] += np.where(second, 1.0, _BETA) * surprise / away_s
    moved.wh[mine] += _SIZE_ALPHA * (wh - live.wh[mine])
    moved.seen_s[mine] = time_s
    moved.n[mine] += 1
    return moved


def _numbered(owner: NDArray[np.int64], n_tracks: int, least_boxes: int) -> NDArray[np.int64]:
    """Numbers from 1 for tracks with enough boxes, in order of first sight; -1 for the rest."""
    counts = np.bincount(owner[owner >= 0], minlength=n_tracks)
    enough = counts >= least_boxes
    names = np.where(enough, np.cumsum(enough), -1)
    return np.where(owner >= 0, names[np.maximum(owner, 0)] if n_tracks else -1, -1).astype(np.int64)
