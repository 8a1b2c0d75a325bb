"""Lines and zones: ways that are known, and the same counts as supervision's LineZone where both can count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from framehouse.analytics.crossing import Path, crossings, inside

LINE = np.array([[0.0, 100], [200, 100]])


def path(*points: tuple[float, float], size: float = 10.0) -> Path:
    n = len(points)
    ones = np.full(n, size)
    return Path(1, "car", np.arange(n) / 5, np.arange(n) * 6, np.array(points, float).reshape(-1, 2), ones, ones)


def ways(*points: tuple[float, float], line: NDArray[np.float64] = LINE) -> str:
    return "".join("in " if cut.inward else "out " for cut in crossings(path(*points), line)).strip()


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ((), ""),
        (((50, 150),), ""),
        (((50, 150), (50, 50)), "in"),
        (((50, 50), (50, 150)), "out"),
        (((50, 150), (50, 50), (50, 150)), "in out"),
        (((50, 150), (50, 100), (50, 50)), "in"),  # a frame exactly on the line
        (((50, 150), (50, 100), (50, 150)), ""),  # touched it and went back
        (((50, 150), (50, 99.5), (50, 100.5), (50, 99.5), (50, 150)), ""),  # trembles on it
        (((50, 150), (50, 99.5), (50, 100.5), (50, 99.5), (50, 50)), "in"),
        (((50, 100), (50, 100), (50, 50)), ""),  # began on it: nobody knows from where
        (((300, 150), (300, 50)), ""),  # beyond its end
        (((190, 150), (230, 50)), ""),  # its way passes the end
        (((190, 150), (205, 50)), "in"),
        (((300, 150), (300, 50), (50, 50)), ""),  # round the end
    ],
)
def test_crossings(points: tuple[tuple[float, float], ...], expected: str) -> None:
    assert ways(*points) == expected


def test_a_line_turned_round_turns_in_and_out() -> None:
    assert ways((50, 150), (50, 50), line=LINE[::-1].copy()) == "out"


@pytest.mark.parametrize("angle", np.arange(0, 2 * np.pi, 0.7).tolist())
def test_a_slanting_line_counts_alike(angle: float) -> None:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.array([(50.0, 150), (60, 70), (70, 160)]) @ turn.T
    assert ways(*map(tuple, points.tolist()), line=LINE @ turn.T) == "in out"


def test_the_moment_and_the_place_lie_between_the_frames() -> None:
    (cut,) = crossings(path((40, 130), (60, 80)), LINE)
    assert (cut.frame_offset, cut.before_s, cut.after_s) == (6, 0.0, 0.2)
    assert cut.time_s == pytest.approx(0.12)
    assert (cut.x, cut.y) == pytest.approx((52, 100))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(5, 195), st.integers(0, 200)), min_size=2, max_size=20))
def test_counts_are_those_of_supervision(points: list[tuple[int, int]]) -> None:
    """Its LineZone counts what stays within the line's ends and misses no frame; there we must agree."""
    sv = pytest.importorskip("supervision")
    free = [(x, y) for x, y in points if abs(y - 100) > 2]
    zone = sv.LineZone(sv.Point(0, 100), sv.Point(200, 100), triggering_anchors=[sv.Position.CENTER])
    for x, y in free:
        zone.trigger(sv.Detections(xyxy=np.array([[x - 1, y - 1, x + 1, y + 1]], float), tracker_id=np.array([1])))
    found = crossings(path(*free), LINE)
    assert (zone.in_count, zone.out_count) == (sum(c.inward for c in found), sum(not c.inward for c in found))


def test_inside_a_bent_polygon_in_either_order() -> None:
    letter_l = np.array([[0, 0], [30, 0], [30, 10], [10, 10], [10, 30], [0, 30]], float)
    points = np.array([[5, 5], [25, 5], [5, 25], [25, 25], [-1, 5], [31, 5], [15, 15]], float)
    expected = [True, True, True, False, False, False, False]
    assert inside(points, letter_l).tolist() == inside(points, letter_l[::-1].copy()).tolist() == expected
    assert inside(np.empty((0, 2)), letter_l).tolist() == []
