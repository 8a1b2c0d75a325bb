"""The adapter of ocr: lines of text to rows in source pixels, in reading order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters import ocr
from framehouse.inference.specs import ModelSpec
from framehouse.results.records.texts import Texts
from framehouse.video.framing import Framing

SOURCE = (3840, 2160)  # twice what the model sees

Line = tuple[Any, float, tuple[float, float, float, float]]
"""Text, score, box as x1, y1, x2, y2 in input pixels."""


def outputs(*pictures: list[Line], width: int = 4) -> dict[str, Any]:
    """Unused rows hold nonsense that must not be read."""
    n = len(pictures)
    texts = np.full((n, width), b"\xff", np.object_)
    scores, polygons = np.full((n, width), np.nan, np.float32), np.full((n, width, 4, 2), np.nan, np.float32)
    for i, lines in enumerate(pictures):
        for j, (text, score, (x1, y1, x2, y2)) in enumerate(lines):
            texts[i, j], scores[i, j] = text, score
            polygons[i, j] = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]
    count = np.array([[len(lines)] for lines in pictures], np.int32).reshape(-1, 1)
    return {"texts": texts, "scores": scores, "polygons": polygons, "count": count}


def read(made: dict[str, Any], offsets: list[int] | None = None) -> Texts:
    framing = Framing("fit", 1920, 1920)
    spec = ModelSpec("ocr/1", "ocr", "1", "ocr", "texts", "ocr", "1", framing, 1, (), "d" * 32, 0.1)
    frame_offset = np.array(range(len(made["count"])) if offsets is None else offsets, np.int64)
    return ocr.from_outputs(made, spec=spec, frame_offset=frame_offset, source_size=SOURCE)


def test_a_line_comes_back_in_source_pixels() -> None:
    rows = read(outputs([("Größe 漢".encode(), 0.75, (10, 20, 110, 50))]), [7])
    assert rows.frame_offset.tolist() == [7]
    assert rows.text.tolist() == ["Größe 漢"]
    assert rows.confidence.tolist() == [0.75]
    assert rows.xcycwh.tolist() == [[120, 70, 200, 60]]
    assert rows.polygon.tolist() == [[[20, 40], [220, 40], [220, 100], [20, 100]]]


def test_pictures_without_lines_give_no_rows() -> None:
    assert len(read(outputs([], []))) == 0
    assert len(read(outputs(width=1))) == 0


def test_text_is_read_from_the_top_down_and_from_the_left() -> None:
    lines = {
        "below": (5, 100, 50, 120),
        "right": (300, 12, 400, 32),  # a little lower than left: the same line
        "left": (20, 16, 100, 36),
        "middle": (120, 10, 280, 34),
        "next": (10, 40, 90, 60),
    }
    made = outputs([(name.encode(), 0.9, box) for name, box in lines.items()], width=5)
    assert read(made).text.tolist() == ["left", "middle", "right", "next", "below"]


def test_a_tall_line_does_not_swallow_those_beside_it() -> None:
    first, second = ("one", 0.9, (100, 20, 300, 40)), ("two", 0.9, (100, 60, 300, 80))
    made = outputs([second, ("spine", 0.9, (20, 10, 40, 80)), first])
    made["polygons"][0, 1] = np.float32([[40, 10], [40, 80], [20, 80], [20, 10]])  # runs down: 20 px of letters
    assert read(made).text.tolist() == ["one", "spine", "two"]


def test_pictures_stay_apart() -> None:
    same = (0.0, 0.0, 10.0, 10.0)
    rows = read(outputs([("b", 0.9, (20, 0, 30, 10)), ("a", 0.9, same)], [], [("c", 0.5, same)]), [3, 4, 9])
    assert rows.frame_offset.tolist() == [3, 3, 9]
    assert rows.text.tolist() == ["a", "b", "c"]


def test_polygons_are_cut_to_the_picture_and_those_outside_dropped() -> None:
    rows = read(
        outputs([("edge", 0.9, (-10, -5, 30, 20)), ("out", 0.9, (1930, 10, 1990, 30)), ("low", 0.09, (0, 0, 9, 9))])
    )
    assert rows.text.tolist() == ["edge"]
    assert rows.xcycwh.tolist() == [[30, 20, 60, 40]]
    assert rows.polygon.min() == 0


def test_text_may_come_as_str() -> None:
    assert read(outputs([("plain", 1.0, (0, 0, 5, 5))])).text.tolist() == ["plain"]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("texts", b"\xff\xfe", "UTF-8"),
        ("scores", np.nan, "not finite"),
        ("polygons", np.inf, "not finite"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: Any, said: str) -> None:
    made = outputs([("a", 0.9, (0, 0, 5, 5))])
    made[name][0, 0] = value
    with pytest.raises(TensorMismatch, match=said):
        read(made)


@pytest.mark.parametrize("count", [5, -1])
def test_a_count_outside_the_list_is_refused(count: int) -> None:
    made = outputs([("a", 0.9, (0, 0, 5, 5))])
    made["count"][:] = count
    with pytest.raises(TensorMismatch, match="count"):
        read(made)
