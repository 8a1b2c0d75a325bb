"""YOLOX as its own exporter writes it: `output` [N, anchors, 5 + classes], one anchor a cell.

Pictures lie in the upper left corner, the rest is grey 114; pixels are BGR 0..255. Boxes are relative to the grid
unless the file was made with `--decode_in_inference`, which leaves an Exp in the graph.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from framehouse.inference.exports.labels import labels_for, nameless
from framehouse.inference.exports.plan import Pixels, Plan, Result, Sight
from framehouse.inference.exports.sketch import Sketch
from framehouse.inference.exports.source import nodes_of
from framehouse.inference.exports.trial import Output
from framehouse.inference.exports.wrap import output_of
from framehouse.inference.exports.yolo import MOST_CANDIDATES
from framehouse.video.framing import Size

STRIDES = (8, 16, 32)
IOU = "0.45"
"""Of the official demo."""
_GREY = 114


def grid(size: Size) -> NDArray[np.float32]:
    """[anchors, 3]: column and row of each cell, and the stride of its level, level by level, row by row."""
    width, height = size
    levels = []
    for stride in STRIDES:
        y, x = np.mgrid[: height // stride, : width // stride]
        levels.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    return np.concatenate(levels).astype(np.float32)


def yolox(sight: Sight) -> Plan:
    """`--family yolox`."""
    anchors = grid(sight.image.size)
    threes = sight.ranked(3)
    if len(threes) != 1 or threes[0].inner[0] != len(anchors) or threes[0].inner[1] < 6:
        raise sight.unfit("yolox", f"[N x {len(anchors)} x 5 + classes]")
    labels = labels_for(sight, threes[0].inner[1] - 5)
    decoded = any(node.op_type == "Exp" for node in nodes_of(sight.export.model.graph))
    return Plan(
        layout="yolox",
        adapter="boxes",
        kind="detections",
        labels=labels,
        finish=partial(_finish, main=threes[0], anchors=None if decoded else anchors),
        resize="letterbox-corner",
        pad=_GREY,
        pixels=Pixels("0..255", bgr=True),
        iou_threshold=IOU,
        notes=nameless(sight, labels),
    )


def by_names(sight: Sight) -> Plan | None:
    """A single `output` with one row a cell."""
    threes = sight.ranked(3)
    fits = sight.names == {"output"} and len(threes) == 1
    if fits and threes[0].inner[0] == len(grid(sight.image.size)) and threes[0].inner[1] >= 6:
        return yolox(sight)
    return None


def _finish(sketch: Sketch, main: Output, anchors: NDArray[np.float32] | None) -> dict[str, Result]:
    n_anchors, columns = main.inner
    tensor = sketch.cast(output_of(main.name), "float32")
    kept = min(n_anchors, MOST_CANDIDATES)
    classes = sketch.part(tensor, 2, 5, columns)
    objectness = sketch.reshaped(sketch.part(tensor, 2, 4, 5), 0, -1)
    scores, places = sketch.top(sketch.op("Mul", sketch.highest(classes, 2), objectness), kept)
    best = sketch.op("ArgMax", sketch.rows(classes, places, columns - 5), axis=2, keepdims=0)
    boxes = sketch.rows(sketch.part(tensor, 2, 0, 4), places, 4)
    if anchors is not None:
        boxes = _decoded(sketch, boxes, places, anchors)
    candidates = sketch.candidates(sketch.corners(boxes), scores, best)
    return {"candidates": Result(candidates, "FP32", (kept, 6))}


def _decoded(sketch: Sketch, boxes: str, places: str, anchors: NDArray[np.float32]) -> str:
    """Centre (moved by the cell) and exp of the size, times the stride."""
    cell = sketch.op("Gather", sketch.floats(anchors), places, axis=0)
    stride = sketch.part(cell, 2, 2, 3)
    centre = sketch.op("Mul", sketch.op("Add", sketch.part(boxes, 2, 0, 2), sketch.part(cell, 2, 0, 2)), stride)
    size = sketch.op("Mul", sketch.op("Exp", sketch.part(boxes, 2, 2, 4)), stride)
    return sketch.op("Concat", centre, size, axis=2)
