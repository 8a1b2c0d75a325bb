"""Where an advertisement disturbs least: every change of shot judged by what people mind, and ranked.

Each reason gives a mark from 0 to 1, or none where it could not be judged (no face model ran, no file to listen to);
the score is the weighted mean of those that could. Distance depends on what was chosen before, so points are chosen one
by one, the best first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from framehouse.analytics.changes import Changes
from framehouse.analytics.shots import Shots
from framehouse.video.looks import Looks
from framehouse.video.loudness import Loudness

REASONS = ("change", "calm", "faces", "silence", "distance")


@dataclass(frozen=True, slots=True)
class InsertionRules:
    """What counts, and how much.

    Attributes:
        weights: of the reasons; 0 leaves one out.
        window_s: how long before and after a point calm and faces are looked at.
        silence_db: at or below it the sound is silent; 30 dB above it is loud.
        silence_s: how long before and after a point has to be silent.
        spacing_s: a point this far from the one before and after, and from both ends of the video, has full marks.
        apart_s: points nearer to a better one than this are left out.
        edge_s: and so are those nearer to either end of the video.
        top: most points.
    """

    weights: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(REASONS, 1.0))
    window_s: float = 1.0
    silence_db: float = -50.0
    silence_s: float = 0.25
    spacing_s: float = 60.0
    apart_s: float = 0.0
    edge_s: float = 2.0
    top: int = 10


@dataclass(frozen=True, slots=True)
class Reason:
    """A mark 0..1, or None where it could not be judged, and why, in words."""

    mark: float | None
    says: str


@dataclass(frozen=True, slots=True)
class Point:
    """A moment between two shots. `change`: index of the change; `score`: 0..1; `reasons` by name."""

    at_s: float
    frame_offset: int
    change: int
    score: float
    reasons: Mapping[str, Reason]


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Faces that a model saw.

    Attributes:
        seen_s: float64 [F], times of the frames in which it looked for faces, increasing.
        time_s: float64 [N], of each face, one of `seen_s`, non-decreasing.
        xyxy: float64 [N, 4], as shares of the picture's width and height.
    """

    seen_s: NDArray[np.float64]
    time_s: NDArray[np.float64]
    xyxy: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scenery:
    """What points are judged by; None for what is not at hand."""

    changes: Changes
    shots: Shots
    end_s: float
    motion: Motion
    faces: Faces | None = None
    loudness: Loudness | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """How much the picture moves.

    Attributes:
        time_s: float64 [N], increasing.
        step: float64 [N], how much the frame differs from the one before; 0 for the first.
        usual: amount per second at which calm has half its mark.
        unit: what `step` is measured in, for people.
    """

    time_s: NDArray[np.float64]
    step: NDArray[np.float64]
    usual: float
    unit: str

    def rate(self, start_s: float, end_s: float) -> float:
        """Amount per second between two times; NaN where no two frames lie there."""
        first, last = np.searchsorted(self.time_s, [start_s - 1e-9, end_s + 1e-9])
        if last - first < 2:
            return math.nan
        return float(self.step[first + 1 : last].sum() / (self.time_s[last - 1] - self.time_s[first]))


def motion_of(looks: Looks) -> Motion:
    """Motion as mean difference of the small pictures, in levels (0..255)."""
    step = np.zeros(len(looks.time_s))
    for i in range(1, len(step)):  # not at once: ten hours of pictures are many
        step[i] = np.abs(looks.thumbs[i].astype(np.int16) - looks.thumbs[i - 1]).mean()
    return Motion(looks.time_s, step, 40.0, "levels/s")


def rank_points(scenery: Scenery, rules: InsertionRules) -> list[Point]:
    """The best points, best first; the same input gives the same list."""
    whole = range(len(scenery.changes))
    left = {i for i in whole if rules.edge_s <= scenery.changes.at_s[i] <= scenery.end_s - rules.edge_s}
    fixed = {i: _fixed_reasons(scenery, rules, i) for i in sorted(left)}
    chosen: list[Point] = []
    while left and len(chosen) < rules.top:
        taken = [point.at_s for point in chosen]
        left = {i for i in left if all(abs(scenery.changes.at_s[i] - at) >= rules.apart_s for at in taken)}
        points = [_point(scenery, rules, i, fixed[i], taken) for i in sorted(left)]
        if not points:
            break
        best = max(points, key=lambda point: (point.score, -point.at_s))
        chosen.append(best)
        left.discard(best.change)
    return chosen


def _point(
    scenery: Scenery, rules: InsertionRules, i: int, fixed: Mapping[str, Reason], taken: Sequence[float]
) -> Point:
    at_s = float(scenery.changes.at_s[i])
    reasons = {**fixed, "distance": _distance(at_s, taken, scenery.end_s, rules.spacing_s)}
    known = {name: one.mark for name, one in reasons.items() if one.mark is not None}
    weights = {name: rules.weights.get(name, 0.0) for name in known}
    total = sum(weights.values())
    score = sum(weights[name] * mark for name, mark in known.items()) / total if total > 0 else 0.0
    return Point(at_s, int(scenery.changes.frame_offset[i]), i, score, reasons)


def _fixed_reasons(scenery: Scenery, rules: InsertionRules, i: int) -> dict[str, Reason]:
    return {
        "change": _change(scenery, i),
        "calm": _calm(scenery, rules.window_s, i),
        "faces": _faces(scenery, rules.window_s, i),
        "silence": _silence(scenery, rules, i),
    }


# --- reasons --------------------------------------------------------------------------------------------------------

_MARKS = {"fade": 1.0, "dissolve": 0.5, "cut": 0.4}
_OF_SCENE = 0.4


def _change(scenery: Scenery, i: int) -> Reason:
    kind = str(scenery.changes.kind[i])
    between = scenery.shots.scene[i] != scenery.shots.scene[i + 1]
    mark = min(1.0, _MARKS[kind] + (_OF_SCENE if between else 0.0))
    return Reason(mark, f"a {kind} between two scenes" if between else f"a {kind} within a scene")


def _calm(scenery: Scenery, window_s: float, i: int) -> Reason:
    changes, motion = scenery.changes, scenery.motion
    last_s = motion.time_s[max(0, int(np.searchsorted(motion.time_s, changes.start_s[i])) - (changes.kind[i] == "cut"))]
    before = motion.rate(max(float(last_s) - window_s, float(scenery.shots.start_s[i])), float(last_s))
    after_s = float(changes.end_s[i])
    after = motion.rate(after_s, min(after_s + window_s, float(scenery.shots.end_s[i + 1])))
    known = [rate for rate in (before, after) if not math.isnan(rate)]
    if not known:
        return Reason(None, "too few frames to judge motion")
    mark = sum(1.0 / (1.0 + rate / motion.usual) for rate in known) / len(known)
    said = ["-" if math.isnan(rate) else f"{rate:.3g}" for rate in (before, after)]
    return Reason(mark, f"motion {said[0]} before, {said[1]} after ({motion.unit})")


def _faces(scenery: Scenery, window_s: float, i: int) -> Reason:
    """A large face that moves until the cut is cut off in mid-action; a small or still one less so."""
    faces = scenery.faces
    if faces is None:
        return Reason(None, "not judged: no model looked for faces")
    start_s = max(float(scenery.changes.start_s[i]) - window_s, float(scenery.shots.start_s[i])) - 1e-9
    looked = faces.seen_s[(faces.seen_s >= start_s) & (faces.seen_s < scenery.changes.start_s[i])]
    if not len(looked):
        return Reason(None, f"not judged: no frame in the {window_s:g} s before was looked at for faces")
    last = faces.xyxy[faces.time_s == looked[-1]]
    if not len(last):
        return Reason(1.0, "no face before it")
    largest = last[np.argmax(last[:, 3] - last[:, 1])]
    height = float(largest[3] - largest[1])
    earlier = faces.xyxy[faces.time_s == looked[-2]] if len(looked) > 1 else last[:0]
    moves = _speed(largest, earlier, float(looked[-1] - looked[-2])) if len(earlier) else math.nan
    lively = 0.5 if math.isnan(moves) else min(1.0, moves)
    mark = 1.0 - min(1.0, height / 0.5) * (0.4 + 0.6 * lively)
    said = "" if math.isnan(moves) else f", moving {moves:.1f} of its height a second"
    return Reason(mark, f"a face of {height:.0%} of the height before it{said}")


def _speed(face: NDArray[np.float64], earlier: NDArray[np.float64], elapsed_s: float) -> float:
    """How far the nearest face before has moved, in heights of the face a second."""
    centres = (earlier[:, :2] + earlier[:, 2:]) / 2 - (face[:2] + face[2:]) / 2
    nearest = float(np.linalg.norm(centres, axis=1).min())
    return nearest / max(float(face[3] - face[1]), 1e-6) / max(elapsed_s, 1e-6)


def _silence(scenery: Scenery, rules: InsertionRules, i: int) -> Reason:
    if scenery.loudness is None:
        return Reason(None, "not judged: the sound was not at hand")
    if not scenery.loudness.has_sound:
        return Reason(None, "the video has no sound")
    at_s = float(scenery.changes.at_s[i])
    level = scenery.loudness.loudest(at_s - rules.silence_s, at_s + rules.silence_s)
    if math.isnan(level):
        return Reason(1.0, "no sound there")
    mark = min(1.0, max(0.0, (rules.silence_db + 30.0 - level) / 30.0))
    return Reason(mark, f"silent ({level:.0f} dB)" if level <= rules.silence_db else f"sound of {level:.0f} dB")


def _distance(at_s: float, taken: Sequence[float], end_s: float, spacing_s: float) -> Reason:
    places = [("the start", 0.0), ("the end", end_s), *(("a better point", other) for other in taken)]
    what, where = min(places, key=lambda place: abs(place[1] - at_s))
    away = abs(where - at_s)
    return Reason(min(1.0, away / spacing_s) if spacing_s > 0 else 1.0, f"{away:.1f} s from {what}")
