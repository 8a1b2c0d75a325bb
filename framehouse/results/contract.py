"""What every kind of rows must be: a record with struct-of-arrays fields, ordered by frame, checked at construction.

A new kind is one record in `framehouse.results.records` and one entry in `framehouse.results.kinds`; parts then store
it in a column of its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ContractViolation

SCHEMA_VERSION = 1
"""Version of parts, plans, run records and video records. A later one is refused, an earlier one is read."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameRows:
    """Rows of some frames of one video. Every field is an array whose first axis is the row.

    Args:
        frame_offset: int64 [N], non-decreasing, >= 0.

    Raises:
        ContractViolation: another shape, dtype, order or range. Use `ordered` for rows in any order.
    """

    frame_offset: NDArray[np.int64]

    kind: ClassVar[str] = ""
    table: ClassVar[str] = ""
    """The table in which rows of this kind end; several kinds may share one."""
    stored: ClassVar[Mapping[str, str]] = {}
    """Stored column -> Arrow type name (`int32`, `float32`, `string`, `list<float32>` …), in storage order. Lists of a
    column have one length throughout."""

    def __post_init__(self) -> None:
        n = self.frame_offset.size
        shape("frame_offset", self.frame_offset, np.int64, (n,))
        require(not n or bool(self.frame_offset[0] >= 0), "negative frame")
        require(bool((np.diff(self.frame_offset) >= 0).all()), "rows are not ordered by frame")
        self.check(n)

    def check(self, n: int) -> None:
        """Refuse fields that break the kind's own contract; n is the number of rows.

        Raises:
            ContractViolation: see the record.
        """

    def columns(self) -> dict[str, NDArray[Any]]:
        """One array per entry of `stored`: [N], or [N, K] for lists."""
        raise NotImplementedError

    @classmethod
    def from_columns(cls, frame_offset: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of `columns`.

        Raises:
            ContractViolation: a column is missing or the rows break the contract.
        """
        raise NotImplementedError

    @classmethod
    def order(cls, arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
        """Contract order of rows in any order; the default keeps the order given inside a frame."""
        return np.argsort(arrays["frame_offset"], kind="stable")

    def __len__(self) -> int:
        return int(self.frame_offset.size)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def ordered(cls, **arrays: NDArray[Any]) -> Self:
        """The same rows in contract order; what is equal keeps the order given."""
        order = cls.order(arrays)
        return cls(**{name: values[order] for name, values in arrays.items()})

    @classmethod
    def empty(cls) -> Self:
        """No rows."""
        none = {
            name: np.empty((0, *(() if kind[:5] != "list<" else (0,))), dtype_of(kind))
            for name, kind in cls.stored.items()
        }
        return cls.from_columns(np.empty(0, np.int64), none)

    @classmethod
    def concat(cls, pieces: Sequence[FrameRows]) -> Self:
        """All rows of all pieces in contract order; frames may interleave. No pieces give no rows."""
        filled = [piece.arrays() for piece in pieces if len(piece)]
        if not filled:
            return cls.empty()
        return cls.ordered(**{name: np.concatenate([piece[name] for piece in filled]) for name in filled[0]})

    def select(self, frame_offsets: NDArray[np.int64]) -> Self:
        """Only the rows of these frames, int64 [F] in any order."""
        return self.where(np.isin(self.frame_offset, frame_offsets))

    def where(self, keep: NDArray[np.bool_]) -> Self:
        """Only the rows marked in a bool [N]."""
        return type(self)(**{name: values[keep] for name, values in self.arrays().items()})


def falling(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
    """Order by frame, then by falling confidence; equal confidences keep the order given."""
    return np.lexsort((-arrays["confidence"], arrays["frame_offset"]))


def check_falling(frame_offset: NDArray[np.int64], confidence: NDArray[np.float32]) -> None:
    """Refuse confidences outside 0..1 (NaN too) or rising inside a frame."""
    # NaN fails every comparison, so both bounds also refuse it.
    require(bool(((confidence >= 0) & (confidence <= 1)).all()), "confidence outside 0..1")
    same_frame = np.diff(frame_offset) == 0
    require(bool((np.diff(confidence)[same_frame] <= 0).all()), "rows of a frame are not ordered by falling confidence")


def check_boxes(xcycwh: NDArray[np.float32], n: int) -> None:
    """Refuse boxes that are no finite centre form of non-negative size, float32 [N, 4]."""
    shape("xcycwh", xcycwh, np.float32, (n, 4))
    require(bool(np.isfinite(xcycwh).all()), "a box that is not finite")
    require(bool((xcycwh[:, 2:] >= 0).all()), "a box of negative size")


def check_classes(class_id: NDArray[np.int32], class_name: NDArray[np.object_], n: int) -> None:
    """Refuse class ids below 0 and names that are no text."""
    shape("class_id", class_id, np.int32, (n,))
    require(bool((class_id >= 0).all()), "negative frame or class")
    check_texts("class_name", class_name, (n,))


def check_texts(name: str, values: NDArray[np.object_], expected: tuple[int, ...]) -> None:
    """Refuse an object array that holds anything but str."""
    shape(name, values, np.object_, expected)
    require(all(isinstance(value, str) for value in values.flat), f"{name} is not text")


def columns_of(names: Sequence[str], columns: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Some columns by name.

    Raises:
        ContractViolation: one is missing.
    """
    missing = [name for name in names if name not in columns]
    require(not missing, f"columns missing: {missing}")
    return [columns[name] for name in names]


def dtype_of(type_name: str) -> np.dtype[Any]:
    """numpy's type for the items of a stored column."""
    item = type_name.removeprefix("list<").removesuffix(">")
    return np.dtype(object) if item == "string" else np.dtype(item)


def time_offsets_s(pts: NDArray[np.int64], first_pts: int, time_base: Fraction) -> NDArray[np.float64]:
    """Seconds of each pts after the first: float64 [N], one rounding each, so that every place computes equal bits.

    >>> time_offsets_s(np.array([1001, 2002]), 1001, Fraction(1, 30000)).tolist()
    [0.0, 0.03336666666666667]
    """
    return (pts - first_pts).astype(np.float64) * time_base.numerator / time_base.denominator


def shape(name: str, array: NDArray[Any], dtype: type, expected: tuple[int, ...]) -> None:
    """Refuse an array of another type or shape.

    Raises:
        ContractViolation: naming the field.
    """
    if array.dtype != np.dtype(dtype) or array.shape != expected:
        raise ContractViolation(
            f"{name} is {array.dtype}{list(array.shape)}, expected {np.dtype(dtype)}{list(expected)}", field=name
        )


def require(holds: bool, otherwise: str) -> None:
    """Refuse what does not hold.

    Raises:
        ContractViolation: with the text given.
    """
    if not holds:
        raise ContractViolation(otherwise)
