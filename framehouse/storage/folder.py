"""A folder as an object store: keys are paths below it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from framehouse.errors import ConfigError, SourceError, SourceNotFound
from framehouse.storage.base import iso_utc
from framehouse.storage.files import is_temporary, own_disk, whole_file
from framehouse.storage.local import os_errors, path_uri
from framehouse.storage.objects import PIECE_BYTES, ObjectFacts


@dataclass(frozen=True, slots=True)
class LocalObjects:
    """Objects are files; links are followed, also to folders. The folder is made by the first write.

    A key that no file can have (with an empty, `.` or `..` part, or a NUL) is found nowhere, and refused for writing.
    Files that are being written are not listed.
    """

    root: Path

    @property
    def uri(self) -> str:
        """`file:///folder`."""
        return path_uri(self.root).rstrip("/")

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectFacts]:
        """Files by key; only folders that can hold such keys are read, one at a time."""
        with os_errors(self.root):
            self.root.stat()
        yield from _walk(self.root, "", os.fsencode(prefix), os.fsencode(after), frozenset())

    def stat(self, key: str) -> ObjectFacts:
        """Size and time; a folder is no object."""
        path = self._path(key)
        with os_errors(path):
            facts = path.stat()
        if not path.is_file():
            raise SourceNotFound(f"{path}: not a file", uri=path_uri(path))
        return _facts(key, facts)

    def read(self, key: str) -> bytes:
        """All bytes of a file."""
        self.stat(key)
        path = self._path(key)
        with os_errors(path):
            return path.read_bytes()

    def open_range(self, key: str, start: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """Bytes of the file that is there at the first piece: one that is replaced meanwhile is read to its end."""
        self.stat(key)
        path = self._path(key)
        with os_errors(path), path.open("rb") as file:
            file.seek(start)
            while piece := file.read(PIECE_BYTES):
                yield piece

    def write(self, key: str, content: bytes) -> None:
        """Written beside its name, flushed, then renamed."""
        path = self._writable(key)
        with own_disk(path.parent), whole_file(path) as file:
            file.write(content)

    def put(self, key: str, path: Path) -> None:
        """Copied beside its name, flushed, then renamed."""
        target = self._writable(key)
        with os_errors(path), path.open("rb") as source, own_disk(target.parent), whole_file(target) as file:
            shutil.copyfileobj(source, file, PIECE_BYTES)

    def delete(self, key: str) -> None:
        """Unlink; folders stay."""
        if not _is_key(key):
            return
        path = self._path(key)
        with os_errors(path):
            try:
                path.unlink(missing_ok=True)
            except (IsADirectoryError, NotADirectoryError):
                return

    def sign_get(self, key: str, ttl_s: int) -> str:
        """A folder signs nothing.

        Raises:
            ConfigError: always.
        """
        raise _cannot_sign(self.uri)

    def sign_put(self, key: str, ttl_s: int) -> str:
        """A folder signs nothing.

        Raises:
            ConfigError: always.
        """
        raise _cannot_sign(self.uri)

    def _path(self, key: str) -> Path:
        if not _is_key(key):
            raise SourceNotFound(f"{key!r}: no file can have this key", uri=self.uri)
        return self.root / key

    def _writable(self, key: str) -> Path:
        if not _is_key(key) or is_temporary(key.rsplit("/", 1)[-1]):
            raise SourceError(f"{key!r}: no file can have this key", code="source.bad_key", uri=self.uri)
        return self.root / key


def _is_key(key: str) -> bool:
    return "\0" not in key and not any(part in ("", ".", "..") for part in key.split("/"))


def _walk(
    folder: Path, above: str, prefix: bytes, after: bytes, entered: frozenset[tuple[int, int]]
) -> Iterator[ObjectFacts]:
    """Files below a folder, in the order of their keys' bytes.

    Args:
        above: the folder's own key with a slash, or nothing.
        entered: folders on the way here, so that links that loop end.
    """
    with os_errors(folder), os.scandir(folder) as entries:
        found = sorted((os.fsencode(above + entry.name) + b"/" * entry.is_dir(), entry.name) for entry in entries)
    for key, name in found:
        is_folder = key.endswith(b"/")
        if not _may_hold(key, is_folder, prefix, after) or is_temporary(name):
            continue
        path = folder / name
        try:
            facts = path.stat()
        except OSError:  # gone meanwhile, or a link to nowhere
            continue
        here = (facts.st_dev, facts.st_ino)
        if not is_folder and path.is_file():
            yield _facts(above + name, facts)
        elif is_folder and here not in entered:
            try:
                yield from _walk(path, f"{above}{name}/", prefix, after, entered | {here})
            except SourceNotFound:  # gone meanwhile
                continue


def _may_hold(key: bytes, is_folder: bool, prefix: bytes, after: bytes) -> bool:
    """Whether a file of this key, or one below this folder, can be what is asked for."""
    if not is_folder:
        return key.startswith(prefix) and key > after
    return (key.startswith(prefix) or prefix.startswith(key)) and (key > after or after.startswith(key))


def _facts(key: str, facts: os.stat_result) -> ObjectFacts:
    return ObjectFacts(key, facts.st_size, None, iso_utc(facts.st_mtime))


def _cannot_sign(uri: str) -> ConfigError:
    return ConfigError(
        f"{uri}: a folder cannot sign URLs", code="config.cannot_sign", hint="use a bucket, or the API's own URLs"
    )
