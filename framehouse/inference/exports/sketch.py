"""Nodes drawn around a stranger's network, in operations that are the same from opset 11 to 21."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.inference.convert.graph import element_type, import_onnx


class Sketch:
    """A list of nodes and constants that grows; every name begins with a prefix that the network does not use."""

    def __init__(self, opset: int, prefix: str) -> None:
        self.opset = opset
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._prefix = prefix
        self._onnx = import_onnx()

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """A node with one output; returns its name."""
        return self.ops(kind, inputs, 1, **attributes)[0]

    def ops(self, kind: str, inputs: Sequence[str], count: int, **attributes: object) -> list[str]:
        """A node with several outputs."""
        outputs = [f"{self._prefix}{len(self.nodes)}_{number}" for number in range(count)]
        self.nodes.append(self._onnx.helper.make_node(kind, list(inputs), outputs, name=outputs[0], **attributes))
        return outputs

    def named(self, tensor: str, name: str) -> None:
        """Give a tensor a name of its own."""
        self.nodes.append(self._onnx.helper.make_node("Identity", [tensor], [name], name=f"{self._prefix}{name}"))

    def floats(self, values: Any) -> str:
        """A float32 constant."""
        return self._constant(np.asarray(values, np.float32))

    def integers(self, *values: int) -> str:
        """An int64 constant with one axis."""
        return self._constant(np.asarray(values, np.int64))

    def cast(self, tensor: str, dtype: str) -> str:
        """To a numpy type name."""
        return self.op("Cast", tensor, to=element_type(dtype))

    def part(self, tensor: str, axis: int, first: int, end: int) -> str:
        """Places first..end of an axis."""
        return self.op("Slice", tensor, self.integers(first), self.integers(end), self.integers(axis))

    def reshaped(self, tensor: str, *dims: int) -> str:
        """0 keeps an axis, -1 takes what is left."""
        return self.op("Reshape", tensor, self.integers(*dims))

    def highest(self, tensor: str, axis: int) -> str:
        """The maximum along an axis, which goes."""
        if self.opset < 18:
            return self.op("ReduceMax", tensor, axes=[axis], keepdims=0)
        return self.op("ReduceMax", tensor, self.integers(axis), keepdims=0)

    def top(self, scores: str, count: int) -> tuple[str, str]:
        """(scores, places), both [N, count], of the best of [N, A]; falling; of equal ones the first."""
        values, places = self.ops("TopK", (scores, self.integers(count)), 2, axis=1)
        return values, places

    def rows(self, tensor: str, places: str, width: int) -> str:
        """[N, K, width]: the rows of [N, A, width] at `places` [N, K]."""
        wide = self.op("Expand", self.reshaped(places, 0, -1, 1), self.integers(1, 1, width))
        return self.op("GatherElements", tensor, wide, axis=1)

    def columns(self, tensor: str, places: str, height: int) -> str:
        """[N, K, height]: the columns of [N, height, A] at `places` [N, K]."""
        high = self.op("Expand", self.reshaped(places, 0, 1, -1), self.integers(1, height, 1))
        return self.op("Transpose", self.op("GatherElements", tensor, high, axis=2), perm=[0, 2, 1])

    def corners(self, centred: str) -> str:
        """[N, K, 4] x1, y1, x2, y2 from centre x, centre y, width, height."""
        centre = self.part(centred, 2, 0, 2)
        half = self.op("Mul", self.part(centred, 2, 2, 4), self.floats(0.5))
        return self.op("Concat", self.op("Sub", centre, half), self.op("Add", centre, half), axis=2)

    def candidates(self, corners: str, scores: str, classes: str) -> str:
        """[N, K, 6] from corners [N, K, 4], scores [N, K] and int64 classes [N, K]."""
        columns = [self.reshaped(scores, 0, -1, 1), self.reshaped(self.cast(classes, "float32"), 0, -1, 1)]
        return self.op("Concat", corners, *columns, axis=2)

    def _constant(self, array: NDArray[Any]) -> str:
        name = f"{self._prefix}c{len(self.constants)}"
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name
