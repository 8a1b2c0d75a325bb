"""Gaze networks folded into `image` in, `angles` out, run by onnxruntime against the same arithmetic in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from framehouse.errors import ConfigError
from framehouse.inference.exports.gaze import fold_gaze, gaze_files
from framehouse.inference.model_config import called, parameters
from framehouse.inference.pbtxt import parse

Array = NDArray[Any]
SIDE = 8


def network(
    widths: Sequence[int],
    *,
    rows: int | str = "n",
    side: int | str = SIDE,
    flat: bool = False,
    half: bool = False,
    opset: int = 18,
    taken: str = "image",
) -> onnx.ModelProto:
    """Means of the three planes times random weights, one output per width; `flat` gives [N] instead of [N, 1]."""
    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    dtype = np.float16 if half else np.float32
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("GlobalAveragePool", [taken], ["means"]),
        helper.make_node("Flatten", ["means"], ["flat"], axis=1),
    ]
    constants, ports = [], []
    for number, width in enumerate(widths):
        constants.append(numpy_helper.from_array(rng.normal(size=(3, width)).astype(dtype), f"weights{number}"))
        out = f"out{number}"
        nodes.append(helper.make_node("MatMul", ["flat", f"weights{number}"], [f"{out}{'_' if flat else ''}"]))
        if flat:
            constants.append(numpy_helper.from_array(np.array([-1]), f"one{number}"))
            nodes.append(helper.make_node("Reshape", [f"{out}_", f"one{number}"], [out]))
        ports.append(helper.make_tensor_value_info(out, kind, [rows] if flat else [rows, width]))
    image = helper.make_tensor_value_info(taken, kind, [rows, 3, side, side])
    graph = helper.make_graph(nodes, "tiny", [image], ports, initializer=constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(model: onnx.ModelProto, **feeds: Array) -> list[Array]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def pictures(n: int = 3, side: int = SIDE) -> Array:
    return np.random.default_rng(1).integers(0, 256, (n, side, side, 3), np.uint8)


def scaled(image: Array) -> Array:
    """As torchvision does it: to 0..1, then by ImageNet's mean and standard deviation; planes first."""
    values = (image / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    return values.transpose(0, 3, 1, 2).astype(np.float32)


def expected_angle(logits: Array, step: float, depth: float) -> Array:
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    return np.asarray(np.radians((chances * np.arange(logits.shape[1])).sum(axis=1) * step - depth))


@pytest.mark.parametrize(("bins", "step", "depth"), [(90, 4, 180), (28, 3, 42)])
@pytest.mark.parametrize("opset", [11, 18])
def test_bins_become_the_expected_angle(bins: int, step: float, depth: float, opset: int) -> None:
    model, image = network([bins, bins], opset=opset), pictures()
    first, second = run(model, image=scaled(image))
    (found,) = run(fold_gaze(model), image=image)
    expected = np.stack([expected_angle(first, step, depth), expected_angle(second, step, depth)], axis=1)
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_one_sure_bin_is_its_own_angle() -> None:
    """Bin 0 is -180 degrees, bin 45 straight ahead, bin 89 176 degrees: radians = (sum of i * 4 - 180) * pi / 180."""
    for sure, degrees in ((0, -180), (45, 0), (89, 176)):
        logits = np.full((3, 90), -100, np.float32)
        logits[:, sure] = 100
        model = network([90, 90])
        for tensor in model.graph.initializer:
            tensor.CopyFrom(numpy_helper.from_array(logits, tensor.name))
        (found,) = run(fold_gaze(model), image=np.full((1, SIDE, SIDE, 3), 255, np.uint8))
        np.testing.assert_allclose(found, np.radians([[degrees, degrees]]), atol=1e-5)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_angles_pass_through(flat: bool, half: bool) -> None:
    model, image = network([1, 1], flat=flat, half=half), pictures()
    given = run(model, image=scaled(image).astype(np.float16 if half else np.float32))
    (found,) = run(fold_gaze(model), image=image)
    assert (found.shape, found.dtype) == ((3, 2), np.float32)
    np.testing.assert_allclose(found, np.stack([g.ravel() for g in given], axis=1), atol=5e-3 if half else 1e-6)


def test_one_output_may_hold_both_angles_and_either_may_come_first() -> None:
    model, image = network([2]), pictures()
    (found,), (swapped,) = run(fold_gaze(model), image=image), run(fold_gaze(model, vertical_first=True), image=image)
    np.testing.assert_allclose(found, run(model, image=scaled(image))[0], atol=1e-6)
    np.testing.assert_array_equal(swapped, found[:, ::-1])
    bins = network([90, 90])
    (found,), (swapped,) = run(fold_gaze(bins), image=image), run(fold_gaze(bins, vertical_first=True), image=image)
    np.testing.assert_array_equal(swapped, found[:, ::-1])
    assert not np.array_equal(swapped, found)


def test_an_answer_does_not_depend_on_the_batch() -> None:
    model, image = fold_gaze(network([90, 90])), pictures(5)
    (together,) = run(model, image=image)
    singly = np.concatenate([run(model, image=image[i : i + 1])[0] for i in range(5)])
    np.testing.assert_array_equal(together, singly)


def test_names_of_the_network_do_not_meet_ours_and_the_model_given_stays_as_it_is() -> None:
    model = network([90, 90], taken="angles")
    before = model.SerializeToString(deterministic=True)
    folded = fold_gaze(model)
    assert [port.name for port in folded.graph.input] == ["image"]
    assert [port.name for port in folded.graph.output] == ["angles"]
    assert model.SerializeToString(deterministic=True) == before
    run(folded, image=pictures())


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (network([90]), "two outputs of 90 or 28 bins"),
        (network([90, 28]), "two outputs"),
        (network([3]), "two outputs"),
        (network([1, 1, 1]), "two outputs"),
        (network([90, 90], side="s"), None),
    ],
)
def test_other_networks_are_refused(model: onnx.ModelProto, said: str | None) -> None:
    if said is None:  # a free size is no fault: it is then the usual one
        assert [d.dim_value for d in fold_gaze(model).graph.input[0].type.tensor_type.shape.dim] == [0, 448, 448, 3]
        return
    with pytest.raises(ConfigError, match=said) as refused:
        fold_gaze(model)
    assert refused.value.code == "models.gaze"


def test_a_network_of_grey_or_oblong_pictures_is_refused() -> None:
    for dims in (["n", 1, 8, 8], ["n", 3, 8, 16], ["n", 8, 8, 3], [3, 8, 8]):
        model = network([90, 90])
        model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, dims))
        with pytest.raises(ConfigError, match=r"float \[N, 3, S, S\]"):
            fold_gaze(model)


@pytest.mark.parametrize(("rows", "size", "per_call"), [("n", "8", "8"), (1, "0", "1")])
def test_the_folders_fit_each_other(rows: int | str, size: str, per_call: str) -> None:
    written = gaze_files(fold_gaze(network([90, 90], rows=rows)), folder="looks", network="looks_network")
    assert set(written) == {
        *("looks/config.pbtxt", "looks/1/model.py", "looks/1/crops.py", "looks/1/steps.py"),
        *("looks_network/config.pbtxt", "looks_network/1/model.onnx"),
    }
    asking, asked = (parse(written[f"{name}/config.pbtxt"].decode()) for name in ("looks", "looks_network"))
    assert called(asking) == [("faces", "1"), ("looks_network", "1")]
    assert parameters(asking)["network_side"] == str(SIDE)
    assert parameters(asking)["rows_per_call"] == per_call
    assert [str(value) for value in asked["max_batch_size"]] == [size]
    dims = [int(dim) for dim in asked["input"][0]["dims"]]
    assert dims == ([SIDE, SIDE, 3] if rows == "n" else [1, SIDE, SIDE, 3])
