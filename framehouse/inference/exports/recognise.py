"""Which family a file is of: the person's choice, then its metadata, then its outputs' names, then their shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from framehouse.errors import ConfigError
from framehouse.inference.exports import classifier, detr, yolo, yolox
from framehouse.inference.exports.plan import Plan, Sight

Reader = Callable[[Sight], Plan]

FAMILIES: dict[str, Reader] = {
    "yolo": yolo.detect,
    "yolo-seg": yolo.segment,
    "yolo-pose": yolo.pose,
    "yolo-cls": yolo.classify,
    "yolov5": yolo.yolov5,
    "yolox": yolox.yolox,
    "rfdetr": detr.rfdetr,
    "detr": detr.detr,
    "rtdetr": detr.rtdetr,
    "classifier": classifier.classifier,
    "multilabels": classifier.multilabels,
}
"""What `--family` takes, but for `gaze`, which has a way of its own (`gaze.py`)."""


def recognise(sight: Sight) -> Plan:
    """The plan for a file that has been run once.

    Raises:
        ConfigError: `models.family` no such family, or one without a result here; `models.shapes` its outputs fit none,
            or not the chosen one; `models.labels` another number of names; `models.ambiguous` several fit.
    """
    if sight.wishes.family:
        reader = FAMILIES.get(sight.wishes.family)
        if reader is None:
            raise unknown_family(sight.wishes.family)
        return _done(reader(sight), "choice", sight)
    for seen_in, read in (("metadata", _by_metadata), ("names", _by_names), ("shapes", _by_shapes)):
        plan = read(sight)
        if plan is not None:
            return _done(plan, seen_in, sight)
    raise ConfigError(
        f"{sight.export.path.name} fits no family: its outputs are {sight.shapes()}",
        code="models.shapes",
        hint=f"known are {', '.join((*FAMILIES, 'gaze'))}; choose one with --family if it is one of them",
    )


def unknown_family(name: str) -> ConfigError:
    """The error for a `--family` that is none."""
    return ConfigError(
        f"no family {name!r}; known: {', '.join((*FAMILIES, 'gaze'))}", code="models.family", hint="leave --family out"
    )


def _by_metadata(sight: Sight) -> Plan | None:
    metadata = sight.export.metadata
    if metadata.head == "RTDETRDecoder":
        return detr.ultralytics(sight)
    if metadata.task == "detect" and _is_row_per_class(sight):
        return detr.ultralytics(sight)
    if metadata.task:
        return yolo.by_task(sight)
    if metadata.names and metadata.has_stride:
        return yolo.by_shapes(sight)
    return None


def _is_row_per_class(sight: Sight) -> bool:
    """RT-DETR of an older ultralytics: 300 rows of 4 and a score per class."""
    named = len(sight.export.metadata.names)
    return [output.inner for output in sight.outputs] == [(detr.MOST_ROWS, 4 + named)] and named > 2


def _by_names(sight: Sight) -> Plan | None:
    return detr.by_names(sight) or yolox.by_names(sight)


def _by_shapes(sight: Sight) -> Plan | None:
    return yolo.by_shapes(sight) or classifier.by_shapes(sight)


def _done(plan: Plan, seen_in: str, sight: Sight) -> Plan:
    return replace(plan, seen_in=seen_in).wished(sight.wishes)
