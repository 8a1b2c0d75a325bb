"""Room on the disk: below a floor work pauses, so that it never has to fail in the middle of a write."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, overload

import structlog

from framehouse.errors import SourceUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")


def free_bytes(folder: Path) -> int:
    """Bytes that an ordinary process may still write on the disk of a folder, which need not be there yet."""
    while not folder.exists():
        folder = folder.parent
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize


@dataclass(frozen=True, slots=True)
class Room:
    """How much of a folder's disk is to stay free. `floor_bytes` 0 never runs short."""

    folder: Path
    floor_bytes: int
    free: Callable[[Path], int] = free_bytes

    def missing_bytes(self, need_bytes: int = 0) -> int:
        """How many bytes must be freed before another `need_bytes` may be written; 0 when there is room."""
        if not self.floor_bytes:
            return 0
        return max(0, self.floor_bytes + need_bytes - self.free(self.folder))

    def shortage(self, need_bytes: int = 0) -> str:
        """What is wrong, in one line for people; empty when there is room for another `need_bytes`."""
        if not self.missing_bytes(need_bytes):
            return ""
        wanted = f", {_gigabytes(need_bytes)} more are wanted" if need_bytes else ""
        return (
            f"{_gigabytes(self.free(self.folder))} free on the disk of FRAMEHOUSE_HOME{wanted}, "
            f"the floor is {_gigabytes(self.floor_bytes)}"
        )

    def wait(self, limit_s: float, need_bytes: int = 0, *, poll_s: float = 1.0) -> str:
        """Wait until there is room; returns the shortage that is left after `limit_s`, empty when there is none."""
        until = time.monotonic() + limit_s
        while (short := self.shortage(need_bytes)) and time.monotonic() < until:
            time.sleep(poll_s)
        return short


class WhenRoom(Sequence[T]):
    """Items that are handed out one by one, each only when there is room: what began goes on, nothing else begins."""

    def __init__(self, items: Sequence[T], room: Room, *, poll_s: float = 1.0) -> None:
        self._items, self._room, self._poll_s = items, room, poll_s

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, at: int) -> T: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...

    def __getitem__(self, at: int | slice) -> T | Sequence[T]:
        return self._items[at]

    def __iter__(self) -> Iterator[T]:
        for item in self._items:
            if short := self._room.shortage():
                log.warning("paused: the disk is below its floor", shortage=short)
                self._room.wait(math.inf, poll_s=self._poll_s)
                log.info("there is room again, going on")
            yield item


def wait_while_fetching(room: Room, limit_s: float, *, poll_s: float = 1.0) -> Callable[[int, int | None], None]:
    """A progress callback of `Source.fetch` that holds the download up while the disk is below its floor.

    Raises:
        SourceUnavailable: from the callback, code `source.disk_full`, after `limit_s` without room; what came is kept.
    """

    def progress(_done: int, _total: int | None) -> None:
        if room.missing_bytes() and (short := room.wait(limit_s, poll_s=poll_s)):
            raise SourceUnavailable(
                f"the download waited {limit_s:g} s for room: {short}", code="source.disk_full",
                hint="free some space (framehouse prune); the job goes on by itself",
            )  # fmt: skip

    return progress


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
