"""Changes that take their time: runs of flat pictures, and straight lines from one picture to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framehouse.video.looks import Looks

STEP_S = 0.08
_LEAST_LEVEL = 15.0
_MOST_LIKENESS = 0.6
_MOST_JUMP = 0.45
_LEAST_DIP = 0.06
_TERSE = 0.4  # below 1, or half a dissolve would win over the whole of it; above 0, or what moves beside it would join
_COLOURS, _NEAR = 6, 9

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Small pictures at equal steps of time, for which arithmetic between frames means something.

    Attributes:
        index: int64 [G], which of the looks is shown at each step.
        step_s: seconds between steps.
        pictures: float32 [G, 432].
    """

    index: NDArray[np.int64]
    step_s: float
    pictures: Vectors


@dataclass(frozen=True, slots=True)
class Mix:
    """A dissolve: first and last step of the grid that are not mixed, and how far it is from a straight line."""

    first: int
    end: int
    bend: float


@dataclass(frozen=True, slots=True)
class FlatRun:
    """Flat pictures with the ramps into and out of them, in indices of looks.

    Attributes:
        first: last frame before, untouched; -1 when the video begins within.
        end: first frame after, untouched; N when the video ends within.
        flat: first and last flat picture.
    """

    first: int
    end: int
    flat: tuple[int, int]

    @property
    def middle(self) -> int:
        """Of the flat pictures."""
        return (self.flat[0] + self.flat[1] + 1) // 2


def grid_of(looks: Looks) -> Grid:
    """Looks at equal steps; as long as the video is."""
    mean_s = float(looks.time_s[-1] - looks.time_s[0]) / max(len(looks.time_s) - 1, 1)
    step_s = max(STEP_S, mean_s)
    steps = np.arange(looks.time_s[0], looks.time_s[-1] + step_s / 2, step_s)
    index = np.clip(np.searchsorted(looks.time_s, steps - step_s / 1000), 0, len(looks.time_s) - 1)
    return Grid(index.astype(np.int64), step_s, looks.thumbs[index].reshape(len(index), -1).astype(np.float32))


# --- dissolves ------------------------------------------------------------------------------------------------------


def dissolves(grid: Grid, *, shortest_s: float, longest_s: float, bend: float) -> list[Mix]:
    """Stretches in which the picture goes on a straight line to another one, the surest first, none overlapping.

    Asked of each stretch: its ends differ, and are not the same thing in another light; nothing in it jumps; its
    pictures lie near the line between the ends, in order; and mixing two pictures has made them paler (contrast dips).
    """
    found: list[tuple[float, Mix]] = []
    for length in _lengths(shortest_s / grid.step_s, longest_s / grid.step_s):
        for first in _candidates(grid, length):
            mix, change = _mix(grid, first, first + length)
            if mix.bend <= bend:
                found.append((change * (1.0 - mix.bend) / length**_TERSE, mix))
    found.sort(key=lambda one: -one[0])
    kept: list[Mix] = []
    for _, mix in found:
        if all(mix.end <= other.first or other.end <= mix.first for other in kept):
            kept.append(mix)
    return kept


def _lengths(shortest: float, longest: float) -> Iterator[int]:
    length = max(4, round(shortest))
    while length <= longest:
        yield length
        length = max(length + 1, round(length * 1.25))


def _candidates(grid: Grid, length: int) -> list[int]:
    """First steps of the stretches of a length that pass the cheap tests."""
    pictures = grid.pictures
    if len(pictures) <= length:
        return []
    before, after = pictures[:-length], pictures[length:]
    line = after - before
    level = np.abs(line).mean(axis=1)
    steps = np.linalg.norm(np.diff(pictures, axis=0), axis=1)
    longest = np.lib.stride_tricks.sliding_window_view(steps, length).max(axis=1)
    calm = longest < _MOST_JUMP * np.linalg.norm(line, axis=1)
    passed = np.flatnonzero((level > _LEAST_LEVEL) & calm)
    likeness = _likeness(before[passed], after[passed])
    return [int(i) for i in passed[likeness < _MOST_LIKENESS]]


def _likeness(a: Vectors, b: Vectors) -> NDArray[np.float64]:
    """Correlation of pictures, row by row: 1 for the same picture in another light."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / np.maximum(lengths, 1e-6), np.float64)


def _mix(grid: Grid, first: int, end: int) -> tuple[Mix, float]:
    """A stretch as a mix, and by how many levels its ends differ; bend 1 where it is none."""
    a, b = grid.pictures[first], grid.pictures[end]
    line, within = b - a, grid.pictures[first + 1 : end]
    square = float(line @ line)
    share = (within - a) @ line / square
    beside = np.linalg.norm(within - a - share[:, None] * line, axis=1) / np.sqrt(square)
    contrast = grid.pictures[first : end + 1].std(axis=1)
    straight = np.linspace(contrast[0], contrast[-1], len(contrast))
    dip = float(((straight - contrast) / np.maximum(straight, 1e-6)).max())
    steps = np.diff(np.concatenate([[0.0], share, [1.0]]))
    goes_on = steps.min() > -0.12 and steps.max() < _MOST_JUMP
    bend = float(beside.mean()) if goes_on and dip >= _LEAST_DIP else 1.0
    return Mix(first, end, bend), float(np.abs(line).mean())


# --- flat pictures --------------------------------------------------------------------------------------------------


def flat_runs(looks: Looks, flat_level: float, *, most_s: float) -> list[FlatRun]:
    """Every run of flat pictures with its ramps, each at most `most_s` long."""
    contrast = looks.thumbs.astype(np.float32).reshape(len(looks.thumbs), -1, 3).std(axis=1).max(axis=1)
    is_flat = contrast < flat_level
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_flat, [False]]).astype(np.int8)))
    runs = []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        first = _ramp(looks, contrast, start, -1, most_s)
        end = _ramp(looks, contrast, stop - 1, 1, most_s)
        runs.append(FlatRun(first, end, (start, stop - 1)))
    return runs


def _ramp(looks: Looks, contrast: NDArray[np.float32], edge: int, way: int, most_s: float) -> int:
    """From the edge of a flat run outwards to the first frame whose contrast grows no more."""
    i = edge + way
    while 0 <= i < len(contrast):
        beyond = i + way
        over = not 0 <= beyond < len(contrast) or abs(looks.time_s[i] - looks.time_s[edge]) > most_s
        if over or contrast[beyond] < contrast[i] * 1.01:
            return i
        i = beyond
    return i


# --- likeness --------------------------------------------------------------------------------------------------------


def colours(thumbs: NDArray[np.uint8], at: int, way: int) -> NDArray[np.float64]:
    """Shares of colours in the nearest frames before (way -1) or after (1) one, itself included."""
    return colours_of(thumbs[max(0, at - _NEAR + 1) : at + 1] if way < 0 else thumbs[at : at + _NEAR])


def colours_of(thumbs: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Shares of 216 colours in some pictures [n, 9, 16, 3]: float64 [216]."""
    cells = (thumbs.reshape(-1, 3).astype(np.int64) * _COLOURS) // 256
    counted = np.bincount(cells @ np.array([_COLOURS * _COLOURS, _COLOURS, 1]), minlength=_COLOURS**3)
    return counted / max(1, int(counted.sum()))


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Bhattacharyya coefficient of two distributions: 1 equal, 0 nothing in common."""
    return float(np.sqrt(a * b).sum())


def correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of every small picture of a [n, 9, 16, 3] with every one of b [m, 9, 16, 3]: float64 [n, m], -1..1."""
    return _levelled(a) @ _levelled(b).T


def _levelled(thumbs: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pictures as vectors of mean 0 and length 1; a flat picture is all 0."""
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.divide(flat, length, out=np.zeros_like(flat), where=length > 1e-6), np.float64)
