"""Tracked objects, lines and zones as they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from framehouse.render.overlay import class_colour
from framehouse.render.trails import Place, Places, Trails, Way

SECOND = np.arange(50) / 10
BOXES = np.array([[10, 20, 30, 60], [50, 20, 70, 60], [90, 20, 110, 60]], np.float64)


def way(*second: float) -> Way:
    boxes = BOXES[: len(second)]
    return Way(1, "person", np.array(second), boxes, np.stack([boxes[:, [0, 2]].mean(axis=1), boxes[:, 3]], axis=1))


@pytest.mark.parametrize(
    ("now", "left"),
    [(0.5, None), (1.0, 10), (1.5, 30), (2.0, 50), (2.5, 50), (3.5, None), (4.5, 90), (5.0, 90)],
)
def test_a_box_is_interpolated_over_short_gaps_alone(now: float, left: float | None) -> None:
    here = way(1.0, 2.0, 4.5).at(now, bridge_s=1.0 if now != 0.5 else 0.9)
    assert (None if here is None else here[0][0]) == left


def test_the_trail_is_where_it_came_from_and_not_where_it_goes() -> None:
    picture = np.zeros((100, 160, 3), np.uint8)
    Trails([way(1.0, 2.0, 3.0)], SECOND, bridge_s=1.0)(20, picture)
    inked = (picture == class_colour(1)).all(axis=2)
    assert inked[58:62, 22:48].any(axis=0).all()
    assert not inked[55:, 75:].any()


@pytest.mark.parametrize(("frame", "said"), [(0, "z: 0 inside"), (10, "z: 1 inside"), (25, "z: 2 inside")])
def test_a_zone_tells_how_many_are_inside(frame: int, said: str) -> None:
    corners = np.array([[10.0, 10], [90, 10], [90, 90]])
    zone = Place("z", corners, np.array([1.0, 2.0]), np.array([3.0]))
    assert zone.count(SECOND[frame]) == said
    assert zone.count(4.0) == "z: 1 inside"


def test_a_line_is_drawn_from_point_to_point() -> None:
    picture = np.zeros((100, 160, 3), np.uint8)
    edge = Place("door", np.array([[5.0, 50], [155, 50]]), np.array([1.0]), np.empty(0))
    Places([edge], SECOND)(15, picture)
    assert picture[50, 10:50].all()
    assert edge.count(1.5) == "door: in 1, out 0"
    assert edge.count(0.9) == "door: in 0, out 0"
