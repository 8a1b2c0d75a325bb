"""TensorFlow operations to ONNX ones.

TensorFlow keeps pictures as NHWC, ONNX wants NCHW. Each translated tensor remembers which of the two it has; an
operation asks for the one that it needs, and a Transpose is written only where the two meet. A chain of convolutions
so stays NCHW from one end to the other. Everything that is not a stack of pictures keeps the layout of the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import GraphBuilder
from framehouse.inference.convert.tfjs import TfGraph, TfNode

Layout = Literal["source", "nchw"]
_NCHW_OF_NHWC = (0, 3, 1, 2)
_NHWC_OF_NCHW = (0, 2, 3, 1)
_PADDING = {"SAME": "SAME_UPPER", "VALID": "VALID"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the ONNX graph and its layout."""

    name: str
    layout: Layout


class Translator:
    """Translates what a wanted tensor needs, once, following the inputs."""

    def __init__(self, source: TfGraph, builder: GraphBuilder, given: Mapping[str, Tensor]) -> None:
        """
        Args:
            source: the graph to translate.
            builder: where nodes and constants go.
            given: tensors that stand for nodes of the source, above all for its placeholders.
        """
        self.source = source
        self.builder = builder
        self._done = dict(given)
        self._moved: dict[tuple[str, Layout], str] = {}

    def tensor(self, name: str) -> Tensor:
        """The translation of a node's output.

        Raises:
            ConfigError: the graph needs an operation that is not known here.
        """
        for wanted in self._order(name):
            node = self.source.nodes[wanted]
            translate = _OPERATIONS.get(node.op)
            if translate is None:
                raise ConfigError(f"no translation for {node.op} ({node.name})", code="convert.operation")
            self._done[wanted] = translate(self, node)
        return self._done[name]

    def named(self, name: str, layout: Layout) -> str:
        """ONNX name of a node's output in the layout that is asked for."""
        tensor = self._done[name] if name in self._done else self.tensor(name)
        if tensor.layout == layout:
            return tensor.name
        key = (tensor.name, layout)
        if key not in self._moved:
            order = _NCHW_OF_NHWC if layout == "nchw" else _NHWC_OF_NCHW
            self._moved[key] = self.builder.op("Transpose", [tensor.name], f"{tensor.name}@{layout}", perm=order)
        return self._moved[key]

    def layout(self, name: str) -> Layout:
        """Layout that a node's output has now; constants follow whoever uses them."""
        return self._done[name].layout if name in self._done else "source"

    def is_weight(self, name: str) -> bool:
        """Whether a node is a constant of the source."""
        return name in self.source.weights

    def weight(self, name: str) -> NDArray[Any]:
        """The values of a constant of the source.

        Raises:
            ConfigError: the node is computed, where only a constant can be translated.
        """
        if name not in self.source.weights:
            raise ConfigError(f"{name} must be a constant", code="convert.operation")
        return self.source.weights[name]

    def _order(self, name: str) -> list[str]:
        """Nodes still to translate for `name`, each after its inputs (without recursion: graphs are deep)."""
        order: list[str] = []
        seen, stack = set(self._done), [(name, False)]
        while stack:
            current, inputs_done = stack.pop()
            if inputs_done:
                order.append(current)
            elif current not in seen and not self.is_weight(current):
                seen.add(current)
                stack.append((current, True))
                stack.extend((source, False) for source in reversed(self.source.nodes[current].inputs))
        return order


def _convolution(translator: Translator, node: TfNode) -> Tensor:
    """Conv2D in its four forms: plain or depthwise, alone or fused with bias and activation."""
    weight = translator.weight(node.inputs[1]).astype(np.float32)
    height, width, channels, filters = weight.shape
    if "Depthwise" in node.op:
        groups, kernel = channels, weight.transpose(2, 3, 0, 1).reshape(channels * filters, 1, height, width)
    else:
        groups, kernel = 1, weight.transpose(3, 2, 0, 1)
    builder, fused = translator.builder, node.texts("fused_ops")
    inputs = [translator.named(node.inputs[0], "nchw"), builder.constant(f"{node.inputs[1]}@oihw", kernel)]
    if "BiasAdd" in fused:
        inputs.append(builder.constant(node.inputs[2], translator.weight(node.inputs[2])))
    activations = [name for name in fused if name != "BiasAdd"]
    name = builder.op(
        "Conv",
        inputs,
        f"{node.name}@conv" if activations else node.name,
        strides=node.integers("strides")[1:3],
        kernel_shape=(height, width),
        group=groups,
        **_edges(node, (height, width)),
    )
    for activation in activations:
        name = _activate(translator, activation, name, node)
    return Tensor(name, "nchw")


def _edges(node: TfNode, kernel: tuple[int, int]) -> dict[str, Any]:
    """Padding and dilation. With dilation the padding is spelled out: onnxruntime's automatic one forgets about it."""
    dilations, padding = node.integers("dilations")[1:3], node.text("padding")
    if padding != "SAME" or set(dilations) <= {1}:
        return {"auto_pad": _PADDING[padding], "dilations": dilations or (1, 1)}
    if set(node.integers("strides")) != {1}:
        raise ConfigError(f"{node.name}: dilation together with strides", code="convert.operation")
    total = [(side - 1) * dilation for side, dilation in zip(kernel, dilations, strict=True)]
    return {"pads": [*(pad // 2 for pad in total), *(pad - pad // 2 for pad in total)], "dilations": dilations}


def _activate(translator: Translator, activation: str, name: str, node: TfNode) -> str:
    builder = translator.builder
    if activation == "Relu":
        return builder.op("Relu", [name], node.name)
    if activation == "Relu6":
        return builder.op("Clip", [name, *_zero_and_six(builder)], node.name)
    if activation == "Prelu":
        slope = translator.weight(node.inputs[-1]).reshape(-1, 1, 1)
        return builder.op("PRelu", [name, builder.constant(f"{node.inputs[-1]}@chw", slope)], node.name)
    raise ConfigError(f"no translation for a convolution fused with {activation}", code="convert.operation")


def _zero_and_six(builder: GraphBuilder) -> tuple[str, str]:
    return builder.constant("zero", np.array(0, np.float32)), builder.constant("six", np.array(6, np.float32))


def _unary(kind: str) -> Callable[[Translator, TfNode], Tensor]:
    def translate(translator: Translator, node: TfNode) -> Tensor:
        layout = translator.layout(node.inputs[0])
        return Tensor(translator.builder.op(kind, [translator.named(node.inputs[0], layout)], node.name), layout)

    return translate


def _relu6(translator: Translator, node: TfNode) -> Tensor:
    layout, builder = translator.layout(node.inputs[0]), translator.builder
    inputs = [translator.named(node.inputs[0], layout), *_zero_and_six(builder)]
    return Tensor(builder.op("Clip", inputs, node.name), layout)


def _binary(kind: str) -> Callable[[Translator, TfNode], Tensor]:
    def translate(translator: Translator, node: TfNode) -> Tensor:
        layouts = {translator.layout(name) for name in node.inputs if not translator.is_weight(name)}
        layout: Layout = "nchw" if "nchw" in layouts else "source"
        inputs = [_operand(translator, name, layout) for name in node.inputs]
        return Tensor(translator.builder.op(kind, inputs, node.name), layout)

    return translate


def _operand(translator: Translator, name: str, layout: Layout) -> str:
    """An operand of an element-wise operation; a constant is turned by itself, so that it broadcasts as before."""
    if not translator.is_weight(name):
        return translator.named(name, layout)
    value = translator.weight(name)
    if layout == "source" or value.ndim == 0:
        return translator.builder.constant(name, value)
    turned = value.reshape((1,) * (4 - value.ndim) + value.shape).transpose(_NCHW_OF_NHWC)
    return translator.builder.constant(f"{name}@nchw", turned)


def _mean(translator: Translator, node: TfNode) -> Tensor:
    axes = [int(axis) for axis in translator.weight(node.inputs[1]).ravel()]
    keep = node.flag("keep_dims")
    layout: Layout = translator.layout(node.inputs[0]) if keep else "source"
    if layout == "nchw":
        axes = [_nchw_axis(axis) for axis in axes]
    inputs = [translator.named(node.inputs[0], layout), translator.builder.integers(f"{node.name}@axes", axes)]
    return Tensor(translator.builder.op("ReduceMean", inputs, node.name, keepdims=int(keep)), layout)


def _concat(translator: Translator, node: TfNode) -> Tensor:
    *parts, axis_name = node.inputs
    axis = int(translator.weight(axis_name).ravel()[0])
    layout: Layout = "nchw" if any(translator.layout(part) == "nchw" for part in parts) else "source"
    names = [_operand(translator, part, layout) for part in parts]
    axis = _nchw_axis(axis) if layout == "nchw" else axis
    return Tensor(translator.builder.op("Concat", names, node.name, axis=axis), layout)


def _nchw_axis(axis: int) -> int:
    return _NCHW_OF_NHWC.index(axis % 4)


def _max_pool(translator: Translator, node: TfNode) -> Tensor:
    name = translator.builder.op(
        "MaxPool",
        [translator.named(node.inputs[0], "nchw")],
        node.name,
        kernel_shape=node.integers("ksize")[1:3],
        strides=node.integers("strides")[1:3],
        auto_pad=_PADDING[node.text("padding")],
    )
    return Tensor(name, "nchw")


def _resize_bilinear(translator: Translator, node: TfNode) -> Tensor:
    """To a fixed height and width; the two flags of TensorFlow pick ONNX's coordinate transformation.

    The size is given for all four axes: onnxruntime mixes up the attribute `axes` when it moves a Transpose past it.
    """
    builder = translator.builder
    picture = translator.named(node.inputs[0], "nchw")
    kept = builder.op("Shape", [picture], f"{node.name}@kept", start=0, end=2)
    wanted = builder.integers(f"{node.name}@wanted", [int(size) for size in translator.weight(node.inputs[1]).ravel()])
    sizes = builder.op("Concat", [kept, wanted], f"{node.name}@sizes", axis=0)
    if node.flag("align_corners"):
        transformation = "align_corners"
    else:
        transformation = "half_pixel" if node.flag("half_pixel_centers") else "asymmetric"
    attributes = {"mode": "linear", "coordinate_transformation_mode": transformation}
    return Tensor(builder.op("Resize", [picture, "", "", sizes], node.name, **attributes), "nchw")


_OPERATIONS: dict[str, Callable[[Translator, TfNode], Tensor]] = {
    "Conv2D": _convolution,
    "_FusedConv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "FusedDepthwiseConv2dNative": _convolution,
    "Add": _binary("Add"),
    "AddV2": _binary("Add"),
    "BiasAdd": _binary("Add"),
    "Sub": _binary("Sub"),
    "Mul": _binary("Mul"),
    "RealDiv": _binary("Div"),
    "Maximum": _binary("Max"),
    "Minimum": _binary("Min"),
    "Relu": _unary("Relu"),
    "Relu6": _relu6,
    "Sigmoid": _unary("Sigmoid"),
    "Identity": _unary("Identity"),
    "Mean": _mean,
    "ConcatV2": _concat,
    "MaxPool": _max_pool,
    "ResizeBilinear": _resize_bilinear,
}
