"""A download in progress on disk: bytes, their hash, and what must be equal to go on later.

::

    <key>.part     bytes so far, locked while a fetch works on it
    <key>.json     Identity of those bytes, or of the finished file
    v_<hash>.mp4   a finished file, named by its content; changed when it was last used
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self

import structlog

from framehouse import ids
from framehouse.errors import SourceError, SourceUnavailable
from framehouse.storage.checksums import agrees, begin_sum
from framehouse.storage.files import disk_full, own_disk

log = structlog.get_logger(__name__)

_READ_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """Which bytes these are. No URL in it: `request` is the sha256 of the whole URL.

    `sha256` and `name` are empty until the file is finished. `checksum` is what the far side says of the whole file, as
    `ObjectFacts` has it.
    """

    request: str
    etag: str | None = None
    last_modified: str | None = None
    size_bytes: int | None = None
    sha256: str = ""
    name: str = ""
    checksum: str | None = None

    def validator(self, request: str) -> str | None:
        """What proves to a server that these bytes are of its present file: a strong ETag, else the time.

        The time counts only for the very same URL. None: nothing proves it, so nothing may be resumed.
        """
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified if self.request == request else None

    def agrees(self, other: Identity) -> bool:
        """No field that both know differs."""
        mine = (self.etag, self.last_modified, self.size_bytes)
        theirs = (other.etag, other.last_modified, other.size_bytes)
        return all(a is None or b is None or a == b for a, b in zip(mine, theirs, strict=True))


class PartFile:
    """The one holder of a download; made by `PartFile.open`."""

    def __init__(self, folder: Path, key: str, file: BinaryIO) -> None:
        self._path = folder / f"{key}.part"
        self._sidecar = folder / f"{key}.json"
        self._file = file
        self._digest = hashlib.sha256()
        self._hashed_bytes = 0
        self.size = os.fstat(file.fileno()).st_size
        """Bytes held."""
        self.identity = read_identity(self._sidecar)
        """Of the bytes held, or of the finished file; None when nothing is known."""
        self._sum = begin_sum(self.identity.checksum if self.identity else None)

    @classmethod
    @contextmanager
    def open(cls, folder: Path, key: str) -> Iterator[Self]:
        """Take the part of this key, waiting for whoever has it; an empty one leaves no file behind.

        Raises:
            SourceError: the folder cannot be written.
        """
        with own_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            file = _locked(folder / f"{key}.part")
        with file:
            part = cls(folder, key, file)
            try:
                yield part
            finally:
                if part.size == 0:
                    part._path.unlink(missing_ok=True)

    @property
    def finished(self) -> Path | None:
        """The file that an earlier fetch finished, when it is still here with all its bytes."""
        if self.identity is None or not self.identity.name:
            return None
        path = self._path.with_name(self.identity.name)
        return path if path.is_file() and path.stat().st_size == self.identity.size_bytes else None

    def begin(self, identity: Identity) -> None:
        """Forget the bytes held and start with the first byte of `identity`.

        Raises:
            SourceError: `source.disk_full`, when the file would not fit.
        """
        self.clear()
        if identity.size_bytes is not None and identity.size_bytes > shutil.disk_usage(self._path.parent).free:
            raise disk_full(self._path.parent, f"{identity.size_bytes} bytes do not fit")
        self.identity, self._sum = identity, begin_sum(identity.checksum)
        self._write_sidecar()

    def clear(self) -> None:
        """Forget the bytes held."""
        self._file.truncate(0)
        self.size = 0
        self._digest, self._hashed_bytes = hashlib.sha256(), 0
        self.identity = None
        self._sidecar.unlink(missing_ok=True)

    def append(self, piece: bytes) -> None:
        """Write and hash.

        Raises:
            SourceError: `source.disk_full`; the bytes held are given back to the disk.
        """
        try:
            with own_disk(self._path.parent):
                self._catch_up()
                _write_all(self._file, piece)
        except SourceError:
            self.clear()
            raise
        self._hash(piece)
        self.size += len(piece)
        self._hashed_bytes = self.size

    def finish(self, suffix: str) -> Path:
        """Name the file by its content; returns the finished file, also when an earlier fetch made it.

        Its time of change becomes that of its last use: housekeeping takes the least recently used first.

        Raises:
            SourceUnavailable: code `source.checksum`; the bytes held are given back to the disk.
        """
        with naming(self._path.parent):
            return self._finish(suffix)

    def _finish(self, suffix: str) -> Path:
        here = self.finished
        if here is not None or self.identity is None:
            if here is None:
                raise SourceError("a download ended without a byte or an identity", code="source.error")
            os.utime(here)
            return here
        with own_disk(self._path.parent):
            self._catch_up()
            self._check_sum()
            sha256 = self._digest.hexdigest()
            final = self._path.with_name(ids.video_id(sha256) + suffix)
            os.fsync(self._file.fileno())
            self._path.rename(final)
            os.utime(final)
            self.identity = replace(self.identity, sha256=sha256, name=final.name, size_bytes=self.size)
            self._write_sidecar()
        return final

    def _hash(self, piece: bytes) -> None:
        self._digest.update(piece)
        if self._sum is not None:
            self._sum.update(piece)

    def _check_sum(self) -> None:
        """Raises SourceUnavailable, and forgets the bytes, when they are not the ones the far side spoke of."""
        checksum = self.identity.checksum if self.identity else None
        if self._sum is not None and checksum and not agrees(self._sum, checksum):
            self.clear()
            raise SourceUnavailable(
                f"other bytes came than the source's checksum says ({checksum})", code="source.checksum"
            )

    def _catch_up(self) -> None:
        """Hash what an earlier process wrote."""
        if self._hashed_bytes == self.size:
            return
        self._file.seek(self._hashed_bytes)
        while self._hashed_bytes < self.size:
            piece = self._file.read(min(_READ_BYTES, self.size - self._hashed_bytes))
            self._hash(piece)
            self._hashed_bytes += len(piece)
        self._file.seek(self.size)

    def _write_sidecar(self) -> None:
        assert self.identity is not None
        with own_disk(self._path.parent):
            temporary = self._sidecar.with_suffix(".json.tmp")
            temporary.write_text(json.dumps(asdict(self.identity)), encoding="utf-8")
            temporary.rename(self._sidecar)


def _write_all(file: BinaryIO, piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:  # an unbuffered file may take less than it is given
        rest = rest[file.write(rest) :]


def _locked(path: Path) -> BinaryIO:
    """The part file opened and locked; begins again when its last holder renamed or removed it meanwhile."""
    while True:
        file = path.open("a+b", buffering=0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another fetch of the same video", part=path.name)
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return file
        except FileNotFoundError:
            pass
        file.close()


def read_identity(sidecar: Path) -> Identity | None:
    """What a sidecar says; None when it is not there or damaged."""
    try:
        return Identity(**json.loads(sidecar.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def naming(folder: Path, *, alone: bool = False) -> Iterator[None]:
    """Hold off the taking away of finished files while one gets its name; `alone` holds off the naming."""
    with own_disk(folder):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(lock)
