"""The adapter of gaze: lists per picture to faces and looks in source pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from framehouse.errors import TensorMismatch
from framehouse.inference.adapters import gaze
from framehouse.inference.specs import ModelSpec
from framehouse.results.records.gazes import Gazes
from framehouse.video.framing import Framing

SOURCE = (3840, 2160)  # three times the model's picture
BOX = (100.0, 50.0, 140.0, 110.0)
IN_SOURCE = [360, 240, 120, 180]


def spec(floor: float = 0.3) -> ModelSpec:
    framing = Framing("fit", 1280, 1280)
    return ModelSpec("gaze/1", "gaze", "1", "gaze", "gazes", "gaze", "1", framing, 4, (), "d" * 32, floor)


def outputs(*pictures: list[tuple[float, ...]], slots: int = 4) -> dict[str, Any]:
    """Model outputs; a face is (x1, y1, x2, y2, score, yaw, pitch). Unused slots hold no numbers."""
    made = {
        name: np.full((len(pictures), slots, *shape), np.nan, np.float32)
        for name, shape in (("boxes", (4,)), ("scores", ()), ("landmarks", (6, 2)), ("yaw", ()), ("pitch", ()))
    }
    for i, faces in enumerate(pictures):
        for j, face in enumerate(faces):
            made["boxes"][i, j], made["scores"][i, j] = face[:4], face[4]
            made["yaw"][i, j], made["pitch"][i, j] = face[5:]
            made["landmarks"][i, j] = np.arange(12).reshape(6, 2) + face[0]
    count = np.array([[len(faces)] for faces in pictures], np.int32).reshape(-1, 1)
    return {**made, "count": count, "head_yaw": np.zeros(1, np.float32)}


def read(made: dict[str, Any], n: int, floor: float = 0.3, source: tuple[int, int] = SOURCE) -> Gazes:
    frame_offset = np.arange(n, dtype=np.int64) * 5
    return gaze.from_outputs(made, spec=spec(floor), frame_offset=frame_offset, source_size=source)


def test_a_face_comes_back_in_source_pixels_with_the_angles_as_they_are() -> None:
    found = read(outputs([(*BOX, 0.9, 0.25, -0.5)]), 1)
    np.testing.assert_allclose(found.xcycwh, [IN_SOURCE])
    np.testing.assert_allclose(found.landmarks[0], 3 * (np.arange(12).reshape(6, 2) + 100))
    assert (found.yaw_rad[0], found.pitch_rad[0]) == (np.float32(0.25), np.float32(-0.5))
    assert found.confidence[0] == np.float32(0.9)


def test_a_small_video_is_not_enlarged() -> None:
    found = read(outputs([(*BOX, 0.9, 0, 0)]), 1, source=(176, 144))
    np.testing.assert_allclose(found.xcycwh, [[120, 80, 40, 60]])


def test_no_picture_and_no_face_have_no_rows() -> None:
    assert len(read(outputs(), 0)) == 0
    assert len(read(outputs([], []), 2)) == 0
    assert len(read(outputs([], slots=0), 1)) == 0


def test_rows_are_by_frame_then_falling_confidence_then_place() -> None:
    left, right = (10.0, 0, 20, 10), (30.0, 0, 40, 10)
    found = read(outputs([(*right, 0.5, 1, 0), (*left, 0.5, 2, 0), (*left, 0.8, 3, 0)], [], [(*left, 0.9, -1, 0)]), 3)
    assert found.frame_offset.tolist() == [0, 0, 0, 10]
    assert found.yaw_rad.tolist() == [3, 2, 1, -1]


def test_what_is_below_the_floor_or_outside_is_dropped_with_its_row() -> None:
    faces: list[tuple[float, ...]] = [(*BOX, 0.31, 0.1, 0), (*BOX, 0.29, 0.2, 0), (1300.0, 0, 1400, 90, 0.9, 0.3, 0)]
    assert read(outputs(faces), 1).yaw_rad.tolist() == [np.float32(0.1)]


def test_a_face_at_the_edge_stays_in_the_frame() -> None:
    found = read(outputs([(-20.0, -10, 20, 40, 0.9, 0, 0)]), 1)
    np.testing.assert_allclose(found.xcycwh, [[30, 60, 60, 120]])
    assert found.landmarks[0, 0].tolist() == [0, 0]
    far = outputs([(1270.0, 700, 1300, 760, 0.9, 0, 0)])
    assert read(far, 1).landmarks[0, 5].tolist() == [3839, 2159]  # the last pixel, so that it may be an index


@pytest.mark.parametrize("name", ["boxes", "scores", "landmarks", "yaw", "pitch"])
def test_numbers_that_are_none_are_refused(name: str) -> None:
    made = outputs([(*BOX, 0.9, 0, 0)])
    made[name][0, 0] = np.inf
    with pytest.raises(TensorMismatch, match="not finite"):
        read(made, 1)


@pytest.mark.parametrize("count", [-1, 5])
def test_a_count_outside_the_list_is_refused(count: int) -> None:
    made = outputs([(*BOX, 0.9, 0, 0)])
    made["count"][0, 0] = count
    with pytest.raises(TensorMismatch, match="count"):
        read(made, 1)


@pytest.mark.parametrize(("name", "shape"), [("landmarks", (1, 4, 5, 2)), ("yaw", (1, 3)), ("boxes", (1, 4, 5))])
def test_another_shape_is_named(name: str, shape: tuple[int, ...]) -> None:
    made: dict[str, NDArray[Any]] = outputs([(*BOX, 0.9, 0, 0)])
    made[name] = np.zeros(shape, np.float32)
    with pytest.raises(TensorMismatch, match=name):
        read(made, 1)


def test_angles_beyond_a_turn_are_no_look() -> None:
    with pytest.raises(Exception, match="yaw_rad outside"):
        read(outputs([(*BOX, 0.9, 4.0, 0)]), 1)
