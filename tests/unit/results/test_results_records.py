from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from framehouse.errors import ContractViolation
from framehouse.results.contract import time_offsets_s
from framehouse.results.records.boxes import Detections
from lakes import rows_of


def detections(frames: list[int], scores: list[float]) -> Detections:
    n = len(frames)
    return Detections(
        np.array(frames, np.int64),
        np.arange(n, dtype=np.int32),
        np.array(["person"] * n, np.object_),
        np.array(scores, np.float32),
        np.ones((n, 4), np.float32),
    )


def test_empty_has_every_dtype() -> None:
    empty = Detections.empty()
    assert len(empty) == 0
    assert (empty.frame_offset.dtype, empty.class_id.dtype, empty.xcycwh.shape) == (np.int64, np.int32, (0, 4))
    assert len(Detections.concat([])) == 0
    assert len(empty.select(np.array([1, 2]))) == 0


@pytest.mark.parametrize(
    ("frames", "scores"),
    [([], []), ([0], [0.5]), ([0, 0, 3], [0.9, 0.9, 1.0]), ([5, 6], [0.0, 1.0])],
    ids=["empty", "one", "many", "rising over frames"],
)
def test_good_rows_are_accepted(frames: list[int], scores: list[float]) -> None:
    assert len(detections(frames, scores)) == len(frames)


@pytest.mark.parametrize(
    ("frames", "scores", "says"),
    [
        ([1, 0], [0.5, 0.5], "ordered by frame"),
        ([0, 0], [0.5, 0.6], "falling confidence"),
        ([0], [1.5], "outside 0..1"),
        ([0], [-0.1], "outside 0..1"),
        ([0], [float("nan")], "outside 0..1"),
        ([-1], [0.5], "negative"),
        ([0, 1], [0.5], "confidence is"),
    ],
)
def test_bad_rows_are_refused(frames: list[int], scores: list[float], says: str) -> None:
    with pytest.raises(ContractViolation, match=says):
        detections(frames, scores)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"xcycwh": np.array([[np.inf, 0, 1, 1]], np.float32)}, "not finite"),
        ({"xcycwh": np.array([[0, 0, -1, 1]], np.float32)}, "negative size"),
        ({"xcycwh": np.ones((1, 4))}, "float64"),
        ({"xcycwh": np.ones((1, 5), np.float32)}, r"\[1, 5\]"),
        ({"class_name": np.array([None], np.object_)}, "not text"),
        ({"class_id": np.array([-1], np.int32)}, "negative"),
        ({"class_id": np.array([0], np.int64)}, "class_id is int64"),
    ],
)
def test_bad_columns_are_refused(change: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(ContractViolation, match=says):
        replace(detections([0], [0.5]), **change)


def test_concat_orders_interleaved_frames_and_keeps_every_row() -> None:
    even, odd = rows_of("v", "d", range(0, 20, 2)), rows_of("v", "d", range(1, 20, 2))
    whole = rows_of("v", "d", range(20))
    joined = Detections.concat([odd, even])
    assert len(whole) > 20
    for name in ("frame_offset", "class_id", "class_name", "confidence", "xcycwh"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))


def test_select_keeps_the_rows_of_the_frames() -> None:
    rows = rows_of("v", "d", range(30))
    picked = rows.select(np.array([7, 3, 999]))
    assert set(picked.frame_offset.tolist()) <= {3, 7}
    assert len(picked) == int(np.isin(rows.frame_offset, [3, 7]).sum()) > 0


def test_columns_and_back() -> None:
    rows = rows_of("v", "d", range(10))
    again = Detections.from_columns(rows.frame_offset, rows.columns())
    np.testing.assert_array_equal(again.xcycwh, rows.xcycwh)
    assert list(rows.columns()) == list(Detections.stored)
    with pytest.raises(ContractViolation, match="height"):
        Detections.from_columns(rows.frame_offset, {k: v for k, v in rows.columns().items() if k != "height"})


def test_time_offsets_are_the_nearest_double() -> None:
    pts = np.array([5, 6, 5 + 1001 * 123457, 5 + 2**40], np.int64)
    got = time_offsets_s(pts, 5, Fraction(1, 30000))
    assert got.tolist() == [float(Fraction(int(p) - 5) * Fraction(1, 30000)) for p in pts]
