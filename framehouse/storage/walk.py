"""The videos under a folder in the order of their uris, one folder at a time in memory."""

from __future__ import annotations

import os
import stat as stat_bits
from collections.abc import Callable, Iterator
from pathlib import Path

from framehouse.storage.base import VIDEO_SUFFIXES, VideoRef, iso_utc


def walk_videos(
    folder: Path, quoted: Callable[[str], str], prefix: str, unreadable: Callable[[str, OSError], None]
) -> Iterator[VideoRef]:
    """Each video file under a folder, by the bytes of its uri; hidden names are left out, links are followed.

    Each real folder is entered once, so links that loop end. What vanishes while it is looked at is left out.

    Args:
        quoted: a name as it stands in a uri.
        prefix: uri of the folder, with a slash at its end.
        unreadable: told of each folder that may not be read, by its uri; its videos are left out.
    """
    yield from _walk(str(folder), prefix, quoted, unreadable, set())


def _walk(
    folder: str,
    prefix: str,
    quoted: Callable[[str], str],
    unreadable: Callable[[str, OSError], None],
    entered: set[tuple[int, int]],
) -> Iterator[VideoRef]:
    try:
        facts = os.stat(folder)  # noqa: PTH116  a Path for each of 100,000 names costs more than the listing
        if (facts.st_dev, facts.st_ino) in entered:
            return
        entered.add((facts.st_dev, facts.st_ino))
        names = _names(folder, quoted)
    except FileNotFoundError:
        return
    except OSError as error:
        unreadable(prefix, error)
        return
    for text, name in names:
        path = f"{folder}/{name}"
        if text.endswith("/"):
            yield from _walk(path, prefix + text, quoted, unreadable, entered)
        elif (ref := _ref(path, prefix + text)) is not None:
            yield ref


def _names(folder: str, quoted: Callable[[str], str]) -> list[tuple[str, str]]:
    """(name as in a uri, name); a folder's with a slash, so that what is in it sorts where its uris belong."""
    with os.scandir(folder) as found:
        return sorted(
            (quoted(entry.name) + "/" * is_folder, entry.name)
            for entry in found
            if not entry.name.startswith(".") and ((is_folder := _is_folder(entry)) or _is_named_as_video(entry.name))
        )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that loops
        return False


def _is_named_as_video(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in VIDEO_SUFFIXES  # noqa: PTH122


def _ref(path: str, uri: str) -> VideoRef | None:
    try:
        facts = os.stat(path)  # noqa: PTH116
    except OSError:  # gone meanwhile, or a link to nothing
        return None
    if not stat_bits.S_ISREG(facts.st_mode):
        return None
    return VideoRef(uri, facts.st_size, iso_utc(facts.st_mtime), None)
