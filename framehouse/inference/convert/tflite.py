"""Reading a TFLite model: one flatbuffer with the operations of a graph in their order, and the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.flatbuffer import Table, root

IDENTIFIER = "TFL3"
_TYPES: dict[int, type[np.generic]] = {0: np.float32, 1: np.float16, 2: np.int32, 3: np.uint8, 4: np.int64, 9: np.int8}
_OPERATIONS = {
    0: "ADD",
    1: "AVERAGE_POOL_2D",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    18: "MUL",
    19: "RELU",
    22: "RESHAPE",
    23: "RESIZE_BILINEAR",
    34: "PAD",
    40: "MEAN",
    54: "PRELU",
    117: "HARD_SWISH",
}
"""Numbers of the schema; others are named by their number."""
_CUSTOM = 32


@dataclass(frozen=True, slots=True)
class LiteOperation:
    """One operation: tensor numbers (-1 = left out), options as the schema has them."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table
    custom_options: bytes


@dataclass(frozen=True, slots=True)
class LiteGraph:
    """A model's only subgraph. Tensors are known by number; shapes have a batch of 1."""

    operations: tuple[LiteOperation, ...]
    shapes: tuple[tuple[int, ...], ...]
    weights: Mapping[int, NDArray[Any]]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_lite(path: Path) -> LiteGraph:
    """Read a `.tflite` file.

    Raises:
        ConfigError: it is none, it has several subgraphs, or weights of a type or size that cannot be
            (`convert.format`, `convert.weights`).
    """
    model = root(path.read_bytes(), IDENTIFIER)
    kinds = [_kind(code) for code in model.tables(1)]
    subgraphs = list(model.tables(2))
    if len(subgraphs) != 1:
        raise ConfigError(f"{path.name} has {len(subgraphs)} subgraphs", code="convert.format")
    buffers = [buffer.array(0, np.uint8) for buffer in model.tables(4)]
    tensors = list(subgraphs[0].tables(0))
    shapes = tuple(_numbers(tensor, 0) for tensor in tensors)
    held = {number: buffers[tensor.number(2, "I")] for number, tensor in enumerate(tensors)}
    return LiteGraph(
        operations=tuple(_operation(entry, kinds) for entry in subgraphs[0].tables(3)),
        shapes=shapes,
        weights={n: _weight(tensors[n], shapes[n], data, path.name) for n, data in held.items() if data.size},
        inputs=_numbers(subgraphs[0], 1),
        outputs=_numbers(subgraphs[0], 2),
    )


def _kind(code: Table) -> str:
    """Older files keep the number in one byte, newer ones beside it."""
    number = max(code.number(0, "b"), code.number(3, "i"))
    return code.text(1) if number == _CUSTOM else _OPERATIONS.get(number, f"operation {number}")


def _operation(entry: Table, kinds: list[str]) -> LiteOperation:
    options = entry.array(5, np.uint8).tobytes()
    return LiteOperation(kinds[entry.number(0, "I")], _numbers(entry, 1), _numbers(entry, 2), entry.table(4), options)


def _numbers(table: Table, field: int) -> tuple[int, ...]:
    return tuple(table.array(field, np.int32).tolist())


def _weight(tensor: Table, shape: tuple[int, ...], data: NDArray[Any], source: str) -> NDArray[Any]:
    dtype = _TYPES.get(tensor.number(1, "b"))
    if dtype is None or data.size != int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize:
        raise ConfigError(f"{source}: {tensor.text(3)} has a type or size that cannot be", code="convert.weights")
    return np.frombuffer(data.tobytes(), np.dtype(dtype).newbyteorder("<")).astype(dtype).reshape(shape)
