"""Class names: the person's, else the file's, else numbers."""

from __future__ import annotations

from collections.abc import Sequence

from framehouse.errors import ConfigError
from framehouse.inference.exports.metadata import class_names
from framehouse.inference.exports.plan import Sight

COCO = (
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
)
"""The 80 classes of COCO in the order of their ids."""
_HOLES = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""Of the ids 0..90, those that no class of COCO has."""


def coco_by_id() -> tuple[str, ...]:
    """91 names by COCO's own ids."""
    names = iter(COCO)
    return tuple(f"unused {number}" if number in _HOLES else next(names) for number in range(91))


def known_labels(name: str, count: int) -> tuple[str, ...] | None:
    """A list of names that needs no file: `coco` for 80 classes, 90 or 91 (by its own ids); None for any other name."""
    lists = {80: COCO, 90: coco_by_id()[1:], 91: coco_by_id()}
    named = {"coco": lists.get(count, COCO), "coco80": COCO, "coco91": lists[91]}
    return named.get(name)


def labels_for(sight: Sight, count: int) -> tuple[str, ...]:
    """Names of a known number of classes: the person's, else the file's, else numbers.

    Raises:
        ConfigError: code `models.labels`, another number of names.
    """
    given = given_labels(sight, count) or sight.export.metadata.names
    if not given:
        return tuple(f"class {number}" for number in range(count))
    if len(given) != count:
        whose = "were given" if sight.wishes.labels else "are in its metadata"
        raise ConfigError(
            f"{sight.export.path.name} has {count} classes, {len(given)} names {whose}",
            code="models.labels",
            hint="give a file with one name a line, in the order of training: --labels names.txt",
        )
    return given


def given_labels(sight: Sight, count: int = 0) -> tuple[str, ...]:
    """The person's names; `coco` alone is looked up by the number of classes."""
    names = sight.wishes.labels
    if len(names) == 1 and (known := known_labels(names[0], count)) is not None:
        return known
    return class_names(names)


def nameless(sight: Sight, labels: Sequence[str]) -> tuple[str, ...]:
    """A note where nobody named the classes."""
    if sight.wishes.labels or sight.export.metadata.names or not labels:
        return ()
    return (f"the {len(labels)} classes have no names; give them with --labels names.txt",)
