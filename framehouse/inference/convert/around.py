"""A finished ONNX network with nodes put before it and behind it: what lies between a picture and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import IR_VERSION, Port, element_type, import_onnx

_PREFIX = "framehouse/"


class Around:
    """The nodes of a network that takes one tensor and gives one, and what is added to them.

    A tensor that is added keeps its name; nodes and constants get a prefix, so that they never meet the network's own.
    """

    def __init__(self, file: bytes, takes: str, gives: str) -> None:
        """
        Args:
            file: the ONNX file.
            takes: its input; a node put before must give it.
            gives: its output.

        Raises:
            ConfigError: onnx is not installed, or (code `models.convert`) not ONNX, or a graph with other tensors.
        """
        onnx = import_onnx()
        message: type[Exception] = import_onnx("google.protobuf.message").DecodeError
        try:
            self._model = onnx.load_from_string(file)
        except message as error:
            raise ConfigError(f"not an ONNX file: {error}", code="models.convert") from error
        graph = self._model.graph
        constants = {tensor.name for tensor in graph.initializer}
        found = [[port.name for port in ports] for ports in (graph.input, graph.output)]
        found[0] = [name for name in found[0] if name not in constants]
        if found != [[takes], [gives]]:
            raise ConfigError(
                f"a graph from {found[0]} to {found[1]}, expected {takes} to {gives}", code="models.convert"
            )
        self._helper = onnx.helper
        self._onnx = onnx
        self._nodes: dict[str, list[Any]] = {"before": [], "behind": []}

    @property
    def opset(self) -> int:
        """The version of the operators that the network was written with; added nodes must be of the same."""
        return max(int(entry.version) for entry in self._model.opset_import if entry.domain in ("", "ai.onnx"))

    def facts(self) -> dict[str, str]:
        """What the file says about itself."""
        return {entry.key: entry.value for entry in self._model.metadata_props}

    def before(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Append a node that works ahead of the network; returns its output."""
        return self._add("before", kind, inputs, (output,), attributes)[0]

    def behind(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Append a node that works on what the network gives; returns its output."""
        return self._add("behind", kind, inputs, (output,), attributes)[0]

    def split_behind(
        self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: object
    ) -> Sequence[str]:
        """The same for a node with several outputs."""
        return self._add("behind", kind, inputs, outputs, attributes)

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Add a constant; returns its name in the graph. Text is an array of str objects."""
        stored = f"{_PREFIX}{name}"
        if array.dtype == np.object_:
            values = [str(text).encode() for text in array.ravel()]
            tensor = self._helper.make_tensor(stored, element_type("string"), list(array.shape), values)
        else:
            tensor = self._onnx.numpy_helper.from_array(np.asarray(array, order="C"), stored)
        self._model.graph.initializer.append(tensor)
        return stored

    def model(self, inputs: Sequence[Port], outputs: Sequence[Port], facts: Mapping[str, str]) -> bytes:
        """The whole as bytes: the same for the same file and steps, on any machine.

        Args:
            facts: replace what the file says about itself.
        """
        model, graph = self._model, self._model.graph
        nodes = [*self._nodes["before"], *graph.node, *self._nodes["behind"]]
        ports = [[self._value_info(port) for port in side] for side in (inputs, outputs)]
        for field, values in (("node", nodes), ("input", ports[0]), ("output", ports[1]), ("value_info", [])):
            kept = [type(value).FromString(value.SerializeToString()) for value in values]
            del getattr(graph, field)[:]
            getattr(graph, field).extend(kept)
        model.ir_version = min(model.ir_version, IR_VERSION)
        model.producer_name, model.producer_version, model.doc_string = "framehouse", "", ""
        self._helper.set_model_props(model, dict(sorted(facts.items())))
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _add(
        self, side: str, kind: str, inputs: Sequence[str], outputs: Sequence[str], attributes: Mapping[str, object]
    ) -> Sequence[str]:
        name = f"{_PREFIX}{outputs[0]}|{kind}"
        self._nodes[side].append(self._helper.make_node(kind, list(inputs), list(outputs), name=name, **attributes))
        return outputs

    def _value_info(self, port: Port) -> Any:
        return self._helper.make_tensor_value_info(port.name, element_type(port.dtype), list(port.dims))


def pixels_before(
    around: Around, image: str, network_input: str, *, blue_first: bool, scale: float, shift: float
) -> None:
    """Between pictures, uint8 [N, H, W, 3] RGB, and a network that wants [N, 3, H, W] of value * scale + shift.

    Turned round and reordered before the cast, while a value is one byte.
    """
    turned = around.before("Transpose", [image], "image@nchw", perm=(0, 3, 1, 2))
    if blue_first:
        order = around.constant("blue_first", np.array([2, 1, 0], np.int64))
        turned = around.before("Gather", [turned, order], "image@bgr", axis=1)
    values = around.before("Cast", [turned], "image@float", to=element_type("float32"))
    by = around.constant("scale", np.array(scale, np.float32))
    if shift == 0:
        around.before("Mul", [values, by], network_input)
        return
    scaled = around.before("Mul", [values, by], "image@scaled")
    around.before("Add", [scaled, around.constant("shift", np.array(shift, np.float32))], network_input)
