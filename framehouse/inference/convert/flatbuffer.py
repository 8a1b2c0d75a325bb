"""Reading tables of a flatbuffer by the number of a field, with numpy alone.

The format: a table starts with the distance back to its list of field offsets; a field that the list leaves out has its
default. Numbers stand in the table itself; strings, vectors and tables are reached by an offset from where it stands.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError

_OFFSET_SIZE = 4


@dataclass(frozen=True, slots=True)
class Table:
    """A table inside a buffer; fields are asked for by their number in the schema."""

    buffer: bytes
    start: int

    def number(self, field: int, form: str, default: int = 0) -> int:
        """A number; `form` is its letter in `struct`: b, B, i, I …"""
        place = self._place(field)
        return default if place is None else int(self._read(form, place))

    def text(self, field: int) -> str:
        """A string; absent is empty."""
        return self.array(field, np.uint8).tobytes().decode()

    def array(self, field: int, dtype: type[np.generic]) -> NDArray[np.generic]:
        """A vector of numbers; absent is empty."""
        begin, length = self._vector(field)
        end = begin + length * np.dtype(dtype).itemsize
        if end > len(self.buffer):
            raise _broken()
        return np.frombuffer(self.buffer[begin:end], np.dtype(dtype).newbyteorder("<"))

    def table(self, field: int) -> Table:
        """A table; an absent one has nothing but defaults.

        Raises:
            ConfigError: the buffer ends before.
        """
        place = self._place(field)
        return Table(_EMPTY, 0) if place is None else self._behind(place)

    def tables(self, field: int) -> Iterator[Table]:
        """A vector of tables; absent is empty."""
        begin, length = self._vector(field)
        return (self._behind(begin + _OFFSET_SIZE * i) for i in range(length))

    def _place(self, field: int) -> int | None:
        """Where a field stands in the buffer; None when it has its default."""
        offsets = self.start - self._read("i", self.start)
        entry = 4 + 2 * field
        distance = self._read("H", offsets + entry) if entry < self._read("H", offsets) else 0
        return self.start + distance if distance else None

    def _vector(self, field: int) -> tuple[int, int]:
        """Begin and length of a vector."""
        place = self._place(field)
        if place is None:
            return 0, 0
        begin = place + self._read("I", place)
        return begin + _OFFSET_SIZE, self._read("I", begin)

    def _behind(self, place: int) -> Table:
        return Table(self.buffer, place + self._read("I", place))

    def _read(self, form: str, place: int) -> int:
        try:
            return int(struct.unpack_from(f"<{form}", self.buffer, place)[0])
        except struct.error:
            raise _broken() from None


_EMPTY = struct.pack("<iHH", -4, 4, 4)
"""A table without fields, at its start."""


def root(buffer: bytes, identifier: str) -> Table:
    """The table that a buffer is about.

    Raises:
        ConfigError: the buffer is not of the kind `identifier` (code `convert.format`).
    """
    if buffer[4:8] != identifier.encode():
        raise ConfigError(f"not a flatbuffer of kind {identifier}", code="convert.format")
    return Table(buffer, struct.unpack_from("<I", buffer)[0])


def _broken() -> ConfigError:
    return ConfigError("the flatbuffer ends inside a field", code="convert.format")
