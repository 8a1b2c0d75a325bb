"""Write the trained towers as ONNX: `python -m scripts.train_tiny_clip.export OUT [REPOSITORY]`, without torch.

Weights are rounded to float16 and stored so; the arithmetic is float32. Also written: the tokenizer, the words of the
captions. What must stand in the configurations and the card (space, logit_scale, hashes) is printed.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.inference.convert.graph import GraphBuilder, Port
from scripts.train_tiny_clip.captions import LENGTH, all_words
from scripts.train_tiny_clip.shapes import SIDE

Weights = Mapping[str, NDArray[Any]]
HEADS, END_ID, DIMENSIONS = 4, 1, 64
_TORCH_EPSILON = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("repository", type=Path, nargs="?", default=Path("triton_models"))
    options = parser.parse_args()
    weights = np.load(options.out / "weights.npz")
    space = space_of(weights)
    image, text = (options.repository / name / "1" for name in ("clip", "clip_text"))
    for folder in (image, text):
        folder.mkdir(parents=True, exist_ok=True)
    facts = {name: str(weights[name]) for name in ("seed", "steps")} | {"space": space}
    (image / "model.onnx").write_bytes(image_tower(below(weights, "image"), facts))
    (text / "model.onnx").write_bytes(text_tower(below(weights, "text"), facts))
    shutil.copyfile(options.out / "tokenizer.json", text / "tokenizer.json")
    (text / "words.txt").write_text("\n".join(all_words()) + "\n")
    print(f"space {space}\nlogit_scale {float(weights['logit_scale']):.4f}")
    for file in (image / "model.onnx", text / "model.onnx", text / "tokenizer.json", text / "words.txt"):
        print(file.name, file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())


def space_of(weights: Weights) -> str:
    """A name that changes with any weight of either tower."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}\0".encode() + np.ascontiguousarray(weights[name]).tobytes())
    return f"shapes-{digest.hexdigest()[:12]}"


def image_tower(weights: Weights, facts: Mapping[str, str]) -> bytes:
    """`image` uint8 [n, 64, 64, 3] RGB to `embedding` float32 [n, 64]."""
    graph = _Tower("tiny_clip_image", weights)
    pixels = graph.op("Transpose", [graph.op("Cast", ["image"], to=1)], perm=[0, 3, 1, 2])
    x = graph.op("Div", [graph.op("Sub", [pixels, graph.value(127.5)]), graph.value(63.75)])  # (v / 255 - 0.5) / 0.25
    for layer in (0, 3, 6, 9):
        x = graph.convolution(x, f"stem.{layer}", f"stem.{layer + 1}")
        x = x if layer == 9 else graph.op("Relu", [x])
    x = graph.op("Reshape", [x, graph.shape(0, 0, 16)])
    x = graph.op("Transpose", [x], perm=[0, 2, 1])
    n = graph.op("Slice", [graph.op("Shape", [x]), graph.shape(0), graph.shape(1)])
    width = weights["summary"].shape[-1]
    summary = graph.op(
        "Expand", [graph.array("summary"), graph.op("Concat", [n, graph.shape(1), graph.shape(width)], axis=0)]
    )
    x = graph.op("Add", [graph.op("Concat", [summary, x], axis=1), graph.array("place")])
    x = graph.blocks(x, length=17)
    x = graph.head(x)  # of all tokens: the product is then as long for one picture as for any, and has the same bits
    first = graph.op("Gather", [x, graph.shape(0)], axis=1)
    graph.op("Reshape", [first, graph.shape(-1, DIMENSIONS)], "embedding")
    return graph.model(Port("image", "uint8", ("n", SIDE, SIDE, 3)), facts)


def text_tower(weights: Weights, facts: Mapping[str, str]) -> bytes:
    """`tokens` int64 [n, 24] to `embedding` float32 [n, 64]."""
    graph = _Tower("tiny_clip_text", weights)
    x = graph.op("Add", [graph.op("Gather", [graph.array("words.weight"), "tokens"], axis=0), graph.array("place")])
    mask = graph.constant("mask", np.triu(np.full((LENGTH, LENGTH), -1e4, np.float32), 1))
    x = graph.head(graph.blocks(x, length=LENGTH, mask=mask))
    at_end = graph.op("Cast", [graph.op("Equal", ["tokens", graph.shape(END_ID)])], to=1)
    at_end = graph.op("Unsqueeze", [at_end, graph.shape(2)])
    graph.op("ReduceSum", [graph.op("Mul", [x, at_end]), graph.shape(1)], "embedding", keepdims=0)
    return graph.model(Port("tokens", "int64", ("n", LENGTH)), facts)


def below(weights: Weights, tower: str) -> dict[str, NDArray[np.float32]]:
    """One tower's weights by their names in it, rounded to float16; batch norms are needed exactly and are not."""
    found = {name.removeprefix(f"{tower}."): weights[name] for name in weights if name.startswith(f"{tower}.")}
    return {name: array.astype(np.float32) for name, array in found.items() if "num_batches" not in name}


def rounded(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """The nearest float16 values."""
    return array.astype(np.float16).astype(np.float32)


class _Tower:
    """The towers' layers, as nodes."""

    def __init__(self, name: str, weights: Weights) -> None:
        self._graph, self._weights, self._n = GraphBuilder(name), weights, 0

    def op(self, kind: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        self._n += 1
        return self._graph.op(kind, inputs, output or f"{self._n:03d}_{kind.lower()}", **attributes)

    def constant(self, name: str, array: NDArray[Any]) -> str:
        return self._graph.constant(name, array)

    def array(self, name: str) -> str:
        return self._graph.constant(name, rounded(self._weights[name]))

    def value(self, value: float) -> str:
        return self._graph.constant(f"value_{value}", np.array(value, np.float32))

    def shape(self, *dims: int) -> str:
        return self._graph.integers(f"shape_{'_'.join(map(str, dims))}", dims)

    def convolution(self, x: str, name: str, norm: str) -> str:
        """A convolution with the batch norm after it folded in."""
        w = self._weights
        gain = w[f"{norm}.weight"] / np.sqrt(w[f"{norm}.running_var"] + _TORCH_EPSILON)
        kernel = self.constant(f"{name}.kernel", rounded(w[f"{name}.weight"] * gain[:, None, None, None]))
        bias = (w[f"{name}.bias"] - w[f"{norm}.running_mean"]) * gain + w[f"{norm}.bias"]
        options = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        return self.op("Conv", [x, kernel, self.constant(f"{name}.shift", rounded(bias))], **options)

    def linear(self, x: str, name: str) -> str:
        weight = self.constant(f"{name}.weight", rounded(self._weights[f"{name}.weight"].T))
        x = self.op("MatMul", [x, weight])
        return self.op("Add", [x, self.array(f"{name}.bias")]) if f"{name}.bias" in self._weights else x

    def norm(self, x: str, name: str) -> str:
        inputs = [x, self.array(f"{name}.weight"), self.array(f"{name}.bias")]
        return self.op("LayerNormalization", inputs, epsilon=_TORCH_EPSILON)

    def blocks(self, x: str, length: int, mask: str = "") -> str:
        n_blocks = len({name.split(".")[1] for name in self._weights if name.startswith("blocks.")})
        for i in range(n_blocks):
            x = self.op("Add", [x, self._attention(self.norm(x, f"blocks.{i}.norm1"), f"blocks.{i}", length, mask)])
            y = self.linear(self.norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.up")
            x = self.op("Add", [x, self.linear(self._gelu(y), f"blocks.{i}.down")])
        return x

    def head(self, x: str) -> str:
        return self.linear(self.norm(x, "norm"), "head")

    def model(self, port: Port, facts: Mapping[str, str]) -> bytes:
        return self._graph.model([port], [Port("embedding", "float32", ("n", DIMENSIONS))], facts)

    def _attention(self, x: str, name: str, length: int, mask: str) -> str:
        width = self._weights[f"{name}.out.weight"].shape[0]
        each = width // HEADS
        x = self.op("Reshape", [self.linear(x, f"{name}.qkv"), self.shape(0, length, 3, HEADS, each)])
        x = self.op("Transpose", [x], perm=[2, 0, 3, 1, 4])
        q, k, v = (self.op("Gather", [x, self.shape(i)], axis=0) for i in range(3))  # [1, n, heads, length, each]
        k = self.op("Transpose", [k], perm=[0, 1, 2, 4, 3])
        weights = self.op("Div", [self.op("MatMul", [q, k]), self.value(float(np.float32(each) ** 0.5))])
        weights = self.op("Softmax", [self.op("Add", [weights, mask]) if mask else weights], axis=-1)
        x = self.op("Transpose", [self.op("MatMul", [weights, v])], perm=[0, 1, 3, 2, 4])
        return self.linear(self.op("Reshape", [x, self.shape(-1, length, width)]), f"{name}.out")

    def _gelu(self, x: str) -> str:
        error = self.op("Erf", [self.op("Div", [x, self.value(float(np.float32(2) ** 0.5))])])
        share = self.op("Mul", [self.op("Add", [error, self.value(1.0)]), self.value(0.5)])
        return self.op("Mul", [x, share])


if __name__ == "__main__":
    main()
