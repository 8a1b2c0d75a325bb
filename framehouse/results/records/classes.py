"""Classes of whole frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from framehouse.results.contract import FrameRows, check_classes, check_falling, columns_of, falling, shape


@dataclass(frozen=True, slots=True, eq=False)
class Classifications(FrameRows):
    """The likeliest classes of some frames, of which one is right (softmax), ordered by falling confidence.

    Args:
        frame_offset: int64 [N], non-decreasing, >= 0.
        class_id: int32 [N], >= 0.
        class_name: object [N] of str.
        confidence: float32 [N], 0..1, non-increasing inside a frame.
    """

    class_id: NDArray[np.int32]
    class_name: NDArray[np.object_]
    confidence: NDArray[np.float32]

    kind: ClassVar[str] = "classifications"
    table: ClassVar[str] = "classifications"
    stored: ClassVar[Mapping[str, str]] = {"class_id": "int32", "class_name": "string", "confidence": "float32"}

    def check(self, n: int) -> None:
        """Shapes, ranges and order."""
        check_classes(self.class_id, self.class_name, n)
        shape("confidence", self.confidence, np.float32, (n,))
        check_falling(self.frame_offset, self.confidence)

    @classmethod
    def order(cls, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
        """By frame, then falling confidence."""
        return falling(arrays)

    def columns(self) -> dict[str, NDArray[Any]]:
        """One array [N] per stored field."""
        return {"class_id": self.class_id, "class_name": self.class_name, "confidence": self.confidence}

    @classmethod
    def from_columns(cls, frame_offset: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> Self:
        """Rows from stored columns; raises ContractViolation."""
        return cls(frame_offset, *columns_of(list(cls.stored), columns))


@dataclass(frozen=True, slots=True, eq=False)
class Multilabels(Classifications):
    """Classes of some frames, each judged for itself (sigmoid): several may be right."""

    kind: ClassVar[str] = "multilabels"
