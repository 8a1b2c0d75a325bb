"""Exam proctoring by stored looks and objects: looking away, absence, a second person, a phone.

Events of it:

==================== ===============================================================================================
`look_away`          the main face looks more than `away_deg` from neutral; `score` is the largest angle, degrees
`absence`            no face, and no person where the detector looked
`face_hidden`        no face, but the detector sees a person: turned away, or the face is covered
`second_person`      a second face or a second person; `score` is how sure it is
`phone`              the detector sees one of `phone_classes`
`faces_count`        `score` faces from `time_offset_s` to `end_s`, short flicker left out
`proctor_unjudged`   what `class_name` says could not be judged there; facts `why_not`
`proctor`            the whole video: facts `neutral_yaw_deg`, `neutral_pitch_deg`, `spread_deg`, seconds of each kind
==================== ===============================================================================================

`frame_offset` is the frame that shows it best; facts have `reason`, `boxes` and `open_start`, `open_end` (the time
beside it is unjudged, so it may be longer). Left and right are those of the picture. Angles come from the gaze model,
with its own honesty: they tell left from straight, not what somebody reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from framehouse.analytics.intervals import (
    Intervals,
    Judged,
    Stretches,
    Wanted,
    find_intervals,
    union,
    unjudged,
    usual_reach,
)
from framehouse.analytics.looks import Looks, Neutral, angles_deg, calibrated, main_looks, side, steady
from framehouse.analytics.use import Params, Use
from framehouse.errors import StoreError
from framehouse.results.findings import Event, Events, Finding, Ruleset, input_digest
from framehouse.results.records.gazes import Gazes
from framehouse.store.archive import BOXES, Archive, Boxes, Frames, Video

WHOLE, UNJUDGED = "proctor", "proctor_unjudged"
ALARMS = ("look_away", "absence", "face_hidden", "second_person", "phone")
_VERSION = 1
_WORTH_SHOWING = 0.25
"""Boxes below it are not drawn as proof."""


class ProctorParams(Params):
    """Thresholds of a proctored video; all of them replay on what is stored."""

    gaze: str = "gaze"
    objects: str = "detector"
    face_confidence: float = Field(default=0.5, ge=0, le=1)
    neutral_deg: tuple[float, float] | None = None
    """Yaw and pitch that count as straight; None takes the median of the video."""
    calibrate_s: tuple[float, float] | None = None
    """Take that median from these seconds alone."""
    away_deg: float = Field(default=25.0, gt=0, le=180)
    back_deg: float | None = Field(default=None, gt=0, le=180)
    """A look that went away is back below this angle; None takes 80 % of `away_deg`."""
    away_s: float = Field(default=2.0, ge=0)
    absent_s: float = Field(default=2.0, ge=0)
    second_s: float = Field(default=1.0, ge=0)
    second_confidence: float = Field(default=0.5, ge=0, le=1)
    phone_s: float = Field(default=1.0, ge=0)
    phone_confidence: float = Field(default=0.4, ge=0, le=1)
    phone_classes: tuple[str, ...] = ("cell phone",)
    person_classes: tuple[str, ...] = ("person",)
    join_s: float = Field(default=0.5, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> ProctorParams:
        if self.calibrate_s is not None and not 0 <= self.calibrate_s[0] < self.calibrate_s[1]:
            raise ValueError("calibrate_s is FROM,TO in seconds, and TO comes later")
        if self.back_deg is not None and self.back_deg > self.away_deg:
            raise ValueError("back_deg is above away_deg")
        if self.neutral_deg is not None and self.calibrate_s is not None:
            raise ValueError("neutral_deg is given, so there is nothing to calibrate")
        return self

    @property
    def stay_deg(self) -> float:
        """Angle down to which a look stays away."""
        return 0.8 * self.away_deg if self.back_deg is None else self.back_deg


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """What the detector saw, brought to the frames of the gaze model [F]: scores float64, NaN where it did not look.

    `person`, `second`, `phone`: confidence of the surest and second surest person, and of the surest phone.
    `source`: int64 [F], the detector's frame. `why_not`: why there is nothing at all; else empty.
    """

    model_digest: str
    person: NDArray[np.float64]
    second: NDArray[np.float64]
    phone: NDArray[np.float64]
    source: NDArray[np.int64]
    persons: Boxes | None
    phones: Boxes | None
    why_not: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What alarms are described by: the faces that count, the main looks, the objects, and neutral if it is known."""

    faces: Gazes
    looks: Looks
    objects: Objects
    neutral: Neutral | None


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One alarm over the frames of a video: its scores, and when they count."""

    kind: str
    judged: Judged
    wanted: Wanted


def judge(archive: Archive, video: Video, params: ProctorParams, ruleset: Ruleset) -> Finding:
    """The whole of it in one video. Raises StoreError `store.no_rows` where no gaze model saw it."""
    model = archive.model(video.video_id, params.gaze, ("gazes",))
    frames, rows = archive.frames(model), archive.rows(model)
    assert isinstance(rows, Gazes)
    faces = rows.where(rows.confidence >= np.float32(params.face_confidence))
    looks, objects = main_looks(faces, frames.frame_offset), _objects(archive, video, params, frames)
    scene = Scene(faces, looks, objects, _neutral(looks, frames, params))
    series = list(_series(scene, frames, video, params))
    found = [find_intervals(one.judged, one.wanted) for one in series]
    dark = _dark(frames, objects, video)
    events = [
        event for one, each in zip(series, found, strict=True) for event in _alarms(one.kind, each, scene, frames)
    ]
    events += [*_counts(looks, frames, video), *_unjudged(dark, objects, frames)]
    seconds = {one.kind: each for one, each in zip(series, found, strict=True)}
    events.append(_summary(scene, frames, seconds, dark, video))
    return Finding.of(
        ruleset,
        video.video_id,
        input_digest=_digest(model.model_digest, scene, frames),
        events=Events.ordered(events),
        model_digests=tuple(digest for digest in (model.model_digest, objects.model_digest) if digest),
        judged_s=max(0.0, video.duration_s - dark["looks"].total_s),
        unjudged_s=dark["looks"].total_s,
    )


USE = Use(WHOLE, _VERSION, ProctorParams, judge, "looking away, absence, a second person, a phone")


def _neutral(looks: Looks, frames: Frames, params: ProctorParams) -> Neutral | None:
    """None where it has to be calibrated and there is no face to do it by."""
    if params.neutral_deg is not None:
        yaw, pitch = np.radians(params.neutral_deg).tolist()
        return Neutral(yaw, pitch, 0, float("nan"))
    start, end = params.calibrate_s or (0.0, np.inf)
    return calibrated(looks, (frames.time_offset_s >= start) & (frames.time_offset_s < end))


def _objects(archive: Archive, video: Video, params: ProctorParams, frames: Frames) -> Objects:
    """The detector at the frames of the gaze model: that frame's own answer, else the nearest within its reach."""
    unseen = np.full(len(frames), np.nan)
    try:
        model = archive.model(video.video_id, params.objects, BOXES)
    except StoreError as error:
        if error.code != "store.no_rows":
            raise
        nowhere = np.full(len(frames), -1, np.int64)
        return Objects("", unseen, unseen, unseen, nowhere, None, None, f"{params.objects} never ran on this video")
    seen, boxes = archive.frames(model), archive.boxes(model)
    persons = boxes.where(np.isin(boxes.class_name, params.person_classes))
    phones = boxes.where(np.isin(boxes.class_name, params.phone_classes))
    if not len(seen):
        return Objects(model.model_digest, unseen, unseen, unseen, unseen.astype(np.int64), persons, phones)
    at, near = nearest(seen.time_offset_s, frames.time_offset_s)
    near &= seen.loaded[at]
    person, second, phone = (
        np.where(near, ranked(rows, seen, rank)[at], np.nan) for rows, rank in ((persons, 0), (persons, 1), (phones, 0))
    )
    return Objects(model.model_digest, person, second, phone, seen.frame_offset[at], persons, phones)


def nearest(known_s: NDArray[np.float64], wanted_s: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Index of the known time nearest to each wanted one, and whether that is within half its reach; no time: all 0.

    >>> at, near = nearest(np.array([0.0, 1.0]), np.array([0.4, 0.6, 9.0]))
    >>> at.tolist(), near.tolist()
    ([0, 1, 1], [True, True, False])
    """
    if not len(known_s):
        return np.zeros(len(wanted_s), np.int64), np.zeros(len(wanted_s), np.bool_)
    right = np.clip(np.searchsorted(known_s, wanted_s), 1, max(1, len(known_s) - 1))
    right = np.minimum(right, len(known_s) - 1)
    left = np.maximum(right - 1, 0)
    at = np.where(np.abs(known_s[left] - wanted_s) <= np.abs(known_s[right] - wanted_s), left, right)
    return at.astype(np.int64), np.abs(known_s[at] - wanted_s) <= usual_reach(known_s) / 2


def ranked(boxes: Boxes, frames: Frames, rank: int) -> NDArray[np.float64]:
    """Confidence of the box of a rank (from 0, the surest) in each frame of a ledger, float64 [F]; 0 for none."""
    place = np.arange(len(boxes)) - np.searchsorted(boxes.frame_offset, boxes.frame_offset)
    chosen = place == rank
    score = np.zeros(len(frames))
    score[np.searchsorted(frames.frame_offset, boxes.frame_offset[chosen])] = boxes.confidence[chosen]
    return score


def _series(scene: Scene, frames: Frames, video: Video, params: ProctorParams) -> Iterator[Series]:
    looks, objects, neutral = scene.looks, scene.objects, scene.neutral
    has_face, away = looks.n_faces > 0, np.full(len(frames), np.nan)
    if neutral is not None:
        away = angles_deg(looks.yaw_rad, looks.pitch_rad, neutral.yaw_rad, neutral.pitch_rad)
    person = objects.person >= params.second_confidence  # NaN: no person is known of

    def series(kind: str, score: NDArray[Any], wanted: Wanted) -> Series:
        known = np.where(frames.loaded, np.asarray(score, np.float64), np.nan)
        return Series(kind, Judged(frames.frame_offset, frames.time_offset_s, known, video.duration_s), wanted)

    join, least = params.join_s, 1e-6
    second = Wanted(max(params.second_confidence, least), None, params.second_s, join)
    yield series("look_away", away, Wanted(params.away_deg, params.stay_deg, params.away_s, join))
    yield series("absence", ~has_face & ~person, Wanted(0.5, None, params.absent_s, join))
    yield series("face_hidden", ~has_face & person, Wanted(0.5, None, params.absent_s, join))
    yield series("second_person", np.fmax(looks.second, objects.second), second)
    yield series("phone", objects.phone, Wanted(max(params.phone_confidence, least), None, params.phone_s, join))


def _alarms(kind: str, found: Intervals, scene: Scene, frames: Frames) -> Iterator[Event]:
    for i in range(len(found)):
        best, score = int(found.best_frame_offset[i]), float(found.best_score[i])
        facts = {
            "n_frames": int(found.n_frames[i]), "unjudged_s": round(float(found.unjudged_s[i]), 4),
            "open_start": bool(found.open_start[i]), "open_end": bool(found.open_end[i]),
            **_shown(kind, int(np.searchsorted(frames.frame_offset, best)), best, score, scene),
        }  # fmt: skip
        kept = score if kind in ("look_away", "second_person", "phone") else np.nan
        yield Event(kind, float(found.start_s[i]), float(found.end_s[i]), best, score=kept, facts=_json(facts))


def _shown(kind: str, at: int, frame_offset: int, score: float, scene: Scene) -> dict[str, Any]:
    """Reason and boxes of the frame that shows an alarm best, the `at`-th of the gaze model."""
    looks, objects, neutral = scene.looks, scene.objects, scene.neutral
    if kind == "look_away" and neutral is not None:
        yaw, pitch = float(looks.yaw_rad[at]), float(looks.pitch_rad[at])
        direction = side(yaw, pitch, neutral)
        return {
            "reason": f"{score:.0f} degrees {direction} of neutral", "direction": direction,
            "yaw_deg": round(float(np.degrees(yaw)), 1), "pitch_deg": round(float(np.degrees(pitch)), 1),
            "labels": ["face"], "boxes": [_box(looks.xyxy[at])],
        }  # fmt: skip
    if kind == "absence":
        return {"reason": "no face" + ("" if objects.why_not else ", no person"), "labels": [], "boxes": []}
    if kind == "second_person" and looks.second[at] >= score:
        faces = scene.faces.xcycwh[scene.faces.frame_offset == frame_offset]
        corners = np.concatenate([faces[:, :2] - faces[:, 2:] / 2, faces[:, :2] + faces[:, 2:] / 2], axis=1)
        return {
            "reason": f"{len(faces)} faces",
            "labels": ["face"] * len(faces),
            "boxes": [_box(one) for one in corners],
        }
    boxes = objects.phones if kind == "phone" else objects.persons
    assert boxes is not None  # else there was no score
    there = boxes.where((boxes.frame_offset == objects.source[at]) & (boxes.confidence >= np.float32(_WORTH_SHOWING)))
    said = {
        "face_hidden": "a person, but no face",
        "second_person": f"two persons, the second {score:.2f}",
        "phone": f"{there.class_name[0] if len(there) else 'phone'} {score:.2f}",
    }
    return {
        "reason": said[kind], "labels": [str(name) for name in there.class_name],
        "boxes": [_box(box) for box in there.xyxy],
    }  # fmt: skip


def _counts(looks: Looks, frames: Frames, video: Video) -> Iterator[Event]:
    calm = steady(looks.n_faces, frames.loaded, frames.time_offset_s, 0.6)
    for n in sorted({int(value) for value in calm[~np.isnan(calm)]}):
        score = np.where(np.isnan(calm), np.nan, (calm == n).astype(np.float64))
        judged = Judged(frames.frame_offset, frames.time_offset_s, score, video.duration_s)
        found = find_intervals(judged, Wanted(0.5))
        for start_s, end_s, first in zip(
            found.start_s.tolist(), found.end_s.tolist(), found.first_frame_offset.tolist(), strict=True
        ):
            yield Event("faces_count", start_s, end_s, first, score=float(n), facts=_json({"n_faces": n}))


def _dark(frames: Frames, objects: Objects, video: Video) -> dict[str, Stretches]:
    """What could not be judged: by the gaze model (`looks`), and by the detector (`objects`)."""

    def of(score: NDArray[np.float64]) -> Stretches:
        return unjudged(Judged(frames.frame_offset, frames.time_offset_s, score, video.duration_s))

    return {"looks": of(np.where(frames.loaded, 0.0, np.nan)), "objects": of(objects.phone)}


def _unjudged(dark: Mapping[str, Stretches], objects: Objects, frames: Frames) -> Iterator[Event]:
    gaps = sorted({str(reason) for reason in frames.gap_reason[~frames.loaded]})
    reasons = {"looks": gaps or ["not_asked"], "objects": [objects.why_not or "no answer of the detector"]}
    for name, stretches in dark.items():
        for start_s, end_s in zip(stretches.start_s.tolist(), stretches.end_s.tolist(), strict=True):
            yield Event(UNJUDGED, start_s, end_s, class_name=name, facts=_json({"why_not": reasons[name]}))


def _summary(
    scene: Scene, frames: Frames, found: Mapping[str, Intervals], dark: Mapping[str, Stretches], video: Video
) -> Event:
    """The whole video as one event."""
    looks, neutral = scene.looks, scene.neutral
    no_look = unjudged(Judged(frames.frame_offset, frames.time_offset_s, looks.yaw_rad, video.duration_s))
    facts = {
        "neutral_yaw_deg": None if neutral is None else round(float(np.degrees(neutral.yaw_rad)), 1),
        "neutral_pitch_deg": None if neutral is None else round(float(np.degrees(neutral.pitch_rad)), 1),
        "neutral_of": "nothing" if neutral is None else "given" if not neutral.n_frames else "median",
        "spread_deg": None if neutral is None or np.isnan(neutral.spread_deg) else round(neutral.spread_deg, 1),
        "face_s": round(video.duration_s - no_look.total_s, 4),
        "most_faces": int(looks.n_faces.max(initial=0)),
        "seconds": {kind: round(intervals.total_s, 4) for kind, intervals in found.items()},
        "unjudged_s": {name: round(stretches.total_s, 4) for name, stretches in dark.items()},
        "any_alarm_s": round(union(*found.values()).total_s, 4),
    }
    return Event(WHOLE, 0.0, video.duration_s, facts=_json(facts))


def _digest(model_digest: str, scene: Scene, frames: Frames) -> str:
    looks, objects = scene.looks, scene.objects
    angles = (looks.yaw_rad, looks.pitch_rad, objects.person, objects.second, objects.phone)
    return input_digest(
        model_digest, objects.model_digest, frames.frame_offset, frames.loaded, looks.n_faces, looks.second,
        *(np.nan_to_num(values, nan=9.0) for values in angles),
    )  # fmt: skip


def _box(xyxy: NDArray[np.float32]) -> list[float]:
    return [round(float(x), 1) for x in xyxy]


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False, sort_keys=True)
