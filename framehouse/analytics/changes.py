"""Where one shot becomes another: hard cuts, dissolves and fades, told from flashes and fast motion.

Hard cuts are PySceneDetect's adaptive rule on its own score. What it cannot tell is judged here on pictures of 16 x 9:
a flash does not last, a dissolve is a straight line from one picture to another, a fade passes through a flat picture.
The figures behind the choice, and of what was not chosen, are in docs/decisions/0015-how-cuts-are-found.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from framehouse.analytics.gradual import (
    STEP_S,
    FlatRun,
    Grid,
    colours,
    correlation,
    dissolves,
    flat_runs,
    grid_of,
    overlap,
)
from framehouse.video.looks import Looks

_SAME = 20.0
"""Mean difference of small pictures, in levels, below which they show the same."""

_NEAR_S, _BACK = 1.2, 0.85

ChangeKind = Literal["cut", "dissolve", "fade"]


@dataclass(frozen=True, slots=True)
class ChangeRules:
    """Thresholds. Levels are of pixels, 0..255.

    Attributes:
        cut_ratio: a cut differs this many times as much as its neighbours do.
        cut_level: and at least by this content score.
        flash_s: what returns to the picture before within so long is a flash.
        shortest_s: of two cuts nearer than this the stronger one counts.
        flat_level: a picture whose contrast (standard deviation) is below this is flat: black, white, one colour.
        dissolve_s: shortest and longest dissolve looked for.
        alike: colours of two shots that overlap more than this are one shot that moves, no dissolve.
        bend: how far the pictures of a dissolve may lie beside the straight line, as a share of its length.
    """

    cut_ratio: float = 3.0
    cut_level: float = 15.0
    flash_s: float = 0.3
    shortest_s: float = 0.2
    flat_level: float = 5.0
    dissolve_s: tuple[float, float] = (0.3, 2.6)
    alike: float = 0.76
    bend: float = 0.38


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """Changes in order of time.

    Attributes:
        kind: object [C] of str: "cut", "dissolve", "fade".
        start_s: float64 [C], the last frame of the old shot that is untouched; for a cut the first of the new one.
        end_s: float64 [C], the first untouched frame of the new shot.
        at_s: float64 [C], the moment between: a cut's frame, the middle of a dissolve, the flat middle of a fade.
        frame_offset: int64 [C], frame shown at `at_s`.
        score: float32 [C], how sure, 0..1.
    """

    kind: NDArray[np.object_]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    at_s: NDArray[np.float64]
    frame_offset: NDArray[np.int64]
    score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.at_s)


@dataclass(frozen=True, slots=True)
class Found:
    """One change, in indices of looks."""

    kind: ChangeKind
    first: int
    end: int
    at: int
    score: float


def find_changes(looks: Looks, rules: ChangeRules | None = None) -> Changes:
    """Every change of shot. Fewer than 2 frames have none."""
    rules = rules or ChangeRules()
    if len(looks.time_s) < 2:
        return as_changes([], looks.frame_offset, looks.time_s)
    grid = grid_of(looks)
    flats = flat_runs(looks, rules.flat_level, most_s=rules.dissolve_s[1])
    fades = [Found("fade", run.first, run.end, run.middle, 1.0) for run in flats if _is_fade(looks, run, rules)]
    flat = [run.flat for run in flats]
    gradual = _strongest_first(fades, _dissolves(looks, grid, rules, flat))
    cuts = _cuts(looks, rules, [*((one.first, one.end) for one in gradual), *((a, b + 1) for a, b in flat)])
    return as_changes([*gradual, *cuts], looks.frame_offset, looks.time_s)


def as_changes(found: Sequence[Found], frame_offset: NDArray[np.int64], time_s: NDArray[np.float64]) -> Changes:
    """A table out of single changes."""
    rows = sorted(found, key=lambda one: one.at)
    at = np.array([row.at for row in rows], np.int64)
    firsts = np.array([row.end if row.kind == "cut" else row.first for row in rows], np.int64)
    return Changes(
        kind=np.array([row.kind for row in rows], np.object_),
        start_s=time_s[firsts] if rows else np.empty(0, np.float64),
        end_s=time_s[np.array([row.end for row in rows], np.int64)],
        at_s=time_s[at],
        frame_offset=frame_offset[at],
        score=np.array([row.score for row in rows], np.float32),
    )


# --- hard cuts ------------------------------------------------------------------------------------------------------


def _cuts(looks: Looks, rules: ChangeRules, covered: Sequence[tuple[int, int]]) -> list[Found]:
    """Hard cuts away from gradual changes, without flashes, the stronger of two that are too near."""
    is_cut = (looks.ratio >= rules.cut_ratio) & (looks.change >= rules.cut_level)
    for first, last in covered:
        from_s, to_s = looks.time_s[max(first, 0)], looks.time_s[min(last, len(is_cut) - 1)]
        is_cut[(looks.time_s > from_s - STEP_S) & (looks.time_s < to_s + STEP_S)] = False  # they are known so exactly
    kept: list[int] = []
    for i in np.flatnonzero(is_cut).tolist():
        if _is_flash(looks, i, rules):
            continue
        if kept and looks.time_s[i] - looks.time_s[kept[-1]] < rules.shortest_s:
            if looks.change[i] > looks.change[kept[-1]]:
                kept[-1] = i
            continue
        kept.append(i)
    return [Found("cut", i - 1, i, i, _sureness(looks, i, rules)) for i in kept]


def _sureness(looks: Looks, i: int, rules: ChangeRules) -> float:
    """0.5 for what just passes both thresholds, towards 1 for several times as much."""
    least = min(float(looks.ratio[i]) / rules.cut_ratio, float(looks.change[i]) / rules.cut_level)
    return 1.0 - 0.5 / max(least, 1.0)


def _is_flash(looks: Looks, i: int, rules: ChangeRules) -> bool:
    """Whether the jump at i is an edge of something short, before and after which the picture is the same."""
    after = int(np.searchsorted(looks.time_s, looks.time_s[i] + rules.flash_s))
    before = int(np.searchsorted(looks.time_s, looks.time_s[i - 1] - rules.flash_s))
    jump = _distance(looks, i - 1, i)
    goes = any(_distance(looks, i - 1, j) < 0.4 * jump for j in range(i + 1, min(after + 1, len(looks.time_s))))
    return goes or any(_distance(looks, i, j) < 0.4 * jump for j in range(max(before, 0), i - 1))


def _is_fade(looks: Looks, run: FlatRun, rules: ChangeRules) -> bool:
    """Whether a flat run lies between two shots: not at an end of the video, and no flash or lost picture."""
    if run.first < 0 or run.end >= len(looks.time_s):
        return False
    is_short = looks.time_s[run.end] - looks.time_s[run.first] <= rules.flash_s + 0.2
    return not (is_short and _distance(looks, run.first, run.end) < _SAME)


def _distance(looks: Looks, a: int, b: int) -> float:
    return float(np.abs(looks.thumbs[a].astype(np.int16) - looks.thumbs[b]).mean())


# --- gradual changes ------------------------------------------------------------------------------------------------


def _dissolves(looks: Looks, grid: Grid, rules: ChangeRules, flats: Sequence[tuple[int, int]]) -> list[Found]:
    found = []
    for mix in dissolves(grid, shortest_s=rules.dissolve_s[0], longest_s=rules.dissolve_s[1], bend=rules.bend):
        first, end = int(grid.index[mix.first]), int(grid.index[mix.end])
        if any(first <= b and a <= end for a, b in flats):
            continue
        is_same = overlap(colours(looks.thumbs, first, -1), colours(looks.thumbs, end, 1)) > rules.alike
        if not is_same and not _comes_back(looks, first, end):
            found.append(Found("dissolve", first, end, (first + end + 1) // 2, 1.0 - mix.bend))
    return found


def _comes_back(looks: Looks, first: int, end: int) -> bool:
    """Whether what was seen shortly before is seen again shortly after: something large went through the picture."""
    start, stop = np.searchsorted(looks.time_s, [looks.time_s[first] - _NEAR_S, looks.time_s[end] + _NEAR_S])
    before, after = looks.thumbs[start : first + 1 : 2], looks.thumbs[end:stop:2]
    return bool(correlation(before, after).max(initial=0.0) >= _BACK)


def _strongest_first(fades: Sequence[Found], mixed: Sequence[Found]) -> list[Found]:
    """Gradual changes that do not overlap; fades are surer than dissolves."""
    kept = list(fades)
    for each in mixed:
        if all(each.end < other.first or other.end < each.first for other in kept):
            kept.append(each)
    return kept


# --- where the file is not at hand ----------------------------------------------------------------------------------


def changes_of_vectors(
    frame_offset: NDArray[np.int64],
    time_s: NDArray[np.float64],
    embedding: NDArray[np.float32],
    *,
    level: float = 0.16,
    ratio: float = 2.0,
) -> Changes:
    """Changes by embeddings of sampled frames alone; the kind is always "cut", known as exactly as frames were sampled.

    Args:
        frame_offset: int64 [N].
        time_s: float64 [N].
        embedding: float32 [N, D].
        level: least cosine distance of neighbours.
        ratio: how many times as much as the three steps before and after on average.
    """
    if len(time_s) < 2:
        return as_changes([], frame_offset, time_s)
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-9)
    step = 1.0 - (unit[1:] * unit[:-1]).sum(axis=1)
    found = []
    for i, distance in enumerate(step.tolist()):
        around = np.concatenate([step[max(0, i - 3) : i], step[i + 1 : i + 4]])
        usual = float(around.mean()) if len(around) else 0.0
        is_peak = distance >= step[max(0, i - 1) : i + 2].max()
        if distance >= level and distance >= ratio * usual and is_peak:
            sure = 1.0 - 0.5 / max(1.0, min(distance / level, distance / max(ratio * usual, 1e-9)))
            found.append(Found("cut", i, i + 1, i + 1, sure))
    return as_changes(found, frame_offset, time_s)
