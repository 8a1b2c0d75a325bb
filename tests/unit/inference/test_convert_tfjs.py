"""Each translated operation against a plain numpy form of the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import GraphBuilder, Port
from framehouse.inference.convert.tfjs import read_graph
from framehouse.inference.convert.translate import Tensor, Translator

Array = NDArray[Any]
SHAPE = (2, 6, 5, 3)
RNG = np.random.default_rng(7)
PICTURE = RNG.normal(0, 4, SHAPE).astype(np.float32)


def attribute(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"b": value}
    if isinstance(value, str):
        return {"s": base64.b64encode(value.encode()).decode()}
    if isinstance(value, list) and isinstance(value[0], str):
        return {"list": {"s": [base64.b64encode(text.encode()).decode() for text in value]}}
    if isinstance(value, list):
        return {"list": {"i": [str(number) for number in value]}}
    return {"i": str(value)}


def write_graph(folder: Path, nodes: list[dict[str, Any]], weights: dict[str, Array]) -> Path:
    placeholder = {"name": "pictures", "op": "Placeholder"}
    constants = [{"name": name, "op": "Const"} for name in weights]
    manifest = [{"name": n, "shape": list(a.shape), "dtype": str(a.dtype)} for n, a in weights.items()]
    document = {
        "format": "graph-model",
        "modelTopology": {"node": [placeholder, *constants, *nodes]},
        "weightsManifest": [{"paths": ["w.bin"], "weights": manifest}],
    }
    (folder / "w.bin").write_bytes(b"".join(array.tobytes() for array in weights.values()))
    (folder / "graph.json").write_text(json.dumps(document))
    return folder / "graph.json"


def run(path: Path, wanted: str, picture: Array = PICTURE) -> Array:
    """The wanted tensor in the layout of the source, computed by onnxruntime from the translated graph."""
    builder = GraphBuilder("test")
    given = {"pictures": Tensor(builder.op("Transpose", ["image"], "turned", perm=(0, 3, 1, 2)), "nchw")}
    translator = Translator(read_graph(path), builder, given)
    builder.op("Identity", [translator.named(wanted, "source")], "result")
    rank = 2 if wanted == "flat_mean" else 4
    dims = [f"d{i}" for i in range(rank)]
    model = builder.model([Port("image", "float32", SHAPE)], [Port("result", "float32", tuple(dims))], {})
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": picture})[0])


def node(name: str, op: str, inputs: list[str], **attributes: object) -> dict[str, Any]:
    return {"name": name, "op": op, "input": inputs, "attr": {k: attribute(v) for k, v in attributes.items()}}


def convolve(x: Array, w: Array, stride: int, dilation: int, *, same: bool) -> Array:
    """TensorFlow's Conv2D by its definition; w is [height, width, in, out]."""
    reach = [dilation * (side - 1) + 1 for side in w.shape[:2]]
    size = [-(-s // stride) if same else (s - r) // stride + 1 for s, r in zip(x.shape[1:3], reach, strict=True)]
    pads = [max((n - 1) * stride + r - s, 0) if same else 0 for n, r, s in zip(size, reach, x.shape[1:3], strict=True)]
    x = np.pad(x, [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
    out = np.zeros((x.shape[0], *size, w.shape[3]))
    for row in range(size[0]):
        for column in range(size[1]):
            top, left = row * stride, column * stride
            patch = x[:, top : top + reach[0] : dilation, left : left + reach[1] : dilation]
            out[:, row, column] = np.einsum("nhwc,hwco->no", patch, w)
    return out


@pytest.mark.parametrize(
    ("stride", "dilation", "padding"), [(1, 1, "SAME"), (2, 1, "SAME"), (2, 1, "VALID"), (1, 2, "SAME")]
)
@pytest.mark.parametrize("activation", [[], ["Relu"], ["Relu6"], ["Prelu"]])
def test_convolution(tmp_path: Path, stride: int, dilation: int, padding: str, activation: list[str]) -> None:
    w, bias, slope = RNG.normal(size=(3, 3, 3, 4)), RNG.normal(size=4), RNG.normal(size=(1, 1, 4))
    weights = {k: v.astype(np.float32) for k, v in {"w": w, "bias": bias, "slope": slope}.items()}
    inputs = ["pictures", "w", "bias", *(["slope"] if activation == ["Prelu"] else [])]
    made = node(
        "c",
        "_FusedConv2D",
        inputs,
        strides=[1, stride, stride, 1],
        dilations=[1, dilation, dilation, 1],
        padding=padding,
        fused_ops=["BiasAdd", *activation],
    )
    plain = convolve(PICTURE, w, stride, dilation, same=padding == "SAME") + bias
    expected = {
        "": plain,
        "Relu": np.maximum(plain, 0),
        "Relu6": np.clip(plain, 0, 6),
        "Prelu": np.where(plain > 0, plain, plain * slope),
    }["".join(activation)]
    np.testing.assert_allclose(run(write_graph(tmp_path, [made], weights), "c"), expected, rtol=1e-4, atol=1e-4)


def test_depthwise_convolution_with_two_filters_a_channel(tmp_path: Path) -> None:
    w = RNG.normal(size=(3, 3, 3, 2)).astype(np.float32)
    made = node("d", "DepthwiseConv2dNative", ["pictures", "w"], strides=[1, 1, 1, 1], padding="SAME")
    each = [convolve(PICTURE[..., [c]], w[:, :, [c]], 1, 1, same=True) for c in range(3)]
    result = run(write_graph(tmp_path, [made], {"w": w}), "d")
    np.testing.assert_allclose(result, np.concatenate(each, axis=3), rtol=1e-4, atol=1e-4)


ELEMENTWISE: list[tuple[str, Callable[[Array, Array], Array]]] = [
    ("AddV2", np.add),
    ("Sub", np.subtract),
    ("Mul", np.multiply),
    ("RealDiv", np.divide),
    ("Maximum", np.maximum),
    ("Minimum", np.minimum),
]


@pytest.mark.parametrize(("op", "plain"), ELEMENTWISE)
@pytest.mark.parametrize("shape", [(), (3,), (5, 3), (1, 6, 1, 3), (6, 5, 3)])
def test_elementwise_with_a_constant_broadcasts_as_in_the_source(
    tmp_path: Path, op: str, plain: Callable[[Array, Array], Array], shape: tuple[int, ...]
) -> None:
    constant = np.asarray(RNG.normal(1, 0.1, shape), np.float32)
    path = write_graph(tmp_path, [node("e", op, ["pictures", "k"])], {"k": constant})
    np.testing.assert_allclose(run(path, "e"), plain(PICTURE, constant), rtol=1e-5)


UNARY: list[tuple[str, Callable[[Array], Array]]] = [
    ("Relu", lambda x: np.maximum(x, 0)),
    ("Relu6", lambda x: np.clip(x, 0, 6)),
    ("Sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    ("Identity", lambda x: x),
]


@pytest.mark.parametrize(("op", "plain"), UNARY)
def test_unary(tmp_path: Path, op: str, plain: Callable[[Array], Array]) -> None:
    np.testing.assert_allclose(
        run(write_graph(tmp_path, [node("u", op, ["pictures"])], {}), "u"), plain(PICTURE), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("axis", [3, -1, 1])
def test_concat(tmp_path: Path, axis: int) -> None:
    nodes = [node("r", "Relu", ["pictures"]), node("j", "ConcatV2", ["pictures", "r", "axis"])]
    path = write_graph(tmp_path, nodes, {"axis": np.array([axis], np.int32)})
    np.testing.assert_array_equal(run(path, "j"), np.concatenate([PICTURE, np.maximum(PICTURE, 0)], axis=axis))


def test_mean_keeps_or_drops_the_axes(tmp_path: Path) -> None:
    axes = {"axes": np.array([1, 2], np.int32)}
    kept = write_graph(tmp_path, [node("m", "Mean", ["pictures", "axes"], keep_dims=True)], axes)
    np.testing.assert_allclose(run(kept, "m"), PICTURE.mean(axis=(1, 2), keepdims=True), rtol=1e-4)
    dropped = write_graph(tmp_path, [node("flat_mean", "Mean", ["pictures", "axes"])], axes)
    np.testing.assert_allclose(run(dropped, "flat_mean"), PICTURE.mean(axis=(1, 2)), rtol=1e-4)


def test_max_pool(tmp_path: Path) -> None:
    made = node("p", "MaxPool", ["pictures"], ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID")
    expected = PICTURE[:, :6, :4].reshape(2, 3, 2, 2, 2, 3).max(axis=(2, 4))
    np.testing.assert_array_equal(run(write_graph(tmp_path, [made], {}), "p"), expected)


@pytest.mark.parametrize("flags", [{}, {"half_pixel_centers": True}, {"align_corners": True}])
def test_resize_bilinear(tmp_path: Path, flags: dict[str, bool]) -> None:
    height, width = 12, 10
    made = node("s", "ResizeBilinear", ["pictures", "size"], **flags)
    path = write_graph(tmp_path, [made], {"size": np.array([height, width], np.int32)})

    def places(n: int, m: int) -> Array:
        if flags.get("align_corners"):
            return np.arange(m) * (n - 1) / (m - 1)
        return (np.arange(m) + 0.5) * n / m - 0.5 if flags else np.arange(m) * n / m

    def along(x: Array, axis: int, m: int) -> Array:
        where = np.clip(places(x.shape[axis], m), 0, x.shape[axis] - 1)
        low = np.floor(where).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        share = (where - low).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        return x.take(low, axis) * (1 - share) + x.take(high, axis) * share

    expected = along(along(PICTURE.astype(np.float64), 1, height), 2, width)
    np.testing.assert_allclose(run(path, "s"), expected, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- reading, and the writer


def test_weights_stored_small_are_read_as_floats(tmp_path: Path) -> None:
    path = write_graph(tmp_path, [], {"unused": np.zeros(0, np.float32)})
    document = json.loads(path.read_text())
    document["weightsManifest"][0]["weights"] = [
        {"name": "half", "shape": [2], "dtype": "float32", "quantization": {"dtype": "float16"}},
        {
            "name": "byte",
            "shape": [],
            "dtype": "float32",
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
        },
    ]
    path.write_text(json.dumps(document))
    (tmp_path / "w.bin").write_bytes(np.array([1.5, -2.0], np.float16).tobytes() + bytes([7]))
    weights = read_graph(path).weights
    assert weights["half"].tolist() == [1.5, -2.0]
    assert weights["byte"] == np.float32(2.5)
    for content in (b"\0\0\0\0", bytes(9)):
        (tmp_path / "w.bin").write_bytes(content)
        with pytest.raises(ConfigError, match="weights"):
            read_graph(path)


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    path = write_graph(tmp_path, [node("x", "WaveNet", ["pictures"])], {})
    with pytest.raises(ConfigError, match="WaveNet"):
        run(path, "x")
    path.write_text('{"format": "layers-model"}')
    with pytest.raises(ConfigError, match="not a TensorFlow"):
        read_graph(path)


@pytest.mark.parametrize(("value", "halved"), [(0.5, True), (1 / 3, False), (1e9, False)])
def test_weights_are_stored_small_only_where_nothing_is_lost(value: float, halved: bool) -> None:
    def model() -> bytes:
        builder = GraphBuilder("weights")
        weights = builder.constant("weights", np.full(5000, value, np.float32))
        builder.op("Add", ["x", weights], "y")
        return builder.model([Port("x", "float32", (5000,))], [Port("y", "float32", (5000,))], {"b": "2", "a": "1"})

    session = onnxruntime.InferenceSession(model(), providers=["CPUExecutionProvider"])
    result = session.run(None, {"x": np.zeros(5000, np.float32)})[0]
    assert np.array_equal(result, np.full(5000, value, np.float32))
    assert (len(model()) < 12_000) is halved
    assert model() == model()
