"""Faces by the real server: against a direct run with a decode of our own, and on pictures that one sees oneself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from framehouse.errors import SourceUnavailable
from framehouse.inference.adapters import faces
from framehouse.inference.specs import ModelSpec
from framehouse.inference.triton import TritonClient
from framehouse.results.records.boxes import Keypoints
from framehouse.video.pictures import frame_picture
from real_parts import cache_folder, require
from stills import still

pytestmark = [pytest.mark.real("triton"), pytest.mark.real("samples")]

Array = NDArray[Any]
Find = Callable[..., Keypoints]
SIDE, CELL, FLOOR, IOU = 192, 4, 0.3, 0.3
RIGHT_EYE, LEFT_EYE, NOSE, MOUTH, RIGHT_EAR, LEFT_EAR = range(6)
SWAPPED = [LEFT_EYE, RIGHT_EYE, NOSE, MOUTH, LEFT_EAR, RIGHT_EAR]


@pytest.fixture(scope="module")
def served(load_served: Callable[[str], tuple[TritonClient, ModelSpec]]) -> tuple[TritonClient, ModelSpec]:
    return load_served("faces")


@pytest.fixture(scope="module")
def ask(served: tuple[TritonClient, ModelSpec]) -> Callable[[Array], dict[str, Array]]:
    """The server's answer to pictures of the input size."""
    client, spec = served
    return lambda batch: client.infer(spec.triton_model, faces.to_inputs(batch), version=spec.triton_version)


@pytest.fixture(scope="module")
def find(served: tuple[TritonClient, ModelSpec], ask: Callable[[Array], dict[str, Array]]) -> Find:
    """Rows of some pictures of one size, as a worker gets them: framed, asked, read."""
    _, spec = served

    def rows(*pictures: Array) -> Keypoints:
        answer = ask(np.stack([frame_picture(picture, spec.framing) for picture in pictures]))
        offsets = np.arange(len(pictures), dtype=np.int64)
        return faces.from_outputs(answer, spec=spec, frame_offset=offsets, source_size=pictures[0].shape[1::-1])

    return rows


@pytest.fixture(scope="module")
def stills() -> dict[str, Array]:
    try:
        return {name: still(f"{name}.png", cache_folder() / "stills") for name in ("astronaut", "chelsea", "coffee")}
    except SourceUnavailable as error:
        require("samples", error.line())


def frames(path: Path, offsets: list[int]) -> list[Array]:
    capture, found = cv2.VideoCapture(str(path)), []
    for offset in range(max(offsets) + 1):
        ok, frame = capture.read()
        assert ok, f"{path.name} has no frame {offset}"
        if offset in offsets:
            found.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    capture.release()
    return found


# ---------------------------------------------------------------- the same numbers


@pytest.fixture(scope="module")
def heads(checkout: Path) -> Callable[[Array], tuple[Array, Array]]:
    """The shipped network's own numbers before anything is chosen: values [2304, 16] and logits [2304] of a picture."""
    model = onnx.load(checkout / "triton_models" / "faces_network" / "1" / "model.onnx")
    (gather,) = [node for node in model.graph.node if node.name == "picked|GatherElements"]
    names = [gather.input[0], "logits"]
    kind = onnx.TensorProto.FLOAT
    model.graph.output.extend([onnx.helper.make_tensor_value_info(name, kind, None) for name in names])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(picture: Array) -> tuple[Array, Array]:
        values, logits = session.run(names, {"image": picture[None]})
        return values[0].astype(np.float64), logits[0].astype(np.float64)

    return run


def direct(values: Array, logits: Array) -> list[Array]:
    """Faces as (score, 8 pairs: low corner, high corner, 6 points), all anchors looked at, one by one."""
    cells = SIDE // CELL
    found = []
    for anchor in np.flatnonzero(1 / (1 + np.exp(-logits)) >= FLOOR):
        centre = np.array([anchor % cells + 0.5, anchor // cells + 0.5]) * CELL
        pairs = values[anchor].reshape(8, 2).copy()
        middle, size = pairs[0] + centre, pairs[1]
        found.append(
            (1 / (1 + np.exp(-logits[anchor])), np.array([middle - size / 2, middle + size / 2, *(pairs[2:] + centre)]))
        )
    found.sort(key=lambda face: -face[0])
    merged = []
    while found:
        score, best = found[0]
        near = [face for face in found if overlap(best, face[1]) > IOU]
        weights = np.array([face[0] for face in near])
        mean = np.tensordot(weights, np.stack([face[1] for face in near]), 1) / weights.sum()
        merged.append(np.array([score, *mean.ravel()]))
        found = [face for face in found if overlap(best, face[1]) <= IOU]
    return merged


def overlap(one: Array, other: Array) -> float:
    sides = np.minimum(one[1], other[1]) - np.maximum(one[0], other[0])
    common = float(np.prod(np.maximum(sides, 0)))
    return common / (float(np.prod(one[1] - one[0])) + float(np.prod(other[1] - other[0])) - common)


def test_the_server_gives_what_a_direct_run_gives(
    served: tuple[TritonClient, ModelSpec], ask: Callable[[Array], dict[str, Array]],
    heads: Callable[[Array], tuple[Array, Array]], stills: dict[str, Array], sample_videos: dict[str, Path],
) -> None:  # fmt: skip
    pictures = [*stills.values(), *frames(sample_videos["bikes.mp4"], [30, 110, 150])]
    pictures += frames(sample_videos["carphone_pristine.mp4"], [0, 119])
    framed = [frame_picture(picture, served[1].framing) for picture in pictures]
    n_faces = 0
    for picture in framed:
        answer, expected = ask(picture[None]), direct(*heads(picture))
        n = int(answer["count"][0, 0])
        assert n == len(expected)
        points = answer["landmarks"][0, :n].reshape(n, 12)
        found = np.concatenate([answer["scores"][0, :n, None], answer["boxes"][0, :n], points], axis=1)
        np.testing.assert_allclose(found, np.array(expected).reshape(-1, 17), rtol=1e-4, atol=2e-3)
        assert not any(answer[name][0, n:].any() for name in ("boxes", "scores", "landmarks"))
        n_faces += n
    assert n_faces >= 5


def test_a_picture_gives_the_same_alone_and_among_others(
    served: tuple[TritonClient, ModelSpec], ask: Callable[[Array], dict[str, Array]], stills: dict[str, Array]
) -> None:
    batch = np.stack([frame_picture(picture, served[1].framing) for picture in stills.values()])
    together, alone = ask(batch), [ask(batch[i : i + 1]) for i in range(len(batch))]
    for name, tensor in together.items():
        assert np.array_equal(tensor, np.concatenate([answer[name] for answer in alone])), name


# ---------------------------------------------------------------- what one sees oneself


def test_the_astronaut_and_her_points(find: Find, stills: dict[str, Array]) -> None:
    found = find(stills["astronaut"])
    assert found.confidence.tolist() == [pytest.approx(0.94, abs=0.03)]
    assert abs(found.xcycwh[0] - [225, 122, 105, 105]).max() < 8
    seen = {RIGHT_EYE: (203, 101), LEFT_EYE: (247, 103), NOSE: (223, 127), MOUTH: (223, 145)}  # by eye
    for point, place in seen.items():
        assert abs(found.keypoint_xy[0, point] - place).max() < 8, point


def test_a_mirrored_picture_has_mirrored_points_with_swapped_names(find: Find, stills: dict[str, Array]) -> None:
    plain, mirrored = find(stills["astronaut"]), find(stills["astronaut"][:, ::-1])
    expected = plain.keypoint_xy[0, SWAPPED] * [-1, 1] + [512, 0]
    assert abs(mirrored.keypoint_xy[0] - expected).max() < 8


def test_the_man_in_the_car_in_each_frame(find: Find, sample_videos: dict[str, Path]) -> None:
    offsets = list(range(0, 120, 8))
    pictures = frames(sample_videos["carphone_pristine.mp4"], offsets)
    found = [find(picture) for picture in pictures]
    assert [len(rows) for rows in found] == [1] * len(offsets)
    assert min(float(rows.confidence[0]) for rows in found) > 0.6
    for rows in found:
        x, y, width, height = rows.xcycwh[0]
        assert 55 < x < 115
        assert 40 < y < 95
        assert 40 < min(width, height) <= max(width, height) < 75


def test_nothing_else_is_a_face(find: Find, stills: dict[str, Array], sample_videos: dict[str, Path]) -> None:
    pictures = [
        stills["chelsea"],
        stills["coffee"],
        *frames(sample_videos["bigbuckbunny.mp4"], list(range(0, 132, 20))),
    ]
    assert [float(score) for picture in pictures for score in find(picture).confidence if score >= 0.4] == []


def test_a_face_in_a_picture_of_3840_by_2160(find: Find, stills: dict[str, Array]) -> None:
    large = np.full((2160, 3840, 3), 128, np.uint8)
    large[56:2104, 1700:3748] = cv2.resize(stills["astronaut"], (2048, 2048))
    found = find(large)
    assert len(found) == 1
    assert abs(found.xcycwh[0] / 4 - [225 + 425, 122 + 14, 105, 105]).max() < 12


@pytest.mark.parametrize("size", [(1, 1), (300, 1), (1, 300)])
def test_a_picture_without_room_for_a_face(find: Find, size: tuple[int, int]) -> None:
    assert len(find(np.full((*size, 3), 200, np.uint8))) == 0


def test_no_face_no_row(find: Find) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    assert len(find(np.zeros((240, 320, 3), np.uint8), noise, np.full((240, 320, 3), 127, np.uint8))) == 0
