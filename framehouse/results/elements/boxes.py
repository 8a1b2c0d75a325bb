"""Elements of objects with a box: plain, with a mask, with keypoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.results import masks
from framehouse.results.elements.base import Element, Frame, Scene, Size, boxes_of, kept, name_rows, points_of, shortest
from framehouse.results.records.boxes import Detections, Keypoints, Segmentations

Prediction = dict[str, Any]


def detections(rows: Detections, scene: Scene) -> Element:
    """`{"time", "image", "predictions": [box, …]}`, boxes by falling confidence."""
    return _element(rows, scene, lambda _row: {})


def segmentations(rows: Segmentations, scene: Scene) -> Element:
    """Boxes with `points` (3 or more) or `rle`, each one: readers drop all masks of a frame where one lacks."""

    def shape(row: int) -> Prediction:
        counts = rows.mask[row]
        if scene.forms.masks == "rle":
            return {"mask_format": "rle", "rle": {"size": [scene.size[1], scene.size[0]], "counts": counts}}
        corners = _outline(counts, scene.size, rows.xcycwh[row]).tolist()
        return {"points": [{"x": float(x), "y": float(y)} for x, y in corners], "mask_format": "polygon"}

    return _element(rows, scene, shape)


def keypoints(rows: Keypoints, scene: Scene) -> Element:
    """Boxes with `keypoints`; `class_id` of a point is its slot in the skeleton."""
    points, k = points_of(rows.keypoint_xy), rows.keypoint_name.shape[1]
    sure = shortest(rows.keypoint_confidence.ravel())

    def skeleton(row: int) -> Prediction:
        names = rows.keypoint_name[row]
        return {
            "keypoints": [
                {**points[row][i], "confidence": sure[row * k + i], "class_id": i, "class": names[i]} for i in range(k)
            ]
        }

    return _element(rows, scene, skeleton)


def _element(rows: Detections, scene: Scene, more: Callable[[int], Prediction]) -> Element:
    boxes, scores, class_ids = boxes_of(rows.xcycwh), shortest(rows.confidence), rows.class_id.tolist()
    keep = kept(rows.confidence, scene)

    def prediction(frame: Frame, row: int) -> Prediction:
        return {
            **boxes[row],
            "confidence": scores[row],
            "class": rows.class_name[row],
            "class_id": class_ids[row],
            "detection_id": name_rows(scene, frame, row),
            **more(row),
        }

    return lambda frame: {
        "time": frame.infer_s,
        "image": scene.image,
        "predictions": [prediction(frame, row) for row in frame.rows if keep[row]],
    }


def _outline(counts: str, size: Size, box: NDArray[np.float32]) -> NDArray[np.float64]:
    """Corners [P >= 3, 2] of a mask; of a speck the pixels around it, of an empty mask the box."""
    mask = masks.decode(counts, size)
    outline = masks.polygon(mask)
    if len(outline):
        return outline.astype(np.float64)
    y, x = np.nonzero(mask)
    if len(x):
        left, top, right, bottom = float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)
    else:
        cx, cy, width, height = box.astype(np.float64).tolist()
        left, top, right, bottom = cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
