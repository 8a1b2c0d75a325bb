"""Words in the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from framehouse.results.contract import FrameRows, check_boxes, check_texts, columns_of, require, shape

_BOX = ("x", "y", "width", "height")


@dataclass(frozen=True, slots=True, eq=False)
class Texts(FrameRows):
    """Lines of text in some frames, ordered by frame, then as one reads them.

    Args:
        frame_offset: int64 [N], non-decreasing, >= 0.
        text: object [N] of str.
        confidence: float32 [N], 0..1.
        xcycwh: float32 [N, 4], upright box around the polygon, centre form, pixels of the upright source frame.
        polygon: float32 [N, 4, 2], corners from the first letter's top left clockwise, pixels; finite.
    """

    text: NDArray[np.object_]
    confidence: NDArray[np.float32]
    xcycwh: NDArray[np.float32]
    polygon: NDArray[np.float32]

    kind: ClassVar[str] = "texts"
    table: ClassVar[str] = "texts"
    stored: ClassVar[Mapping[str, str]] = {
        "text": "string", "confidence": "float32", "x": "float32", "y": "float32", "width": "float32",
        "height": "float32", "polygon_x": "list<float32>", "polygon_y": "list<float32>",
    }  # fmt: skip
    N_CORNERS: ClassVar[int] = 4

    def check(self, n: int) -> None:
        """Shapes and ranges."""
        check_texts("text", self.text, (n,))
        shape("confidence", self.confidence, np.float32, (n,))
        require(bool(((self.confidence >= 0) & (self.confidence <= 1)).all()), "confidence outside 0..1")
        check_boxes(self.xcycwh, n)
        shape("polygon", self.polygon, np.float32, (n, self.N_CORNERS, 2))
        require(bool(np.isfinite(self.polygon).all()), "a corner that is not finite")

    def columns(self) -> dict[str, NDArray[Any]]:
        """One array [N], or [N, 4] for the corners, per stored field."""
        return {
            "text": self.text,
            "confidence": self.confidence,
            **dict(zip(_BOX, self.xcycwh.T, strict=True)),
            "polygon_x": self.polygon[:, :, 0],
            "polygon_y": self.polygon[:, :, 1],
        }

    @classmethod
    def from_columns(cls, frame_offset: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> Self:
        """Rows from stored columns; raises ContractViolation."""
        text, confidence, x, y, width, height, corner_x, corner_y = columns_of(list(cls.stored), columns)
        n = frame_offset.size
        corners = np.stack([corner_x, corner_y], axis=2) if n else np.empty((0, cls.N_CORNERS, 2), np.float32)
        return cls(frame_offset, text, confidence, np.stack([x, y, width, height], axis=1), corners)
