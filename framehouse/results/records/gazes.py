"""Faces and where they look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from framehouse.results.contract import (
    FrameRows,
    check_boxes,
    check_falling,
    columns_of,
    falling,
    require,
    shape,
)  # fmt: skip

_BOX = ("x", "y", "width", "height")


@dataclass(frozen=True, slots=True, eq=False)
class Gazes(FrameRows):
    """Faces in some frames with the direction of their look, ordered by frame, then by falling confidence.

    Args:
        frame_offset: int64 [N], non-decreasing, >= 0.
        confidence: float32 [N], 0..1, of the face; non-increasing inside a frame.
        xcycwh: float32 [N, 4], box of the face, centre form, pixels of the upright source frame.
        landmarks: float32 [N, 6, 2], right eye, left eye, nose, mouth, right ear, left ear; pixels, finite.
        yaw_rad: float32 [N], -pi..pi, positive to the left of the picture.
        pitch_rad: float32 [N], -pi..pi, positive upwards.
    """

    confidence: NDArray[np.float32]
    xcycwh: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    yaw_rad: NDArray[np.float32]
    pitch_rad: NDArray[np.float32]

    kind: ClassVar[str] = "gazes"
    table: ClassVar[str] = "gazes"
    stored: ClassVar[Mapping[str, str]] = {
        "confidence": "float32", "x": "float32", "y": "float32", "width": "float32", "height": "float32",
        "landmark_x": "list<float32>", "landmark_y": "list<float32>", "yaw_rad": "float32", "pitch_rad": "float32",
    }  # fmt: skip
    N_LANDMARKS: ClassVar[int] = 6

    def check(self, n: int) -> None:
        """Shapes, ranges and order."""
        shape("confidence", self.confidence, np.float32, (n,))
        check_boxes(self.xcycwh, n)
        check_falling(self.frame_offset, self.confidence)
        shape("landmarks", self.landmarks, np.float32, (n, self.N_LANDMARKS, 2))
        require(bool(np.isfinite(self.landmarks).all()), "a landmark that is not finite")
        for name in ("yaw_rad", "pitch_rad"):
            angle = getattr(self, name)
            shape(name, angle, np.float32, (n,))
            require(bool((np.abs(angle) <= np.float32(np.pi)).all()), f"{name} outside -pi..pi")

    @classmethod
    def order(cls, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
        """By frame, then falling confidence."""
        return falling(arrays)

    def columns(self) -> dict[str, NDArray[Any]]:
        """One array [N], or [N, 6] for the landmarks, per stored field."""
        return {
            "confidence": self.confidence,
            **dict(zip(_BOX, self.xcycwh.T, strict=True)),
            "landmark_x": self.landmarks[:, :, 0],
            "landmark_y": self.landmarks[:, :, 1],
            "yaw_rad": self.yaw_rad,
            "pitch_rad": self.pitch_rad,
        }

    @classmethod
    def from_columns(cls, frame_offset: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> Self:
        """Rows from stored columns; raises ContractViolation."""
        confidence, x, y, width, height, mark_x, mark_y, yaw_rad, pitch_rad = columns_of(list(cls.stored), columns)
        n = frame_offset.size
        marks = np.stack([mark_x, mark_y], axis=2) if n else np.empty((0, cls.N_LANDMARKS, 2), np.float32)
        return cls(frame_offset, confidence, np.stack([x, y, width, height], axis=1), marks, yaw_rad, pitch_rad)
