"""Transformers with queries: DETR, RT-DETR, D-FINE, RF-DETR. Pictures are stretched; there are no doubles to suppress.

- DETR: `logits` [N, 100, classes + 1] (softmax, the last is «no object»), `pred_boxes` in 0..1, centre form.
- RT-DETR of transformers: the same names, 300 queries, a sigmoid for each class.
- RF-DETR: `dets` and `labels` (its own export) or the names above, sigmoid; ImageNet's mean and deviation.
- RT-DETR and D-FINE of their authors: ready `labels`, `boxes`, `scores`, and an input `orig_target_sizes`.
- RT-DETR of ultralytics: rows [N, 300, 6] (centre form in 0..1, score, class), in older releases a score per class.
"""

from __future__ import annotations

from functools import partial

from framehouse.errors import ConfigError
from framehouse.inference.exports.labels import coco_by_id, given_labels, labels_for, nameless
from framehouse.inference.exports.plan import Finish, Pixels, Plan, Result, Sight
from framehouse.inference.exports.sketch import Sketch
from framehouse.inference.exports.trial import Output
from framehouse.inference.exports.wrap import output_of
from framehouse.video.framing import Size

MOST_ROWS = 300
_RFDETR_SIDES = (384, 432, 512, 560, 576, 624, 704, 728, 768, 880)
_COCO_SLOTS = 91
_DETR_QUERIES = 100


def rfdetr(sight: Sight) -> Plan:
    """`--family rfdetr`. 91 slots are COCO's ids; of any other number the last is the background, unless it has a name.

    Masks and points that such a file may give are not read.
    """
    boxes, logits = _pair(sight, "rfdetr")
    slots = logits.inner[1]
    named = len(given_labels(sight, slots) or sight.export.metadata.names)
    if slots == _COCO_SLOTS and not named:
        labels = coco_by_id()
    else:
        labels = labels_for(sight, slots if named == slots else slots - 1)
    more = len(sight.outputs) > 2
    notes = ("only its boxes are read; masks and points are left out",) if more else ()
    return _plan(sight, "rfdetr", labels, _by_class(sight, boxes, logits, labels), Pixels("imagenet"), notes)


def rtdetr(sight: Sight) -> Plan:
    """`--family rtdetr`, in any of its forms."""
    if {"labels", "boxes", "scores"} <= sight.names:
        labels = _ready_labels(sight)
        finish: Finish = partial(_ready, count=sight.output("boxes").inner[0])
    elif {"logits", "pred_boxes"} <= sight.names:
        boxes, logits = _pair(sight, "rtdetr")
        labels = labels_for(sight, logits.inner[1])
        finish = _by_class(sight, boxes, logits, labels)
    else:
        return ultralytics(sight)
    return _plan(sight, "rtdetr", labels, finish, Pixels())


def ultralytics(sight: Sight) -> Plan:
    """RT-DETR as ultralytics exports it: rows of 6 in new releases (which state the `head`), else a score per class."""
    threes = sight.ranked(3)
    if len(threes) != 1 or threes[0].inner[1] < 5:
        raise sight.unfit("rtdetr", "[N x 300 x 6] or [N x 300 x 4 + classes]")
    rows = threes[0]
    named = given_labels(sight) or sight.export.metadata.names
    if rows.inner[1] == 6 and (sight.export.metadata.head or len(named) != 2):
        if not named:
            raise _uncounted(sight)
        labels, finish = labels_for(sight, len(named)), partial(_rows, main=rows, size=sight.image.size)
    else:
        labels = labels_for(sight, rows.inner[1] - 4)
        finish = partial(_scored_rows, main=rows, size=sight.image.size)
    return _plan(sight, "rtdetr", labels, finish, Pixels())


def detr(sight: Sight) -> Plan:
    """`--family detr`: the last class is «no object»."""
    boxes, logits = _pair(sight, "detr")
    labels = labels_for(sight, logits.inner[1] - 1)
    finish = partial(_softmax, boxes=boxes, logits=logits, size=sight.image.size)
    return _plan(sight, "detr", labels, finish, Pixels("imagenet"))


def by_names(sight: Sight) -> Plan | None:
    """A file whose outputs have the names of one of these projects.

    Raises:
        ConfigError: code `models.ambiguous`: RF-DETR and RT-DETR share the names, and the numbers do not tell.
    """
    if {"dets", "labels"} <= sight.names:
        return rfdetr(sight)
    if {"labels", "boxes", "scores"} <= sight.names:
        return rtdetr(sight)
    if not {"logits", "pred_boxes"} <= sight.names:
        return None
    queries, slots = sight.output("logits").inner
    if queries == _DETR_QUERIES:
        return detr(sight)
    rf_size, rf_slots = sight.image.size[0] in _RFDETR_SIDES, slots == _COCO_SLOTS
    if rf_size and rf_slots:
        return rfdetr(sight)
    if sight.image.size == (640, 640) and not rf_slots:
        return rtdetr(sight)
    raise ConfigError(
        f"{sight.export.path.name}: logits and pred_boxes of {queries} queries may be an RF-DETR, an RT-DETR or a DETR",
        code="models.ambiguous",
        hint="say which: --family rfdetr, --family rtdetr, or --family detr",
    )


def _pair(sight: Sight, layout: str) -> tuple[Output, Output]:
    """Boxes and class scores, [N, Q, 4] and [N, Q, C]."""
    for boxes, logits in (("dets", "labels"), ("pred_boxes", "logits")):
        if {boxes, logits} <= sight.names:
            pair = sight.output(boxes), sight.output(logits)
            if all(len(found.inner) == 2 for found in pair) and pair[0].inner == (pair[1].inner[0], 4):
                return pair
    raise sight.unfit(layout, "pred_boxes [N x queries x 4] and logits [N x queries x classes]")


def _ready_labels(sight: Sight) -> tuple[str, ...]:
    count, *rest = sight.output("boxes").inner
    flat = [sight.output(name).inner for name in ("labels", "scores")]
    if rest != [4] or flat != [(count,), (count,)]:
        raise sight.unfit("rtdetr", "labels and scores [N x Q], boxes [N x Q x 4]")
    named = given_labels(sight) or sight.export.metadata.names
    if not named:
        raise _uncounted(sight)
    if sight.output("labels").high >= len(named):
        raise ConfigError(
            f"{sight.export.path.name} answers with class {sight.output('labels').high:.0f}, {len(named)} names are "
            "known",
            code="models.labels",
            hint="give all names: --labels names.txt",
        )
    return labels_for(sight, len(named))


def _uncounted(sight: Sight) -> ConfigError:
    return ConfigError(
        f"{sight.export.path.name} does not say how many classes it has",
        code="models.labels",
        hint="give their names: --labels names.txt, one a line (or --labels coco)",
    )


def _plan(
    sight: Sight, name: str, labels: tuple[str, ...], finish: Finish, pixels: Pixels, notes: tuple[str, ...] = ()
) -> Plan:
    own = labels if labels != coco_by_id() else ()
    return Plan(
        layout=name,
        adapter="boxes",
        kind="detections",
        labels=labels,
        finish=finish,
        resize="stretch",
        pixels=pixels,
        notes=(*notes, *nameless(sight, own)),
    )


def _by_class(sight: Sight, boxes: Output, logits: Output, labels: tuple[str, ...]) -> Finish:
    return partial(_sigmoid, boxes=boxes, logits=logits, n_classes=len(labels), size=sight.image.size)


def _sigmoid(sketch: Sketch, boxes: Output, logits: Output, n_classes: int, size: Size) -> dict[str, Result]:
    """Each class judged alone; the best pairs of query and class."""
    raw = sketch.part(sketch.cast(output_of(logits.name), "float32"), 2, 0, n_classes)
    return _best_pairs(
        sketch,
        sketch.cast(output_of(boxes.name), "float32"),
        sketch.op("Sigmoid", raw),
        logits.inner[0],
        n_classes,
        size,
    )


def _scored_rows(sketch: Sketch, main: Output, size: Size) -> dict[str, Result]:
    """Rows of centre form and a finished score per class."""
    queries, columns = main.inner
    tensor = sketch.cast(output_of(main.name), "float32")
    boxes, scores = sketch.part(tensor, 2, 0, 4), sketch.part(tensor, 2, 4, columns)
    return _best_pairs(sketch, boxes, scores, queries, columns - 4, size)


def _best_pairs(sketch: Sketch, boxes: str, scores: str, queries: int, n_classes: int, size: Size) -> dict[str, Result]:
    kept = min(MOST_ROWS, queries * n_classes)
    best, pairs = sketch.top(sketch.reshaped(scores, 0, -1), kept)
    query = sketch.op("Div", pairs, sketch.integers(n_classes))
    chosen = sketch.op("Mod", pairs, sketch.integers(n_classes))
    corners = _in_pixels(sketch, sketch.rows(boxes, query, 4), size)
    return {"candidates": Result(sketch.candidates(corners, best, chosen), "FP32", (kept, 6))}


def _softmax(sketch: Sketch, boxes: Output, logits: Output, size: Size) -> dict[str, Result]:
    """The best class of each query, «no object» left out."""
    queries, slots = logits.inner
    chances = sketch.op("Softmax", sketch.cast(output_of(logits.name), "float32"), axis=2)
    classes = sketch.part(chances, 2, 0, slots - 1)
    kept = min(MOST_ROWS, queries)
    scores, places = sketch.top(sketch.highest(classes, 2), kept)
    best = sketch.op("ArgMax", sketch.rows(classes, places, slots - 1), axis=2, keepdims=0)
    corners = _in_pixels(sketch, sketch.rows(sketch.cast(output_of(boxes.name), "float32"), places, 4), size)
    return {"candidates": Result(sketch.candidates(corners, scores, best), "FP32", (kept, 6))}


def _ready(sketch: Sketch, count: int) -> dict[str, Result]:
    """Boxes in pixels of the input: it was told its own size."""
    boxes, scores = (sketch.cast(output_of(name), "float32") for name in ("boxes", "scores"))
    return {"candidates": Result(sketch.candidates(boxes, scores, output_of("labels")), "FP32", (count, 6))}


def _rows(sketch: Sketch, main: Output, size: Size) -> dict[str, Result]:
    """Rows of centre form in 0..1, score, class."""
    tensor = sketch.cast(output_of(main.name), "float32")
    corners = _in_pixels(sketch, sketch.part(tensor, 2, 0, 4), size)
    candidates = sketch.op("Concat", corners, sketch.part(tensor, 2, 4, 6), axis=2)
    return {"candidates": Result(candidates, "FP32", (main.inner[0], 6))}


def _in_pixels(sketch: Sketch, centred: str, size: Size) -> str:
    return sketch.op("Mul", sketch.corners(centred), sketch.floats([*size, *size]))
