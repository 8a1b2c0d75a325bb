"""One chunk in one process: under a watchdog that ends the process, or alone in a fresh process of its own.

A decoder that hangs or crashes inside a library takes its process along, and with it whatever else that process held.
So a chunk that was in a process when it died is tried again alone: in a child of the worker that holds nothing else,
whose death costs nobody anything, and which tells how it came about.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import structlog

from framehouse.errors import EngineUnavailable, FramehouseError
from framehouse.telemetry import configure_logging

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")
Beat = Callable[[], None]

STALLED_EXIT_CODE = 86
_BROKEN_EXIT_CODE = 1
_LOOK_S = 0.2
_SAID_CHARS = 8000
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended that had only one chunk to do.

    Attributes:
        cause: "SIGSEGV", "no progress for 180 s" …
        said: the end of what it wrote to stderr: for a crash or a hang, where in the code it was.
    """

    cause: str
    after_s: float
    said: str


def guarded(work: Callable[[T, Beat], R], task: T, stall_s: float) -> R:
    """Run the work under a watchdog: without a beat for `stall_s` seconds the process ends itself.

    A decoder that hangs inside a library cannot be interrupted from Python; only its process can be ended.
    """
    beaten_at = time.monotonic()
    over = threading.Event()

    def beat() -> None:
        nonlocal beaten_at
        beaten_at = time.monotonic()

    def watch() -> None:
        while not over.wait(min(1.0, stall_s / 4)):
            if time.monotonic() - beaten_at > stall_s:
                log.error("chunk makes no progress, ending its process", stall_s=stall_s, chunk=str(task)[:120])
                faulthandler.dump_traceback(sys.__stderr__ or sys.stderr)  # where it hangs
                os._exit(STALLED_EXIT_CODE)

    watchdog = threading.Thread(target=watch, name="chunk-watchdog", daemon=True)
    watchdog.start()
    try:
        return work(task, beat)
    except FramehouseError as error:
        failure = error.bare()
    finally:
        over.set()
        watchdog.join()
    raise failure  # out here it has no context: Dask pickles causes too, and sends a bare Exception where it cannot


def run_alone(work: Callable[[T, Beat], R], task: T, stall_s: float, *, memory_bytes: int = 0) -> R | Death:
    """Run the work in a fresh child process that does nothing else.

    Args:
        work: picklable, as for `guarded`.
        memory_bytes: the child is ended when it holds more; 0 is no limit.

    Returns:
        What the work returned, or how its process died.

    Raises:
        EngineUnavailable: the child could not even begin.
        Exception: whatever the work raises, as it raised it.
    """
    with tempfile.TemporaryDirectory(prefix="framehouse-alone-") as name:
        folder, began_s = Path(name), time.monotonic()
        (folder / "call").write_bytes(pickle.dumps((work, task, stall_s)))
        with (folder / "stderr").open("wb") as stderr:
            command = [sys.executable, "-X", "faulthandler", "-m", "framehouse.alone", name, str(os.getpid())]
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        too_large = _watched(child, memory_bytes)
        said = (folder / "stderr").read_bytes().decode("utf-8", "replace")
        sys.stderr.write(said)
        if child.returncode == 0:
            has_returned, value = pickle.loads((folder / "result").read_bytes())  # noqa: S301  our own child wrote it
            if not has_returned:
                raise value
            return value  # type: ignore[no-any-return]
        if child.returncode == _BROKEN_EXIT_CODE:
            last = (said.strip().splitlines() or ["no message"])[-1]
            raise EngineUnavailable(f"a process for one chunk could not begin: {last}")
        cause = f"more than {memory_bytes} bytes of memory" if too_large else _cause(child.returncode, stall_s)
        return Death(cause, round(time.monotonic() - began_s, 1), said[-_SAID_CHARS:])


def _watched(child: subprocess.Popen[bytes], memory_bytes: int) -> bool:
    """Wait for the child's end; whether it was ended because of its memory."""
    too_large = False
    while True:
        try:
            child.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            if memory_bytes and _memory_bytes(child.pid) > memory_bytes:
                too_large = True
                child.kill()
        else:
            return too_large


def _memory_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _cause(exit_code: int, stall_s: float) -> str:
    if exit_code == STALLED_EXIT_CODE:
        return f"no progress for {stall_s:g} s"
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


def _main(folder: Path, parent: int) -> int:
    """Be the child; dies with the worker that started it, and first where memory runs out."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return _BROKEN_EXIT_CODE
    Path("/proc/self/oom_score_adj").write_text("1000")
    configure_logging(json=True)
    work, task, stall_s = pickle.loads((folder / "call").read_bytes())  # noqa: S301  our own worker wrote it
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    outcome: tuple[bool, Any]
    try:
        outcome = (True, guarded(work, task, stall_s))
    except Exception as error:  # noqa: BLE001  the outermost edge of this process: the worker raises it again
        outcome = (False, error)
    (folder / "result").write_bytes(pickle.dumps(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), int(sys.argv[2])))
