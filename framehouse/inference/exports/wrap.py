"""The user's graph with a beginning and an end of ours: pictures as the decoder makes them in, small tensors out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from framehouse.inference.convert.graph import IR_VERSION, element_type, import_onnx
from framehouse.inference.exports.plan import Pixels, Plan, Result
from framehouse.inference.exports.sketch import Sketch
from framehouse.inference.exports.source import Export, ImageInput, Port

IMAGE = "image"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_NUMPY = {1: "float32", 2: "uint8", 10: "float16"}
_ONNX = {"FP32": 1, "INT32": 6}
_OUTPUTS = ("candidates", "coefficients", "protos", "points", "confidences", "classes")


def wrap(export: Export, image: ImageInput, plan: Plan) -> tuple[bytes, dict[str, Result]]:
    """The finished file, and what it gives.

    Its input is `image`, uint8 [N, height, width, 3] RGB. The network's own nodes and weights stay as they are, but for
    tensors whose names are ours; the metadata go. `export.model` is used up.
    """
    model, graph = export.model, export.model.graph
    _rename(graph, {name: f"{name}_of_the_file" for name in (IMAGE, *_OUTPUTS)})
    sketch = Sketch(export.opset, _free_prefix(graph))
    feed = _fed(image)
    pictures = _pictures(sketch, image, plan.pixels)
    sketch.named(pictures, feed)
    for port in image.others:
        sketch.named(_other(sketch, port, image), _ours(port.name))
    n_ahead = len(sketch.nodes)
    results = plan.finish(sketch)
    for name, result in results.items():
        sketch.named(result.tensor, name)
    _replace(graph, sketch, n_ahead)
    _set_ports(graph, image, results)
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "framehouse", "", ""
    del model.metadata_props[:]
    facts = {"framehouse_family": plan.layout, "framehouse_sha256_of_the_file": export.sha256}
    import_onnx().helper.set_model_props(model, facts)
    return bytes(model.SerializeToString(deterministic=True)), results


def output_of(name: str) -> str:
    """What a tensor of the file is called in the wrapped graph."""
    return _ours(name)


def _ours(name: str) -> str:
    return f"{name}_of_the_file" if name in (IMAGE, *_OUTPUTS) else name


def _fed(image: ImageInput) -> str:
    return _ours(image.port.name)


def _pictures(sketch: Sketch, image: ImageInput, pixels: Pixels) -> str:
    """From uint8 [N, height, width, 3] RGB to what the network takes."""
    last = IMAGE
    if pixels.bgr:
        last = sketch.op("Gather", last, sketch.integers(2, 1, 0), axis=3)
    if not image.channels_last:
        last = sketch.op("Transpose", last, perm=[0, 3, 1, 2])
    dims = (1, 1, 1, 3) if image.channels_last else (1, 3, 1, 1)
    last = sketch.cast(last, "float32")
    if pixels.values == "-1..1":
        last = sketch.op("Sub", sketch.op("Div", last, sketch.floats(127.5)), sketch.floats(1.0))
    elif pixels.values != "0..255":
        last = sketch.op("Div", last, sketch.floats(255.0))
    if pixels.values == "imagenet":
        order = slice(None, None, -1) if pixels.bgr else slice(None)
        mean, std = (np.array(values, np.float32)[order].reshape(dims) for values in (IMAGENET_MEAN, IMAGENET_STD))
        last = sketch.op("Div", sketch.op("Sub", last, sketch.floats(mean)), sketch.floats(std))
    last = sketch.cast(last, _NUMPY[image.port.dtype])
    if not image.free_batch:
        width, height = image.size
        last = sketch.reshaped(last, *((1, height, width, 3) if image.channels_last else (1, 3, height, width)))
    return last


def _other(sketch: Sketch, port: Port, image: ImageInput) -> str:
    """What the known further inputs are given: the size of the pictures, or a mask that says all of it counts."""
    width, height = image.size
    batch = sketch.op("Slice", sketch.op("Shape", IMAGE), sketch.integers(0), sketch.integers(1), sketch.integers(0))
    if port.name == "orig_target_sizes":
        value = sketch.op("Expand", sketch.integers(width, height), _shape(sketch, batch, 2))
    else:
        dims = [dim or side for dim, side in zip(port.dims[1:], (height, width), strict=True)]
        value = sketch.op("Expand", sketch.integers(1), _shape(sketch, batch, *dims))
    return sketch.op("Cast", value, to=port.dtype)


def _shape(sketch: Sketch, batch: str, *dims: int) -> str:
    return sketch.op("Concat", batch, sketch.integers(*dims), axis=0)


def _replace(graph: Any, sketch: Sketch, n_ahead: int) -> None:
    """Our nodes before and behind those of the network. What shapes it stated inside may no longer be true."""
    own = list(graph.node)
    del graph.node[:]
    graph.node.extend([*sketch.nodes[:n_ahead], *own, *sketch.nodes[n_ahead:]])
    graph.initializer.extend(sketch.constants)
    del graph.value_info[:]


def _set_ports(graph: Any, image: ImageInput, results: Mapping[str, Result]) -> None:
    make = import_onnx().helper.make_tensor_value_info
    width, height = image.size
    del graph.input[:]
    graph.input.append(make(IMAGE, element_type("uint8"), ["batch", height, width, 3]))
    del graph.output[:]
    graph.output.extend(make(name, _ONNX[found.dtype], ["batch", *found.dims]) for name, found in results.items())


def _free_prefix(graph: Any) -> str:
    prefix, taken = "framehouse", set(_names(graph))
    while any(name.startswith(prefix) for name in taken):
        prefix += "_"
    return f"{prefix}/"


def _rename(graph: Any, names: Mapping[str, str]) -> None:
    """Other names for some tensors, in the graphs inside it too; ONNX allows no name to mean two things."""
    for tensor in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        tensor.name = names.get(tensor.name, tensor.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = names.get(sparse.values.name, sparse.values.name)
    for node in graph.node:
        for ends in (node.input, node.output):
            for place, name in enumerate(ends):
                if name in names:
                    ends[place] = names[name]
        for inner in _inner(node):
            _rename(inner, names)


def _names(graph: Any) -> Iterator[str]:
    for tensor in (*graph.input, *graph.output, *graph.initializer):
        yield tensor.name
    for node in graph.node:
        yield node.name
        yield from (*node.input, *node.output)
        for inner in _inner(node):
            yield from _names(inner)


def _inner(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
