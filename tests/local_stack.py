"""The whole local stack, started the way a person starts it, in a FRAMEHOUSE_HOME of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UP_TIMEOUT_S = 300.0
COMMAND_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack; every command runs against it."""

    home: Path
    env: dict[str, str]
    cwd: Path | None = None
    within: tuple[str, ...] = ()
    """What each command is run by, for example `unshare`."""

    def run(self, *words: str, timeout_s: float = COMMAND_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """Run `framehouse WORDS…` and wait; stdout and stderr apart, the exit code as it was."""
        command = [*self.within, sys.executable, "-m", "framehouse.cli.main", *words]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=timeout_s, cwd=self.cwd)

    def ok(self, *words: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Stdout of a command that must succeed."""
        done = self.run(*words, timeout_s=timeout_s)
        assert done.returncode == 0, f"framehouse {' '.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def facts(self) -> dict[str, Any]:
        """What the supervisor wrote of itself last: state, endpoints, components."""
        return dict(json.loads((self.home / "state" / "stack.json").read_text()))

    def pid(self, component: str) -> int:
        """Process id of `prefect`, `triton`, `dask-scheduler`, `dask-workers`, `loader` or `runner`."""
        return int(self.facts()["components"][component]["pid"])

    def logs(self, n_lines: int = 40) -> str:
        """The end of every log, for the message of a failed test."""
        tails = {f: f.read_text(errors="replace").splitlines()[-n_lines:] for f in sorted(self.home.glob("logs/*.log"))}
        return "\n".join("\n".join([f"==== {file.name}", *lines]) for file, lines in tails.items())


def clean_environment(home: Path) -> dict[str, str]:
    """Our environment without settings of the machine that would lead elsewhere, and with this FRAMEHOUSE_HOME."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FRAMEHOUSE_", "PREFECT_", "DASK_"))}
    return kept | {"FRAMEHOUSE_HOME": str(home)}


@contextmanager
def running_stack(
    home: Path, *, cwd: Path | None = None, within: tuple[str, ...] = (), **settings: str
) -> Iterator[Stack]:
    """`framehouse up` … `framehouse down`.

    Args:
        home: made when missing.
        cwd: working directory of the stack.
        within: what each command is run by.
        settings: environment variables, for example FRAMEHOUSE_DASK__N_WORKERS="1".
    """
    stack = Stack(home, clean_environment(home) | settings, cwd, within)
    try:
        started = stack.run("up", timeout_s=UP_TIMEOUT_S)
        assert started.returncode == 0, f"framehouse up\n{started.stdout}\n{started.stderr}\n{stack.logs()}"
        yield stack
    finally:
        stack.run("down")
