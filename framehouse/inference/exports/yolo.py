"""YOLO in the many ways in which it is exported.

- ultralytics (v5u, v8 to v12, 26): `output0` [N, 4 + classes + extras, anchors], centre form in input pixels, scores
  through the sigmoid already, no objectness; extras are mask coefficients or points.
- the same, end to end (v10, 26, or with suppression in the graph): [N, 300, 6 + extras]: corners, score, class.
- the original YOLOv5 and YOLOv7: [N, anchors, 5 + classes + extras], centre form, objectness times class.

Pictures are letterboxed with grey 114 in the middle, RGB 0..1; classifiers get the middle of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from framehouse.errors import ConfigError
from framehouse.inference.adapters.keypoints import COCO_POINTS
from framehouse.inference.exports.labels import given_labels, labels_for, nameless
from framehouse.inference.exports.plan import Pixels, Plan, Result, Sight
from framehouse.inference.exports.sketch import Sketch
from framehouse.inference.exports.trial import Output
from framehouse.inference.exports.wrap import output_of

MOST_CANDIDATES = 1000
"""Before suppression: enough for crowded pictures, where each object has some ten anchors."""
IOU_ULTRALYTICS, IOU_YOLOV5 = "0.7", "0.45"
"""Defaults of ultralytics' predict, and of YOLOv5's detect.py."""
_END_TO_END_ROWS = 300
_GREY = 114
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are in the main output."""

    n_classes: int
    n_anchors: int
    extras: int = 0
    """Mask coefficients, or points times values."""
    channels_first: bool = False
    objectness: bool = False
    end_to_end: bool = False

    @property
    def kept(self) -> int:
        """Rows that are given for a picture."""
        return min(self.n_anchors, MOST_CANDIDATES)

    @property
    def first_extra(self) -> int:
        """Column of the first extra."""
        return 6 if self.end_to_end else 4 + self.objectness + self.n_classes


def cells(sight: Sight) -> set[int]:
    """Numbers of grid cells that a picture of this size may have, over the levels."""
    width, height = sight.image.size
    return {sum(-(-width // stride) * -(-height // stride) for stride in strides) for strides in _STRIDES}


def by_task(sight: Sight) -> Plan:
    """A file with ultralytics' metadata.

    Raises:
        ConfigError: code `models.family`, a task that has no family here.
    """
    plans = {"detect": detect, "segment": segment, "pose": pose, "classify": classify}
    task = sight.export.metadata.task
    if task not in plans:
        what = "rotated boxes" if task == "obb" else f"the task {task!r}"
        raise ConfigError(
            f"{sight.export.path.name} gives {what}; no result here can hold that",
            code="models.family",
            hint="detect, segment, pose and classify models can be added",
        )
    return plans[task](sight)


def detect(sight: Sight) -> Plan:
    """Boxes: `--family yolo`."""
    main = _main(sight, "yolo")
    rows, columns = main.inner
    if columns == 6 and _is_short(sight, rows):
        layout = Layout(_classes_without_scores(sight, main), rows, end_to_end=True)
    elif columns in cells(sight):
        layout = Layout(rows - 4, columns, channels_first=True)
    elif rows in cells(sight):
        layout = Layout(columns - 4, rows)
    else:
        raise sight.unfit("yolo", f"{_expected(sight)} or [N x 300 x 6]")
    return _plan(sight, "yolo", "boxes", "detections", layout)


def segment(sight: Sight) -> Plan:
    """Boxes and masks: `--family yolo-seg`."""
    main, protos = _main(sight, "yolo-seg"), sight.ranked(4)
    if len(protos) != 1:
        raise sight.unfit("yolo-seg", "a second output of masks with four axes")
    (depth, *_), (rows, columns) = protos[0].inner, main.inner
    if columns == 6 + depth and _is_short(sight, rows):
        layout = Layout(_classes_without_scores(sight, main), rows, depth, end_to_end=True)
    elif columns in cells(sight):
        layout = Layout(rows - 4 - depth, columns, depth, channels_first=True)
    else:
        raise sight.unfit("yolo-seg", f"{_expected(sight)} or [N x 300 x {6 + depth}]")
    return _plan(sight, "yolo-seg", "masks", "segmentations", layout, protos=protos[0])


def pose(sight: Sight) -> Plan:
    """Boxes and points: `--family yolo-pose`."""
    main = _main(sight, "yolo-pose")
    rows, columns = main.inner
    first = columns in cells(sight)
    if not first and (columns <= 6 or not _is_short(sight, rows)):
        raise sight.unfit("yolo-pose", f"{_expected(sight)} or [N x 300 x 6 + points]")
    named = len(given_labels(sight) or sight.export.metadata.names) or 1
    extras = rows - 4 - named if first else columns - 6
    shape = sight.export.metadata.point_shape or _point_shape(extras)
    if shape is None or shape[0] * shape[1] != extras:
        raise sight.unfit("yolo-pose", f"{named} classes and points of 2 or 3 values")
    classes = named if first else _classes_without_scores(sight, main, otherwise=1)
    layout = Layout(classes, columns if first else rows, extras, channels_first=first, end_to_end=not first)
    return _plan(sight, "yolo-pose", "poses", "keypoints", layout, point_shape=shape)


def yolov5(sight: Sight) -> Plan:
    """Rows with objectness, with or without masks: `--family yolov5`."""
    main, protos = _main(sight, "yolov5"), sight.ranked(4)
    rows, columns = main.inner
    depth = protos[0].inner[0] if protos else 0
    if columns - 5 - depth < 1:
        raise sight.unfit("yolov5", "[N x anchors x 5 + classes]")
    layout = Layout(columns - 5 - depth, rows, depth, objectness=True)
    if protos:
        return _plan(sight, "yolov5", "masks", "segmentations", layout, protos=protos[0])
    return _plan(sight, "yolov5", "boxes", "detections", layout)


def classify(sight: Sight) -> Plan:
    """Classes of whole pictures, through the softmax already: `--family yolo-cls`."""
    from framehouse.inference.exports.classifier import scores_plan  # noqa: PLC0415  it knows us

    flat = [output for output in sight.outputs if len(output.inner) == 1]
    if len(flat) != 1:
        raise sight.unfit("yolo-cls", "one output [N x classes]")
    return scores_plan(sight, "yolo-cls", flat[0], ending="", pixels=Pixels(), short_side=min(sight.image.size))


def by_shapes(sight: Sight) -> Plan | None:
    """A file that says nothing.

    Raises:
        ConfigError: code `models.ambiguous`: it may be one of several families; the hint says how to tell.
    """
    threes = sight.ranked(3)
    if not threes:
        return None
    (rows, columns), grid = threes[0].inner, cells(sight)
    masks = len(sight.ranked(4)) == 1 and len(threes) == 1
    if rows in {3 * count for count in grid} and columns > 5:
        return yolov5(sight)
    if columns in grid:
        return _channels_first(sight, rows, masks)
    if masks and columns == 6 + sight.ranked(4)[0].inner[0]:
        return segment(sight)
    if len(threes) == 1 and columns == 6 and _is_short(sight, rows):
        _refuse_small_boxes(sight, threes[0])
        return detect(sight)
    return None


def _channels_first(sight: Sight, channels: int, masks: bool) -> Plan:
    if masks:
        return segment(sight)
    named = len(given_labels(sight, channels - 4))
    extras = channels - 4 - named
    if named and extras > 1 and _point_shape(extras):
        return pose(sight)
    if channels == 4 + 1 + 3 * len(COCO_POINTS) and not named:
        raise ConfigError(
            f"{sight.export.path.name}: {channels} channels are 52 classes, or one class with 17 points",
            code="models.ambiguous",
            hint="say which: --family yolo, or --family yolo-pose",
        )
    return detect(sight)


def _is_short(sight: Sight, rows: int) -> bool:
    """Whether rows are the best few, and not one for each cell."""
    return rows == _END_TO_END_ROWS or (rows <= MOST_CANDIDATES and rows not in cells(sight))


def _refuse_small_boxes(sight: Sight, main: Output) -> None:
    """End-to-end boxes are in pixels; those of an RT-DETR, in the same shape, are in 0..1."""
    if all(low >= -1 and high <= 2 for low, high in main.columns[:4]):
        raise ConfigError(
            f"{sight.export.path.name}: rows of 6 with boxes in 0..1 may be an RT-DETR, or a YOLO that saw nothing",
            code="models.ambiguous",
            hint="say which: --family rtdetr, or --family yolo",
        )


def _main(sight: Sight, layout: str) -> Output:
    threes = sight.ranked(3)
    if not threes:
        raise sight.unfit(layout, "an output with three axes")
    return threes[0]


def _expected(sight: Sight) -> str:
    return f"[N x 4 + classes x {' or '.join(map(str, sorted(cells(sight))))}]"


def _point_shape(extras: int) -> tuple[int, int] | None:
    """Points of three values where that comes out even, else of two."""
    return next(((extras // values, values) for values in (3, 2) if extras > 0 and extras % values == 0), None)


def _classes_without_scores(sight: Sight, main: Output, otherwise: int = 0) -> int:
    """Number of classes of rows that hold only the best one.

    Raises:
        ConfigError: code `models.labels`: nobody says how many there are.
    """
    known = given_labels(sight) or sight.export.metadata.names
    count = len(known) or otherwise
    seen = int(main.columns[5][1]) if len(main.columns) > 5 else 0
    if not count:
        raise ConfigError(
            f"{sight.export.path.name} does not say how many classes it has",
            code="models.labels",
            hint="give their names: --labels names.txt, one a line (or --labels coco)",
        )
    if not 0 <= seen < count:
        raise ConfigError(
            f"{sight.export.path.name} answers with class {seen}, {count} names are known",
            code="models.labels",
            hint="give all names: --labels names.txt",
        )
    return count


def _plan(
    sight: Sight, name: str, adapter: str, kind: str, layout: Layout, *,
    protos: Output | None = None, point_shape: tuple[int, int] | None = None,
) -> Plan:  # fmt: skip
    labels = labels_for(sight, layout.n_classes)
    parameters = {}
    if point_shape is not None:
        parameters["keypoint_names"] = ",".join(point_names(sight, point_shape[0]))
    suppression = IOU_YOLOV5 if layout.objectness else IOU_ULTRALYTICS
    return Plan(
        layout=name,
        adapter=adapter,
        kind=kind,
        labels=labels,
        finish=partial(_finish, main=_main(sight, name), layout=layout, protos=protos, point_shape=point_shape),
        resize="letterbox",
        pad=_GREY,
        pixels=Pixels(),
        iou_threshold="" if layout.end_to_end else suppression,
        parameters=parameters,
        notes=nameless(sight, labels),
    )


def point_names(sight: Sight, count: int) -> tuple[str, ...]:
    """The file's names of points, COCO's for 17, else numbers; none holds a comma."""
    stated = tuple(name.replace(",", " ") for name in sight.export.metadata.point_names)
    if len(stated) == count:
        return stated
    return COCO_POINTS if count == len(COCO_POINTS) else tuple(f"point_{number}" for number in range(count))


def _finish(
    sketch: Sketch, main: Output, layout: Layout, protos: Output | None, point_shape: tuple[int, int] | None
) -> dict[str, Result]:
    """`candidates`, and what goes with them."""
    tensor = sketch.cast(output_of(main.name), "float32")
    if layout.end_to_end:
        candidates, extras = sketch.part(tensor, 2, 0, 6), sketch.part(tensor, 2, 6, 6 + layout.extras)
        kept = layout.n_anchors
    else:
        candidates, extras = _best(sketch, tensor, layout)
        kept = layout.kept
    results = {"candidates": Result(candidates, "FP32", (kept, 6))}
    if protos is not None:
        results["coefficients"] = Result(extras, "FP32", (kept, layout.extras))
        results["protos"] = Result(sketch.cast(output_of(protos.name), "float32"), "FP32", protos.inner)
    if point_shape is not None:
        results["points"] = Result(_points(sketch, extras, point_shape), "FP32", (kept, point_shape[0], 3))
    return results


def _best(sketch: Sketch, tensor: str, layout: Layout) -> tuple[str, str]:
    """(candidates, extras) of the anchors whose best class scores highest."""
    axis, gather = (1, sketch.columns) if layout.channels_first else (2, sketch.rows)
    first = 4 + layout.objectness
    classes = sketch.part(tensor, axis, first, first + layout.n_classes)
    scores = sketch.highest(classes, axis)
    if layout.objectness:
        scores = sketch.op("Mul", scores, sketch.reshaped(sketch.part(tensor, axis, 4, 5), 0, -1))
    scores, places = sketch.top(scores, layout.kept)
    best = sketch.op("ArgMax", gather(classes, places, layout.n_classes), axis=2, keepdims=0)
    boxes = sketch.corners(gather(sketch.part(tensor, axis, 0, 4), places, 4))
    extras = ""
    if layout.extras:
        end = layout.first_extra + layout.extras
        extras = gather(sketch.part(tensor, axis, layout.first_extra, end), places, layout.extras)
    return sketch.candidates(boxes, scores, best), extras


def _points(sketch: Sketch, extras: str, shape: tuple[int, int]) -> str:
    """[N, K, P, 3]: points without a score of their own are sure."""
    points = sketch.reshaped(extras, 0, 0, *shape)
    if shape[1] == 3:
        return points
    sure = sketch.op("Add", sketch.op("Mul", sketch.part(points, 3, 0, 1), sketch.floats(0.0)), sketch.floats(1.0))
    return sketch.op("Concat", points, sure, axis=3)
