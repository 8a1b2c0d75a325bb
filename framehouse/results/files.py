"""Files that are either whole or not there, also after a power cut."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from framehouse.errors import StoreError
from framehouse.storage.files import NO_ROOM, TEMPORARY, flush_folder, make_folder

__all__ = ["flush_folder", "make_folder", "no_room_named", "sweep_temporary", "write_whole"]


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write under a temporary name, flush to the disk, then rename; the folder is made when missing.

    Raises:
        StoreError: code `store.disk_full` when there is no room; nothing is left behind.
    """
    with no_room_named(path.parent):
        make_folder(path.parent)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY}")
        try:
            _write_flushed(temporary, content)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        flush_folder(path.parent)


def sweep_temporary(folder: Path, older_than_s: float = 3600.0) -> int:
    """Remove what interrupted writes left in a folder and below; return how many files.

    Young ones are left: another process may be writing them.
    """
    limit = time.time() - older_than_s
    removed = 0
    for leftover in folder.rglob(f".*{TEMPORARY}"):
        try:
            if leftover.stat().st_mtime < limit:
                leftover.unlink()
                removed += 1
        except FileNotFoundError:  # finished or swept by another process meanwhile
            continue
    return removed


@contextmanager
def no_room_named(where: Path) -> Iterator[None]:
    """Turn "no space left" into an error that says so.

    Raises:
        StoreError: code `store.disk_full`.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise StoreError(
            f"no room left to write in {where}",
            code="store.disk_full",
            hint="free space on that disk, or move FRAMEHOUSE_HOME, then retry",
            folder=str(where),
        ) from error


def _write_flushed(path: Path, content: bytes | memoryview) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
