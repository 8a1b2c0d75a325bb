"""The points of one person, by the real server: pictures whose persons one sees oneself, mirrored, none, tiny, huge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from framehouse.errors import SourceUnavailable
from framehouse.inference.adapters import keypoints
from framehouse.inference.adapters.keypoints import COCO_POINTS
from framehouse.inference.specs import ModelSpec
from framehouse.inference.triton import TritonClient
from framehouse.results.records.boxes import Keypoints
from framehouse.video.pictures import frame_picture
from real_parts import ROOT, cache_folder, require
from stills import still

pytestmark = [pytest.mark.real("triton"), pytest.mark.real("samples")]

Array = NDArray[Any]
Served = tuple[TritonClient, ModelSpec]
See = Callable[[Array], Keypoints]
DEFAULT_THRESHOLD = 0.4


@pytest.fixture(scope="module")
def served(load_served: Callable[[str], Served]) -> Served:
    return load_served("keypoints")


@pytest.fixture(scope="module")
def see(served: Served) -> See:
    """Rows of one picture, as a worker gets them: framed, asked, read."""
    client, spec = served

    def rows(picture: Array) -> Keypoints:
        framed = frame_picture(picture, spec.framing)[None]
        outputs = client.infer(spec.triton_model, keypoints.to_inputs(framed), version=spec.triton_version)
        size = (picture.shape[1], picture.shape[0])
        return keypoints.from_outputs(outputs, spec=spec, frame_offset=np.array([0]), source_size=size)

    return rows


def points(rows: Keypoints) -> dict[str, Array]:
    """Place of each point of the one row."""
    assert len(rows) == 1
    return dict(zip(COCO_POINTS, rows.keypoint_xy[0], strict=True))


def picture_of(name: str) -> Array:
    try:
        return still(name, cache_folder() / "stills")
    except SourceUnavailable as missing:
        require("samples", missing.line())


@pytest.fixture(scope="module")
def astronaut() -> Array:
    return picture_of("astronaut.png")


@pytest.fixture(scope="module")
def frames(sample_videos: dict[str, Path]) -> Callable[[str, int], Array]:
    def frame(video: str, offset: int) -> Array:
        capture = cv2.VideoCapture(str(sample_videos[video]))
        for _ in range(offset + 1):
            ok, picture = capture.read()
            assert ok
        capture.release()
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)

    return frame


def test_the_server_gives_what_the_file_gives_in_any_batch(
    served: Served, astronaut: Array, frames: Callable[[str, int], Array]
) -> None:
    """To the last bit: alone, among others, from either instance, and run directly."""
    client, spec = served
    pictures = [astronaut, astronaut[:, ::-1], *(frames("bikes.mp4", offset) for offset in (0, 36, 84, 120))]
    batch = np.stack([frame_picture(picture, spec.framing) for picture in pictures])
    model = ROOT / "triton_models" / "keypoints" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    together = client.infer(spec.triton_model, {"image": batch}, version="1")["keypoints"]
    for i, picture in enumerate(batch):
        (direct,) = session.run(None, {"image": picture[None]})
        for _ in range(2):
            alone = client.infer(spec.triton_model, {"image": picture[None]}, version="1")["keypoints"]
            assert alone.tobytes() == together[i].tobytes() == direct.tobytes()


def test_the_astronauts_face_is_where_it_is(see: See, astronaut: Array) -> None:
    rows = see(astronaut)
    assert rows.confidence[0] > DEFAULT_THRESHOLD
    found = points(rows)
    np.testing.assert_allclose(found["right_eye"], (204, 101), atol=6)  # the pupils, as seen in the picture
    np.testing.assert_allclose(found["left_eye"], (247, 101), atol=6)
    np.testing.assert_allclose(found["nose"], (224, 124), atol=8)
    assert found["right_ear"][0] < found["right_eye"][0] < found["nose"][0] < found["left_eye"][0]
    assert found["left_eye"][0] < found["left_ear"][0]
    for side, x in (("right", (60, 160)), ("left", (280, 350))):
        assert x[0] < found[f"{side}_shoulder"][0] < x[1]
        assert 200 < found[f"{side}_shoulder"][1] < 310


def test_a_mirrored_person_has_left_and_right_changed(see: See, astronaut: Array) -> None:
    plain, mirrored = points(see(astronaut)), points(see(astronaut[:, ::-1]))
    for name in ("nose", "eye", "ear", "shoulder"):
        left, right = ("nose", "nose") if name == "nose" else (f"left_{name}", f"right_{name}")
        for one, other in ((left, right), (right, left)):
            x, y = mirrored[other]
            np.testing.assert_allclose((512 - x, y), plain[one], atol=15)


def test_the_rider_stands_on_the_right(see: See, frames: Callable[[str, int], Array]) -> None:
    """From head to foot: every point is seen, in its order, and left of him is nobody."""
    rows = see(frames("bikes.mp4", 120))
    found = points(rows)
    assert rows.confidence[0] > DEFAULT_THRESHOLD
    assert (rows.keypoint_confidence[0] >= 0.2).all()
    assert (rows.keypoint_xy[0, :, 0] > 360).all()
    for side in ("left", "right"):
        height = [found[f"{side}_{name}"][1] for name in ("eye", "shoulder", "hip", "knee", "ankle")]
        assert (np.diff(height) > 10).all()
    width, tall = rows.xcycwh[0, 2:]
    assert 60 < width < 150
    assert 200 < tall < 260


def test_half_a_man_is_a_person_too(see: See, frames: Callable[[str, int], Array]) -> None:
    """In the car one sees head and shoulders; the points below the picture must not cost him the threshold."""
    for offset in (0, 48, 96, 119):
        rows = see(frames("carphone_pristine.mp4", offset))
        assert rows.confidence[0] > DEFAULT_THRESHOLD
        found = points(rows)
        assert found["right_eye"][0] < found["nose"][0] < found["left_eye"][0]
        assert max(found["right_eye"][1], found["left_eye"][1]) < found["nose"][1] < found["left_shoulder"][1]


@pytest.mark.parametrize("name", ["coffee.png", "chelsea.png"])
def test_a_cup_and_a_cat_are_nobody(see: See, name: str) -> None:
    assert (see(picture_of(name)).confidence < DEFAULT_THRESHOLD).all()


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (240, 320)])
def test_nothing_is_nobody(see: See, grey: int, size: tuple[int, int]) -> None:
    assert len(see(np.full((*size, 3), grey, np.uint8))) == 0


def test_a_large_frame_gives_large_numbers(see: See, astronaut: Array) -> None:
    """The same picture in the middle of a 4K frame: the same points, four times as far from each other."""
    large = np.zeros((2160, 3840, 3), np.uint8)
    large[56:2104, 896:2944] = astronaut.repeat(4, axis=0).repeat(4, axis=1)
    found, plain = points(see(large)), points(see(astronaut))
    for name in ("nose", "left_eye", "right_eye"):
        np.testing.assert_allclose(found[name], plain[name] * 4 + (896, 56), atol=45)  # 2 of its 192 pixels


def test_colours_are_taken_as_rgb(see: See, astronaut: Array) -> None:
    assert not np.array_equal(see(astronaut).keypoint_xy, see(astronaut[:, :, ::-1]).keypoint_xy)
