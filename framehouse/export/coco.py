"""COCO: one annotation file per model over common pictures.

`annotations/<slug>-<version>.json` is what pycocotools reads. A category's id is the model's class id plus 1; an
image's id is the same in every file. Beyond COCO's own keys an image has `video_id`, `frame_offset` and
`time_offset_s`, an annotation `score` and `detection_id` (index in the frame as stored), a face `yaw_rad` and
`pitch_rad`, a line of text `text`: readers ignore what they do not know. A keypoint's flag is 2 where it reaches the
threshold, else 1: it is there, the model is unsure of it; `keypoint_scores` has the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from framehouse.export.dataset import Dataset, Frames, picture_name
from framehouse.export.objects import Classes, Objects
from framehouse.export.selection import Wanted
from framehouse.results.elements.base import shortest
from framehouse.results.masks import area

COCO_POINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
COCO_SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10), (9, 11),
    (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip
"""Bones of COCO's persons, points counted from 1, as its person_keypoints files have them."""
_PIXEL_DECIMALS = 3

Record = dict[str, Any]


def write_coco(folder: Path, connection: Any, dataset: Dataset, wanted: Wanted) -> int:
    """Write the annotation file of a model; returns how many annotations.

    Raises:
        ConfigError: code `config.classes_differ`.
    """
    path = folder / "annotations" / f"{dataset.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    classes, n_written = Classes(dataset.model_id, dataset.labels), 0
    point_names: tuple[str, ...] = ()
    with path.open("w", encoding="utf-8") as file:
        info = {"description": f"Framehouse: what {dataset.model_id} saw", "version": "1.0"}
        file.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n"images": [')
        _write_lines(file, _images(dataset))
        file.write('],\n"annotations": [')
        first = True
        for frames, _seen, objects in dataset.objects(connection, wanted):
            classes.add(objects)
            point_names = objects.point_names or point_names
            _write_lines(file, _annotations(frames, objects, n_written + 1, wanted.threshold), first=first)
            n_written += len(objects)
            first = first and not len(objects)
        file.write('],\n"categories": [')
        _write_lines(file, _categories(classes.names(), dataset.model_id, point_names))
        file.write("]}\n")
    return n_written


def _images(dataset: Dataset) -> Iterator[Record]:
    for frames, _, seen in dataset.videos:
        video = frames.video
        ids = frames.picture_ids(seen.frame_offset).tolist()
        times = seen.time_offset_s.tolist()
        for number, frame, time_s in zip(ids, seen.frame_offset.tolist(), times, strict=True):
            yield {
                "id": number,
                "file_name": f"{picture_name(video.video_id, frame)}.jpg",
                "width": video.width,
                "height": video.height,
                "video_id": video.video_id,
                "frame_offset": frame,
                "time_offset_s": round(time_s, 4),
            }


def _annotations(frames: Frames, objects: Objects, first_id: int, threshold: float) -> Iterator[Record]:
    size = (frames.video.width, frames.video.height)
    image_id = frames.picture_ids(objects.frame_offset).tolist()
    boxes, scores = np.round(objects.xywh, _PIXEL_DECIMALS).tolist(), shortest(objects.confidence)
    class_ids, row_ids = objects.class_id.tolist(), objects.row_id.tolist()
    for row in range(len(objects)):
        shape, size_px = _shape(objects, row, size)
        yield {
            "id": first_id + row,
            "image_id": image_id[row],
            "category_id": class_ids[row] + 1,
            "bbox": boxes[row],
            "area": round(boxes[row][2] * boxes[row][3], _PIXEL_DECIMALS) if size_px is None else size_px,
            "segmentation": shape,
            "iscrowd": 0,
            **_points(objects, row, threshold),
            "score": scores[row],
            "detection_id": row_ids[row],
            **{name: values[row] for name, values in objects.facts.items()},
        }


def _shape(objects: Objects, row: int, size: tuple[int, int]) -> tuple[Any, int | None]:
    """(segmentation, its area in pixels where that is known)."""
    if objects.mask is not None:
        counts = objects.mask[row]
        return {"size": [size[1], size[0]], "counts": counts}, area(counts, size)
    if objects.polygon is not None:
        return [np.round(objects.polygon[row].astype(np.float64), _PIXEL_DECIMALS).ravel().tolist()], None
    return [], None


def _points(objects: Objects, row: int, sure: float) -> Record:
    if objects.points is None:
        return {}
    points = objects.points[row].astype(np.float64)
    flags = np.where(objects.points[row, :, 2] >= np.float32(sure), 2, 1)
    flat = [
        value
        for (x, y), flag in zip(np.round(points[:, :2], _PIXEL_DECIMALS).tolist(), flags.tolist(), strict=True)
        for value in (x, y, flag)
    ]
    scores = shortest(objects.points[row, :, 2])
    return {"keypoints": flat, "num_keypoints": len(points), "keypoint_scores": scores}


def _categories(names: list[str], model_id: str, point_names: tuple[str, ...]) -> Iterator[Record]:
    skeleton = [list(bone) for bone in COCO_SKELETON] if point_names == COCO_POINTS else []
    for class_id, name in enumerate(names):
        points = {"keypoints": list(point_names), "skeleton": skeleton} if point_names else {}
        yield {"id": class_id + 1, "name": name, "supercategory": model_id, **points}


def _write_lines(file: TextIO, records: Iterator[Record], *, first: bool = True) -> None:
    """Records of a JSON list, one a line; `first`: none was written before."""
    for number, record in enumerate(records):
        file.write("\n" if first and number == 0 else ",\n")
        file.write(json.dumps(record, ensure_ascii=False, allow_nan=False))
