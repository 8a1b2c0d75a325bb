"""Files that are either whole or not there, also after a power cut; and the errors of our own disk."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from framehouse.errors import SourceError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What "no space left" is called."""
TEMPORARY = ".tmp"
"""End of the name of a file that is being written; it begins with a dot."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that gets its name when the block ends well, and is gone when it does not.

    The folder is made when missing.

    Raises:
        OSError: as it comes.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}{TEMPORARY}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one that is being written, or was left by a process that died."""
    return name.startswith(".") and name.endswith(TEMPORARY)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; each new name is flushed to the disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    flush_folder(folder.parent)


def flush_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def own_disk(folder: Path) -> Iterator[None]:
    """OSError of our own folder comes out as one of ours.

    Raises:
        SourceError: code `source.disk_full` or `source.not_writable`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise disk_full(folder, error.strerror or "full") from error
        raise SourceError(
            f"{folder}: {error.strerror}", code="source.not_writable", hint="check FRAMEHOUSE_HOME"
        ) from error


def disk_full(folder: Path, why: str) -> SourceError:
    """The error for a disk without room."""
    return SourceError(f"{folder}: no space left ({why})", code="source.disk_full", hint="free disk space, then retry")
