"""How a process of the stack tells that it works: an empty file `<name>.<process id>`.

The folder comes through the environment from the supervisor or the container that started the process; without it
nothing is told. The process id is in the name so that what an earlier process said counts for nothing.

`python -m framehouse.readiness WHAT` asks: exit code 0 when WHAT, a name in that folder or a http:// URL, is well. The
health checks of docker/ run it.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil

READY_DIR = "FRAMEHOUSE_READY_DIR"
"""Environment variable with the folder."""
_ASK_TIMEOUT_S = 5.0


def say_ready(name: str) -> None:
    """Tell whoever started us, if anybody asks, that this process does its work from now on."""
    if folder := os.environ.get(READY_DIR):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.{os.getpid()}").touch()


def ready_pids(folder: Path, name: str) -> set[int]:
    """Process ids that have said so under this name; some may be dead by now."""
    return {int(path.suffix[1:]) for path in folder.glob(f"{name}.*") if path.suffix[1:].isdigit()}


def forget_ready(folder: Path, name: str) -> None:
    """Take back what processes of this name have said: they are to start anew."""
    for path in folder.glob(f"{name}.*"):
        path.unlink(missing_ok=True)


def is_well(what: str, folder: Path) -> bool:
    """Whether a process of this name lives and has said that it works, or a URL answers with a status below 400.

    Process ids are used again, in containers soon: a word older than the process is not its own.
    """
    if what.startswith(("http://", "https://")):
        return _answers(what)
    for pid in ready_pids(folder, what):
        with suppress(psutil.Error, FileNotFoundError):
            said_at = (folder / f"{what}.{pid}").stat().st_mtime
            if psutil.Process(pid).create_time() <= said_at + 0.1:  # the kernel counts a start in hundredths
                return True
    return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=_ASK_TIMEOUT_S):  # noqa: S310 - the scheme was looked at
            return True
    except OSError:
        return False


def main() -> int:
    """Exit code of the question on the command line; says on stderr what is not well."""
    folder, unwell = os.environ.get(READY_DIR, ""), []
    for what in sys.argv[1:]:
        if not is_well(what, Path(folder)):
            unwell.append(what)
    if unwell:
        print(f"not well: {', '.join(unwell)}", file=sys.stderr)
    return 1 if unwell or len(sys.argv) == 1 else 0


if __name__ == "__main__":
    sys.exit(main())
