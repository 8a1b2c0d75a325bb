"""Framing: sizes, places, the way back to source pixels, and the pixels themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.video.framing import Framing, Placement, stretched
from framehouse.video.pictures import frame_picture

PLACES: list[tuple[Framing, tuple[int, int], Placement, tuple[int, int]]] = [
    (stretched((64, 48)), (1920, 1080), Placement((64, 48), 0, 0), (64, 48)),
    (stretched((64, 48)), (1, 1), Placement((64, 48), 0, 0), (64, 48)),
    (Framing("letterbox", 640, 640), (1920, 1080), Placement((640, 360), 0, 140), (640, 640)),
    (Framing("letterbox", 640, 640), (1080, 1920), Placement((360, 640), 140, 0), (640, 640)),
    (Framing("letterbox", 640, 640), (320, 320), Placement((640, 640), 0, 0), (640, 640)),  # enlarged
    (Framing("letterbox", 640, 640, anchor="corner"), (1920, 1080), Placement((640, 360), 0, 0), (640, 640)),
    (Framing("letterbox", 64, 64), (5000, 1), Placement((64, 1), 0, 31), (64, 64)),  # never less than a pixel
    (Framing("crop", 224, 224), (640, 272), Placement((527, 224), -152, 0), (224, 224)),
    (Framing("crop", 224, 224), (272, 640), Placement((224, 527), 0, -152), (224, 224)),
    (Framing("crop", 224, 224, short_side=256), (640, 640), Placement((256, 256), -16, -16), (224, 224)),
    (Framing("fit", 1280, 1280), (3840, 2160), Placement((1280, 720), 0, 0), (1280, 720)),
    (Framing("fit", 1280, 1280), (640, 480), Placement((640, 480), 0, 0), (640, 480)),  # never enlarged
    (Framing("fit", 1280, 1280), (1, 1), Placement((1, 1), 0, 0), (1, 1)),
]
ALL = [
    stretched((96, 64)), Framing("letterbox", 96, 64, pad=114), Framing("letterbox", 64, 96, anchor="corner"),
    Framing("crop", 48, 48), Framing("crop", 48, 48, short_side=56), Framing("fit", 80, 80),
    Framing("crop", 48, 48, resample="bicubic"),
]  # fmt: skip


@pytest.mark.parametrize(("framing", "source", "place", "size"), PLACES)
def test_where_the_source_lies(
    framing: Framing, source: tuple[int, int], place: Placement, size: tuple[int, int]
) -> None:
    assert framing.placement(source) == place
    assert framing.picture_size(source) == size


@given(
    st.sampled_from(ALL),
    st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_points_come_back(framing: Framing, source: tuple[int, int], share: tuple[float, float]) -> None:
    point = np.array(share) * source
    place = framing.placement(source)
    inside = point * np.array(place.scaled) / source + (place.left, place.top)
    assert np.allclose(framing.to_source(inside, source), point, atol=1e-6)


def test_points_of_any_shape_and_none() -> None:
    framing = Framing("letterbox", 64, 64)
    assert framing.to_source(np.zeros((0, 2)), (10, 10)).shape == (0, 2)
    assert framing.to_source(np.full((2, 3, 2), 32, np.float32), (128, 64)).tolist() == [[[64.0, 32.0]] * 3] * 2


@pytest.mark.parametrize("framing", ALL, ids=str)
@pytest.mark.parametrize("source", [(200, 100), (100, 200), (90, 90)])
def test_a_mark_lies_where_the_points_say(framing: Framing, source: tuple[int, int]) -> None:
    """A white square in the middle of black is found again at its own place."""
    picture = np.zeros((source[1], source[0], 3), np.uint8)
    x, y = source[0] // 2, source[1] // 2
    picture[y - 8 : y + 8, x - 8 : x + 8] = 255
    made = frame_picture(picture, framing)
    assert made.shape == (*framing.picture_size(source)[::-1], 3)
    rows, columns = np.nonzero(made[:, :, 0] > 160)
    centre = np.array([[columns.mean() + 0.5, rows.mean() + 0.5]])
    assert np.abs(framing.to_source(centre, source) - (x, y)).max() < 1.5


def test_borders_are_the_grey_asked_for() -> None:
    made = frame_picture(np.full((50, 100, 3), 255, np.uint8), Framing("letterbox", 64, 64, pad=114))
    assert (made[:16] == 114).all() and (made[48:] == 114).all() and (made[16:48] == 255).all()
