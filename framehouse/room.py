"""Room on the disk: below a floor work pauses, so that it never has to fail in the middle of a write."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


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


def _gigabytes(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e8 else f"{n_bytes / 1e6:.1f} MB"
