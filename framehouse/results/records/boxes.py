"""Objects with a box: plain ones, with a mask, with keypoints. All end in the table `detections`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from framehouse.results.contract import (
    FrameRows,
    check_boxes,
    check_classes,
    check_falling,
    check_texts,
    columns_of,
    falling,
    require,
    shape,
)  # fmt: skip

_BOX = ("x", "y", "width", "height")
_STORED = {
    "class_id": "int32", "class_name": "string", "confidence": "float32",
    "x": "float32", "y": "float32", "width": "float32", "height": "float32",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Detections(FrameRows):
    """Boxes in some frames of one video, ordered by frame, then by falling confidence.

    Args:
        frame_offset: int64 [N], non-decreasing, >= 0.
        class_id: int32 [N], >= 0.
        class_name: object [N] of str.
        confidence: float32 [N], 0..1, non-increasing inside a frame.
        xcycwh: float32 [N, 4], centre x, centre y, width, height; pixels of the upright source frame; finite.
    """

    class_id: NDArray[np.int32]
    class_name: NDArray[np.object_]
    confidence: NDArray[np.float32]
    xcycwh: NDArray[np.float32]

    kind: ClassVar[str] = "detections"
    table: ClassVar[str] = "detections"
    stored: ClassVar[Mapping[str, str]] = _STORED

    def check(self, n: int) -> None:
        """Shapes, ranges and order."""
        check_classes(self.class_id, self.class_name, n)
        shape("confidence", self.confidence, np.float32, (n,))
        check_boxes(self.xcycwh, n)
        check_falling(self.frame_offset, self.confidence)

    @classmethod
    def order(cls, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
        """By frame, then falling confidence."""
        return falling(arrays)

    def columns(self) -> dict[str, NDArray[Any]]:
        """One array [N] per stored field."""
        box = dict(zip(_BOX, self.xcycwh.T, strict=True))
        return {"class_id": self.class_id, "class_name": self.class_name, "confidence": self.confidence, **box}

    @classmethod
    def from_columns(cls, frame_offset: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> Self:
        """Rows from stored columns; raises ContractViolation."""
        return cls(frame_offset, **_box_fields(columns))


@dataclass(frozen=True, slots=True, eq=False)
class Segmentations(Detections):
    """Boxes with the object's shape.

    Args:
        mask: object [N] of str, COCO compressed run-length counts over the upright source frame (`results.masks`).
    """

    mask: NDArray[np.object_]

    kind: ClassVar[str] = "segmentations"
    stored: ClassVar[Mapping[str, str]] = {**_STORED, "mask": "string"}

    def check(self, n: int) -> None:
        """As Detections, and every row has a mask."""
        Detections.check(self, n)
        check_texts("mask", self.mask, (n,))

    def columns(self) -> dict[str, NDArray[Any]]:
        """One array [N] per stored field."""
        return {**Detections.columns(self), "mask": self.mask}

    @classmethod
    def from_columns(cls, frame_offset: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> Self:
        """Rows from stored columns; raises ContractViolation."""
        (mask,) = columns_of(["mask"], columns)
        return cls(frame_offset, **_box_fields(columns), mask=mask)


@dataclass(frozen=True, slots=True, eq=False)
class Keypoints(Detections):
    """Boxes with the object's points, the same skeleton for every row of a model.

    Args:
        keypoint_name: object [N, K] of str, the skeleton's names; the index is the slot (`class_id` on the wire).
        keypoint_confidence: float32 [N, K], 0..1.
        keypoint_xy: float32 [N, K, 2], pixels of the upright source frame; finite.
    """

    keypoint_name: NDArray[np.object_]
    keypoint_confidence: NDArray[np.float32]
    keypoint_xy: NDArray[np.float32]

    kind: ClassVar[str] = "keypoints"
    stored: ClassVar[Mapping[str, str]] = {
        **_STORED, "keypoint_name": "list<string>", "keypoint_confidence": "list<float32>",
        "keypoint_x": "list<float32>", "keypoint_y": "list<float32>",
    }  # fmt: skip

    def check(self, n: int) -> None:
        """As Detections, and every row has all points of the skeleton."""
        Detections.check(self, n)
        require(self.keypoint_name.ndim == 2, "keypoint_name is not [N, K]")
        k = self.keypoint_name.shape[1]
        check_texts("keypoint_name", self.keypoint_name, (n, k))
        shape("keypoint_confidence", self.keypoint_confidence, np.float32, (n, k))
        shape("keypoint_xy", self.keypoint_xy, np.float32, (n, k, 2))
        require(bool(np.isfinite(self.keypoint_xy).all()), "a keypoint that is not finite")
        sure = self.keypoint_confidence
        require(bool(((sure >= 0) & (sure <= 1)).all()), "keypoint_confidence outside 0..1")

    def columns(self) -> dict[str, NDArray[Any]]:
        """One array [N], or [N, K] for the points, per stored field."""
        return {
            **Detections.columns(self),
            "keypoint_name": self.keypoint_name,
            "keypoint_confidence": self.keypoint_confidence,
            "keypoint_x": self.keypoint_xy[:, :, 0],
            "keypoint_y": self.keypoint_xy[:, :, 1],
        }

    @classmethod
    def from_columns(cls, frame_offset: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> Self:
        """Rows from stored columns; raises ContractViolation."""
        name, sure, x, y = columns_of(["keypoint_name", "keypoint_confidence", "keypoint_x", "keypoint_y"], columns)
        return cls(
            frame_offset, **_box_fields(columns), keypoint_name=name, keypoint_confidence=sure,
            keypoint_xy=np.stack([x, y], axis=2),
        )  # fmt: skip


def _box_fields(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    class_id, class_name, confidence, *box = columns_of(list(_STORED), columns)
    return {
        "class_id": class_id, "class_name": class_name, "confidence": confidence, "xcycwh": np.stack(box, axis=1),
    }  # fmt: skip
