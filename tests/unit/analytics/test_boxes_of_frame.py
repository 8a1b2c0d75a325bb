"""Rows of a frame as supervision's Detections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import supervision as sv

import framehouse
from framehouse.errors import ConfigError
from framehouse.results.lake import Lake
from framehouse.results.masks import encode
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from lakes import put_every_kind

ROWS = [
    {"x": 50.0, "y": 40.0, "width": 20.0, "height": 10.0, "class_id": 2, "class_name": "car", "confidence": 0.9},
    {"x": 5.0, "y": 5.0, "width": 4.0, "height": 4.0, "class_id": 0, "class_name": "person", "confidence": 0.5},
]


def test_boxes_become_corners() -> None:
    found = framehouse.to_supervision(ROWS)
    assert found.xyxy.tolist() == [[40, 35, 60, 45], [3, 3, 7, 7]]
    assert found.class_id is not None and found.class_id.tolist() == [2, 0]
    assert found.confidence is not None and found.confidence.tolist() == pytest.approx([0.9, 0.5])
    assert found["class_name"].tolist() == ["car", "person"]
    assert found[found.confidence > 0.6].xyxy.shape == (1, 4)


def test_no_rows_are_no_detections() -> None:
    assert framehouse.to_supervision([]) == sv.Detections.empty()


@pytest.mark.parametrize(
    ("rows", "words"),
    [([{"x": 1.0}], "rows without y, width, height"), ("text", "str is no table"), (7, "int is no table"),
     ([{**ROWS[0], "frame_offset": 1}, {**ROWS[1], "frame_offset": 2}], "several frame_offset"),
     ([{**ROWS[0], "mask": "abc"}], "masks need the size")],
)  # fmt: skip
def test_what_is_no_frame_is_named(rows: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        framehouse.to_supervision(rows)
    assert refused.value.code == "config.rows"


def test_masks_are_read_where_the_size_is_given() -> None:
    mask = np.zeros((60, 80), np.bool_)
    mask[30:40, 20:50] = True
    found = framehouse.to_supervision(
        [{**ROWS[0], "mask": encode(mask)}, {**ROWS[1], "mask": None}], frame_size=(80, 60)
    )
    assert found.mask is not None and found.mask.shape == (2, 60, 80)
    assert np.array_equal(found.mask[0], mask) and not found.mask[1].any()


def test_every_form_of_rows_gives_the_same(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    put_every_kind(lake)
    rebuild(tmp_path / "store", lake)
    result = run_query(
        tmp_path / "store",
        "SELECT * EXCLUDE (mask, keypoints) FROM detections WHERE model_id = 'detector/1'"
        " AND frame_offset = (SELECT min(frame_offset) FROM detections WHERE model_id = 'detector/1')",
    )
    expected = framehouse.to_supervision(result.records())
    assert len(expected) == result.n_rows > 0
    for form in (result, result.table, result.to_pandas()):
        assert np.array_equal(framehouse.to_supervision(form).xyxy, expected.xyxy)
    drawn = sv.BoxAnnotator().annotate(np.zeros((360, 640, 3), np.uint8), expected)
    assert drawn.any()
