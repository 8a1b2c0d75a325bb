"""TFLite files written here, with the official flatbuffer writer, against a plain numpy form of each operation."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.flatbuffer import Table, root
from framehouse.inference.convert.graph import GraphBuilder, Port
from framehouse.inference.convert.lite_translate import LiteTranslator
from framehouse.inference.convert.mediapipe import convert_faces, convert_iris, convert_mesh, convert_selfie
from framehouse.inference.convert.tflite import read_lite
from framehouse.inference.convert.translate import Tensor

Array = NDArray[Any]
SHAPE = (1, 6, 4, 3)
RNG = np.random.default_rng(7)
PICTURES = RNG.normal(0, 3, (2, *SHAPE[1:])).astype(np.float32)
CODES = {
    "ADD": 0, "AVERAGE_POOL_2D": 1, "CONCATENATION": 2, "CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "DEQUANTIZE": 6,
    "LOGISTIC": 14, "MAX_POOL_2D": 17, "MUL": 18, "RELU": 19, "RESHAPE": 22, "RESIZE_BILINEAR": 23, "PAD": 34,
    "MEAN": 40, "PRELU": 54, "HARD_SWISH": 117, "TANH": 28, "LATE": 128,
}  # fmt: skip
TYPES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3}
SAME, VALID = 0, 1
RELU, RELU6, TANH = 1, 3, 4


@dataclass(frozen=True)
class Op:
    """An operation: tensor names, and its options as (field, form, value)."""

    kind: str
    inputs: tuple[str, ...]
    output: str = "out"
    options: tuple[tuple[int, str, int], ...] = ()
    custom_options: bytes = b""


# ---------------------------------------------------------------- writing


def write(folder: Path, ops: list[Op], weights: dict[str, Array], shapes: dict[str, tuple[int, ...]]) -> Path:
    """A model of one picture in `picture`; the last operation's output is its output."""
    builder = flatbuffers.Builder(0)
    names = ["picture", *weights, *shapes]
    all_shapes = {"picture": SHAPE, **{name: array.shape for name, array in weights.items()}, **shapes}
    kinds = list(dict.fromkeys(op.kind for op in ops))
    buffers = [table(builder, {0: (builder.CreateByteVector(b""), "offset")})]
    tensors = []
    for name in names:
        data = weights.get(name)
        if data is not None:
            buffers.append(table(builder, {0: (builder.CreateByteVector(data.tobytes()), "offset")}))
        fields = {
            0: (numbers(builder, all_shapes[name]), "offset"),
            1: (TYPES[str(data.dtype) if data is not None else "float32"], "b"),
            2: (len(buffers) - 1 if data is not None else 0, "I"),
            3: (builder.CreateString(name), "offset"),
        }
        tensors.append(table(builder, fields))
    operations = [operation(builder, op, kinds, names) for op in ops]
    subgraph = table(
        builder,
        {
            0: (vector(builder, tensors), "offset"),
            1: (numbers(builder, [0]), "offset"),
            2: (numbers(builder, [names.index(ops[-1].output)]), "offset"),
            3: (vector(builder, operations), "offset"),
        },
    )
    model = table(
        builder,
        {
            0: (3, "I"),
            1: (vector(builder, [code(builder, kind) for kind in kinds]), "offset"),
            2: (vector(builder, [subgraph]), "offset"),
            4: (vector(builder, buffers), "offset"),
        },
    )
    builder.Finish(model, file_identifier=b"TFL3")
    (folder / "model.tflite").write_bytes(bytes(builder.Output()))
    return folder / "model.tflite"


def code(builder: Any, kind: str) -> int:
    if kind not in CODES:  # an operation of somebody's own
        return table(builder, {0: (32, "b"), 1: (builder.CreateString(kind), "offset"), 3: (32, "i")})
    number = CODES[kind]
    return table(builder, {0: (min(number, 127), "b"), 3: (number, "i")})


def operation(builder: Any, op: Op, kinds: list[str], names: list[str]) -> int:
    options = table(builder, {field: (value, form) for field, form, value in op.options})
    inputs = [names.index(name) if name else -1 for name in op.inputs]
    fields = {
        0: (kinds.index(op.kind), "I"),
        1: (numbers(builder, inputs), "offset"),
        2: (numbers(builder, [names.index(op.output)]), "offset"),
        4: (options, "offset"),
        5: (builder.CreateByteVector(op.custom_options), "offset"),
    }
    return table(builder, fields)


def table(builder: Any, fields: dict[int, tuple[int, str]]) -> int:
    slots = {
        "b": builder.PrependInt8Slot, "i": builder.PrependInt32Slot, "I": builder.PrependUint32Slot,
        "offset": builder.PrependUOffsetTRelativeSlot,
    }  # fmt: skip
    builder.StartObject(max(fields, default=-1) + 1)
    for number, (value, form) in fields.items():
        slots[form](number, value, 0)
    return int(builder.EndObject())


def vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def numbers(builder: Any, values: Any) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.int32)))


# ---------------------------------------------------------------- running


def run(
    folder: Path,
    ops: list[Op],
    weights: dict[str, Array] | None = None,
    shapes: dict[str, tuple[int, ...]] | None = None,
    *,
    nchw: bool = True,
) -> Array:
    """The output for two pictures, by onnxruntime, in the layout of the source."""
    given = {"out": (1, 6, 4, 3), **(shapes or {})}
    graph = read_lite(write(folder, ops, weights or {}, given))
    builder = GraphBuilder("test")
    picture = builder.op("Transpose", ["image"], "turned", perm=(0, 3, 1, 2)) if nchw else "image"
    translator = LiteTranslator(graph, builder, Tensor(picture, "nchw" if nchw else "source"))
    builder.op("Identity", [translator.output(0)], "result")
    dims = tuple(f"d{i}" for i in range(len(given["out"])))
    model = builder.model([Port("image", "float32", ("n", *SHAPE[1:]))], [Port("result", "float32", dims)], {})
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": PICTURES})[0])


def windows(x: Array, side: tuple[int, int], stride: int, *, same: bool, fill: float) -> Array:
    """TensorFlow's windows, [N, rows, columns, height, width, C]."""
    size = [-(-n // stride) if same else (n - k) // stride + 1 for n, k in zip(x.shape[1:3], side, strict=True)]
    pads = [
        max((out - 1) * stride + k - n, 0) if same else 0 for out, k, n in zip(size, side, x.shape[1:3], strict=True)
    ]
    x = np.pad(x, [(0, 0), *((pad // 2, pad - pad // 2) for pad in pads), (0, 0)], constant_values=fill)
    rows = [
        [x[:, r * stride : r * stride + side[0], c * stride : c * stride + side[1]] for c in range(size[1])]
        for r in range(size[0])
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


ACTIVATED: list[tuple[int, Callable[[Array], Array]]] = [
    (0, lambda x: x),
    (RELU, lambda x: np.maximum(x, 0)),
    (RELU6, lambda x: np.clip(x, 0, 6)),
]


@pytest.mark.parametrize(("stride", "padding"), [(1, SAME), (2, SAME), (1, VALID), (2, VALID)])
@pytest.mark.parametrize(("activation", "plain"), ACTIVATED)
def test_convolution(
    tmp_path: Path, stride: int, padding: int, activation: int, plain: Callable[[Array], Array]
) -> None:
    w = RNG.normal(size=(5, 3, 2, 3)).astype(np.float32)  # out, height, width, in
    bias = RNG.normal(size=5).astype(np.float32)
    options = ((0, "b", padding), (1, "i", stride), (2, "i", stride), (3, "b", activation))
    found = run(tmp_path, [Op("CONV_2D", ("picture", "w", "bias"), options=options)], {"w": w, "bias": bias})
    seen = windows(PICTURES, (3, 2), stride, same=padding == SAME, fill=0)
    expected = plain(np.einsum("nrchwi,ohwi->nrco", seen, w) + bias)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("has_bias", [True, False])
def test_depthwise_convolution(tmp_path: Path, has_bias: bool) -> None:
    w, bias = RNG.normal(size=(1, 3, 3, 3)).astype(np.float32), RNG.normal(size=3).astype(np.float32)
    options = ((0, "b", SAME), (1, "i", 2), (2, "i", 2), (3, "i", 1), (4, "b", RELU))
    op = Op("DEPTHWISE_CONV_2D", ("picture", "w", "bias" if has_bias else ""), options=options)
    found = run(tmp_path, [op], {"w": w, "bias": bias})
    expected = np.einsum("nrchwi,hwi->nrci", windows(PICTURES, (3, 3), 2, same=True, fill=0), w[0]) + bias * has_bias
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-4, atol=1e-4)


def test_weights_that_are_stored_as_float16(tmp_path: Path) -> None:
    half = RNG.normal(size=(4, 1, 1, 3)).astype(np.float16)
    options = ((0, "b", SAME), (1, "i", 1), (2, "i", 1))
    ops = [Op("DEQUANTIZE", ("half",), "w"), Op("CONV_2D", ("picture", "w"), options=options)]
    found = run(tmp_path, ops, {"half": half}, {"w": half.shape})
    expected = np.einsum("nhwi,oi->nhwo", PICTURES, half[:, 0, 0].astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_transposed_convolution_of_mediapipe(tmp_path: Path) -> None:
    w, bias = RNG.normal(size=(2, 2, 2, 3)).astype(np.float32), RNG.normal(size=2).astype(np.float32)
    op = Op("Convolution2DTransposeBias", ("picture", "w", "bias"), custom_options=struct.pack("<3i", 1, 2, 2))
    found = run(tmp_path, [op], {"w": w, "bias": bias})
    blocks = np.einsum("nhwi,oyxi->nhywxo", PICTURES, w)
    np.testing.assert_allclose(found, blocks.reshape(2, 12, 8, 2) + bias, rtol=1e-4, atol=1e-4)


POOLS: list[tuple[str, int, int, Callable[[Array], Array]]] = [
    ("MAX_POOL_2D", SAME, 2, lambda seen: seen.max(axis=(3, 4))),
    ("MAX_POOL_2D", VALID, 2, lambda seen: seen.max(axis=(3, 4))),
    ("AVERAGE_POOL_2D", VALID, 1, lambda seen: seen.mean(axis=(3, 4))),
    ("AVERAGE_POOL_2D", SAME, 2, lambda seen: np.nanmean(seen, axis=(3, 4))),
]


@pytest.mark.parametrize(("kind", "padding", "stride", "plain"), POOLS)
def test_pools_leave_the_border_out(
    tmp_path: Path, kind: str, padding: int, stride: int, plain: Callable[[Array], Array]
) -> None:
    options = ((0, "b", padding), (1, "i", stride), (2, "i", stride), (3, "i", 2), (4, "i", 3))
    found = run(tmp_path, [Op(kind, ("picture",), options=options)])
    fill = -np.inf if kind == "MAX_POOL_2D" else np.nan
    seen = windows(PICTURES, (3, 2), stride, same=padding == SAME, fill=fill)
    np.testing.assert_allclose(found, plain(seen), rtol=1e-5)


UNARY: list[tuple[str, Callable[[Array], Array]]] = [
    ("RELU", lambda x: np.maximum(x, 0)),
    ("LOGISTIC", lambda x: 1 / (1 + np.exp(-x))),
    ("HARD_SWISH", lambda x: x * np.clip(x + 3, 0, 6) / 6),
]


@pytest.mark.parametrize(("kind", "plain"), UNARY)
def test_unary(tmp_path: Path, kind: str, plain: Callable[[Array], Array]) -> None:
    np.testing.assert_allclose(run(tmp_path, [Op(kind, ("picture",))]), plain(PICTURES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("nchw", [True, False])
@pytest.mark.parametrize("shape", [(), (3,), (4, 3), (1, 6, 1, 3), (1, 1, 1, 3)])
@pytest.mark.parametrize(("kind", "plain"), [("ADD", np.add), ("MUL", np.multiply)])
def test_elementwise_with_a_constant_broadcasts_as_in_the_source(
    tmp_path: Path, kind: str, plain: Callable[[Array, Array], Array], shape: tuple[int, ...], nchw: bool
) -> None:
    constant = np.asarray(RNG.normal(1, 0.1, shape), np.float32)
    op = Op(kind, ("picture", "k"), options=((0, "b", RELU),))
    found = run(tmp_path, [op], {"k": constant}, nchw=nchw)
    np.testing.assert_allclose(found, np.maximum(plain(PICTURES, constant), 0), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 3), (6, 4, 3)])
def test_prelu(tmp_path: Path, shape: tuple[int, ...]) -> None:
    slope = RNG.uniform(0, 1, shape).astype(np.float32)
    found = run(tmp_path, [Op("PRELU", ("picture", "slope"))], {"slope": slope})
    np.testing.assert_allclose(found, np.where(PICTURES > 0, PICTURES, PICTURES * slope), rtol=1e-5)


@pytest.mark.parametrize("nchw", [True, False])
def test_pad_reaches_each_axis(tmp_path: Path, nchw: bool) -> None:
    edges = np.array([[0, 0], [1, 2], [3, 0], [0, 5]], np.int32)
    found = run(tmp_path, [Op("PAD", ("picture", "edges"))], {"edges": edges}, nchw=nchw)
    assert np.array_equal(found, np.pad(PICTURES, edges))


@pytest.mark.parametrize("keep", [True, False])
def test_mean_over_height_and_width(tmp_path: Path, keep: bool) -> None:
    axes = np.array([1, -2], np.int32)
    op = Op("MEAN", ("picture", "axes"), options=((0, "b", int(keep)),))
    found = run(tmp_path, [op], {"axes": axes}, {"out": (1, 1, 1, 3) if keep else (1, 3)})
    np.testing.assert_allclose(found, PICTURES.mean(axis=(1, 2), keepdims=keep), rtol=1e-4, atol=1e-6)


def resized(x: Array, size: tuple[int, int], corners: bool, centres: bool) -> Array:
    """Bilinear, by TensorFlow's three ways to place the pixels."""
    for axis, wanted in zip((1, 2), size, strict=True):
        length = x.shape[axis]
        place = np.arange(wanted) * ((length - 1) / (wanted - 1) if corners else length / wanted)
        place = np.clip((np.arange(wanted) + 0.5) * length / wanted - 0.5, 0, None) if centres else place
        low = np.floor(place).astype(int).clip(0, length - 1)
        shape = [1] * x.ndim
        shape[axis] = wanted
        part = (place - low).reshape(shape)
        x = x.take(low, axis) * (1 - part) + x.take(np.minimum(low + 1, length - 1), axis) * part
    return x


@pytest.mark.parametrize(("corners", "centres"), [(True, False), (False, True), (False, False)])
def test_resize(tmp_path: Path, corners: bool, centres: bool) -> None:
    op = Op("RESIZE_BILINEAR", ("picture", "size"), options=((2, "b", int(corners)), (3, "b", int(centres))))
    found = run(tmp_path, [op], {"size": np.array([9, 8], np.int32)})
    np.testing.assert_allclose(found, resized(PICTURES, (9, 8), corners, centres), rtol=1e-4, atol=1e-5)


def test_reshape_and_concatenation_keep_the_order_of_the_source(tmp_path: Path) -> None:
    ops = [
        Op("RELU", ("picture",), "a"),
        Op("RESHAPE", ("picture",), "b"),
        Op("RESHAPE", ("a",), "c"),
        Op("CONCATENATION", ("b", "c"), options=((0, "i", 1),)),
    ]
    shapes = {"a": SHAPE, "b": (1, 24, 3), "c": (1, 24, 3), "out": (1, 48, 3)}
    flat = PICTURES.reshape(2, 24, 3)
    assert np.array_equal(run(tmp_path, ops, {}, shapes), np.concatenate([flat, np.maximum(flat, 0)], axis=1))


@pytest.mark.parametrize("axis", [3, -1, 1])
def test_concatenation_of_pictures(tmp_path: Path, axis: int) -> None:
    ops = [Op("RELU", ("picture",), "a"), Op("CONCATENATION", ("picture", "a"), options=((0, "i", axis),))]
    found = run(tmp_path, ops, {}, {"a": SHAPE})
    assert np.array_equal(found, np.concatenate([PICTURES, np.maximum(PICTURES, 0)], axis=axis))


# ---------------------------------------------------------------- what is refused

ONES = np.ones((3, 1, 1, 3), np.float32)
REFUSED: list[tuple[str, Op, str]] = [
    ("an operation that is not known", Op("TANH", ("picture",)), "no translation for operation 28"),
    ("one with a number of two bytes", Op("LATE", ("picture",)), "no translation for operation 128"),
    ("one of somebody's own", Op("Other", ("picture",)), "no translation for Other"),
    (
        "dilation",
        Op("CONV_2D", ("picture", "w"), options=((1, "i", 1), (2, "i", 1), (4, "i", 2))),
        "no translation for dilation",
    ),
    (
        "an activation that is not known",
        Op("ADD", ("picture", "w"), options=((0, "b", TANH),)),
        "no translation for activation 4",
    ),
    ("a computed weight", Op("PRELU", ("picture", "picture")), "must be a constant"),
    (
        "a transposed convolution that overlaps",
        Op("Convolution2DTransposeBias", ("picture", "w", "w"), custom_options=struct.pack("<3i", 1, 2, 2)),
        "overlaps",
    ),
    ("weights in small integers", Op("DEQUANTIZE", ("small",)), "weights of type uint8"),
]


@pytest.mark.parametrize(("op", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_cannot_be_translated_is_named(tmp_path: Path, op: Op, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        run(tmp_path, [op], {"w": ONES, "small": np.ones(3, np.uint8)})
    assert refused.value.code == "convert.operation"


def test_a_reshape_that_mixes_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reshape from"):
        run(tmp_path, [Op("RESHAPE", ("picture",))], {}, {"out": (72, 1)})


def test_a_file_of_another_kind_or_cut_short_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [Op("RELU", ("picture",))], {"w": ONES}, {"out": SHAPE})
    content = path.read_bytes()
    for damaged in (b"PK\3\4 an archive", b"", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ConfigError) as refused:
            read_lite(path)
        assert refused.value.code == "convert.format"


@pytest.mark.parametrize("convert", [convert_faces, convert_iris, convert_mesh, convert_selfie])
def test_another_network_is_refused(tmp_path: Path, convert: Callable[[Path], bytes]) -> None:
    path = write(tmp_path, [Op("RELU", ("picture",))], {}, {"out": SHAPE})
    with pytest.raises(ConfigError, match="another network"):
        convert(path)


def test_a_left_out_field_has_its_default() -> None:
    builder = flatbuffers.Builder(0)
    builder.Finish(table(builder, {1: (7, "i")}), file_identifier=b"TEST")
    found = root(bytes(builder.Output()), "TEST")
    assert [found.number(field, "i", 3) for field in (0, 1, 2)] == [3, 7, 3]
    assert found.text(5) == ""
    assert list(found.tables(5)) == []
    assert isinstance(found.table(5), Table)
    assert found.table(5).number(0, "i", 9) == 9
