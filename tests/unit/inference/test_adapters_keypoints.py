"""The keypoints' adapter: points of a letterboxed picture to rows in source pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.errors import FramehouseError
from framehouse.inference.adapters import keypoints
from framehouse.inference.adapters.keypoints import COCO_POINTS
from framehouse.inference.specs import ModelSpec
from framehouse.results.records.boxes import Keypoints
from framehouse.video.framing import Framing

SOURCE = (384, 192)  # the input shows it at half its size, 48 rows below the upper edge
K = len(COCO_POINTS)


def spec(floor: float = 0.1, **settings: str) -> ModelSpec:
    framing = Framing("letterbox", 192, 192)
    labels = ("person",)
    return ModelSpec(
        "k/1", "k", "1", "keypoints", "keypoints", "k", "1", framing, 8, labels, "d", floor, settings, ("k",)
    )


def read(points: Any, offsets: list[int], model: ModelSpec | None = None) -> Keypoints:
    return keypoints.from_outputs(
        {"keypoints": np.asarray(points, np.float32).reshape(-1, K, 3)},
        spec=model or spec(), frame_offset=np.array(offsets, np.int64), source_size=SOURCE,
    )  # fmt: skip


def person(scores: dict[int, float], xy: dict[int, tuple[float, float]] | None = None) -> list[tuple[float, ...]]:
    """Points of a picture; those without a score have 0.05, those without a place are at 96, 96."""
    places = dict.fromkeys(range(K), (96.0, 96.0)) | (xy or {})
    return [(*places[i], scores.get(i, 0.05)) for i in range(K)]


CORNERS = {0: (10.0, 50.0), 5: (60.0, 90.0), 6: (30.0, 70.0)}
PERSON = person({0: 0.9, 5: 0.3, 6: 0.6}, CORNERS)


def test_a_person_in_source_pixels() -> None:
    rows = read([PERSON], [7])
    assert rows.frame_offset.tolist() == [7]
    assert (rows.class_id.tolist(), rows.class_name.tolist()) == ([0], ["person"])
    assert rows.confidence[0] == pytest.approx(0.6)  # of the three that are seen
    np.testing.assert_allclose(rows.xcycwh, [[70, 44, 100, 80]])  # x 20..120, y 4..84
    assert tuple(rows.keypoint_name[0]) == COCO_POINTS
    np.testing.assert_allclose(rows.keypoint_xy[0, [0, 5, 6, 16]], [[20, 4], [120, 84], [60, 44], [192, 96]])
    np.testing.assert_allclose(rows.keypoint_confidence[0, [0, 5, 6, 16]], [0.9, 0.3, 0.6, 0.05])


def test_seventeen_points_of_coco() -> None:
    assert len(set(COCO_POINTS)) == 17
    assert COCO_POINTS[0] == "nose"
    for i in range(1, 17, 2):
        assert COCO_POINTS[i].removeprefix("left_") == COCO_POINTS[i + 1].removeprefix("right_")


NOBODY = person({0: 0.9, 1: 0.9})
NONE: dict[str, list[tuple[float, ...]]] = {
    "nothing seen": person({}),
    "two points": person({0: 0.9, 1: 0.9}, {0: (10, 60), 1: (60, 90)}),
    "just below": person({0: 0.199, 1: 0.199, 2: 0.199}, {0: (10, 60), 1: (60, 90)}),
    "all at one place": person({0: 0.9, 1: 0.9, 2: 0.9}),
    "all above the picture": person(
        {0: 0.9, 1: 0.9, 2: 0.9}, {0: (10, 20), 1: (60, 40), 2: (90, 30)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NONE)
def test_no_person_no_row(name: str) -> None:
    assert len(read([NONE[name]], [0])) == 0


def test_frames_without_a_person_give_no_row_and_harm_none() -> None:
    rows = read([NOBODY, PERSON, NOBODY, PERSON], [0, 6, 12, 18])
    assert rows.frame_offset.tolist() == [6, 18]
    assert len(read(np.empty((0, K, 3)), [])) == 0


def test_thresholds_come_from_the_model() -> None:
    scores = person({0: 0.2, 1: 0.2, 2: 0.2, 3: 0.6}, {0: (10, 60), 1: (60, 90)})
    assert read([scores], [0]).confidence[0] == pytest.approx(0.3)
    assert len(read([scores], [0], spec(floor=0.31))) == 0
    assert len(read([scores], [0], spec(point_threshold="0.21"))) == 0
    assert read([scores], [0], spec(point_threshold="0.05")).confidence[0] == pytest.approx(1.85 / 17)


def test_points_outside_lie_on_the_edge() -> None:
    rows = read([person({0: 0.9, 1: 0.9, 2: 0.9}, {0: (-30, 10), 1: (300, 300), 2: (96, 96)})], [0])
    np.testing.assert_allclose(rows.keypoint_xy[0, :3], [[0, 0], [384, 192], [192, 96]])
    np.testing.assert_allclose(rows.xcycwh, [[192, 96, 384, 192]])


def broken(value: float, place: int = 0) -> Any:
    points = np.array([PERSON], np.float32)
    points[0, 3, place] = value
    return points


UGLY: dict[str, dict[str, Any]] = {
    "no outputs": {},
    "another batch": {"keypoints": np.zeros((2, K, 3), np.float32)},
    "another skeleton": {"keypoints": np.zeros((1, 18, 3), np.float32)},
    "a place that is no number": {"keypoints": broken(np.nan)},
    "an endless place": {"keypoints": broken(np.inf, 1)},
    "a score that is no number": {"keypoints": broken(np.nan, 2)},
    "a score above one": {"keypoints": broken(1.5, 2)},
    "a negative score": {"keypoints": broken(-0.1, 2)},
}


@pytest.mark.parametrize("name", UGLY)
def test_ugly_outputs_are_named_and_not_retried(name: str) -> None:
    with pytest.raises(FramehouseError) as caught:
        keypoints.from_outputs(UGLY[name], spec=spec(), frame_offset=np.array([0]), source_size=SOURCE)
    assert caught.value.code in {"inference.tensor_mismatch", "results.contract"}
    assert not caught.value.retryable


point = st.tuples(st.floats(-50, 250, width=32), st.floats(-50, 250, width=32), st.floats(0, 1, width=32))


@given(st.lists(point, min_size=K, max_size=K))
def test_box_and_points_lie_in_the_picture(points: list[tuple[float, ...]]) -> None:
    rows = read([points], [4])
    assert len(rows) <= 1
    if len(rows):
        low, high = rows.xcycwh[0, :2] - rows.xcycwh[0, 2:] / 2, rows.xcycwh[0, :2] + rows.xcycwh[0, 2:] / 2
        assert (low >= -1e-3).all() and (high <= np.array(SOURCE) + 1e-3).all()
        seen = rows.keypoint_xy[0][rows.keypoint_confidence[0] >= 0.2]
        np.testing.assert_allclose([low, high], [seen.min(axis=0), seen.max(axis=0)], atol=1e-3)
        assert 0.2 <= rows.confidence[0] <= 1
