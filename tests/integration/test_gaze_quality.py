"""Where people look, by the real server: people whose look one sees oneself, mirrored, small, many, none."""

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
from onnx import helper, numpy_helper

from framehouse.errors import InferenceError, SourceUnavailable
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.exports.gaze import fold_gaze, gaze_files
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.specs import ModelSpec
from framehouse.inference.triton import TritonClient
from framehouse.results.records.gazes import Gazes
from framehouse.video.pictures import frame_picture
from real_parts import ROOT, cache_folder, require
from stills import astronaut

pytestmark = [pytest.mark.real("triton"), pytest.mark.real("samples")]

Array = NDArray[Any]
Look = Callable[..., Gazes]
EXTRAS = ("head_yaw", "head_pitch", "eye_yaw", "eye_pitch")


@pytest.fixture(scope="module")
def served(load_served: Callable[[str], tuple[TritonClient, ModelSpec]]) -> tuple[TritonClient, ModelSpec]:
    return load_served("gaze")


@pytest.fixture(scope="module")
def look(served: tuple[TritonClient, ModelSpec]) -> Look:
    """Rows of some pictures of one size, as a worker gets them: framed, asked, read."""
    client, spec = served

    def rows(*pictures: Array) -> Gazes:
        return read(client, spec, pictures)

    return rows


def read(client: TritonClient, spec: ModelSpec, pictures: tuple[Array, ...]) -> Gazes:
    adapter = ADAPTERS[spec.family]
    framed = np.stack([frame_picture(picture, spec.framing) for picture in pictures])
    outputs = client.infer(spec.triton_model, adapter.to_inputs(framed), version=spec.triton_version)
    found = adapter.from_outputs(
        outputs, spec=spec, frame_offset=np.arange(len(pictures), dtype=np.int64), source_size=pictures[0].shape[1::-1]
    )
    assert isinstance(found, Gazes)
    return found


def degrees(rows: Gazes) -> Array:
    return np.degrees(np.stack([rows.yaw_rad, rows.pitch_rad], axis=1))


@pytest.fixture(scope="module")
def carphone(sample_videos: dict[str, Path]) -> Array:
    """Every 10th frame of the man in the car and the last one, uint8 [13, 144, 176, 3] RGB."""
    frames = frames_of(sample_videos["carphone_pristine.mp4"], 120)
    return np.stack([*frames[::10], frames[-1]])


def frames_of(path: Path, n: int) -> list[Array]:
    """The first n frames of a video, RGB."""
    capture, frames = cv2.VideoCapture(str(path)), []
    for _ in range(n):
        ok, frame = capture.read()
        assert ok
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    capture.release()
    return frames


@pytest.fixture(scope="module")
def portrait() -> Array:
    try:
        return astronaut(cache_folder() / "stills")
    except SourceUnavailable as missing:
        require("samples", missing.line())


def scene(portrait: Array, columns: int, rows: int) -> Array:
    """The portrait's head many times in one picture."""
    return np.tile(portrait[40:240, 124:324], (rows, columns, 1))


# ---------------------------------------------------------------- the look


def test_the_man_in_the_car_looks_ahead_and_at_last_to_the_right(look: Look, carphone: Array) -> None:
    """models.md 2: small angles up to frame 100 with a low camera, 22 degrees to the picture's right in the last."""
    found = look(*carphone[:8]), look(*carphone[8:])
    yaw, pitch = np.concatenate([degrees(rows) for rows in found]).T
    assert yaw.shape == (13,)  # one face in every frame
    assert np.abs(yaw[:11]).max() < 12
    assert np.median(yaw[:11]) == pytest.approx(4, abs=3)
    assert (pitch > -5).all()
    assert (pitch < 25).all()
    assert -30 < yaw[-1] < -12
    assert pitch[-1] > 8


def test_the_astronaut_looks_into_the_lens(look: Look, portrait: Array) -> None:
    rows = look(portrait)
    assert np.abs(degrees(rows)).max() < 8
    assert rows.confidence[0] > 0.8
    np.testing.assert_allclose(rows.xcycwh[0], [225, 122, 105, 105], atol=6)
    right_eye, left_eye, nose, mouth, right_ear, left_ear = rows.landmarks[0]
    np.testing.assert_allclose([right_eye, left_eye], [(202, 101), (247, 103)], atol=6)
    assert right_ear[0] < right_eye[0] < nose[0] < left_eye[0] < left_ear[0]
    assert right_eye[1] < nose[1] < mouth[1]


def test_a_mirrored_picture_looks_the_other_way(look: Look, carphone: Array, portrait: Array) -> None:
    turned = carphone[[0, 4, 8, 12]]
    plain, mirrored = degrees(look(*turned)), degrees(look(*turned[:, :, ::-1]))
    np.testing.assert_allclose(mirrored, plain * (-1, 1), atol=8)
    assert plain[-1, 0] < -12
    assert mirrored[-1, 0] > 12
    np.testing.assert_allclose(degrees(look(portrait[:, ::-1])), degrees(look(portrait)) * (-1, 1), atol=8)


@pytest.mark.parametrize("turn", [-30, 20, 60])
def test_a_rolled_head_looks_where_it_did(look: Look, portrait: Array, turn: float) -> None:
    """Into the lens stays into the lens, however the camera is held."""
    around = cv2.getRotationMatrix2D((224, 120), turn, 1)
    assert np.abs(degrees(look(cv2.warpAffine(portrait, around, (512, 512))))).max() < 12


@pytest.mark.parametrize("width", [128, 256, 1280])
def test_the_size_of_the_picture_changes_little(look: Look, portrait: Array, width: int) -> None:
    how = cv2.INTER_AREA if width < 512 else cv2.INTER_CUBIC
    rows = look(cv2.resize(portrait, (width, width), interpolation=how))
    np.testing.assert_allclose(degrees(rows), degrees(look(portrait)), atol=8)
    np.testing.assert_allclose(rows.xcycwh * 512 / width, look(portrait).xcycwh, atol=4)


def test_a_4k_frame_is_scaled_down_and_its_pixels_come_back(look: Look, portrait: Array) -> None:
    frame = np.full((2160, 3840, 3), 90, np.uint8)
    frame[:, 840:3000] = cv2.resize(portrait, (2160, 2160), interpolation=cv2.INTER_CUBIC)
    rows, small = look(frame), look(portrait)
    np.testing.assert_allclose(degrees(rows), degrees(small), atol=8)
    factor = 2160 / 512
    np.testing.assert_allclose(rows.xcycwh, small.xcycwh * factor + (840, 0, 0, 0), atol=25)
    np.testing.assert_allclose(rows.landmarks, small.landmarks * factor + (840, 0), atol=35)


# ---------------------------------------------------------------- how many


def test_every_face_of_a_picture_is_there(look: Look, portrait: Array) -> None:
    rows = look(scene(portrait, 4, 3))
    assert len(rows) == 12
    cells = {(int(x // 200), int(y // 200)) for x, y in rows.xcycwh[:, :2]}
    assert len(cells) == 12
    assert np.abs(degrees(rows)).max() < 12
    assert (np.diff(rows.confidence) <= 0).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (37, 53), (720, 1280)])
@pytest.mark.parametrize("grey", [0, 128])
def test_a_picture_without_a_face_has_no_rows(look: Look, size: tuple[int, int], grey: int) -> None:
    assert len(look(np.full((*size, 3), grey, np.uint8))) == 0


def test_what_only_the_detector_takes_for_a_face_is_left_out(
    look: Look, served: tuple[TritonClient, ModelSpec], sample_videos: dict[str, Path]
) -> None:
    """Frame 210 of the street: ironwork that `faces` gives 0.41."""
    client, _ = served
    picture = frames_of(sample_videos["bikes.mp4"], 211)[-1]
    square = np.zeros((1, 192, 192, 3), np.uint8)
    square[0, 55:137] = cv2.resize(picture, (192, 82), interpolation=cv2.INTER_AREA)
    assert client.infer("faces", {"image": square})["count"][0, 0] >= 1
    assert len(look(picture)) == 0


def test_an_answer_does_not_depend_on_its_neighbours(
    served: tuple[TritonClient, ModelSpec], look: Look, portrait: Array
) -> None:
    """Faces of all pictures go through mesh and iris together: to the bit what each picture gives alone."""
    pictures = [portrait, np.zeros_like(portrait), portrait[:, ::-1], cv2.resize(scene(portrait, 3, 3), (512, 512))]
    together, singly = look(*pictures), [look(picture) for picture in pictures]
    assert [len(rows) for rows in singly] == [1, 0, 1, 9]
    for i, rows in enumerate(singly):
        mine = together.select(np.array([i]))
        for name, values in rows.columns().items():
            np.testing.assert_array_equal(mine.columns()[name], values)


def test_a_picture_that_is_none_is_refused_and_the_next_one_is_answered(
    served: tuple[TritonClient, ModelSpec], look: Look, portrait: Array
) -> None:
    client, spec = served
    with pytest.raises(InferenceError):
        client.infer(spec.triton_model, {"image": np.zeros((1, 0, 0, 3), np.uint8)})
    with pytest.raises(InferenceError):
        client.infer(spec.triton_model, {"image": np.zeros((1, 8, 8, 3), np.float32)})
    assert len(look(portrait)) == 1


# ---------------------------------------------------------------- the parts


def test_the_shares_of_head_and_eyes_add_up(served: tuple[TritonClient, ModelSpec], carphone: Array) -> None:
    client, spec = served
    outputs = client.infer(spec.triton_model, {"image": carphone[[0, 12]]})
    head_yaw, head_pitch, eye_yaw, eye_pitch = (outputs[name][:, 0] for name in EXTRAS)
    np.testing.assert_allclose(head_yaw + eye_yaw, outputs["yaw"][:, 0], atol=1e-6)
    np.testing.assert_allclose(head_pitch + eye_pitch, outputs["pitch"][:, 0], atol=1e-6)
    assert head_yaw[1] < head_yaw[0] - 0.05  # head and eyes both turn
    assert eye_yaw[1] < eye_yaw[0] - 0.05


@pytest.mark.parametrize(("model", "side", "names"), [
    ("gaze_mesh", 192, ("landmarks", "presence")),
    ("gaze_iris", 64, ("contour", "iris")),
])  # fmt: skip
def test_the_server_gives_what_the_network_gives(
    served: tuple[TritonClient, ModelSpec], portrait: Array, model: str, side: int, names: tuple[str, str]
) -> None:
    """And a batch gives to the bit what its rows give alone, which is why faces may be sent together."""
    client, _ = served
    crop = cv2.resize(portrait[40:230, 130:320] if side == 192 else portrait[80:125, 180:225], (side, side))
    noise = np.random.default_rng(0).integers(0, 256, (6, side, side, 3), np.uint8)
    batch = np.stack([crop, crop[:, ::-1], *noise])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = ROOT / "triton_models" / model / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    answer = client.infer(model, {"image": batch})
    for name, expected in zip(names, session.run(list(names), {"image": batch}), strict=True):
        np.testing.assert_allclose(answer[name], expected, atol=1e-3)
        singly = [client.infer(model, {"image": batch[i : i + 1]})[name] for i in range(len(batch))]
        np.testing.assert_array_equal(answer[name], np.concatenate(singly))


def test_the_model_asks_as_its_steps_take_it() -> None:
    """The side of the faces' picture and the rows of a call are said twice; `check` cannot see that they agree."""
    settings = resolve(load_specs([ROOT / "triton_models"]), "gaze").settings
    sizes = {}
    for step in ("faces", "gaze_mesh", "gaze_iris"):
        text = (ROOT / "triton_models" / step / "config.pbtxt").read_text()
        sizes[step] = int(text.split("max_batch_size:")[1].split()[0])
    assert int(settings["rows_per_call"]) <= min(sizes.values())
    faces = resolve(load_specs([ROOT / "triton_models"]), "faces").framing
    assert (faces.mode, faces.anchor, faces.pad) == ("letterbox", "centre", 0)
    assert int(settings["faces_side"]) == faces.width == faces.height


# ---------------------------------------------------------------- a learned network in its place


def brightness(rows: int | str) -> onnx.ModelProto:
    """Two times 90 bins, side 16, no training: the mean red of the picture is the yaw, its mean blue the pitch."""
    weights, rest = np.zeros((3, 180), np.float32), np.full(180, -30, np.float32)
    for colour, low, high in ((0, 30, 45), (2, 90 + 40, 90 + 55)):
        weights[colour, low], weights[colour, high] = -1, 1
        rest[[low, high]] = 0
    constants = [
        numpy_helper.from_array(array, name)
        for name, array in (("weights", weights), ("rest", rest), ("bins", np.array([90, 90])))
    ]
    nodes = [
        helper.make_node("GlobalAveragePool", ["input"], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"], axis=1),
        helper.make_node("Gemm", ["flat", "weights", "rest"], ["both"]),
        helper.make_node("Split", ["both", "bins"], ["yaw", "pitch"], axis=1),
    ]
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [rows, 90]) for name in ("yaw", "pitch")]
    taken = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [rows, 3, 16, 16])
    graph = helper.make_graph(nodes, "brightness", [taken], ports, initializer=constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


CARD = """
slug = "{slug}"
title = "Brightness as a look"
family = "gaze"
kind = "gazes"
max_batch = 4
[input]
name = "image"
width = 1280
height = 1280
resize = "fit"
[[versions]]
version = "1"
triton_version = "1"
"""


@pytest.mark.parametrize("rows", ["n", 1])
def test_a_learned_network_is_asked_for_each_face(
    load_served: Callable[[str], tuple[TritonClient, ModelSpec]],
    added_models: Path,
    look: Look,
    portrait: Array,
    rows: int | str,
) -> None:
    slug, network = f"learned{rows}", fold_gaze(brightness(rows))
    for name, content in gaze_files(network, folder=slug, network=f"{slug}_network").items():
        (added_models / name).parent.mkdir(parents=True, exist_ok=True)
        (added_models / name).write_bytes(content)
    (added_models / slug / "card.toml").write_text(CARD.format(slug=slug))
    client, spec = load_served(slug)
    assert set(spec.steps) == {"faces_nms", "faces_network", "faces", f"{slug}_network", slug}
    tint = np.ones((3, 3, 3))
    tint[..., 0] *= np.array([1, 0.85, 0.7])  # every column has its red, every row its blue
    tint[..., 2] *= np.array([[1], [0.85], [0.7]])
    tinted = (scene(portrait, 3, 3) * tint.repeat(200, axis=0).repeat(200, axis=1)).astype(np.uint8)
    pictures = portrait, np.zeros_like(portrait), cv2.resize(tinted, (512, 512))
    found = read(client, spec, pictures)
    geometric = look(*pictures)
    assert np.bincount(found.frame_offset).tolist() == [1, 0, 9]
    np.testing.assert_array_equal(found.xcycwh, geometric.xcycwh)
    np.testing.assert_array_equal(found.landmarks, geometric.landmarks)
    session = onnxruntime.InferenceSession(network.SerializeToString(), providers=["CPUExecutionProvider"])
    for i, (x, y, width, height) in enumerate(found.xcycwh):
        picture = pictures[found.frame_offset[i]]
        left, top = round(float(x - width / 2)), round(float(y - height / 2))
        face = picture[top : top + round(float(height)), left : left + round(float(width))]
        square = cv2.resize(face, (16, 16), interpolation=cv2.INTER_AREA)[None]
        batch = square if rows == 1 else np.repeat(square, 2, axis=0)
        expected = session.run(None, {"image": batch})[0][0]
        np.testing.assert_allclose([found.yaw_rad[i], found.pitch_rad[i]], expected, atol=0.03)
    assert np.ptp(found.yaw_rad) > 0.1
    assert np.ptp(found.pitch_rad) > 0.1
