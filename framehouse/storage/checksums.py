"""Sums that stores keep of their objects, as `ObjectFacts.checksum` writes them: `md5:` or `crc32c:` and hex digits."""

from __future__ import annotations

import hashlib
from typing import Protocol


class Sum(Protocol):
    """A sum that grows with the bytes."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""
        ...

    def digest(self) -> bytes:
        """The sum of all bytes so far."""
        ...


def begin_sum(checksum: str | None) -> Sum | None:
    """A sum of the kind that `checksum` is, of no bytes yet; None where there is none, or of a kind not known here."""
    kind = (checksum or "").partition(":")[0]
    if kind == "md5":
        return hashlib.md5(usedforsecurity=False)
    if kind == "crc32c":
        from google_crc32c import Checksum  # noqa: PLC0415  for composed objects of Google alone

        made: Sum = Checksum()
        return made
    return None


def agrees(found: Sum, checksum: str) -> bool:
    """Whether the bytes have the sum that was written down."""
    return found.digest().hex() == checksum.partition(":")[2]
