"""A small EfficientNet-Lite0 with random weights, converted, against a plain numpy form of the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from checkpoints import checkpoint
from framehouse.errors import ConfigError
from framehouse.inference.convert.efficientnet import N_BEST, N_CLASSES, SIDE, best_classes, convert_efficientnet
from framehouse.inference.convert.graph import GraphBuilder, Port

Array = NDArray[Any]

WIDTHS = (4, 6, 6, 6, 6, 8, 8, 8, 6, 6, 6, 6, 6, 6, 6, 8)
"""Channels that leave each block."""
KERNEL_OF_BLOCK = (3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3)
STRIDE_OF_BLOCK = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""From the table of the paper, written out."""


def small_network(seed: int = 0) -> dict[str, Array]:
    """Weights of a network of the shape of Lite0, a few channels wide."""
    random = np.random.default_rng(seed)
    weights: dict[str, Array] = {}

    def convolution(name: str, norm: str, out: int, into: int, side: int) -> None:
        weights[f"{name}.weight"] = random.normal(0, 1.2 / (side * np.sqrt(into)), (out, into, side, side))
        weights[f"{norm}.weight"] = random.uniform(0.5, 1.2, out)
        weights[f"{norm}.bias"] = random.normal(1, 1, out)
        weights[f"{norm}.running_mean"] = random.normal(0, 0.5, out)
        weights[f"{norm}.running_var"] = random.uniform(0.1, 1, out)
        weights[f"{norm}.num_batches_tracked"] = np.array(9, np.int64)

    convolution("_conv_stem", "_bn0", 4, 3, 3)
    last = 4
    for i, (out, side) in enumerate(zip(WIDTHS, KERNEL_OF_BLOCK, strict=True)):
        wide = last if i == 0 else 2 * last
        if i:
            convolution(f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0", wide, last, 1)
        convolution(f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1", wide, 1, side)
        convolution(f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2", out, wide, 1)
        last = out
    convolution("_conv_head", "_bn1", 10, last, 1)
    weights["_fc.weight"] = random.normal(0, 0.7, (N_CLASSES, 10))
    weights["_fc.bias"] = random.normal(0, 0.5, N_CLASSES)
    return {name: array if array.dtype == np.int64 else array.astype(np.float32) for name, array in weights.items()}


class Plain:
    """The network as its authors define it: convolution, batch normalisation, ReLU6, one after the other."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.w = {name: array.astype(np.float64) for name, array in weights.items()}

    def logits(self, pictures: Array) -> Array:
        x = ((pictures.astype(np.float64) - 127) / 128).transpose(0, 3, 1, 2)
        x = self.relu6(self.normal("_bn0", self.convolve("_conv_stem", x, 2)))
        for i, stride in enumerate(STRIDE_OF_BLOCK):
            x = self.block(f"_blocks.{i}", x, stride)
        x = self.relu6(self.normal("_bn1", self.convolve("_conv_head", x, 1)))
        return x.mean(axis=(2, 3)) @ self.w["_fc.weight"].T + self.w["_fc.bias"]

    def block(self, name: str, x: Array, stride: int) -> Array:
        y = x
        if f"{name}._expand_conv.weight" in self.w:
            y = self.relu6(self.normal(f"{name}._bn0", self.convolve(f"{name}._expand_conv", y, 1)))
        y = self.relu6(self.normal(f"{name}._bn1", self.convolve(f"{name}._depthwise_conv", y, stride)))
        y = self.normal(f"{name}._bn2", self.convolve(f"{name}._project_conv", y, 1))
        return x + y if stride == 1 and x.shape == y.shape else y

    def convolve(self, name: str, x: Array, stride: int) -> Array:
        w = self.w[f"{name}.weight"]
        side = w.shape[2]
        total = max((-(-x.shape[2] // stride) - 1) * stride + side - x.shape[2], 0)
        pad = (total // 2, total - total // 2)
        windows = sliding_window_view(np.pad(x, [(0, 0), (0, 0), pad, pad]), (side, side), axis=(2, 3))
        windows = windows[:, :, ::stride, ::stride]
        how = "nchwij,cij->nchw" if "depthwise" in name else "nchwij,ocij->nohw"
        return np.einsum(how, windows, w[:, 0] if "depthwise" in name else w, optimize=True)

    def normal(self, name: str, x: Array) -> Array:
        mean, variance, scale, shift = (
            self.w[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * scale + shift

    def relu6(self, x: Array) -> Array:
        return np.clip(x, 0, 6)


def converted(tmp_path: Path, weights: dict[str, Array]) -> onnxruntime.InferenceSession:
    path = tmp_path / "small.pth"
    path.write_bytes(checkpoint(weights))
    model = onnx.load_from_string(convert_efficientnet(path))
    model.graph.output.extend(value for value in model.graph.value_info if value.name == "logits")
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_the_network_is_that_of_the_paper(tmp_path: Path) -> None:
    weights = small_network()
    pictures = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    pictures[1, 40:] //= 3  # not all alike after the pooling
    confidences, classes, logits = converted(tmp_path, weights).run(None, {"image": pictures})
    expected = Plain(weights).logits(pictures)
    assert np.abs(expected[0] - expected[1]).max() > 0.3
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-3)
    share = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    best = np.argsort(-share, axis=1)[:, :N_BEST]
    assert classes.dtype == np.int32
    np.testing.assert_array_equal(classes, best)
    np.testing.assert_allclose(confidences, np.take_along_axis(share, best, axis=1), rtol=1e-3)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "small.pth"
    path.write_bytes(checkpoint(small_network()))
    assert convert_efficientnet(path) == convert_efficientnet(path)


def without(name: str) -> dict[str, Array]:
    return {key: array for key, array in small_network().items() if key != name}


WRONG = {
    "missing": (without("_blocks.3._bn1.bias"), r"no _blocks\.3\._bn1\.bias"),
    "left over": (small_network() | {"_blocks.16._expand_conv.weight": np.zeros(2, np.float32)}, "another network"),
    "another kernel": (
        small_network() | {"_blocks.3._depthwise_conv.weight": np.zeros((12, 1, 3, 3), np.float32)},
        "5",
    ),
    "another list of classes": (small_network() | {"_fc.weight": np.zeros((80, 10), np.float32)}, "80 classes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_weights_of_another_network_are_refused(tmp_path: Path, name: str) -> None:
    weights, message = WRONG[name]
    with pytest.raises(ConfigError, match=message) as refused:
        converted(tmp_path, weights)
    assert refused.value.code == "convert.weights"


def test_of_equal_classes_the_first_is_named() -> None:
    builder = GraphBuilder("best")
    best_classes(builder, "scores", 3)
    outputs = [Port("confidences", "float32", ("batch", 3)), Port("classes", "int32", ("batch", 3))]
    model = builder.model([Port("scores", "float32", ("batch", 6))], outputs, {})
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    confidences, classes = session.run(None, {"scores": np.float32([[0, 1, 1, 0, 2, 0], [0, 0, 0, 0, 0, 0]])})
    assert confidences.tolist() == [[2, 1, 1], [0, 0, 0]]
    assert classes.tolist() == [[4, 1, 2], [0, 1, 2]]
