"""EfficientNet-Lite0 for Triton: pictures as they come from the decoder in, the most likely classes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import GraphBuilder, Port
from framehouse.inference.convert.torchfile import read_checkpoint

SIDE = 224
N_CLASSES = 1000
N_BEST = 5
_FLOAT, _INT32 = 1, 6
_MIDDLE, _SPREAD = 127, 128
"""Mean and standard deviation that the network was trained with, on 0..255 (the package's .498 and .502 of 255)."""
_EPSILON = 1e-3
"""Of its batch normalisations; PyTorch's own default is another."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """Blocks of one shape; the first of them may halve the picture."""

    blocks: int
    kernel: int
    stride: int


_STAGES = (
    *(_Stage(1, 3, 1), _Stage(2, 3, 2), _Stage(2, 5, 2), _Stage(3, 3, 2)),
    *(_Stage(3, 5, 1), _Stage(4, 5, 2), _Stage(1, 3, 1)),
)
"""The table of the EfficientNet paper; Lite0 drops squeeze and excitation and has ReLU6. Widths are in the weights."""

_FEW = 20_000
"""Weights of an array up to which it is stored as it is."""

Weights = Mapping[str, NDArray[Any]]


def convert_efficientnet(source: Path) -> bytes:
    """The ONNX model of `efficientnet-lite0-57934424.pth`.

    Input `image`, uint8 [N, 224, 224, 3], RGB. Outputs `confidences`, float32 [N, 5], the softmax of the five best
    classes, falling, and `classes`, int32 [N, 5]; equal ones by class. `logits` [N, 1000] stay readable by name inside
    the graph. Batch normalisation is folded into the convolutions; large weights are rounded to float16, so the numbers
    are not quite those of the source (logits differ by about 0.01).

    Raises:
        ConfigError: onnx is not installed, or the source is not the checkpoint that this is written for.
    """
    weights = read_checkpoint(source)
    builder = GraphBuilder("efficientnet_lite0")
    network = _Network(builder, weights)
    features = network.features(_network_input(builder))
    pooled = builder.op("GlobalAveragePool", [features], "pooled")
    flat = builder.op("Flatten", [pooled], "pooled@flat", axis=1)
    matrix, bias = network.weight("_fc.weight"), weights["_fc.bias"]
    if matrix.shape[0] != N_CLASSES:
        raise ConfigError(f"{source.name} has {matrix.shape[0]} classes, not {N_CLASSES}", code="convert.weights")
    operands = [flat, builder.constant("fc", _small(matrix.T)), builder.constant("fc@bias", bias)]
    logits = builder.op("Gemm", operands, "logits")
    builder.declare(Port("logits", "float32", ("batch", N_CLASSES)))
    best_classes(builder, builder.op("Softmax", [logits], "probabilities", axis=1), N_BEST)
    network.check_all_used()
    return builder.model(
        [Port("image", "uint8", ("batch", SIDE, SIDE, 3))],
        [Port("confidences", "float32", ("batch", N_BEST)), Port("classes", "int32", ("batch", N_BEST))],
        {"classes": str(N_CLASSES), "source": source.name},
    )


def _network_input(builder: GraphBuilder) -> str:
    """uint8 NHWC to float NCHW about zero; subtracted here, as the zeros beyond the edge are those of after."""
    turned = builder.op("Transpose", ["image"], "image@nchw", perm=(0, 3, 1, 2))
    pictures = builder.op("Cast", [turned], "pictures", to=_FLOAT)
    centred = builder.op("Sub", [pictures, builder.constant("middle", np.array(_MIDDLE, np.float32))], "centred")
    return builder.op("Mul", [centred, builder.constant("spread", np.array(1 / _SPREAD, np.float32))], "scaled")


def best_classes(builder: GraphBuilder, scores: str, n_best: int) -> tuple[str, str]:
    """Add `confidences` float32 and `classes` int32, each [N, n_best]: falling scores, equal ones by class."""
    n = builder.integers("n_best", [n_best])
    confidences, places = builder.split("TopK", [scores, n], ("confidences", "places"), axis=1)
    return confidences, builder.op("Cast", [places], "classes", to=_INT32)


def _small(array: NDArray[Any]) -> NDArray[np.float32]:
    """Large arrays rounded to what float16 can hold, so that the builder stores them in half the bytes.

    The small ones (stem, filters of one channel, the first blocks) are 3% of the weights and shape the result most:
    rounding them as well would make the difference to the source eight times as large.
    """
    return array.astype(np.float16 if array.size > _FEW else np.float32).astype(np.float32)


class _Network:
    """The convolutions, from stem to head."""

    def __init__(self, builder: GraphBuilder, weights: Weights) -> None:
        self._builder = builder
        self._weights = weights
        self._used = {"_fc.bias"}

    def features(self, pictures: str) -> str:
        """Everything before the pooling: [N, 1280, 7, 7]."""
        last = self._convolve(pictures, "_conv_stem", "_bn0", stride=2)
        for number, (kernel, stride) in enumerate(_blocks()):
            last = self._block(last, f"_blocks.{number}", kernel, stride)
        return self._convolve(last, "_conv_head", "_bn1")

    def weight(self, name: str) -> NDArray[Any]:
        """A tensor of the checkpoint.

        Raises:
            ConfigError: it has none of this name.
        """
        if name not in self._weights:
            raise ConfigError(f"the checkpoint has no {name}", code="convert.weights")
        self._used.add(name)
        return self._weights[name]

    def check_all_used(self) -> None:
        """Raises ConfigError where the checkpoint has weights that the graph does not (counters aside)."""
        left = sorted(
            name for name in self._weights if name not in self._used and not name.endswith("num_batches_tracked")
        )
        if left:
            raise ConfigError(f"the checkpoint has weights of another network: {left[0]}", code="convert.weights")

    def _block(self, name_in: str, block: str, kernel: int, stride: int) -> str:
        """Widen, filter each channel, narrow again; the input is added where the shape has stayed."""
        is_wide = f"{block}._expand_conv.weight" in self._weights
        last = self._convolve(name_in, f"{block}._expand_conv", f"{block}._bn0") if is_wide else name_in
        last = self._convolve(last, f"{block}._depthwise_conv", f"{block}._bn1", stride=stride, kernel=kernel)
        last = self._convolve(last, f"{block}._project_conv", f"{block}._bn2", bends=False)
        first = f"{block}._expand_conv.weight" if is_wide else f"{block}._depthwise_conv.weight"
        channels_in = self._weights[first].shape[1 if is_wide else 0]
        if stride != 1 or self._weights[f"{block}._project_conv.weight"].shape[0] != channels_in:
            return last
        return self._builder.op("Add", [last, name_in], f"{block}@sum")

    def _convolve(
        self, name_in: str, name: str, norm: str, *, stride: int = 1, kernel: int | None = None, bends: bool = True
    ) -> str:
        """Convolution with its normalisation folded in, padded as TensorFlow does, and ReLU6."""
        matrix, bias = self._folded(f"{name}.weight", norm)
        side = matrix.shape[2]
        if kernel not in (None, side):
            raise ConfigError(f"{name} has a kernel of {side}, expected {kernel}", code="convert.weights")
        builder = self._builder
        last = builder.op(
            "Conv",
            [name_in, builder.constant(name, _small(matrix)), builder.constant(f"{name}@bias", bias)],
            f"{name}@conv",
            kernel_shape=(side, side),
            strides=(stride, stride),
            group=matrix.shape[0] if name.endswith("_depthwise_conv") else 1,
            auto_pad="SAME_UPPER",
        )
        if not bends:
            return last
        limits = [builder.constant(word, np.array(n, np.float32)) for word, n in (("zero", 0), ("six", 6))]
        return builder.op("Clip", [last, *limits], f"{name}@relu6")

    def _folded(self, weight: str, norm: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Weights [out, in, k, k] and bias [out] of a convolution and the normalisation behind it."""
        scale, shift, mean, variance = (
            self.weight(f"{norm}.{part}").astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + _EPSILON)
        matrix = self.weight(weight).astype(np.float64) * factor[:, None, None, None]
        return matrix, (shift - mean * factor).astype(np.float32)


def _blocks() -> Iterator[tuple[int, int]]:
    """Kernel and stride of each block in order."""
    for stage in _STAGES:
        for number in range(stage.blocks):
            yield stage.kernel, stage.stride if number == 0 else 1
