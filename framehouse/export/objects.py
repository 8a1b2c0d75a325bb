"""Rows of any kind that has boxes, in the one form that label formats write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.export.selection import Seen, Use, Wanted
from framehouse.results.contract import FrameRows
from framehouse.results.elements.base import shortest
from framehouse.results.records.boxes import Detections, Keypoints, Segmentations
from framehouse.results.records.gazes import Gazes
from framehouse.results.records.texts import Texts
from framehouse.store.rows import read_rows

KINDS = ("detections", "segmentations", "keypoints", "gazes", "texts")
"""Kinds of rows that have boxes."""
LANDMARKS = ("right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear")


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Objects that one model saw in some frames of one video, ordered by frame.

    Args:
        frame_offset: int64 [N], non-decreasing.
        row_id: int64 [N], index in the frame as stored: `detections.detection_id`, `gazes.gaze_id`, `texts.text_id`.
        class_id: int64 [N], >= 0.
        class_name: object [N] of str.
        confidence: float32 [N], 0..1.
        xywh: float64 [N, 4], left, top, width, height, pixels of the upright frame.
        mask: object [N] of str, COCO run lengths over the upright frame; None where the kind has no shapes.
        polygon: float32 [N, 4, 2], corners; None where the kind has none.
        points: float32 [N, K, 3], x, y in pixels and how sure, 0..1; None where the kind has none.
        point_names: K names.
        facts: what else is known of each object: name -> N values.
    """

    frame_offset: NDArray[np.int64]
    row_id: NDArray[np.int64]
    class_id: NDArray[np.int64]
    class_name: NDArray[np.object_]
    confidence: NDArray[np.float32]
    xywh: NDArray[np.float64]
    mask: NDArray[np.object_] | None = None
    polygon: NDArray[np.float32] | None = None
    points: NDArray[np.float32] | None = None
    point_names: tuple[str, ...] = ()
    facts: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.frame_offset.size)


def read_objects(connection: Any, use: Use, seen: Seen, wanted: Wanted) -> Objects:
    """What a model saw in these frames of a video, of what is wanted."""
    rows = read_rows(connection, use.kind, use.video_id, use.model_digest)
    row_id = _index_in_frame(rows.frame_offset)
    names = _class_names(rows)
    keep = np.isin(rows.frame_offset, seen.frame_offset) & (_sure(rows) >= np.float32(wanted.threshold))
    if wanted.classes:
        keep &= np.isin(names.astype(np.str_), list(wanted.classes))
    return _objects(rows.where(keep), row_id[keep], names[keep])


def _objects(rows: FrameRows, row_id: NDArray[np.int64], names: NDArray[np.object_]) -> Objects:
    class_id = rows.class_id.astype(np.int64) if isinstance(rows, Detections) else np.zeros(len(rows), np.int64)
    xcycwh = rows.arrays()["xcycwh"].astype(np.float64)
    xywh = np.concatenate([xcycwh[:, :2] - xcycwh[:, 2:] / 2, xcycwh[:, 2:]], axis=1)
    more: dict[str, Any] = {}
    if isinstance(rows, Segmentations):
        more = {"mask": rows.mask}
    elif isinstance(rows, Keypoints):
        sure = rows.keypoint_confidence[:, :, None]
        names_of = tuple(rows.keypoint_name[0].tolist()) if len(rows) else ()
        more = {"points": np.concatenate([rows.keypoint_xy, sure], axis=2), "point_names": names_of}
    elif isinstance(rows, Gazes):
        seen = np.ones((*rows.landmarks.shape[:2], 1), np.float32)
        more = {
            "points": np.concatenate([rows.landmarks, seen], axis=2),
            "point_names": LANDMARKS,
            "facts": {"yaw_rad": shortest(rows.yaw_rad), "pitch_rad": shortest(rows.pitch_rad)},
        }
    elif isinstance(rows, Texts):
        more = {"polygon": rows.polygon, "facts": {"text": rows.text.tolist()}}
    return Objects(rows.frame_offset, row_id, class_id, names, _sure(rows), xywh, **more)


def _sure(rows: FrameRows) -> NDArray[np.float32]:
    sure: NDArray[np.float32] = rows.arrays()["confidence"]
    return sure


def _class_names(rows: FrameRows) -> NDArray[np.object_]:
    if isinstance(rows, Detections):
        return rows.class_name
    return np.full(len(rows), "face" if isinstance(rows, Gazes) else "text", np.object_)


def _index_in_frame(frame_offset: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of each row in its frame: int64 [N].

    >>> _index_in_frame(np.array([3, 3, 7]))
    array([0, 1, 0])
    """
    return np.arange(frame_offset.size) - np.searchsorted(frame_offset, frame_offset, side="left")


class Classes:
    """Class names by id, of all videos of one dataset: what the model could say where that is known, else what it said.

    Args:
        model_id: whose they are.
        labels: the model's class names by id; empty when unknown.
    """

    def __init__(self, model_id: str, labels: Sequence[str] = ()) -> None:
        self._model_id, self._labels = model_id, labels
        self._said: dict[int, str] = {}

    def add(self, objects: Objects) -> None:
        """Learn the names of some objects.

        Raises:
            ConfigError: code `config.classes_differ`, one id has two names.
        """
        ids, first = np.unique(objects.class_id, return_index=True)
        for class_id, name in zip(ids.tolist(), objects.class_name[first].tolist(), strict=True):
            if self._said.setdefault(class_id, name) != name:
                raise ConfigError(
                    f"{self._model_id}: class {class_id} is {self._said[class_id]} in one video and {name} in another",
                    code="config.classes_differ",
                    hint="export videos of one version of the model",
                )

    def names(self) -> list[str]:
        """A name for each id from 0 without a hole; `class_7` where nobody knows it."""
        known = self._labels
        if all(class_id < len(known) and known[class_id] == name for class_id, name in self._said.items()):
            return list(known)
        return [self._said.get(class_id, f"class_{class_id}") for class_id in range(max(self._said, default=-1) + 1)]
