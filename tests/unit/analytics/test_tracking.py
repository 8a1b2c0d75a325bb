"""The tracker: seconds, not frames; gaps; the same whatever comes around it."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from framehouse.analytics.tracking import Tracking, track
from framehouse.store.archive import Boxes, index_in_frame


def boxes(*rows: tuple[float, float, float], size: float = 40, name: str = "car", confidence: float = 0.9) -> Boxes:
    """Square boxes of (second, x, y); frames are counted 100 a second."""
    table = np.array(sorted(rows), np.float64).reshape(-1, 3)
    frame = np.round(table[:, 0] * 100).astype(np.int64)
    xyxy = np.concatenate([table[:, 1:] - size / 2, table[:, 1:] + size / 2], axis=1).astype(np.float32)
    n = len(table)
    return Boxes(
        frame, table[:, 0], index_in_frame(frame), np.array([name] * n, np.object_).reshape(n),
        np.full(n, confidence, np.float32), xyxy,
    )  # fmt: skip


def straight(speed: float, fps: float, n: int = 12, y: float = 100.0) -> list[tuple[float, float, float]]:
    return [(i / fps, speed * i / fps, y) for i in range(n)]


def test_nothing_has_no_tracks() -> None:
    assert track(boxes(), Tracking()).tolist() == []


@pytest.mark.parametrize(("speed", "fps"), [(30, 1), (60, 2), (100, 5), (200, 10), (0, 1), (120, 5)])
def test_one_object_is_one_track_at_any_rate(speed: float, fps: float) -> None:
    assert track(boxes(*straight(speed, fps)), Tracking(step_s=1 / fps)).tolist() == [1] * 12


def test_objects_that_pass_each_other_keep_their_numbers() -> None:
    right = [(i / 5, 20.0 * i, 100.0) for i in range(15)]
    left = [(i / 5, 280 - 20.0 * i, 112.0) for i in range(15)]
    found = boxes(*right, *left)
    ids = track(found, Tracking())
    heights = found.xyxy[:, 1]
    assert len(set(ids[heights < 85].tolist())) == len(set(ids[heights > 85].tolist())) == 1
    assert set(ids.tolist()) == {1, 2}


def test_a_gap_is_bridged_along_its_way_and_a_long_absence_is_not() -> None:
    way = straight(100, 5, n=30)
    short = [row for row in way if not 1.9 < row[0] < 3.1]
    long = [row for row in way if not 1.9 < row[0] < 5.1]
    assert set(track(boxes(*short), Tracking()).tolist()) == {1}
    assert set(track(boxes(*long), Tracking()).tolist()) == {1, 2}
    assert set(track(boxes(*long), Tracking(lost_s=4.0)).tolist()) == {1}


def test_other_classes_and_other_sizes_are_other_objects() -> None:
    one, other = boxes(*straight(10, 5, 4)), boxes(*straight(10, 5, 4), name="person")
    order = np.argsort(np.concatenate([one.frame_offset, other.frame_offset]), kind="stable")
    both = Boxes(*(np.concatenate([getattr(one, n), getattr(other, n)])[order] for n in Boxes.__slots__))
    ids = track(both, Tracking())
    assert {(name, number) for name, number in zip(both.class_name, ids.tolist(), strict=True)} == {
        ("car", 1),
        ("person", 2),
    }
    grown = boxes(*straight(10, 5, 4))
    grown.xyxy[2:] += np.array([-100, -100, 100, 100], np.float32)
    assert len(set(track(grown, Tracking()).tolist())) == 2


def test_weak_boxes_prolong_a_track_and_begin_none() -> None:
    way = boxes(*straight(50, 5, 10))
    weak = np.where(np.arange(10) > 4, 0.2, 0.9).astype(np.float32)
    assert track(replace(way, confidence=weak), Tracking()).tolist() == [1] * 10
    assert track(replace(way, confidence=weak[::-1].copy()), Tracking()).tolist() == [-1] * 5 + [1] * 5
    assert track(replace(way, confidence=weak), Tracking(low_confidence=0.3)).tolist() == [1] * 5 + [-1] * 5


def test_a_single_box_is_no_track() -> None:
    assert track(boxes((0.0, 5, 5), (0.0, 300, 5), (0.2, 6, 5)), Tracking()).tolist() == [1, -1, 1]


def test_what_comes_later_changes_nothing_before() -> None:
    """So more frames at the end, or a restart in the middle, give the same tracks."""
    rng = np.random.default_rng(3)
    rows = [row for k in range(12) for row in straight(float(rng.uniform(10, 120)), 5, 20, float(rng.uniform(0, 900)))]
    whole = boxes(*rows)
    ids = track(whole, Tracking())
    first = whole.where(whole.time_offset_s < 2.0)
    assert track(first, Tracking()).tolist() == ids[: len(first)].tolist()
    assert track(whole, Tracking()).tolist() == ids.tolist()
    assert len(set(ids.tolist())) == 12


def test_crossings_on_made_scenes_are_counted(checkout: Path) -> None:
    """The figures of docs/decisions/0014, on fewer scenes."""
    script = runpy.run_path(str(checkout / "scripts" / "measure_tracker.py"))
    for kind, fps, most in (("walkers", 5, 0.08), ("crowd", 5, 0.08), ("cars", 10, 0.2)):
        made = script["scene"](kind, fps, 0.1, 10)
        assert script["wrong"](made, script["ours"](made)) <= most * (made.n_in + made.n_out), kind
