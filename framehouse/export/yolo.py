"""YOLO: one dataset folder per model: `data.yaml`, `images/`, `labels/` with one text file per picture.

A line of a label file is an object: `class x y width height` for boxes, `class x1 y1 x2 y2 …` for shapes and lines of
text, `class x y width height x1 y1 v1 …` for points; everything is divided by the picture's sides and cut off at its
edges. The format has no place for confidences and for objects of several pieces: choose a threshold, and know that of a
mask the largest piece is written. A picture without objects has an empty file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from framehouse.export.dataset import Dataset, picture_name
from framehouse.export.objects import Classes, Objects
from framehouse.export.selection import Video, Wanted
from framehouse.results import masks


def write_yolo(folder: Path, connection: Any, dataset: Dataset, wanted: Wanted) -> int:
    """Write the dataset of a model, without its pictures; returns how many objects.

    Raises:
        ConfigError: code `config.classes_differ`.
    """
    root = folder / dataset.name
    (root / "labels").mkdir(parents=True)
    (root / "images").mkdir()
    classes, n_written = Classes(dataset.model_id, dataset.labels), 0
    point_names: tuple[str, ...] = ()
    for frames, seen, objects in dataset.objects(connection, wanted):
        classes.add(objects)
        point_names = objects.point_names or point_names
        n_written += _write_labels(root / "labels", frames.video, seen.frame_offset, objects)
    (root / "data.yaml").write_text(_data_yaml(classes.names(), point_names), encoding="utf-8")
    return n_written


def _write_labels(labels: Path, video: Video, frame_offset: NDArray[np.int64], objects: Objects) -> int:
    starts = np.searchsorted(objects.frame_offset, frame_offset, side="left").tolist()
    ends = np.searchsorted(objects.frame_offset, frame_offset, side="right").tolist()
    lines = list(_lines(objects, video))
    n_written = 0
    for frame, start, end in zip(frame_offset.tolist(), starts, ends, strict=True):
        own = [line for line in lines[start:end] if line]
        text = "".join(f"{line}\n" for line in own)
        (labels / f"{picture_name(video.video_id, frame)}.txt").write_text(text, encoding="ascii")
        n_written += len(own)
    return n_written


def _lines(objects: Objects, video: Video) -> Iterator[str]:
    """A line for each object; "" for one that lies outside of the picture."""
    sides = np.array([video.width, video.height], np.float64)
    corners = np.concatenate([objects.xywh[:, :2], objects.xywh[:, :2] + objects.xywh[:, 2:]], axis=1)
    corners = np.clip(corners / np.tile(sides, 2), 0, 1)
    size = corners[:, 2:] - corners[:, :2]
    boxes = np.concatenate([corners[:, :2] + size / 2, size], axis=1)
    for row, (class_id, inside) in enumerate(zip(objects.class_id.tolist(), (size > 0).all(axis=1), strict=True)):
        if not inside:
            yield ""
            continue
        outline = _outline(objects, row, video)
        numbers = boxes[row] if outline is None else np.clip(outline / sides, 0, 1).ravel()
        yield " ".join([str(class_id), *(f"{value:.6f}" for value in numbers.tolist()), *_points(objects, row, sides)])


def _outline(objects: Objects, row: int, video: Video) -> NDArray[np.float64] | None:
    """Corners of an object's shape, [P, 2] pixels; None for a kind without shapes, the box for a mask of none."""
    if objects.polygon is not None:
        return np.asarray(objects.polygon[row], np.float64)
    if objects.mask is None:
        return None
    found = masks.polygon(masks.decode(objects.mask[row], (video.width, video.height)))
    if len(found):
        return found.astype(np.float64)
    left, top, width, height = objects.xywh[row].tolist()
    return np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])


def _points(objects: Objects, row: int, sides: NDArray[np.float64]) -> Iterator[str]:
    """`x y 2` of each point; a point outside of the picture is one that nobody labelled: `0 0 0`."""
    if objects.points is None:
        return
    xy = objects.points[row, :, :2].astype(np.float64) / sides
    for x, y in xy.tolist():
        inside = 0 <= x <= 1 and 0 <= y <= 1
        yield f"{x:.6f} {y:.6f} 2" if inside else "0.000000 0.000000 0"


def _data_yaml(names: list[str], point_names: tuple[str, ...]) -> str:
    """Without `path`: readers then take the folder of the file."""
    content: dict[str, Any] = {"train": "images", "val": "images"}
    if point_names:
        twins = [_mirrored(name) for name in point_names]
        content |= {
            "kpt_shape": [len(point_names), 3],
            "flip_idx": [point_names.index(twin) if twin in point_names else i for i, twin in enumerate(twins)],
            "kpt_names": {class_id: list(point_names) for class_id in range(len(names))},
        }
    content |= {"nc": len(names), "names": dict(enumerate(names))}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def _mirrored(name: str) -> str:
    """The point that stands there in a mirrored picture.

    >>> _mirrored("left_eye"), _mirrored("nose")
    ('right_eye', 'nose')
    """
    for side, other in (("left", "right"), ("right", "left")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name
