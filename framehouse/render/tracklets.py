"""One object over several sampled frames: sightings linked by where they are.

Made for covering things up, so it errs to the safe side: two sightings are linked generously, and what covers the time
between them depends on how sure the link is (`regions`). For counting and naming objects there is the tracker of the
analytics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import MisalignedParts

_MOST_APART = 1.0
"""Centres of linked boxes are at most so many mean sides apart where the boxes do not overlap."""
_MOST_SCALE = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """Where one model saw things of one sort.

    Args:
        frame_offset: int64 [N], non-decreasing.
        xyxy: float32 [N, 4], left, top, right, bottom; pixels of the upright frame; may reach beyond it.
        confidence: float32 [N].
        mask: object [N] of str, run-length text over the upright frame, or "" for a plain box.

    Raises:
        MisalignedParts: arrays of different length, or frames out of order.
    """

    frame_offset: NDArray[np.int64]
    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32]
    mask: NDArray[np.object_]

    def __post_init__(self) -> None:
        if not len(self.frame_offset) == len(self.xyxy) == len(self.confidence) == len(self.mask):
            raise MisalignedParts("frames, boxes, confidences and masks differ in length")
        if (np.diff(self.frame_offset) < 0).any():
            raise MisalignedParts("sightings are not ordered by frame")

    def __len__(self) -> int:
        return len(self.frame_offset)


def link(sightings: Sightings, second: NDArray[np.float64], bridge_s: float) -> NDArray[np.int64]:
    """Number of the tracklet that each sighting belongs to, int64 [N], from 0 in order of first sighting.

    Args:
        second: float64 [n_frames], time of every frame of the video.
        bridge_s: a tracklet that was not seen for longer is over.

    The nearest of earlier and later sightings are linked first, each once; boxes that neither overlap nor lie a box's
    width apart, or of very different size, are not linked.
    """
    tracklet = np.full(len(sightings), -1, np.int64)
    live: NDArray[np.int64] = np.empty(0, np.int64)  # row of each live tracklet's last sighting
    n_tracklets = 0
    frames, starts = np.unique(sightings.frame_offset, return_index=True)
    for frame, start, end in zip(frames, starts, np.append(starts, len(sightings))[1:], strict=True):
        rows = np.arange(start, end)
        live = live[second[frame] - second[sightings.frame_offset[live]] <= bridge_s]
        for before, after in _pairs(sightings.xyxy[live], sightings.xyxy[rows]):
            tracklet[rows[after]] = tracklet[live[before]]
        new = rows[tracklet[rows] < 0]
        tracklet[new] = n_tracklets + np.arange(len(new))
        n_tracklets += len(new)
        live = np.append(live[~np.isin(tracklet[live], tracklet[rows])], rows)
    return tracklet


def _pairs(before: NDArray[np.float32], after: NDArray[np.float32]) -> list[tuple[int, int]]:
    """(row of before, row of after) of boxes that are taken for one object, each in one pair at most."""
    if not len(before) or not len(after):
        return []
    overlap = iou(before[:, None], after[None])
    sides = np.sqrt(np.maximum(area(before)[:, None] * area(after)[None], 1.0) ** 0.5)
    centres = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (before, after)]
    apart = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2) / sides
    scale = np.sqrt(np.maximum(area(before), 1.0))[:, None] / np.sqrt(np.maximum(area(after), 1.0))[None]
    may = ((overlap > 0) | (apart <= _MOST_APART)) & (np.maximum(scale, 1 / scale) <= _MOST_SCALE)
    score = np.where(may, overlap - apart, -np.inf)
    found: list[tuple[int, int]] = []
    for at in np.argsort(-score, axis=None, kind="stable"):
        i, j = np.unravel_index(at, score.shape)
        if score[i, j] == -np.inf:
            break
        found.append((int(i), int(j)))
        score[i], score[:, j] = -np.inf, -np.inf
        if np.isneginf(score).all():
            break
    return found


def area(xyxy: NDArray[np.float32]) -> NDArray[np.float64]:
    """Area of boxes [..., 4]: float64 [...]; 0 for one turned inside out."""
    sides = np.maximum(xyxy[..., 2:].astype(np.float64) - xyxy[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def iou(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of the common area of boxes [..., 4], broadcast: float64 [...], 0 for boxes without area.

    >>> iou(np.array([0, 0, 2, 2]), np.array([1, 0, 3, 2])).round(2).tolist()
    0.33
    """
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    common = area(np.concatenate([low, high], axis=-1))
    together = area(one) + area(other) - common
    return np.asarray(np.where(together > 0, common / np.maximum(together, 1e-9), 0.0))
