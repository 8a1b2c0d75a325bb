"""Networks that are fetched ready-made get their first and last steps: on small graphs of the documented shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from framehouse.errors import ConfigError
from framehouse.inference.convert import nudenet, ppocr
from framehouse.inference.convert.around import Around, pixels_before
from framehouse.inference.convert.graph import IR_VERSION, Port

Array = NDArray[Any]
Dims = Sequence[int | str]

FREE = ("n", 3, "h", "w")


def network(
    nodes: Sequence[Any],
    takes: tuple[str, Dims],
    gives: tuple[str, Dims],
    *,
    opset: int = 12,
    constants: dict[str, Array] | None = None,
    facts: dict[str, str] | None = None,
) -> bytes:
    """An ONNX file from one float tensor to another, of a newer format than servers read."""
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(dims)) for name, dims in (takes, gives)]
    held = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "network", ports[:1], ports[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    helper.set_model_props(model, facts or {})
    return bytes(model.SerializeToString())


def run(model: bytes, pictures: Array) -> list[Array]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return list(session.run(None, {"image": pictures}))


@pytest.fixture
def pictures() -> Array:
    return np.random.default_rng(5).integers(0, 256, (2, 32, 64, 3), np.uint8)


# ---------------------------------------------------------------- the frame around a network

ECHO = network([helper.make_node("Identity", ["x"], ["y"])], ("x", FREE), ("y", FREE))


@pytest.mark.parametrize(("blue_first", "scale", "shift"), [(True, 2 / 255, -1), (False, 1 / 255, 0)])
def test_pixels_reach_the_network(pictures: Array, blue_first: bool, scale: float, shift: float) -> None:
    around = Around(ECHO, "x", "y")
    pixels_before(around, "image", "x", blue_first=blue_first, scale=scale, shift=shift)
    made = around.model(
        [Port("image", "uint8", ("n", "h", "w", 3))], [Port("y", "float32", FREE)], {"b": "2", "a": "1"}
    )
    expected = (pictures[..., ::-1] if blue_first else pictures).transpose(0, 3, 1, 2) * np.float64(scale) + shift
    np.testing.assert_allclose(run(made, pictures)[0], expected, atol=1e-6)
    model = onnx.load_from_string(made)
    assert model.ir_version == IR_VERSION
    assert [(fact.key, fact.value) for fact in model.metadata_props] == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize(
    ("file", "said"), [(b"nonsense", "not an ONNX file"), (ECHO, r"\['x'\] to \['y'\], expected x to z")]
)
def test_another_file_is_refused(file: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        Around(file, "x", "z")
    assert caught.value.code == "models.convert"


# ---------------------------------------------------------------- PP-OCR


def det_network(opset: int = 12) -> bytes:
    """Its heat is the green channel."""
    nodes = [helper.make_node("Gather", ["x", "green"], ["sigmoid_0.tmp_0"], axis=1)]
    green = {"green": np.array([1], np.int64)}
    return network(nodes, ("x", FREE), ("sigmoid_0.tmp_0", ("n", 1, "h", "w")), opset=opset, constants=green)


def rec_network(facts: dict[str, str]) -> bytes:
    """[N, 3, 48, W] to [N, W, 6]: each column's mean value per channel, three times as large and negative."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("Transpose", ["mean"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("Neg", ["columns"], ["negative"]),
        helper.make_node("Concat", ["columns", "negative"], ["softmax_11.tmp_0"], axis=2),
    ]
    return network(nodes, ("x", ("n", 3, 48, "w")), ("softmax_11.tmp_0", ("n", "w", 6)), facts=facts)


def test_the_detector_gives_a_map_for_each_picture(pictures: Array) -> None:
    (heat,) = run(ppocr.det(det_network()), pictures)
    np.testing.assert_allclose(heat, pictures[..., 1] / np.float64(127.5) - 1, atol=1e-6)


def test_the_classifier_keeps_its_two_numbers(pictures: Array) -> None:
    gives = "save_infer_model/scale_0.tmp_1"
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Gather", ["mean", "two"], [gives], axis=1),
    ]
    made = ppocr.cls(
        network(nodes, ("x", FREE), (gives, ("n", 2)), opset=11, constants={"two": np.array([0, 1], np.int64)})
    )
    slips = np.resize(pictures, (3, 48, 192, 3))
    (upright,) = run(made, slips)
    np.testing.assert_allclose(upright, slips[..., [2, 1]].mean(axis=(1, 2)) / 127.5 - 1, atol=1e-5)


def test_the_reader_gives_signs() -> None:
    """Signs are: nothing, a, 漢, b, c, space; the best of blue, green, red and their negatives is taken."""
    made = ppocr.rec(rec_network({"character": "a\n漢\nb\nc"}))
    line = np.full((1, 48, 6, 3), 127, np.uint8)
    line[0, :, 0, 2] = line[0, :, 1, 1] = line[0, :, 2, 0] = 255  # blue, green, red
    line[0, :, 3, 2] = line[0, :, 4, 1] = line[0, :, 5, 0] = 0
    letters, probabilities, spaces = run(made, line)
    assert letters.tolist() == [["", "a", "漢", "b", "c", " "]]
    assert probabilities == pytest.approx(np.ones((1, 6)), abs=1e-5)
    assert spaces.shape == (1, 6)
    assert spaces[0, 5] == pytest.approx(1)
    assert spaces[0, 2] == pytest.approx(-1)


@pytest.mark.parametrize("facts", [{}, {"character": ""}, {"character": "a\nb\na\nc"}, {"character": "a\n\nb\nc"}])
def test_a_reader_without_its_signs_is_refused(facts: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="signs") as caught:
        ppocr.rec(rec_network(facts))
    assert caught.value.code == "models.convert"


def test_a_network_of_other_operators_is_refused() -> None:
    with pytest.raises(ConfigError, match="opset 13"):
        ppocr.det(det_network(opset=13))


# ---------------------------------------------------------------- NudeNet

PLACES = 2100


def nude_network(raw: Array, opset: int = 17) -> bytes:
    """It says `raw` [1, 22, 2100] of every picture."""
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Squeeze", ["mean", "one"], ["flat"]),
        helper.make_node("Mul", ["flat", "zero"], ["none"]),
        helper.make_node("Add", ["none", "raw"], ["output0"]),
    ]
    constants = {"one": np.array([1], np.int64), "zero": np.array(0, np.float32), "raw": raw}
    takes, gives = ("images", ("n", 3, 320, 320)), ("output0", ("n", 22, PLACES))
    return network(nodes, takes, gives, opset=opset, constants=constants)


def plain(raw: Array) -> Array:
    """Candidates [300, 6] by the definition."""
    scores = np.delete(raw[4:], 12, axis=0)
    scores[1] = np.maximum(raw[5], raw[16])
    best = np.argsort(-scores.max(axis=0), kind="stable")[:300]
    x, y, width, height = raw[:4, best]
    corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    return np.stack([*corners, scores.max(axis=0)[best], scores.argmax(axis=0)[best]], axis=1)


def test_candidates_are_the_best_places_with_one_class_of_faces() -> None:
    random = np.random.default_rng(2)
    raw = np.concatenate([random.uniform(0, 320, (4, PLACES)), random.uniform(0, 1, (18, PLACES))]).astype(np.float32)
    made = nudenet.network(nude_network(raw[None]))
    (candidates,) = run(made, np.zeros((2, 320, 320, 3), np.uint8))
    assert candidates.shape == (2, 300, 6)
    for picture in candidates:
        np.testing.assert_allclose(picture, plain(raw), atol=1e-4)


@pytest.mark.parametrize(("of_network", "ours"), [(0, 0), (1, 1), (12, 1), (2, 2), (11, 11), (13, 12), (17, 16)])
def test_each_class_has_its_label(of_network: int, ours: int) -> None:
    raw = np.zeros((1, 22, PLACES), np.float32)
    raw[0, 4 + of_network, 77] = 0.7
    raw[0, :4, 77] = 100, 50, 20, 10
    (candidates,) = run(nudenet.network(nude_network(raw)), np.zeros((1, 320, 320, 3), np.uint8))
    assert candidates[0, 0] == pytest.approx([90, 45, 110, 55, 0.7, ours])
    assert candidates[0, 1, 4] == 0


def test_another_export_of_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="opset 16"):
        nudenet.network(nude_network(np.zeros((1, 22, PLACES), np.float32), opset=16))


# ---------------------------------------------------------------- both


@pytest.mark.parametrize(
    ("convert", "file"),
    [
        (ppocr.det, det_network()),
        (ppocr.rec, rec_network({"character": "a\n漢\nb\nc"})),
        (nudenet.network, nude_network(np.zeros((1, 22, PLACES), np.float32))),
    ],
)
def test_the_same_file_gives_the_same_bytes(convert: Callable[[bytes], bytes], file: bytes) -> None:
    assert convert(file) == convert(file)
