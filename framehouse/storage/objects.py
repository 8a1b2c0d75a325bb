"""Named bytes in a place: a bucket, a container, or a folder. What catalogues list and what a shared lake lies in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

WINDOW_BYTES = 8 * 1024 * 1024
"""What one request for a part of an object asks for; held in memory whole."""
PIECE_BYTES = 256 * 1024
LONGEST_TTL_S = 7 * 24 * 3600
"""No store signs for longer."""


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """One object as a listing tells it.

    Attributes:
        key: name inside the store, `/` between its parts, never at its beginning; any unicode text.
        etag: changes whenever the bytes do; None where the store has none (a folder).
        modified_at: ISO 8601 in UTC.
        checksum: sum of the bytes as the store keeps it, `md5:` or `crc32c:` and hexadecimal digits; None where the
            store has none, or tells it only by `stat`.
    """

    key: str
    size_bytes: int
    etag: str | None
    modified_at: str | None
    checksum: str | None = None


class ObjectStore(Protocol):
    """A place of objects. Safe to share between threads; every method is one request, or one per page.

    All methods raise SourceNotFound (no such object, no such bucket), SourceForbidden (no permission, expired
    credentials) or SourceUnavailable (throttled, broken off, not answering: worth another try).
    """

    @property
    def uri(self) -> str:
        """`s3://bucket`, `gs://bucket`, `az://account/container` or `file:///folder`: no slash at the end."""
        ...

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectFacts]:
        """Objects whose key begins with `prefix`, in the order of their keys' UTF-8 bytes, read page by page.

        Args:
            after: only keys behind this one; for going on where an earlier listing stopped.
        """
        ...

    def stat(self, key: str) -> ObjectFacts:
        """Facts of one object."""
        ...

    def read(self, key: str) -> bytes:
        """All bytes of a small object."""
        ...

    def open_range(self, key: str, start: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """The object's bytes from `start` on, in pieces.

        Args:
            etag: the bytes must be of this version.

        Raises:
            SourceUnavailable: code `source.changed`, the object is another by now; the stream broke off.
        """
        ...

    def write(self, key: str, content: bytes) -> None:
        """Store a small object whole or not at all; replaces an earlier one."""
        ...

    def put(self, key: str, path: Path) -> None:
        """Store a file of any size, in pieces where the store has a limit; whole or not at all."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""
        ...

    def sign_get(self, key: str, ttl_s: int) -> str:
        """A URL that reads the object without further credentials, for `ttl_s` seconds."""
        ...

    def sign_put(self, key: str, ttl_s: int) -> str:
        """A URL that writes the object by one PUT, for `ttl_s` seconds."""
        ...


def pieces(read: Callable[[int, int], bytes], start: int) -> Iterator[bytes]:
    """Bytes from `start` on, asked for a window at a time: memory stays flat, and a broken answer costs one window.

    Args:
        read: bytes of a half-open interval; fewer, or none, where the object ends.
    """
    while True:
        window = read(start, start + WINDOW_BYTES)
        for at in range(0, len(window), PIECE_BYTES):
            yield window[at : at + PIECE_BYTES]
        if len(window) < WINDOW_BYTES:
            return
        start += len(window)
