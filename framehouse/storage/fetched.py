"""Fetched videos and unfinished downloads in the folder of `partfile`, taken away when nobody uses them."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from framehouse.storage.partfile import naming, read_identity

_FETCHED = re.compile(r"(v_[0-9a-f]{24})(\.[A-Za-z0-9]+)?")


def fetched_videos(folder: Path) -> dict[Path, str]:
    """Finished file -> id of its content."""
    if not folder.is_dir():
        return {}
    return {path: match[1] for path in sorted(folder.iterdir()) if (match := _FETCHED.fullmatch(path.name))}


def sidecars_of(folder: Path) -> dict[str, list[Path]]:
    """Name of a finished file -> the sidecars that tell of it; "" -> those of unfinished downloads."""
    found: dict[str, list[Path]] = {}
    for sidecar in sorted(folder.glob("[!.]*.json")):
        identity = read_identity(sidecar)
        found.setdefault(identity.name if identity else "", []).append(sidecar)
    return found


def evict(path: Path, sidecars: list[Path], is_unused: Callable[[], bool]) -> bool:
    """Remove a finished file with its sidecars; False when a fetch holds it, or it came into use.

    Whoever fetches it again waits for us, and then downloads it anew.

    Args:
        sidecars: as `sidecars_of` had them; a fetch under another address since then has made the file young.
        is_unused: asked when no fetch can touch the file any more.
    """
    with naming(path.parent, alone=True), ExitStack() as held:
        for sidecar in sidecars:
            if not held.enter_context(_taken(sidecar.with_suffix(".part"))):
                return False
        if not is_unused():
            return False
        path.unlink(missing_ok=True)
        for sidecar in sidecars:
            sidecar.unlink(missing_ok=True)
    return True


def evict_download(part: Path) -> bool:
    """Remove the bytes of an unfinished download; False when a fetch works on it."""
    with _taken(part) as mine:
        if mine:
            part.unlink(missing_ok=True)
            part.with_suffix(".json").unlink(missing_ok=True)
    return mine


@contextmanager
def _taken(part: Path) -> Iterator[bool]:
    """Hold the part file as a fetch does; False when one has it. An empty one is not left behind."""
    with part.open("a+b") as file:
        mine = _locked(part, file)
        yield mine
        if mine and part.exists() and part.stat().st_size == 0:
            part.unlink()


def _locked(part: Path, file: BinaryIO) -> bool:
    """Lock an open part file; False when a fetch has it, or has renamed or removed it since it was opened."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return part.stat().st_ino == os.fstat(file.fileno()).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False
