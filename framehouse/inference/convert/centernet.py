"""MobileNetV3-CenterNet for Triton: pictures as they come from the decoder in, the best candidates out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from framehouse.inference.convert.graph import GraphBuilder, Port
from framehouse.inference.convert.tfjs import read_graph
from framehouse.inference.convert.translate import Tensor, Translator

SIDE = 512
CELL = 4
"""Input pixels per cell of the heat map, each way."""
CELLS = SIDE // CELL
N_CLASSES = 80
N_CANDIDATES = 100
_SINK = 1e30

_PICTURES = "tower_0/images"
_LOGITS = "tower_0/CenternetHead/centernet_cls_output/BiasAdd"
_DISTANCES = "tower_0/wh"


def convert_centernet(source: Path) -> bytes:
    """The ONNX model of `centernet.json`.

    Input `image`, uint8 [N, 512, 512, 3], RGB. Output `candidates`, float32 [N, 100, 6]: x1, y1, x2, y2 in input
    pixels, score 0..1, class; the 100 best local maxima of the heat map by falling score. `logits` [N, 80, 128, 128]
    and `distances` [N, 4, 128, 128] (left, top, right, bottom in input pixels) stay readable by name inside the graph.

    Raises:
        ConfigError: onnx is not installed, or the source is not the graph that this is written for.
    """
    builder = GraphBuilder("centernet")
    pictures = _network_input(builder)
    translator = Translator(read_graph(source), builder, {_PICTURES: Tensor(pictures, "nchw")})
    logits = builder.op("Identity", [translator.named(_LOGITS, "nchw")], "logits")
    distances = builder.op("Identity", [translator.named(_DISTANCES, "nchw")], "distances")
    builder.declare(Port("logits", "float32", ("batch", N_CLASSES, CELLS, CELLS)))
    builder.declare(Port("distances", "float32", ("batch", 4, CELLS, CELLS)))
    decode(builder, logits, distances)
    return builder.model(
        [Port("image", "uint8", ("batch", SIDE, SIDE, 3))],
        [Port("candidates", "float32", ("batch", N_CANDIDATES, 6))],
        {"classes": str(N_CLASSES), "source": source.name},
    )


def _network_input(builder: GraphBuilder) -> str:
    """uint8 NHWC to float NCHW; turned before the cast, when a value is still one byte."""
    turned = builder.op("Transpose", ["image"], "image@nchw", perm=(0, 3, 1, 2))
    return builder.op("Cast", [turned], "pictures", to=1)


def decode(builder: GraphBuilder, logits: str, distances: str) -> str:
    """Add the search for candidates: local maxima of 3 x 3 cells, the best of them, their boxes.

    The heat map is compared before the sigmoid, which changes no order, so that 100 values pass it and not 1.3
    million. The best 100 values lie in the 100 rows with the best maxima, so the search for them runs over rows first.
    """
    peaks = _peaks(builder, logits)
    scores, cell = _best(builder, peaks)
    area = builder.integers("area", CELLS * CELLS)
    width = builder.integers("width", CELLS)
    kind = builder.op("Div", [cell, area], "class")
    position = builder.op("Mod", [cell, area], "position")
    row = builder.op("Div", [position, width], "row")
    column = builder.op("Mod", [position, width], "column")
    corner = [_pixels(builder, column, "x"), _pixels(builder, row, "y")]
    sides = _sides(builder, distances, position)
    edges = [
        builder.op(sign, [corner[side % 2], sides[side]], name)
        for side, (sign, name) in enumerate((("Sub", "x1"), ("Sub", "y1"), ("Add", "x2"), ("Add", "y2")))
    ]
    last = builder.integers("last", [2])
    score = builder.op("Unsqueeze", [builder.op("Sigmoid", [scores], "score"), last], "score@column")
    kind = builder.op("Unsqueeze", [builder.op("Cast", [kind], "class@float", to=1), last], "class@column")
    return builder.op("Concat", [*edges, score, kind], "candidates", axis=2)


def _peaks(builder: GraphBuilder, logits: str) -> str:
    """The heat map with everything but local maxima put out of the running.

    A cell sinks by its distance to the highest of its neighbours, many times over: not at all where it is the highest
    itself. (Compare and select gives the same and takes three times as long.)
    """
    highest = builder.op("MaxPool", [logits], "highest", kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
    below = builder.op("Sub", [logits, highest], "below")
    sunk = builder.op("Mul", [below, builder.constant("sink", np.array(_SINK, np.float32))], "sunk")
    return builder.op("Add", [logits, sunk], "peaks")


def _best(builder: GraphBuilder, peaks: str) -> tuple[str, str]:
    """Values and flat places (class, row, column) of the best peaks, each [N, 100]."""
    n_best = builder.integers("n_best", [N_CANDIDATES])
    rows = builder.op("Reshape", [peaks, builder.integers("by_row", [0, -1, CELLS])], "rows")
    tops = builder.op("ReduceMax", [rows, builder.integers("columns", [2])], "tops", keepdims=0)
    _, top_rows = builder.split("TopK", [tops, n_best], ("top_values", "top_rows"), axis=1)
    spread = builder.op("Unsqueeze", [top_rows, builder.integers("last", [2])], "top_rows@column")
    index = builder.op("Expand", [spread, builder.integers("row_of_cells", [1, 1, CELLS])], "index")
    cells = builder.op("GatherElements", [rows, index], "cells", axis=1)
    flat = builder.op("Reshape", [cells, builder.integers("flat", [0, -1])], "cells@flat")
    scores, place = builder.split("TopK", [flat, n_best], ("best", "place"), axis=1)
    width = builder.integers("width", CELLS)
    which = builder.op("GatherElements", [top_rows, builder.op("Div", [place, width], "place@row")], "which", axis=1)
    start = builder.op("Mul", [which, width], "start")
    return scores, builder.op("Add", [start, builder.op("Mod", [place, width], "place@column")], "cell")


def _pixels(builder: GraphBuilder, cells: str, name: str) -> str:
    """Cell numbers [N, 100] as input pixels, float [N, 100, 1]."""
    pixels = builder.op("Mul", [cells, builder.integers("cell_size", CELL)], f"{name}@pixels")
    as_float = builder.op("Cast", [pixels], f"{name}@float", to=1)
    return builder.op("Unsqueeze", [as_float, builder.integers("last", [2])], name)


def _sides(builder: GraphBuilder, distances: str, position: str) -> list[str]:
    """Left, top, right and bottom distance at each place, each [N, 100, 1]."""
    flat = builder.op("Reshape", [distances, builder.integers("by_side", [0, 4, -1])], "distances@flat")
    one = builder.op("Unsqueeze", [position, builder.integers("middle", [1])], "position@row")
    four = builder.op("Expand", [one, builder.integers("four", [1, 4, 1])], "position@sides")
    picked = builder.op("GatherElements", [flat, four], "picked", axis=2)
    turned = builder.op("Transpose", [picked], "picked@last", perm=(0, 2, 1))
    names = ("left", "top", "right", "bottom")
    return list(builder.split("Split", [turned], names, axis=2, num_outputs=4))
