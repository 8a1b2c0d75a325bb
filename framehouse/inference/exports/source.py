"""The user's ONNX file, read and judged before anything is done with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import import_onnx
from framehouse.inference.exports.metadata import Metadata, read_metadata
from framehouse.video.framing import Size

OLDEST_OPSET, NEWEST_OPSET = 11, 21
"""What our own operations are valid in, and what the onnxruntime 1.19 of a Triton container reads."""
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_FLOAT, _UINT8, _HALF = 1, 2, 10
_EXTERNAL = 1
SMALLEST_SIDE, LARGEST_SIDE = 16, 8192

Dim = int | None
"""A dimension; None is free."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the file; `dtype` is `onnx.TensorProto`'s number."""

    name: str
    dtype: int
    dims: tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """A file that passed."""

    path: Path
    sha256: str
    size_bytes: int
    model: Any
    """`onnx.ModelProto`."""
    opset: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class ImageInput:
    """The input that takes the pictures, and what goes into the others."""

    port: Port
    channels_last: bool
    size: Size
    free_batch: bool
    others: tuple[Port, ...] = ()


def read_export(path: Path, *, max_bytes: int) -> Export:
    """Read a file.

    Raises:
        ConfigError: `models.file` no such file, `models.too_large`, `models.not_onnx`, `models.opset`, `models.ir`,
            `models.external_data`, `models.custom_ops`; onnx is not installed.
    """
    data = _bytes(path, max_bytes)
    model = _parse(path.name, data)
    graph = model.graph
    _refuse_parts(path.name, graph, len(model.functions))
    constants = {tensor.name for tensor in graph.initializer}
    return Export(
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        model=model,
        opset=_opset(path.name, model),
        inputs=tuple(_port(value) for value in graph.input if value.name not in constants),
        outputs=tuple(_port(value) for value in graph.output),
        metadata=read_metadata((entry.key, entry.value) for entry in model.metadata_props),
    )


def image_input(export: Export, size: Size | None) -> ImageInput:
    """Find the input for pictures, and the size that it will get.

    Args:
        size: (width, height) that the person wishes, for a file that takes any.

    Raises:
        ConfigError: `models.input` no input takes colour pictures, or other inputs nobody knows what to give;
            `models.batch` a fixed batch of several; `models.size` no size is known, or another one is fixed.
    """
    pictures = [port for port in export.inputs if len(port.dims) == 4 and port.dtype in (_FLOAT, _HALF, _UINT8)]
    if len(pictures) != 1:
        raise _unfit_input(export, f"{len(pictures)} inputs with four axes")
    port = pictures[0]
    batch, *rest = port.dims
    if batch not in (None, 1):
        raise ConfigError(
            f"{export.path.name} takes exactly {batch} pictures at once",
            code="models.batch",
            hint="export it with batch 1 or a free (dynamic) batch",
        )
    channels_last = rest[2] == 3 and rest[0] != 3
    if rest[2 if channels_last else 0] not in (3, None):
        raise _unfit_input(export, f"{rest[0]} channels, pictures have 3")
    height, width = rest[:2] if channels_last else rest[1:]
    others = tuple(other for other in export.inputs if other is not port)
    for other in others:
        if other.name not in ("orig_target_sizes", "pixel_mask"):
            raise _unfit_input(export, f"an input {other.name!r} besides the picture")
    return ImageInput(port, channels_last, _size(export, width, height, size), batch is None, others)


def _size(export: Export, width: Dim, height: Dim, wished: Size | None) -> Size:
    known = wished or export.metadata.size
    if (width is None or height is None) and known is None:
        raise ConfigError(
            f"{export.path.name} takes pictures of any size and does not say which it was trained with",
            code="models.size",
            hint="say it: --size 640, or --size 640x384 (width x height)",
        )
    size = (width or (known or (0, 0))[0], height or (known or (0, 0))[1])
    if wished is not None and wished != size:
        raise ConfigError(
            f"{export.path.name} takes pictures of {size[0]} x {size[1]}, not {wished[0]} x {wished[1]}",
            code="models.size",
            hint="leave --size out, or export it with free (dynamic) sizes",
        )
    if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in size):
        raise ConfigError(f"{export.path.name}: no pictures of {size[0]} x {size[1]}", code="models.size")
    return size


def _unfit_input(export: Export, reason: str) -> ConfigError:
    seen = ", ".join(f"{port.name} {show(port.dims)}" for port in export.inputs)
    return ConfigError(
        f"{export.path.name} does not take one colour picture: {reason}; its inputs are {seen}",
        code="models.input",
        hint="a float input [N, 3, height, width] or [N, height, width, 3] is needed",
    )


def show(dims: Sequence[Dim]) -> str:
    """Dimensions for people; a free one is N."""
    return "[" + ", ".join("N" if dim is None else str(dim) for dim in dims) + "]"


def _bytes(path: Path, max_bytes: int) -> bytes:
    if not path.is_file():
        raise ConfigError(f"no file {path}", code="models.file")
    size = path.stat().st_size
    if size > max_bytes:
        raise ConfigError(
            f"{path.name} has {size} bytes, at most {max_bytes} are taken",
            code="models.too_large",
            hint="FRAMEHOUSE_MODELS__MAX_BYTES sets the limit; the format itself ends at 2 GiB",
        )
    return path.read_bytes()


def _parse(name: str, data: bytes) -> Any:
    broken: type[Exception] = import_onnx("google.protobuf.message").DecodeError
    onnx = import_onnx()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except broken as error:
        raise _not_onnx(name) from error
    if not model.graph.node or not model.graph.output or not model.opset_import:
        raise _not_onnx(name)
    if not 3 <= model.ir_version <= onnx.IR_VERSION:
        raise ConfigError(
            f"{name} is of format version (IR) {model.ir_version}, 3 to {onnx.IR_VERSION} are read",
            code="models.ir",
            hint="save it with an older ir_version, 9 for example",
        )
    return model


def _not_onnx(name: str) -> ConfigError:
    return ConfigError(
        f"{name} is not an ONNX file",
        code="models.not_onnx",
        hint="export it first, for example: yolo export model=best.pt format=onnx",
    )


def _opset(name: str, model: Any) -> int:
    found = max((int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if not OLDEST_OPSET <= found <= NEWEST_OPSET:
        raise ConfigError(
            f"{name} is of opset {found}, {OLDEST_OPSET} to {NEWEST_OPSET} are run",
            code="models.opset",
            hint="export it with opset=17",
        )
    return found


def _refuse_parts(name: str, graph: Any, n_functions: int) -> None:
    """Weights that lie elsewhere, and operations that are not ONNX's own."""
    if any(tensor.data_location == _EXTERNAL or tensor.external_data for tensor in tensors_of(graph)):
        raise ConfigError(
            f"{name} keeps weights in other files",
            code="models.external_data",
            hint="save it as a single file: onnx.save(onnx.load(path), new_path)",
        )
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in nodes_of(graph) if node.domain not in _DOMAINS})
    if foreign or n_functions:
        seen = ", ".join(foreign[:3]) or f"{n_functions} functions of its own"
        raise ConfigError(
            f"{name} uses operations that are not ONNX's own: {seen[:200]}",
            code="models.custom_ops",
            hint="export it without plugins and without optimizations of one runtime",
        )


def nodes_of(graph: Any) -> Iterator[Any]:
    """Every node of a graph and of the graphs inside it."""
    for node in graph.node:
        yield node
        for inner in _inner_graphs(node):
            yield from nodes_of(inner)


def tensors_of(graph: Any) -> Iterator[Any]:
    """Every tensor that a graph carries, with those of attributes and of the graphs inside it."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
        for inner in _inner_graphs(node):
            yield from tensors_of(inner)


def _inner_graphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _port(value: Any) -> Port:
    tensor = value.type.tensor_type
    dims = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim)
    return Port(value.name, tensor.elem_type, dims)
