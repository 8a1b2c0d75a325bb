"""TFLite operations to ONNX ones.

As in `translate`: each tensor remembers whether it is NHWC as in the source or NCHW, and a Transpose is written only
where the two meet. A TFLite graph lists its operations in order, so all of them are translated, one after the other.
The batch, 1 in the source, becomes free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import GraphBuilder
from framehouse.inference.convert.tflite import LiteGraph, LiteOperation
from framehouse.inference.convert.translate import Layout, Tensor

_NCHW_OF_NHWC = (0, 3, 1, 2)
_NHWC_OF_NCHW = (0, 2, 3, 1)
_PADDING = {0: "SAME_UPPER", 1: "VALID"}
_NO_ACTIVATION, _RELU, _RELU6 = 0, 1, 3
_RANK = 4


class LiteTranslator:
    """Translates a whole graph; afterwards any of its tensors can be asked for."""

    def __init__(self, source: LiteGraph, builder: GraphBuilder, picture: Tensor) -> None:
        """
        Args:
            source: the graph, with one input.
            builder: where nodes and constants go.
            picture: stands for the input.

        Raises:
            ConfigError: the graph needs something that is not known here (`convert.operation`).
        """
        self.source = source
        self.builder = builder
        self._weights = dict(source.weights)
        self._done = {source.inputs[0]: picture}
        self._moved: dict[tuple[int, Layout], str] = {}
        for operation in source.operations:
            translate = _OPERATIONS.get(operation.kind)
            if translate is None:
                raise ConfigError(f"no translation for {operation.kind}", code="convert.operation")
            translate(self, operation)

    def output(self, number: int) -> str:
        """ONNX name of an output of the graph, counted from 0, in the layout of the source."""
        return self.named(self.source.outputs[number], "source")

    def named(self, tensor: int, layout: Layout) -> str:
        """ONNX name of a computed tensor in the layout that is asked for."""
        done = self._done[tensor]
        if done.layout == layout:
            return done.name
        key = (tensor, layout)
        if key not in self._moved:
            order = _NCHW_OF_NHWC if layout == "nchw" else _NHWC_OF_NCHW
            self._moved[key] = self.builder.op("Transpose", [done.name], f"{done.name}@{layout}", perm=order)
        return self._moved[key]

    def layout(self, tensor: int) -> Layout:
        """Layout that a tensor has now; constants follow whoever uses them."""
        return self._done[tensor].layout if tensor in self._done else "source"

    def is_weight(self, tensor: int) -> bool:
        """Whether a tensor is a constant."""
        return tensor in self._weights

    def weight(self, tensor: int) -> NDArray[Any]:
        """The values of a constant.

        Raises:
            ConfigError: the tensor is computed, where only a constant can be translated.
        """
        if tensor not in self._weights:
            raise ConfigError(f"tensor {tensor} must be a constant", code="convert.operation")
        return self._weights[tensor]

    def keep_weight(self, tensor: int, array: NDArray[Any]) -> None:
        """Let a tensor be a constant."""
        self._weights[tensor] = array

    def keep(self, operation: LiteOperation, name: str, layout: Layout, activation: int = _NO_ACTIVATION) -> None:
        """Let an ONNX tensor, with the activation applied, be the operation's only output."""
        if activation == _RELU:
            name = self.builder.op("Relu", [name], f"{name}@relu")
        elif activation == _RELU6:
            name = self.builder.op("Clip", [name, *_bounds(self.builder, 0, 6)], f"{name}@relu6")
        elif activation != _NO_ACTIVATION:
            raise ConfigError(f"no translation for activation {activation}", code="convert.operation")
        (output,) = operation.outputs
        self._done[output] = Tensor(name, layout)


def _bounds(builder: GraphBuilder, *bounds: int) -> list[str]:
    return [builder.constant(f"bound{bound}", np.array(bound, np.float32)) for bound in bounds]


def _name(operation: LiteOperation) -> str:
    return f"t{operation.outputs[0]}"


def _dequantize(translator: LiteTranslator, operation: LiteOperation) -> None:
    """A weight that is stored as float16."""
    weight = translator.weight(operation.inputs[0])
    if weight.dtype != np.float16:
        raise ConfigError(f"no translation for weights of type {weight.dtype}", code="convert.operation")
    translator.keep_weight(operation.outputs[0], weight.astype(np.float32))


def _convolution(translator: LiteTranslator, operation: LiteOperation) -> None:
    weight, options = translator.weight(operation.inputs[1]), operation.options
    if operation.kind == "CONV_2D":
        kernel, groups, activation_field, dilation_field = weight.transpose(0, 3, 1, 2), 1, 3, 4
    else:
        channels = translator.source.shapes[operation.inputs[0]][3]
        kernel, groups, activation_field, dilation_field = weight.transpose(3, 0, 1, 2), channels, 4, 5
    if {options.number(dilation_field, "i", 1), options.number(dilation_field + 1, "i", 1)} != {1}:
        raise ConfigError("no translation for dilation", code="convert.operation")
    name = _name(operation)
    made = translator.builder.op(
        "Conv",
        [translator.named(operation.inputs[0], "nchw"), *_kernel_and_bias(translator, operation, kernel)],
        name,
        strides=(options.number(2, "i"), options.number(1, "i")),
        kernel_shape=kernel.shape[2:],
        group=groups,
        auto_pad=_PADDING[options.number(0, "b")],
    )
    translator.keep(operation, made, "nchw", options.number(activation_field, "b"))


def _kernel_and_bias(translator: LiteTranslator, operation: LiteOperation, kernel: NDArray[Any]) -> list[str]:
    names = [translator.builder.constant(f"{_name(operation)}@kernel", kernel)]
    if len(operation.inputs) > 2 and operation.inputs[2] >= 0:
        bias = translator.weight(operation.inputs[2])
        names.append(translator.builder.constant(f"{_name(operation)}@bias", bias))
    return names


def _transposed_convolution(translator: LiteTranslator, operation: LiteOperation) -> None:
    """MediaPipe's own operation; options: padding, stride across, stride down. Weights are OHWI."""
    kernel = translator.weight(operation.inputs[1]).transpose(3, 0, 1, 2)
    _, across, down = np.frombuffer(operation.custom_options[:12], "<i4").tolist()
    if kernel.shape[2:] != (down, across):
        raise ConfigError("no translation for a transposed convolution that overlaps", code="convert.operation")
    made = translator.builder.op(
        "ConvTranspose",
        [translator.named(operation.inputs[0], "nchw"), *_kernel_and_bias(translator, operation, kernel)],
        _name(operation),
        strides=(down, across),
        kernel_shape=kernel.shape[2:],
    )
    translator.keep(operation, made, "nchw")


def _pool(kind: str) -> Callable[[LiteTranslator, LiteOperation], None]:
    def translate(translator: LiteTranslator, operation: LiteOperation) -> None:
        options = operation.options
        made = translator.builder.op(
            kind,
            [translator.named(operation.inputs[0], "nchw")],
            _name(operation),
            kernel_shape=(options.number(4, "i"), options.number(3, "i")),
            strides=(options.number(2, "i"), options.number(1, "i")),
            auto_pad=_PADDING[options.number(0, "b")],
        )
        translator.keep(operation, made, "nchw", options.number(5, "b"))

    return translate


def _unary(kind: str) -> Callable[[LiteTranslator, LiteOperation], None]:
    def translate(translator: LiteTranslator, operation: LiteOperation) -> None:
        layout = translator.layout(operation.inputs[0])
        made = translator.builder.op(kind, [translator.named(operation.inputs[0], layout)], _name(operation))
        translator.keep(operation, made, layout)

    return translate


def _binary(kind: str) -> Callable[[LiteTranslator, LiteOperation], None]:
    def translate(translator: LiteTranslator, operation: LiteOperation) -> None:
        layout = _joint_layout(translator, operation)
        inputs = [_operand(translator, tensor, layout) for tensor in operation.inputs]
        made = translator.builder.op(kind, inputs, _name(operation))
        translator.keep(operation, made, layout, operation.options.number(0, "b"))

    return translate


def _joint_layout(translator: LiteTranslator, operation: LiteOperation) -> Layout:
    return "nchw" if any(translator.layout(tensor) == "nchw" for tensor in operation.inputs) else "source"


def _operand(translator: LiteTranslator, tensor: int, layout: Layout) -> str:
    """An operand of an element-wise operation; a constant is turned by itself, so that it broadcasts as before."""
    if not translator.is_weight(tensor):
        return translator.named(tensor, layout)
    value = translator.weight(tensor)
    if layout == "source" or value.ndim == 0:
        return translator.builder.constant(f"t{tensor}", value)
    turned = value.reshape((1,) * (_RANK - value.ndim) + value.shape).transpose(_NCHW_OF_NHWC)
    return translator.builder.constant(f"t{tensor}@nchw", turned)


def _prelu(translator: LiteTranslator, operation: LiteOperation) -> None:
    slope = translator.weight(operation.inputs[1])
    turned = slope.reshape((1,) * (3 - slope.ndim) + slope.shape).transpose(2, 0, 1)
    inputs = [
        translator.named(operation.inputs[0], "nchw"),
        translator.builder.constant(f"{_name(operation)}@slope", turned),
    ]
    translator.keep(operation, translator.builder.op("PRelu", inputs, _name(operation)), "nchw")


def _pad(translator: LiteTranslator, operation: LiteOperation) -> None:
    """With zeros; the constant holds begin and end of each axis of the source."""
    layout, edges = translator.layout(operation.inputs[0]), translator.weight(operation.inputs[1])
    turned = edges[list(_NCHW_OF_NHWC)] if layout == "nchw" else edges
    pads = translator.builder.integers(f"{_name(operation)}@pads", turned.T.ravel().tolist())
    inputs = [translator.named(operation.inputs[0], layout), pads]
    translator.keep(operation, translator.builder.op("Pad", inputs, _name(operation)), layout)


def _mean(translator: LiteTranslator, operation: LiteOperation) -> None:
    keep = bool(operation.options.number(0, "b"))
    axes = [int(axis) % len(translator.source.shapes[operation.inputs[0]]) for axis in _flat(translator, operation, 1)]
    layout: Layout = translator.layout(operation.inputs[0]) if keep else "source"
    if layout == "nchw":
        axes = [_NCHW_OF_NHWC.index(axis) for axis in axes]
    inputs = [
        translator.named(operation.inputs[0], layout),
        translator.builder.integers(f"{_name(operation)}@axes", axes),
    ]
    made = translator.builder.op("ReduceMean", inputs, _name(operation), keepdims=int(keep))
    translator.keep(operation, made, layout)


def _flat(translator: LiteTranslator, operation: LiteOperation, number: int) -> list[int]:
    return [int(value) for value in translator.weight(operation.inputs[number]).ravel()]


def _resize_bilinear(translator: LiteTranslator, operation: LiteOperation) -> None:
    """To a fixed height and width; all four sizes are given, as in `translate`."""
    builder, name, options = translator.builder, _name(operation), operation.options
    picture = translator.named(operation.inputs[0], "nchw")
    kept = builder.op("Shape", [picture], f"{name}@kept", start=0, end=2)
    wanted = builder.integers(f"{name}@wanted", _flat(translator, operation, 1))
    sizes = builder.op("Concat", [kept, wanted], f"{name}@sizes", axis=0)
    if options.number(2, "b"):
        transformation = "align_corners"
    else:
        transformation = "half_pixel" if options.number(3, "b") else "asymmetric"
    attributes = {"mode": "linear", "coordinate_transformation_mode": transformation}
    translator.keep(operation, builder.op("Resize", [picture, "", "", sizes], name, **attributes), "nchw")


def _reshape(translator: LiteTranslator, operation: LiteOperation) -> None:
    """To the shape that the file gives the result; the batch is taken over from the input."""
    before, after = (translator.source.shapes[tensor] for tensor in (operation.inputs[0], operation.outputs[0]))
    if not (before and after and before[0] == after[0] == 1):
        raise ConfigError(f"no translation for a reshape from {before} to {after}", code="convert.operation")
    shape = translator.builder.integers(f"{_name(operation)}@shape", [0, *after[1:]])
    inputs = [translator.named(operation.inputs[0], "source"), shape]
    translator.keep(operation, translator.builder.op("Reshape", inputs, _name(operation)), "source")


def _concatenation(translator: LiteTranslator, operation: LiteOperation) -> None:
    layout, axis = _joint_layout(translator, operation), operation.options.number(0, "i")
    if layout == "nchw":
        axis = _NCHW_OF_NHWC.index(axis % _RANK)
    inputs = [_operand(translator, tensor, layout) for tensor in operation.inputs]
    made = translator.builder.op("Concat", inputs, _name(operation), axis=axis)
    translator.keep(operation, made, layout, operation.options.number(1, "b"))


_OPERATIONS: dict[str, Callable[[LiteTranslator, LiteOperation], None]] = {
    "DEQUANTIZE": _dequantize,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "Convolution2DTransposeBias": _transposed_convolution,
    "MAX_POOL_2D": _pool("MaxPool"),
    "AVERAGE_POOL_2D": _pool("AveragePool"),
    "ADD": _binary("Add"),
    "MUL": _binary("Mul"),
    "RELU": _unary("Relu"),
    "LOGISTIC": _unary("Sigmoid"),
    "HARD_SWISH": _unary("HardSwish"),
    "PRELU": _prelu,
    "PAD": _pad,
    "MEAN": _mean,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESHAPE": _reshape,
    "CONCATENATION": _concatenation,
}
