"""MoveNet Lightning (single pose) for Triton: pictures as they come from the decoder in, seventeen points out.

The network is translated up to its four heads. What follows them in the source works for one picture only (it indexes
the batch away); it is written anew here for any number, with the constants of the source.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from framehouse.inference.convert.graph import GraphBuilder, Port
from framehouse.inference.convert.tfjs import read_graph
from framehouse.inference.convert.translate import Tensor, Translator

SIDE = 192
CELL = 4
"""Input pixels per cell of the heat maps, each way."""
CELLS = SIDE // CELL
N_POINTS = 17
_FLOAT = 1

_CALL = "StatefulPartitionedCall"
_PICTURES = f"{_CALL}/stack"
"""The picture as float [1, 192, 192, 3], before it is scaled to -1..1."""
_HEADS = {
    "heat": f"{_CALL}/kpt_heatmap_0/conv2d_5/BiasAdd",
    "centre": f"{_CALL}/center_0/conv2d_4/BiasAdd",
    "reach": f"{_CALL}/kpt_regress_0/conv2d_6/BiasAdd",
    "shift": f"{_CALL}/kpt_offset_0/conv2d_7/BiasAdd",
}
_CHANNELS = {"heat": N_POINTS, "centre": 1, "reach": 2 * N_POINTS, "shift": 2 * N_POINTS}
_CENTRE_WEIGHTS = f"ConstantFolding/{_CALL}/truediv_2_recip"
_NEARNESS = f"{_CALL}/add_5/y"


def convert_movenet(source: Path) -> bytes:
    """The ONNX model of `movenet-lightning.json`.

    Input `image`, uint8 [N, 192, 192, 3], RGB. Output `keypoints`, float32 [N, 17, 3]: x, y in input pixels and score
    0..1 of each COCO point. The heads stay readable by name inside the graph, [N, C, 48, 48]: `heat` (17 logits),
    `centre` (1 logit), `reach` (17 times y, x: cells from a person's centre to its points), `shift` (17 times y, x:
    from a cell's corner to the point, in cells).

    Raises:
        ConfigError: onnx is not installed, or the source is not the graph that this is written for.
    """
    builder = GraphBuilder("movenet")
    translator = Translator(read_graph(source), builder, {_PICTURES: Tensor(_network_input(builder), "nchw")})
    heads = {name: builder.op("Identity", [translator.named(node, "nchw")], name) for name, node in _HEADS.items()}
    for name, channels in _CHANNELS.items():
        builder.declare(Port(name, "float32", ("batch", channels, CELLS, CELLS)))
    builder.constant("centre_weights", translator.weight(_CENTRE_WEIGHTS).reshape(1, 1, CELLS, CELLS))
    builder.constant("nearness", translator.weight(_NEARNESS))
    decode(builder, **heads)
    return builder.model(
        [Port("image", "uint8", ("batch", SIDE, SIDE, 3))],
        [Port("keypoints", "float32", ("batch", N_POINTS, 3))],
        {"points": str(N_POINTS), "source": source.name},
    )


def _network_input(builder: GraphBuilder) -> str:
    """uint8 NHWC to float NCHW; turned before the cast, when a value is still one byte."""
    turned = builder.op("Transpose", ["image"], "image@nchw", perm=(0, 3, 1, 2))
    return builder.op("Cast", [turned], "pictures", to=_FLOAT)


def decode(builder: GraphBuilder, *, heat: str, centre: str, reach: str, shift: str) -> str:
    """Add the search for the points of the one person.

    The person is the highest cell of the centre map, weighted towards the middle of the picture. It says where it
    expects each point; the point is the cell whose heat, divided by (distance to the expected place + `nearness`), is
    highest. Both weights are constants of the builder: `centre_weights` [1, 1, 48, 48] and `nearness`, a number.
    """
    expected = _expected(builder, centre, reach)
    heat = builder.op("Sigmoid", [heat], "heat@score")
    by_point = builder.integers("by_point", [0, N_POINTS, -1])
    near = builder.op("Div", [heat, _distance(builder, expected)], "near")
    flat = builder.op("Reshape", [near, by_point], "near@flat")
    place = builder.op("ArgMax", [flat], "place", axis=2, keepdims=1)
    score = builder.op("GatherElements", [builder.op("Reshape", [heat, by_point], "heat@flat"), place], "score", axis=2)
    y, x = _shifts(builder, shift, place)
    width = builder.integers("width", CELLS)
    return builder.op(
        "Concat",
        [
            _pixels(builder, builder.op("Mod", [place, width], "column"), x, "x"),
            _pixels(builder, builder.op("Div", [place, width], "row"), y, "y"),
            score,
        ],
        "keypoints",
        axis=2,
    )


def _expected(builder: GraphBuilder, centre: str, reach: str) -> tuple[str, str]:
    """Row and column, in cells, where the person's centre expects each point, each float [N, 17, 1, 1]."""
    weighted = builder.op("Mul", [builder.op("Sigmoid", [centre], "centre@score"), "centre_weights"], "weighted")
    flat = builder.op("Reshape", [weighted, builder.integers("flat", [0, 1, -1])], "weighted@flat")
    person = builder.op("ArgMax", [flat], "person", axis=2, keepdims=1)
    each = builder.op("Expand", [person, builder.integers("each_reach", [1, 2 * N_POINTS, 1])], "person@reach")
    flat = builder.op("Reshape", [reach, builder.integers("by_reach", [0, 2 * N_POINTS, -1])], "reach@flat")
    picked = builder.op("GatherElements", [flat, each], "picked", axis=2)
    pairs = builder.op("Reshape", [picked, builder.integers("pairs", [0, N_POINTS, 2, 1])], "picked@pairs")
    down, right = builder.split("Split", [pairs], ("down", "right"), axis=2, num_outputs=2)
    width = builder.integers("width", CELLS)
    ends = []
    for name, kind, way in (("expected_row", "Div", down), ("expected_column", "Mod", right)):
        cell = builder.op("Cast", [builder.op(kind, [person, width], f"{name}@from")], f"{name}@float", to=_FLOAT)
        start = builder.op("Unsqueeze", [cell, builder.integers("last_of_four", [3])], f"{name}@start")
        ends.append(builder.op("Add", [start, way], name))
    return ends[0], ends[1]


def _distance(builder: GraphBuilder, expected: tuple[str, str]) -> str:
    """From each cell to each expected place, in cells, plus `nearness`: [N, 17, 48, 48]."""
    squares = []
    for name, place, shape in zip(("rows", "columns"), expected, ((CELLS, 1), (1, CELLS)), strict=True):
        cells = builder.constant(name, np.arange(CELLS, dtype=np.float32).reshape(1, 1, *shape))
        away = builder.op("Sub", [cells, place], f"{name}@away")
        squares.append(builder.op("Mul", [away, away], f"{name}@square"))
    distance = builder.op("Sqrt", [builder.op("Add", squares, "square")], "distance")
    return builder.op("Add", [distance, "nearness"], "distance@near")


def _shifts(builder: GraphBuilder, shift: str, place: str) -> tuple[str, str]:
    """Shift down and right inside the cell of each point, in cells, each [N, 17, 1]."""
    last = builder.integers("last_of_four", [3])
    both = builder.op("Reshape", [shift, builder.integers("by_way", [0, N_POINTS, 2, -1])], "shift@flat")
    index = builder.op("Unsqueeze", [place, last], "place@cell")
    index = builder.op("Expand", [index, builder.integers("both_ways", [1, 1, 2, 1])], "place@ways")
    picked = builder.op("GatherElements", [both, index], "shifts", axis=3)
    pairs = builder.op("Squeeze", [picked, last], "shifts@pairs")
    down, right = builder.split("Split", [pairs], ("shift_down", "shift_right"), axis=2, num_outputs=2)
    return down, right


def _pixels(builder: GraphBuilder, cells: str, shift: str, name: str) -> str:
    """Cell number and shift [N, 17, 1] as input pixels.

    The source multiplies by 1/48 stored as float16, which is 0.02% short (0.05 pixels at the far edge); here the cell
    is exactly four pixels.
    """
    place = builder.op("Add", [builder.op("Cast", [cells], f"{name}@float", to=_FLOAT), shift], f"{name}@cells")
    return builder.op("Mul", [place, builder.constant("cell_size", np.array(CELL, np.float32))], name)
