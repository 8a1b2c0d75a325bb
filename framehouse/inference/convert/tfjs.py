"""Reading a TensorFlow.js graph model: one JSON file (topology, manifest) and files of raw weights."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TfNode:
    """One operation: inputs without control edges, attributes as JSON has them."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Mapping[str, Any]]

    def integer(self, key: str, default: int = 0) -> int:
        """An integer attribute."""
        return int(self.attributes.get(key, {}).get("i", default))

    def flag(self, key: str) -> bool:
        """A boolean attribute; absent is false."""
        return bool(self.attributes.get(key, {}).get("b", False))

    def text(self, key: str, default: str = "") -> str:
        """A string attribute (base64 in the file)."""
        value = self.attributes.get(key, {}).get("s")
        return default if value is None else base64.b64decode(value).decode()

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of integers; absent is empty."""
        return tuple(int(value) for value in self._items(key, "i"))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; absent is empty."""
        return tuple(base64.b64decode(value).decode() for value in self._items(key, "s"))

    def _items(self, key: str, kind: str) -> list[Any]:
        return list(self.attributes.get(key, {}).get("list", {}).get(kind, []))


@dataclass(frozen=True, slots=True)
class TfGraph:
    """Nodes and weights by name."""

    nodes: Mapping[str, TfNode]
    weights: Mapping[str, NDArray[Any]]


def read_graph(path: Path) -> TfGraph:
    """Read `<name>.json` and the weight files beside it.

    Raises:
        ConfigError: the file is no graph model, or the weights do not have the size that the manifest says.
    """
    document = json.loads(path.read_bytes())
    if document.get("format") != "graph-model":
        raise ConfigError(f"{path.name} is not a TensorFlow.js graph model", code="convert.format")
    nodes = (_node(entry) for entry in document["modelTopology"]["node"])
    weights: dict[str, NDArray[Any]] = {}
    for group in document["weightsManifest"]:
        content = b"".join((path.parent / name).read_bytes() for name in group["paths"])
        weights.update(_weights(group["weights"], content, path.name))
    return TfGraph({node.name: node for node in nodes}, weights)


def _node(entry: Mapping[str, Any]) -> TfNode:
    inputs = tuple(name.removesuffix(":0") for name in entry.get("input", []) if not name.startswith("^"))
    return TfNode(entry["name"], entry["op"], inputs, entry.get("attr", {}))


def _weights(entries: list[dict[str, Any]], content: bytes, source: str) -> dict[str, NDArray[Any]]:
    arrays, start = {}, 0
    for entry in entries:
        stored = np.dtype(entry.get("quantization", entry)["dtype"])
        count = int(np.prod(entry["shape"], dtype=np.int64))
        end = start + count * stored.itemsize
        if end > len(content):
            raise ConfigError(f"{source}: weights end before {entry['name']}", code="convert.weights")
        arrays[entry["name"]] = _weight(np.frombuffer(content[start:end], stored), entry)
        start = end
    if start != len(content):
        raise ConfigError(f"{source}: {len(content) - start} bytes of weights too many", code="convert.weights")
    return arrays


def _weight(raw: NDArray[Any], entry: Mapping[str, Any]) -> NDArray[Any]:
    """Undo the storage form: float16 as it is, small integers by scale and minimum."""
    quantization = entry.get("quantization", {})
    if "scale" in quantization:
        raw = raw.astype(np.float32) * np.float32(quantization["scale"]) + np.float32(quantization["min"])
    return raw.astype(entry["dtype"]).reshape(entry["shape"])
