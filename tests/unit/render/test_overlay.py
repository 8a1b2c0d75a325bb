from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.errors import MisalignedParts
from framehouse.render.overlay import NOTHING, Inferred, class_colour, rows_by_frame, shown_results
from framehouse.results.records.boxes import Detections


def rows(frames: list[int]) -> Detections:
    n = len(frames)
    return Detections(
        np.array(frames, np.int64),
        np.arange(n, dtype=np.int32),
        np.array([f"c{i}" for i in range(n)], np.object_),
        np.full(n, 0.5, np.float32),
        np.full((n, 4), 10, np.float32),
    )


def inferred(frames: list[int], ticks: int = 10, found: list[int] | None = None) -> Inferred:
    offsets = np.array(frames, np.int64)
    return Inferred(offsets, offsets * ticks, np.ones(len(frames), bool), rows(found or []))


@pytest.mark.parametrize(
    ("frames", "n_frames", "shown"),
    [
        ([], 3, [NOTHING] * 3),
        ([0], 3, [0, 0, 0]),
        ([0, 5, 10], 12, [0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2]),
        ([0, 4], 6, [0, 0, 0, 1, 1, 1]),  # a tie shows the earlier
        ([0, 2, 4], 12, [0, 0, 1, 1, 2, 2, 2, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING]),
        ([4, 6, 20], 22, [0] * 6 + [1] * 8 + [2] * 8),  # one wide hole: its edges hold for the median interval at most
    ],
)
def test_shown_results(frames: list[int], n_frames: int, shown: list[int]) -> None:
    pts = np.arange(n_frames, dtype=np.int64) * 10
    assert shown_results(pts, inferred(frames)).tolist() == shown


@given(st.sets(st.integers(0, 200), min_size=2), st.integers(1, 220))
def test_a_result_is_never_older_than_an_interval_and_its_own_frame_shows_it(planned: set[int], n_frames: int) -> None:
    plan = inferred(sorted(planned))
    pts = np.arange(n_frames, dtype=np.int64) * 10
    shown = shown_results(pts, plan)
    age = np.abs(plan.pts[shown] - pts)[shown != NOTHING]
    assert (age <= np.median(np.diff(plan.pts))).all()
    for place, offset in enumerate(plan.frame_offset):
        if offset < n_frames:
            assert shown[offset] == place


def test_rows_by_frame() -> None:
    assert rows_by_frame(inferred([0, 5, 10])) == {}
    found = rows_by_frame(inferred([0, 5, 10], found=[5, 5, 10]))
    assert {place: part.class_name.tolist() for place, part in found.items()} == {1: ["c0", "c1"], 2: ["c2"]}


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(MisalignedParts):
        inferred([0, 5], found=[3])
    with pytest.raises(MisalignedParts):
        Inferred(np.arange(2), np.arange(3), np.ones(2, bool), Detections.empty())


def test_colours_are_stable_and_neighbours_differ() -> None:
    colours = [class_colour(i) for i in range(80)]
    assert colours == [class_colour(i) for i in range(80)]
    assert len(set(colours)) == 80
    assert all(max(colour) > 200 and min(colour) < 100 for colour in colours)
    apart = [sum(abs(a - b) for a, b in zip(x, y, strict=True)) for x, y in pairwise(colours)]
    assert min(apart) > 100
