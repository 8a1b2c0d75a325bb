"""Insertion points: each reason alone, what could not be judged, and the distance from what was chosen before."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from framehouse.analytics.changes import Changes
from framehouse.analytics.insertion import Faces, InsertionRules, Motion, Scenery, rank_points
from framehouse.analytics.shots import cut_up
from framehouse.video.loudness import SILENT, STEP_S, Loudness

TIMES = np.arange(1001) / 10  # 100 s


def changes(at: list[float], kinds: list[str] | None = None) -> Changes:
    times = np.array(at)
    return Changes(
        np.array(kinds or ["cut"] * len(at), np.object_), times, times, times, (times * 10).astype(np.int64),
        np.ones(len(at), np.float32),
    )  # fmt: skip


def scenery(at: list[float], kinds: list[str] | None = None, scene: list[int] | None = None) -> Scenery:
    found = changes(at, kinds)
    numbers = np.array(scene if scene is not None else range(len(at) + 1), np.int64)
    shots = cut_up(found, np.arange(len(TIMES)), TIMES, 100.0, numbers)
    return Scenery(found, shots, 100.0, Motion(TIMES, np.zeros(len(TIMES)), 40.0, "levels/s"))


def rules(reason: str, **more: float) -> InsertionRules:
    return InsertionRules({reason: 1.0}, **more)  # type: ignore[arg-type]


def test_no_change_no_point() -> None:
    assert rank_points(scenery([]), InsertionRules()) == []


def test_a_fade_is_better_than_a_cut_and_a_scene_than_a_shot() -> None:
    points = rank_points(scenery([20, 40, 60], ["cut", "fade", "cut"], [0, 0, 0, 1]), rules("change"))
    assert [(point.at_s, round(point.score, 2)) for point in points] == [(40, 1.0), (60, 0.8), (20, 0.4)]
    assert [point.reasons["change"].says for point in points] == [
        "a fade within a scene", "a cut between two scenes", "a cut within a scene",
    ]  # fmt: skip


def test_calm_before_and_after() -> None:
    wild = np.zeros(len(TIMES))
    wild[(TIMES > 39) & (TIMES < 40)] = 8.0  # 80 a second before the second change
    here = replace(scenery([20, 40]), motion=Motion(TIMES, wild, 40.0, "levels/s"))
    first, second = rank_points(here, rules("calm"))
    assert (first.at_s, first.score, second.at_s) == (20, 1.0, 40)
    assert second.score == pytest.approx((1 / 3 + 1) / 2, abs=0.03)


def faces(where: list[tuple[float, float, float]], seen: list[float] | None = None) -> Faces:
    """(second, centre x, height)."""
    boxes = [[x - h / 4, 0.5 - h / 2, x + h / 4, 0.5 + h / 2] for _, x, h in where]
    looked = np.array(seen if seen is not None else TIMES[::2])
    return Faces(looked, np.array([t for t, _, _ in where]), np.array(boxes).reshape(-1, 4))


@pytest.mark.parametrize(
    ("seen", "mark", "says"),
    [
        (None, None, "not judged: no model"),
        (faces([]), 1.0, "no face before it"),
        (faces([], seen=[1.0, 2.0]), None, "not judged: no frame"),
        (faces([(19.6, 0.5, 0.5), (19.8, 0.5, 0.5)]), 0.6, "moving 0.0"),  # large and still
        (faces([(19.6, 0.3, 0.5), (19.8, 0.6, 0.5)]), 0.0, "moving 3.0"),  # large and lively
        (faces([(19.8, 0.5, 0.5)]), 0.3, "a face of 50% of the height before it"),  # came just now
        (faces([(19.6, 0.5, 0.05), (19.8, 0.5, 0.05)]), 0.96, "a face of 5%"),
        (faces([(20.0, 0.5, 0.5), (20.2, 0.5, 0.5)]), 1.0, "no face before it"),  # it comes with the next shot
        (faces([(18.0, 0.5, 0.5)]), 1.0, "no face before it"),  # it had left
    ],
)
def test_faces(seen: Faces | None, mark: float | None, says: str) -> None:
    point = rank_points(replace(scenery([20]), faces=seen), InsertionRules({"faces": 1.0, "change": 1.0}))[0]
    reason = point.reasons["faces"]
    assert (None if reason.mark is None else round(reason.mark, 2)) == mark
    assert says in reason.says
    assert point.score == pytest.approx(0.8 if mark is None else (0.8 + mark) / 2, abs=0.01)


def level(loud: list[tuple[float, float, float]]) -> Loudness:
    db = np.full(int(100 / STEP_S), -20.0, np.float32)
    for start, end, value in loud:
        db[int(start / STEP_S) : int(end / STEP_S)] = value
    return Loudness(db)


@pytest.mark.parametrize(
    ("loudness", "mark", "says"),
    [
        (None, None, "not judged"),
        (SILENT, None, "no sound"),
        (level([]), 0.0, "sound of -20 dB"),
        (level([(19, 21, -60.0)]), 1.0, "silent (-60 dB)"),
        (level([(19, 21, -35.0)]), 0.5, "sound of -35 dB"),
        (level([(20, 21, -60.0)]), 0.0, "sound of -20 dB"),  # loud until it
        (level([(19, 21, math.nan)]), 1.0, "no sound there"),
    ],
)
def test_silence(loudness: Loudness | None, mark: float | None, says: str) -> None:
    reason = rank_points(replace(scenery([20]), loudness=loudness), rules("silence"))[0].reasons["silence"]
    assert reason.mark == (None if mark is None else pytest.approx(mark))
    assert says in reason.says


def test_distance_from_the_points_before() -> None:
    points = rank_points(scenery([30, 48, 52, 75]), rules("distance", spacing_s=40.0))
    assert [point.at_s for point in points] == [48, 75, 30, 52]
    assert points[0].reasons["distance"].says == "48.0 s from the start"
    assert points[1].reasons["distance"].says == "25.0 s from the end"
    assert points[2].reasons["distance"].says == "18.0 s from a better point"


def test_apart_edge_and_top() -> None:
    at = [1.0, 30.0, 33.0, 60.0, 99.5]
    assert {p.at_s for p in rank_points(scenery(at), InsertionRules(edge_s=2.0))} == {30.0, 33.0, 60.0}
    assert len(rank_points(scenery(at), InsertionRules(apart_s=5.0))) == 2
    assert len(rank_points(scenery(at), InsertionRules(top=1))) == 1
    assert rank_points(scenery(at), InsertionRules(top=0)) == []


def test_weights_of_nothing() -> None:
    assert rank_points(scenery([50.0]), InsertionRules({}))[0].score == 0.0
