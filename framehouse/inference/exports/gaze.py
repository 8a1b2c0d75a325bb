"""A gaze network that people bring (L2CS, MobileGaze, or their like), made into what `models add` puts in a repository.

The network becomes `image` in, `angles` out; a python model beside it finds the faces and asks the network for each.

Such networks give the horizontal angle first and the vertical one second, and all of them are drawn the same way,
dx = -sin(first) cos(second), dy = -sin(second): the signs of this project, so nothing is negated. Names say little:
L2CS's own pipeline calls the first one pitch and the second one yaw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import IR_VERSION, import_onnx

USUAL_SIDE = 448
"""Side of the face where the network leaves it open: what L2CS and MobileGaze are trained with."""
BINS = {90: (4.0, 180.0), 28: (3.0, 42.0)}
"""Number of bins to their width and the lowest angle's depth, in degrees: trained on Gaze360, on MPIIGaze."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, for values in 0..1."""

_PREFIX = "network/"
_FLOATS = (1, 10)
_MOST_ROWS = 8
_TEMPLATES = files("framehouse.inference.exports") / "templates" / "gaze_learned"
_PLAIN = ("model.py", "crops.py", "steps.py")


def fold_gaze(model: Any, *, vertical_first: bool = False) -> Any:
    """The network with scaling before and decoding behind it, an `onnx.ModelProto` of the same opset.

    Args:
        model: `onnx.ModelProto`. One input [N, 3, S, S] of scaled RGB values, float32 or float16. Outputs: two of 90 or
            28 bins, two angles [N] or [N, 1], or both angles as [N, 2]; angles in radians. The number of pictures may
            be free or fixed.
        vertical_first: the network gives the vertical angle first.

    Returns:
        `image` uint8 [N, S, S, 3] RGB to `angles` float32 [N, 2]: yaw, positive to the left of the picture, and pitch,
        positive upwards, in radians.

    Raises:
        ConfigError: code `models.gaze`: another kind of network; onnx is not installed.
    """
    onnx = import_onnx()
    network = import_onnx("onnx.compose").add_prefix(model, _PREFIX)
    taken, rows, side = _input(network.graph)
    widths = _widths(network.graph)
    fold = _Fold(onnx, network.graph)
    fold.pictures("image", taken)
    n_ahead = len(fold.nodes)
    angles = [fold.angle(port.name, width) for port, width in zip(network.graph.output, widths, strict=True)]
    fold.joined(angles, "angles", swapped=vertical_first)
    return _assembled(
        onnx,
        network,
        nodes=[*fold.nodes[:n_ahead], *network.graph.node, *fold.nodes[n_ahead:]],
        constants=fold.constants,
        ports=[("image", "UINT8", [rows, side, side, 3]), ("angles", "FLOAT", [rows, 2])],
    )


def gaze_files(folded: Any, *, folder: str, network: str) -> dict[str, bytes]:
    """What to write, by path inside the model repository: the python model `folder`, and `network` that it asks.

    Args:
        folded: from `fold_gaze`.
        folder: Triton's name of the model that people ask for.
        network: Triton's name of its step.
    """
    rows, side = (dim.dim_value for dim in folded.graph.input[0].type.tensor_type.shape.dim[:2])
    facts = {
        "folder": folder,
        "network": network,
        "side": side,
        "rows_per_call": rows or _MOST_ROWS,
        "max_batch_size": 0 if rows else _MOST_ROWS,
        "row_dim": f"{rows}, " if rows else "",
    }
    return {
        f"{folder}/config.pbtxt": _filled("config.pbtxt", facts),
        **{f"{folder}/1/{name}": (_TEMPLATES / name).read_bytes() for name in _PLAIN},
        f"{network}/config.pbtxt": _filled("network.pbtxt", facts),
        f"{network}/1/model.onnx": folded.SerializeToString(deterministic=True),
    }


class _Fold:
    """Nodes and constants around a network; its own names are left alone."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._onnx = onnx
        self._taken_type = _inputs(graph)[0].type.tensor_type.elem_type

    def pictures(self, image: str, taken: str) -> None:
        """From pictures to the network's input."""
        last = self._node("Transpose", [image], "planes", perm=(0, 3, 1, 2))
        last = self._node("Cast", [last], "values", to=1)
        scale, shift = 1 / (255 * np.array(STD)), -np.array(MEAN) / STD
        last = self._node("Mul", [last, self._constant("scale", scale.reshape(1, 3, 1, 1))], "scaled")
        last = self._node("Add", [last, self._constant("shift", shift.reshape(1, 3, 1, 1))], "shifted")
        self._node("Cast", [last], taken, to=self._taken_type)

    def angle(self, given: str, width: int) -> str:
        """From an output of the network to [N, 1], or [N, 2] when it has both angles."""
        last = self._node("Cast", [given], f"{given}/float", to=1)
        if width not in BINS:
            shape = self._constant(f"{given}/shape", np.array([-1, width], np.int64))
            return self._node("Reshape", [last, shape], f"{given}/column")
        step, depth = BINS[width]
        centres = np.radians(np.arange(width) * step - depth).reshape(width, 1)
        last = self._node("Softmax", [last], f"{given}/chances", axis=1)
        return self._node("MatMul", [last, self._constant(f"{given}/centres", centres)], f"{given}/column")

    def joined(self, angles: Sequence[str], output: str, *, swapped: bool) -> None:
        """The angles side by side, horizontal first."""
        if len(angles) == 2:
            self._node("Concat", [*reversed(angles)] if swapped else angles, output, axis=1)
            return
        order = self._constant("order", np.array([1, 0] if swapped else [0, 1], np.int64))
        self._node("Gather", [angles[0], order], output, axis=1)

    def _node(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self.nodes.append(
            self._onnx.helper.make_node(kind, list(inputs), [output], name=f"{output}|{kind}", **attributes)
        )
        return output

    def _constant(self, name: str, array: NDArray[Any]) -> str:
        stored = array if array.dtype == np.int64 else array.astype(np.float32)
        self.constants.append(self._onnx.numpy_helper.from_array(stored, name))
        return name


def _assembled(
    onnx: Any,
    network: Any,
    *,
    nodes: Sequence[Any],
    constants: Sequence[Any],
    ports: Sequence[tuple[str, str, list[int | str]]],
) -> Any:
    """The network with other nodes and another input and output, checked."""
    types = onnx.TensorProto
    image, answer = (onnx.helper.make_tensor_value_info(name, getattr(types, kind), dims) for name, kind, dims in ports)
    graph = onnx.helper.make_graph(
        nodes, "gaze", [image], [answer], initializer=[*network.graph.initializer, *constants]
    )
    graph.sparse_initializer.extend(network.graph.sparse_initializer)
    folded = onnx.helper.make_model(graph, opset_imports=network.opset_import, producer_name="framehouse")
    folded.functions.extend(network.functions)
    folded.metadata_props.extend(network.metadata_props)
    folded.ir_version = min(network.ir_version, IR_VERSION)
    try:
        onnx.checker.check_model(folded, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConfigError(f"the network cannot be used: {error}", code="models.gaze") from error
    return folded


def _inputs(graph: Any) -> list[Any]:
    constants = {tensor.name for tensor in graph.initializer}
    return [port for port in graph.input if port.name not in constants]


def _input(graph: Any) -> tuple[str, int | str, int]:
    """Name of the only input, number of pictures (a word where it is free), side of a picture."""
    ports = _inputs(graph)
    dims = [_dims(port) for port in ports]
    fits = len(ports) == 1 and ports[0].type.tensor_type.elem_type in _FLOATS and len(dims[0]) == 4
    if not fits or dims[0][1] not in (3, 0) or dims[0][2] != dims[0][3]:
        raise ConfigError(
            f"a gaze network takes one picture, float [N, 3, S, S]; this one takes {dims}", code="models.gaze"
        )
    return ports[0].name, dims[0][0] or "batch", dims[0][2] or USUAL_SIDE


def _widths(graph: Any) -> list[int]:
    """Numbers that each output has for a picture: bins, or 1 or 2 angles."""
    dims = [_dims(port) for port in graph.output]
    widths = [1 if len(found) == 1 else int(np.prod(found[1:])) for found in dims if found]
    if widths not in ([2], [1, 1], *([bins, bins] for bins in BINS)):
        bins = " or ".join(map(str, BINS))
        raise ConfigError(
            f"a gaze network gives two outputs of {bins} bins, two angles, or both in one; this one gives {dims}",
            code="models.gaze",
        )
    return widths


def _dims(port: Any) -> list[int]:
    """Dimensions of a tensor; 0 where one is free."""
    return [dim.dim_value for dim in port.type.tensor_type.shape.dim]


def _filled(name: str, facts: Mapping[str, object]) -> bytes:
    return Template((_TEMPLATES / name).read_text(encoding="utf-8")).substitute(facts).encode()
