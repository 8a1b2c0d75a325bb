"""How a process of the local stack tells its supervisor that it works: an empty file `<name>.<process id>`.

The folder comes through the environment from the supervisor that started the process; without it nothing is told. The
process id is in the name so that what an earlier process said counts for nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

READY_DIR = "FRAMEHOUSE_READY_DIR"
"""Environment variable with the folder."""


def say_ready(name: str) -> None:
    """Tell the supervisor, if there is one, that this process does its work from now on."""
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
