"""The ocr model's python: boxes out of heat maps, pixels out of boxes, text out of signs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from framehouse.inference.pull_manifest import MANIFEST

Array = NDArray[Any]

FOLDER = MANIFEST / "ocr" / "models" / "ocr" / "1"
SETTINGS = {"threshold": 0.3, "box_threshold": 0.5, "unclip_ratio": 1.6, "max_boxes": 10}


@pytest.fixture(scope="module")
def model() -> Iterator[SimpleNamespace]:
    """The modules beside model.py, loaded as the server does it: by their own names, from their own folder."""
    names, before = ("boxes", "reading"), set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(**{name: import_module(name) for name in names})
    finally:
        sys.path.remove(str(FOLDER))
        for name in set(names) - before:
            del sys.modules[name]


# ---------------------------------------------------------------- boxes


def heat_of(*rectangles: tuple[float, ...], size: tuple[int, int] = (120, 200)) -> Array:
    """A heat map with rectangles (centre x, centre y, width, height, degrees, heat)."""
    heat = np.zeros(size, np.float32)
    for x, y, width, height, degrees, value in rectangles:
        points = cv2.boxPoints(((x, y), (width, height), degrees))
        cv2.fillPoly(heat, [np.round(points).astype(np.int32)], value)
    return heat


def found(model: SimpleNamespace, heat: Array, **changes: Any) -> Array:
    boxes: Array = model.boxes.find_boxes(heat, **SETTINGS | changes)
    return boxes


@pytest.mark.parametrize("size", [(1, 1), (32, 32), (704, 1280)])
def test_a_cold_map_has_no_lines(model: SimpleNamespace, size: tuple[int, int]) -> None:
    boxes = found(model, np.zeros(size, np.float32))
    assert boxes.shape == (0, 4, 2)
    assert boxes.dtype == np.float32


def test_a_hot_rectangle_grows_by_area_over_perimeter(model: SimpleNamespace) -> None:
    heat = np.zeros((120, 200), np.float32)
    heat[50:71, 40:141] = 0.9  # pixels 40..140 and 50..70; joined with the next ones: 100 or 101 by 20 or 21
    (box,) = found(model, heat)
    grow = 100 * 20 * 1.6 / (2 * 120)
    expected = np.array([[40, 50], [141, 50], [141, 71], [40, 71]]) + np.array(
        [[-grow, -grow], [grow, -grow], [grow, grow], [-grow, grow]]
    )
    assert np.abs(box - expected).max() < 1.5


@pytest.mark.parametrize(("ratio", "grow"), [(0.0, 0.0), (1.0, 8.3), (2.0, 16.7)])
def test_the_ratio_says_how_far(model: SimpleNamespace, ratio: float, grow: float) -> None:
    (box,) = found(model, heat_of((100, 60, 100, 20, 0, 1.0)), unclip_ratio=ratio)
    assert np.linalg.norm(box[1] - box[0]) == pytest.approx(100 + 2 * grow, abs=3)
    assert np.linalg.norm(box[2] - box[1]) == pytest.approx(20 + 2 * grow, abs=3)


@pytest.mark.parametrize("degrees", [0, 10, 40, -10, -40])
def test_corners_run_clockwise_from_the_text_s_top_left(model: SimpleNamespace, degrees: int) -> None:
    (box,) = found(model, heat_of((100, 60, 80, 14, degrees, 1.0)))
    along, down = box[1] - box[0], box[2] - box[1]
    assert np.degrees(np.arctan2(along[1], along[0])) == pytest.approx(degrees, abs=3)
    assert along[0] * down[1] - along[1] * down[0] > 0
    assert box.mean(axis=0) == pytest.approx([100.5, 60.5], abs=1.5)


def test_a_tall_box_is_a_line_that_runs_down(model: SimpleNamespace) -> None:
    (box,) = found(model, heat_of((100, 60, 14, 80, 0, 1.0)))
    along = box[1] - box[0]
    assert along[1] > 80
    assert abs(along[0]) < 2
    assert box[0, 0] > box[3, 0]  # its upper edge is on the right


def test_lukewarm_thin_and_surplus_lines_are_left_out(model: SimpleNamespace) -> None:
    hot, warm = (100, 20, 60, 10, 0, 0.9), (100, 60, 60, 10, 0, 0.45)
    thin, weaker = (100, 90, 60, 0, 0, 0.9), (100, 110, 60, 8, 0, 0.7)
    heat = heat_of(hot, warm, thin, weaker)
    assert found(model, heat)[:, :, 1].mean(axis=1).round(-1).tolist() == [20, 110]  # hottest first
    assert len(found(model, heat, box_threshold=0.4)) == 3
    assert len(found(model, heat, threshold=0.8)) == 1
    assert len(found(model, heat, max_boxes=1)) == 1


def test_a_box_at_the_edge_may_overhang(model: SimpleNamespace) -> None:
    (box,) = found(model, heat_of((20, 10, 60, 20, 0, 1.0)))
    assert box.min() < 0


# ---------------------------------------------------------------- pixels


def test_what_is_cut_stands_upright(model: SimpleNamespace) -> None:
    """A picture whose corners have four colours, turned by quarters: the cut has the first corner's at the top left."""
    picture = np.zeros((40, 120, 3), np.uint8)
    picture[:20, :60], picture[:20, 60:], picture[20:, 60:], picture[20:, :60] = 50, 100, 150, 200
    box = np.float32([[0, 0], [120, 0], [120, 40], [0, 40]])
    for turns in range(4):
        piece = model.boxes.cut(picture, np.roll(box, -turns, axis=0))
        assert piece.shape == ((40, 120, 3) if turns % 2 == 0 else (120, 40, 3))
        corners = [piece[3, 3, 0], piece[3, -4, 0], piece[-4, -4, 0], piece[-4, 3, 0]]
        assert corners == np.roll([50, 100, 150, 200], -turns).tolist()


def test_what_overhangs_repeats_the_edge(model: SimpleNamespace) -> None:
    piece = model.boxes.cut(np.full((10, 10, 3), 77, np.uint8), np.float32([[-5, -5], [15, -5], [15, 15], [-5, 15]]))
    assert piece.shape == (20, 20, 3)
    assert (piece == 77).all()


def test_lines_are_taken_at_their_own_width(model: SimpleNamespace) -> None:
    widths = [
        model.reading.line_width(np.zeros((h, w, 3), np.uint8)) for h, w in ((48, 48), (24, 100), (96, 1), (1, 999))
    ]
    assert widths == [48, 200, 1, 3200]


def test_slips_fill_up_short_lines_and_squeeze_long_ones(model: SimpleNamespace) -> None:
    pieces = [np.full((10, 20, 3), 10, np.uint8), np.full((10, 200, 3), 20, np.uint8)]
    slips = model.reading.slips(pieces)
    assert slips.shape == (2, 48, 192, 3)
    assert (slips[0, :, :96] == 10).all()
    assert (slips[0, :, 96:] == 128).all()
    assert (slips[1] == 20).all()
    assert model.reading.slips([]).shape == (0, 48, 192, 3)


# ---------------------------------------------------------------- signs


def joined(model: SimpleNamespace, letters: str, *, spaces: dict[int, float] | None = None, above: float = 0.05) -> str:
    """Text of signs; `_` is an empty one; spaces are likely at some places."""
    likely = np.zeros(len(letters), np.float32)
    for place, probability in (spaces or {}).items():
        likely[place] = probability
    text: str = model.reading.joined(
        [letter.replace("_", "") for letter in letters], np.full(len(letters), 0.5, np.float32), likely, above
    )[0]
    return text


@pytest.mark.parametrize(
    ("letters", "text"),
    [
        ("", ""),
        ("____", ""),
        ("aab_", "ab"),
        ("a_a", "aa"),
        ("aa_aa", "aa"),
        ("_h_e_ll_l_o", "hello"),
        ("a _b", "a b"),
        ("  a_", "a"),
        ("ＡＢ１_ｚ：", "AB1z："),
    ],
)
def test_equal_signs_side_by_side_are_one(model: SimpleNamespace, letters: str, text: str) -> None:
    assert joined(model, letters) == text


@pytest.mark.parametrize(
    ("letters", "text"), [("a___b", "a b"), ("7___b", "7 b"), ("a___,", "a,"), ("@___b", "@b"), ("中___文", "中文")]
)
def test_a_likely_space_is_put_between_words_only(model: SimpleNamespace, letters: str, text: str) -> None:
    assert joined(model, letters, spaces={2: 0.06}) == text
    assert joined(model, letters, spaces={2: 0.04}) == text.replace(" ", "")
    assert joined(model, letters, spaces={2: 0.9}, above=1) == text.replace(" ", "")


def test_a_space_belongs_to_its_gap(model: SimpleNamespace) -> None:
    assert joined(model, "a_b_c", spaces={3: 0.5}) == "ab c"
    assert joined(model, "__a_b", spaces={0: 0.5}) == "ab"


def test_the_score_is_the_mean_over_signs(model: SimpleNamespace) -> None:
    probabilities = np.float32([0.9, 0.1, 1.0, 0.5, 0.2])
    text, score = model.reading.joined(["a", "a", "", "b", ""], probabilities, np.zeros(5), 1.0)
    assert text == "ab"
    assert score == pytest.approx(0.7)
    assert model.reading.joined([" "], np.float32([0.9]), np.zeros(1), 1.0) == ("", 0.0)
