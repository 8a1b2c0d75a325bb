"""A supervisor of dummy commands: `python dummy_stack.py HOME`. Its stack.json tells the process ids."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from framehouse.config import Settings
from framehouse.readiness import READY_DIR, forget_ready, ready_pids
from framehouse.stack import Command, Component, Supervisor, single_instance

SLEEP = "import time; time.sleep(600)"
SPEAK = (
    "import pathlib, time; from framehouse.readiness import say_ready; time.sleep(0.3); say_ready('speaker'); "
    "time.sleep(600)"
)
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def dummy(settings: Settings, name: str, code: str, **options: object) -> Component:
    """A component that runs a line of Python."""
    command = Command([sys.executable, "-c", code], {}, settings.log_dir / f"{name}.log")
    return Component(name, command, **options)  # type: ignore[arg-type]


def speaker(settings: Settings) -> Component:
    """A component that says itself when it is ready."""
    folder = settings.state_dir / "ready"
    command = Command(
        [sys.executable, "-c", SPEAK],
        {READY_DIR: str(folder)},
        settings.log_dir / "speaker.log",
        lambda pid: pid in ready_pids(folder, "speaker"),
        lambda: forget_ready(folder, "speaker"),
    )
    return Component("speaker", command)


def main() -> int:
    """Be the supervisor of three dummies until told to stop."""
    settings = Settings(home=Path(sys.argv[1]))
    with single_instance(settings):
        parts = [speaker(settings), dummy(settings, "after", SLEEP, after="speaker"), dummy(settings, "plain", SLEEP)]
        supervisor = Supervisor(settings, parts, {"pid": str(os.getpid())})

        def stop(_number: int, _frame: object) -> None:
            supervisor.stopping = True

        signal.signal(signal.SIGTERM, stop)
        return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
