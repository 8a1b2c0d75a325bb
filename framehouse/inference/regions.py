"""Names of shared memory regions, and the removal of those whose owner died.

A region in `/dev/shm` outlives the process that made it. So its name says who owns it: the pid namespace, the pid and
the start time of that process (a pid alone is used again). `sweep` unlinks what no live process owns; it leaves alone
the regions of other containers that share `/dev/shm`, and everything that is not ours.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

SHARED_MEMORY_DIR = Path("/dev/shm")  # noqa: S108 - where shm_open puts regions on Linux
_NAME = re.compile(r"framehouse_(?P<namespace>\d+)_(?P<pid>\d+)_(?P<start>\d+)_")


def region_prefix(what: str) -> str:
    """Start of the name of every region that this process owns, for example `framehouse_4026531836_71_8812_frames_`.

    Args:
        what: lower-case word for the use; a counter or random part is for the caller to append.
    """
    return f"{_owner_prefix()}{what}_"


def sweep(directory: Path = SHARED_MEMORY_DIR) -> list[str]:
    """Unlink the regions of our naming whose owner is gone; returns their names, sorted."""
    gone = [path for path in _ours(directory) if not _is_owned(path.name)]
    return _unlink(gone)


def drop_regions(prefix: str, directory: Path = SHARED_MEMORY_DIR) -> list[str]:
    """Unlink every region of our naming whose name starts with `prefix`, owned or not; returns their names, sorted."""
    return _unlink([path for path in _ours(directory) if path.name.startswith(prefix)])


def start_ticks(pid: int) -> int | None:
    """Start time of a process, in clock ticks since boot; None when there is no such process (or only its zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _owner_prefix() -> str:
    return f"framehouse_{_pid_namespace()}_{os.getpid()}_{start_ticks(os.getpid())}_"


def _pid_namespace() -> str:
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _ours(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _NAME.match(path.name))


def _is_owned(name: str) -> bool:
    match = _NAME.match(name)
    if match is None or match["namespace"] != _pid_namespace():
        return True
    return start_ticks(int(match["pid"])) == int(match["start"])


def _unlink(paths: list[Path]) -> list[str]:
    for path in paths:
        path.unlink(missing_ok=True)
    return [path.name for path in paths]
