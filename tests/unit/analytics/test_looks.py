"""The main face, its neutral direction, and numbers without flicker."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from archives import looks
from framehouse.analytics import looks as module
from framehouse.analytics.looks import Neutral, angles_deg, calibrated, main_looks, side, steady
from framehouse.results.records.gazes import Gazes

FRAMES = np.arange(5) * 6
NEAR, FAR = (0.0, 0.0, 100.0, 100.0), (200.0, 0.0, 230.0, 30.0)
NO = float("nan")


def test_the_examples_of_the_docstrings_hold() -> None:
    tried = doctest.testmod(module)
    assert (tried.failed, tried.attempted > 2) == (0, True)


def test_the_largest_face_is_the_main_one() -> None:
    found = main_looks(looks({1: [(30, 0, FAR), (-10, 5, NEAR)], 3: [(20, 0, NEAR)]})(FRAMES), FRAMES)
    assert found.n_faces.tolist() == [0, 2, 0, 1, 0]
    assert found.seen.tolist() == [False, True, False, True, False]
    assert np.degrees(found.yaw_rad[[1, 3]]).round(3).tolist() == [-10, 20]
    assert found.xyxy[1].tolist() == list(NEAR)
    assert found.second.round(2).tolist() == [0, 0.89, 0, 0, 0]


def test_no_face_at_all() -> None:
    found = main_looks(Gazes.empty(), FRAMES)
    assert (found.n_faces.sum(), found.seen.any()) == (0, False)
    assert calibrated(found, np.ones(5, np.bool_)) is None


def test_neutral_is_the_median_of_the_frames_that_are_asked_for() -> None:
    rows = looks({i: [(yaw, -5, NEAR)] for i, yaw in enumerate((10, 12, 14, 80, 80))})(FRAMES)
    found = main_looks(rows, FRAMES)
    neutral = calibrated(found, np.arange(5) < 3)
    assert neutral is not None
    assert np.degrees([neutral.yaw_rad, neutral.pitch_rad]).round(3).tolist() == [12, -5]
    assert (neutral.n_frames, round(neutral.spread_deg, 2)) == (3, pytest.approx(1.99, abs=0.02))
    assert calibrated(found, np.zeros(5, np.bool_)) is None


@pytest.mark.parametrize(
    ("yaw", "pitch", "of", "expected"),
    [
        (0, 0, (0, 0), 0),
        (40, 0, (10, 0), 30),
        (-170, 0, (170, 0), 20),  # over the back
        (0, 90, (0, 0), 90),
        (90, 90, (0, 90), 0),  # straight up has no side
        (NO, NO, (0, 0), NO),
    ],
)
def test_angles(yaw: float, pitch: float, of: tuple[float, float], expected: float) -> None:
    found = angles_deg(np.radians([yaw]), np.radians([pitch]), *np.radians(of).tolist())
    assert found[0] == pytest.approx(expected, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize(
    ("yaw", "pitch", "expected"),
    [(0.5, 0.1, "left"), (-0.5, 0.1, "right"), (0.1, 0.5, "up"), (0.1, -0.5, "down"), (-0.4, -0.1, "right")],
)
def test_sides_are_those_of_the_picture(yaw: float, pitch: float, expected: str) -> None:
    assert side(yaw, pitch, Neutral(0.05, 0.0, 9, 1.0)) == expected


@pytest.mark.parametrize(
    ("values", "known", "expected"),
    [
        ([], [], []),
        ([2], [True], [2]),
        ([1, 0, 1, 1], [True] * 4, [1, 1, 1, 1]),
        ([1, 0, 0, 1, 1], [True] * 5, [1, 0, 0, 1, 1]),
        ([1, 0, 0, 1], [True] * 4, [1, 0, 0, 0]),  # the last one may be flicker too
        ([0, 1, 1, 1], [True] * 4, [0, 1, 1, 1]),  # nothing stands before the first
        ([1, 0, 1, 1], [True, False, True, True], [1, NO, 1, 1]),  # unknown is not filled
        ([1, 9, 0, 1, 1], [True, False, True, True, True], [1, NO, 0, 1, 1]),  # and says nothing of what comes after it
        ([1, 0, 1, 0, 1, 0], [True] * 6, [1, 1, 1, 1, 1, 1]),
    ],
)
def test_flicker_is_left_out(values: list[int], known: list[bool], expected: list[float]) -> None:
    found = steady(np.array(values, np.int64), np.array(known, np.bool_), np.arange(len(values)) * 0.5, 1.0)
    np.testing.assert_array_equal(found, expected)
