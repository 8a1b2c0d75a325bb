"""The adapter of faces: fixed-size lists to rows of keypoints in source pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters import faces
from framehouse.inference.specs import ModelSpec
from framehouse.results.records.boxes import Keypoints
from framehouse.video.framing import Framing

SOURCE = (384, 192)  # lies at half its size in rows 48 to 144 of the input
SPEC = ModelSpec(
    "faces/1", "faces", "1", "faces", "keypoints", "faces", "1", Framing("letterbox", 192, 192), 4, ("face",), "d", 0.3
)
POINTS = [(10.0, 60.0), (20.0, 60.0), (15.0, 65.0), (15.0, 70.0), (-4.0, 64.0), (26.0, 40.0)]
BOX = (10.0, 58.0, 30.0, 78.0)
Face = tuple[tuple[float, ...], float]


def outputs(*pictures: list[Face], slots: int = 4) -> dict[str, Any]:
    """A face is (box, score); unused slots hold nonsense that must not be read."""
    n = len(pictures)
    made = {
        "boxes": np.full((n, slots, 4), np.nan, np.float32),
        "scores": np.full((n, slots), 7, np.float32),
        "landmarks": np.full((n, slots, 6, 2), np.nan, np.float32),
        "count": np.array([[len(found)] for found in pictures], np.int32).reshape(-1, 1),
    }
    for i, found in enumerate(pictures):
        for j, (box, score) in enumerate(found):
            made["boxes"][i, j], made["scores"][i, j], made["landmarks"][i, j] = box, score, POINTS
    return made


def read(made: dict[str, Any], offsets: list[int]) -> Keypoints:
    return faces.from_outputs(made, spec=SPEC, frame_offset=np.array(offsets, np.int64), source_size=SOURCE)


def test_a_face_comes_back_to_the_source() -> None:
    found = read(outputs([(BOX, 0.8)]), [7])
    assert found.frame_offset.tolist() == [7]
    assert found.class_name.tolist() == ["face"]
    assert found.xcycwh.tolist() == [[40, 40, 40, 40]]
    expected = [[20, 24], [40, 24], [30, 34], [30, 44], [-8, 32], [52, -16]]
    assert found.keypoint_xy[0].tolist() == expected, "points are not clipped"
    assert found.keypoint_name[0].tolist() == ["right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"]
    assert found.keypoint_confidence.tolist() == [[np.float32(0.8)] * 6]


def test_a_box_that_reaches_into_the_border_is_cut_and_one_inside_it_is_dropped() -> None:
    found = read(outputs([((10, 20, 30, 78), 0.9), ((10, 0, 30, 40), 0.8)]), [0])
    assert found.xcycwh.tolist() == [[40, 30, 40, 60]]


@pytest.mark.parametrize(
    ("pictures", "offsets", "confidences"),
    [
        ([], [], []),
        ([[], []], [0, 5], []),
        ([[(BOX, 0.4), (BOX, 0.9)], [], [(BOX, 0.5)]], [0, 5, 10], [(0, 0.9), (0, 0.4), (10, 0.5)]),
        ([[(BOX, 0.29), (BOX, 0.31)]], [3], [(3, 0.31)]),
    ],
)
def test_rows_are_ordered_and_kept_from_the_floor_on(
    pictures: list[list[Face]], offsets: list[int], confidences: list[tuple[int, float]]
) -> None:
    found = read(outputs(*pictures), offsets)
    rows = list(zip(found.frame_offset.tolist(), found.confidence.round(4).tolist(), strict=True))
    assert rows == [(frame, pytest.approx(score)) for frame, score in confidences]
    assert found.keypoint_xy.shape == (len(rows), 6, 2)


def test_equal_confidences_are_ordered_by_place() -> None:
    left, right = (BOX, 0.5), ((100.0, 58.0, 120.0, 78.0), 0.5)
    both = [read(outputs(order), [0]).xcycwh[:, 0].tolist() for order in ([left, right], [right, left])]
    assert both == [[40, 220]] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": np.array([[9]], np.int32)}, "count outside"),
        ({"boxes": np.full((1, 4, 4), np.nan, np.float32)}, "not finite"),
        ({"landmarks": np.full((1, 4, 6, 2), np.inf, np.float32)}, "not finite"),
        ({"landmarks": np.zeros((1, 4, 5, 2), np.float32)}, "landmarks"),
    ],
)
def test_outputs_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TensorMismatch, match=message):
        read({**outputs([(BOX, 0.8)]), **change}, [0])
