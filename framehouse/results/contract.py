"""Rows that models give for frames: one record per kind, checked once at construction.

A new kind is one record here (the `Rows` protocol) and one entry in `KINDS`; parts then store it in a column of
its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ContractViolation

SCHEMA_VERSION = 1
"""Version of parts, plans, run records and video records. A later one is refused, an earlier one is read."""


class Rows(Protocol):
    """What a kind must offer so that parts can hold it. Struct of arrays, ordered by frame."""

    kind: ClassVar[str]
    fields: ClassVar[Mapping[str, str]]
    """Stored column -> Arrow type name (`int32`, `float32`, `string` …), in storage order."""

    @property
    def frame_offset(self) -> NDArray[np.int64]:
        """int64 [N], non-decreasing."""

    def columns(self) -> dict[str, NDArray[Any]]:
        """One array [N] per entry of `fields`."""

    @classmethod
    def from_columns(cls, frame_offset: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `columns`."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes in some frames of one video, ordered by frame, then by falling confidence.

    Args:
        frame_offset: int64 [N], non-decreasing, >= 0.
        class_id: int32 [N], >= 0.
        class_name: object [N] of str.
        confidence: float32 [N], 0..1, non-increasing inside a frame.
        xcycwh: float32 [N, 4], centre x, centre y, width, height; pixels of the upright source frame; finite.

    Raises:
        ContractViolation: another shape, dtype, order or range. Use `ordered` for rows in any order.
    """

    frame_offset: NDArray[np.int64]
    class_id: NDArray[np.int32]
    class_name: NDArray[np.object_]
    confidence: NDArray[np.float32]
    xcycwh: NDArray[np.float32]

    kind: ClassVar[str] = "detections"
    fields: ClassVar[Mapping[str, str]] = {
        "class_id": "int32",
        "class_name": "string",
        "confidence": "float32",
        "x": "float32",
        "y": "float32",
        "width": "float32",
        "height": "float32",
    }

    def __post_init__(self) -> None:
        n = self.frame_offset.size
        _shape("frame_offset", self.frame_offset, np.int64, (n,))
        _shape("class_id", self.class_id, np.int32, (n,))
        _shape("class_name", self.class_name, np.object_, (n,))
        _shape("confidence", self.confidence, np.float32, (n,))
        _shape("xcycwh", self.xcycwh, np.float32, (n, 4))
        _require(not n or bool(self.frame_offset[0] >= 0 and self.class_id.min() >= 0), "negative frame or class")
        # NaN fails every comparison, so both bounds also refuse it.
        _require(bool(((self.confidence >= 0) & (self.confidence <= 1)).all()), "confidence outside 0..1")
        _require(bool(np.isfinite(self.xcycwh).all()), "a box that is not finite")
        _require(bool((self.xcycwh[:, 2:] >= 0).all()), "a box of negative size")
        _require(all(isinstance(name, str) for name in self.class_name), "class_name is not text")
        step, fall = np.diff(self.frame_offset), np.diff(self.confidence)
        _require(bool((step >= 0).all()), "rows are not ordered by frame")
        _require(bool((fall[step == 0] <= 0).all()), "rows of a frame are not ordered by falling confidence")

    def __len__(self) -> int:
        return int(self.frame_offset.size)

    @classmethod
    def empty(cls) -> Self:
        """No rows."""
        return cls(
            np.empty(0, np.int64),
            np.empty(0, np.int32),
            np.empty(0, np.object_),
            np.empty(0, np.float32),
            np.empty((0, 4), np.float32),
        )

    @classmethod
    def ordered(
        cls,
        frame_offset: NDArray[np.int64],
        class_id: NDArray[np.int32],
        class_name: NDArray[np.object_],
        confidence: NDArray[np.float32],
        xcycwh: NDArray[np.float32],
    ) -> Self:
        """The same rows in contract order; equal confidences keep the order given."""
        order = np.lexsort((-confidence, frame_offset))
        return cls(frame_offset[order], class_id[order], class_name[order], confidence[order], xcycwh[order])

    @classmethod
    def concat(cls, pieces: Sequence[Detections]) -> Self:
        """All rows of all pieces in contract order; frames may interleave. No pieces give no rows."""
        if not pieces:
            return cls.empty()
        return cls.ordered(
            np.concatenate([p.frame_offset for p in pieces]),
            np.concatenate([p.class_id for p in pieces]),
            np.concatenate([p.class_name for p in pieces]),
            np.concatenate([p.confidence for p in pieces]),
            np.concatenate([p.xcycwh for p in pieces]),
        )

    def select(self, frame_offsets: NDArray[np.int64]) -> Self:
        """Only the rows of these frames, int64 [F] in any order."""
        return self.where(np.isin(self.frame_offset, frame_offsets))

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Only the rows marked in a bool [N]."""
        return type(self)(
            self.frame_offset[keep],
            self.class_id[keep],
            self.class_name[keep],
            self.confidence[keep],
            self.xcycwh[keep],
        )

    def columns(self) -> dict[str, NDArray[Any]]:
        """One array [N] per stored field."""
        box = dict(zip(("x", "y", "width", "height"), self.xcycwh.T, strict=True))
        return {"class_id": self.class_id, "class_name": self.class_name, "confidence": self.confidence, **box}

    @classmethod
    def from_columns(cls, frame_offset: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> Self:
        """Rows from stored columns.

        Raises:
            ContractViolation: a column is missing or the rows break the contract.
        """
        missing = [name for name in cls.fields if name not in columns]
        _require(not missing, f"columns missing: {missing}")
        box = np.stack([columns[name] for name in ("x", "y", "width", "height")], axis=1)
        return cls(frame_offset, columns["class_id"], columns["class_name"], columns["confidence"], box)


KINDS: dict[str, type[Detections]] = {Detections.kind: Detections}
"""Every kind of rows by name."""


def time_offsets_s(pts: NDArray[np.int64], first_pts: int, time_base: Fraction) -> NDArray[np.float64]:
    """Seconds of each pts after the first: float64 [N], one rounding each, so that every place computes equal bits.

    >>> time_offsets_s(np.array([1001, 2002]), 1001, Fraction(1, 30000)).tolist()
    [0.0, 0.03336666666666667]
    """
    return (pts - first_pts).astype(np.float64) * time_base.numerator / time_base.denominator


def _shape(name: str, array: NDArray[Any], dtype: type, shape: tuple[int, ...]) -> None:
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ContractViolation(
            f"{name} is {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}{list(shape)}", field=name
        )


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ContractViolation(otherwise)
