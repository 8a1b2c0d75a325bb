"""An ONNX graph in the making, written so that the same steps always give the same bytes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError

OPSET = 18
IR_VERSION = 9
"""Highest versions that the servers in use read (models.md section 4)."""

_SMALLEST_HALF = 64
_ELEMENT_TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "string": 8, "bool": 9, "float16": 10}
"""numpy name to `onnx.TensorProto` number; the numbers are part of the ONNX standard."""

Dim = int | str


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a model: name, numpy type name, dimensions (a word is a free dimension)."""

    name: str
    dtype: str
    dims: tuple[Dim, ...]


def element_type(dtype: str) -> int:
    """ONNX's number of a numpy type name."""
    return _ELEMENT_TYPES[dtype]


def import_onnx(module: str = "onnx") -> ModuleType:
    """Import onnx, or another package of the `models` extra, when it is first needed.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{module} is not installed", code="config.missing_extra", hint="pip install 'framehouse[models]'"
        ) from error


class GraphBuilder:
    """Nodes and constants in the order in which they were asked for."""

    def __init__(self, name: str) -> None:
        self._onnx = import_onnx()
        self._name = name
        self._nodes: list[Any] = []
        self._casts: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._shapes: list[Port] = []

    def op(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Append a node with one output; returns its name."""
        return self.split(kind, inputs, (output,), **attributes)[0]

    def split(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: object) -> Sequence[str]:
        """Append a node with several outputs; returns their names."""
        node = self._onnx.helper.make_node(kind, list(inputs), list(outputs), name=f"{outputs[0]}|{kind}", **attributes)
        self._nodes.append(node)
        return outputs

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add a constant once.

        A float32 array of more than 64 elements whose values are all float16 values is stored as float16 and cast
        when the model is loaded: half the file, the same numbers to the last bit.
        """
        if name not in self._initializers:
            half = _as_half(array)
            stored, value = (name, array) if half is None else (f"{name}@half", half)
            if half is not None:
                cast = self._onnx.helper.make_node(
                    "Cast", [stored], [name], name=f"{name}|Cast", to=element_type("float32")
                )
                self._casts.append(cast)
            self._initializers[name] = self._onnx.numpy_helper.from_array(np.ascontiguousarray(value), stored)
        return name

    def integers(self, name: str, values: int | Sequence[int]) -> str:
        """Add an int64 constant: a scalar, or a vector of shapes or axes."""
        return self.constant(name, np.asarray(values, dtype=np.int64))

    def declare(self, port: Port) -> None:
        """State the type and shape of a tensor inside the graph, for readers of the file."""
        self._shapes.append(port)

    def model(self, inputs: Sequence[Port], outputs: Sequence[Port], facts: Mapping[str, str]) -> bytes:
        """The finished model, checked, as bytes: the same for the same steps, on any machine.

        Args:
            facts: written to the model's metadata, sorted by key.
        """
        helper = self._onnx.helper
        used = {name for node in (*self._nodes, *self._casts) for name in node.input}
        graph = helper.make_graph(
            [*self._casts, *self._nodes],
            self._name,
            [self._value_info(port) for port in inputs],
            [self._value_info(port) for port in outputs],
            [tensor for tensor in self._initializers.values() if tensor.name in used],
            value_info=[self._value_info(port) for port in self._shapes],
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], producer_name="framehouse", ir_version=IR_VERSION)
        helper.set_model_props(model, dict(sorted(facts.items())))
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _value_info(self, port: Port) -> Any:
        return self._onnx.helper.make_tensor_value_info(port.name, element_type(port.dtype), list(port.dims))


def _as_half(array: NDArray[Any]) -> NDArray[np.float16] | None:
    """The array as float16, if it is float32, large enough and loses nothing."""
    if array.dtype != np.float32 or array.size <= _SMALLEST_HALF:
        return None
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), array) else None
