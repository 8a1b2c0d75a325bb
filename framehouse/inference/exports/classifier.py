"""Plain classifiers: one output [N, classes]. The last operation, else the numbers, tell scores from probabilities."""

from __future__ import annotations

from functools import partial
from math import prod

from framehouse.inference.exports.labels import labels_for, nameless
from framehouse.inference.exports.plan import Pixels, Plan, Result, Sight
from framehouse.inference.exports.sketch import Sketch
from framehouse.inference.exports.source import Export
from framehouse.inference.exports.trial import Output
from framehouse.inference.exports.wrap import output_of

TOP_K = 5
_SHAPING = ("Identity", "Cast", "Reshape", "Flatten", "Squeeze")
_SHORT_SIDE = 256 / 224
"""The usual preprocessing scales the shorter side to 256 and cuts 224 out."""


def classifier(sight: Sight) -> Plan:
    """One class is right: `--family classifier`."""
    return _plan(sight, "classifier", _ending(sight, _main(sight, "classifier")))


def multilabels(sight: Sight) -> Plan:
    """Each class is judged alone: `--family multilabels`."""
    ending = _ending(sight, _main(sight, "multilabels"))
    return _plan(sight, "multilabels", "" if ending in ("", "Judged") else "Sigmoid")


def by_shapes(sight: Sight) -> Plan | None:
    """A single output with a number per class; a sigmoid at the end judges each alone."""
    if len(sight.outputs) != 1 or not _flat(sight.outputs[0]):
        return None
    return multilabels(sight) if _ending(sight, sight.outputs[0]) == "Judged" else classifier(sight)


def scores_plan(sight: Sight, name: str, main: Output, *, ending: str, pixels: Pixels, short_side: int) -> Plan:
    """Classes from scores.

    Args:
        ending: the operation that makes probabilities of them; empty when they are.
        short_side: the shorter side is scaled to this before the middle is cut out; 0 stretches.
    """
    labels = labels_for(sight, prod(main.inner))
    kind = "multilabels" if name == "multilabels" else "classifications"
    kept = len(labels) if kind == "multilabels" else min(TOP_K, len(labels))
    return Plan(
        layout=name,
        adapter="tags",
        kind=kind,
        labels=labels,
        finish=partial(_finish, main=main, ending=ending, kept=kept),
        resize="crop" if short_side else "stretch",
        short_side=short_side,
        pixels=pixels,
        notes=nameless(sight, labels),
    )


def _plan(sight: Sight, name: str, ending: str) -> Plan:
    width, height = sight.image.size
    short_side = round(width * _SHORT_SIDE) if width == height else 0
    return scores_plan(sight, name, _main(sight, name), ending=ending, pixels=Pixels("imagenet"), short_side=short_side)


def _main(sight: Sight, layout: str) -> Output:
    if len(sight.outputs) != 1 or not _flat(sight.outputs[0]):
        raise sight.unfit(layout, "one output [N x classes]")
    return sight.outputs[0]


def _flat(output: Output) -> bool:
    """[N, C], or [N, C, 1, 1]."""
    return len(output.inner) >= 1 and output.inner[0] > 1 and prod(output.inner) == output.inner[0]


def _ending(sight: Sight, main: Output) -> str:
    """What is still to be done: `Softmax`, `Exp` or nothing; `Judged` when a sigmoid was there."""
    last = last_operation(sight.export, main.name)
    if last in ("Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid"):
        return {"Softmax": "", "LogSoftmax": "Exp"}.get(last, "Judged")
    sums = main.row_sums
    if main.low >= 0 and main.high <= 1 and all(abs(total - 1) < 1e-2 for total in sums):
        return ""
    return "Softmax"


def last_operation(export: Export, output: str) -> str:
    """The operation that made an output, behind those that only change its shape."""
    makers = {name: node for node in export.model.graph.node for name in node.output}
    node = makers.get(output)
    for _ in range(len(makers)):
        if node is None or node.op_type not in _SHAPING or not node.input:
            break
        node = makers.get(node.input[0])
    return "" if node is None else str(node.op_type)


def _finish(sketch: Sketch, main: Output, ending: str, kept: int) -> dict[str, Result]:
    scores = sketch.reshaped(sketch.cast(output_of(main.name), "float32"), 0, -1)
    if ending == "Softmax":
        scores = sketch.op("Softmax", scores, axis=1)
    elif ending:
        scores = sketch.op(ending, scores)
    confidences, classes = sketch.top(scores, kept)
    return {
        "confidences": Result(confidences, "FP32", (kept,)),
        "classes": Result(sketch.cast(classes, "int32"), "INT32", (kept,)),
    }
