"""Work on media from strangers in a process kept apart: what crashes or hangs there ends the work, not the server.

The process is started when first needed and kept for the next piece of work; after a death the next piece gets a fresh
one. `alone` is for one chunk of a job and tells how it died; this is for short answers to people.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from framehouse.errors import FramehouseError, MediaError
from framehouse.telemetry import configure_logging

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")
Tell = Callable[[int], None]
"""Called by the work as it gets on: a sign of life, with whatever number it counts by."""

MEMORY_BYTES = 4 * 1024**3
_TELL_EVERY_S = 0.2


class Apart:
    """One process, one piece of work at a time; further callers wait.

    Args:
        stall_s: without a sign of life for so long the process is killed.
        memory_bytes: address space that it may take.
    """

    def __init__(self, *, stall_s: float = 60.0, memory_bytes: int = MEMORY_BYTES) -> None:
        self._stall_s, self._memory_bytes = stall_s, memory_bytes
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def do(self, work: Callable[[T, Tell], R], task: T, tell: Tell = lambda _n: None) -> R:
        """Have the process do the work.

        Args:
            work: a function at the top of a module.
            task: picklable, and so is what comes back.
            tell: told what the work tells, at most some times a second.

        Raises:
            MediaError: code `media.crashed` or `media.stalled`.
            FramehouseError: as the work raised it; anything else that it raises comes as a RuntimeError.
        """
        with self._turn:
            line = self._begin()
            try:
                line.send_bytes(pickle.dumps((work, task)))
                return self._answer(line, tell)  # type: ignore[no-any-return]
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise self._died() from None
            except (KeyboardInterrupt, SystemExit, GeneratorExit):
                self._end()
                raise

    def close(self) -> None:
        """End the process, also in the midst of work."""
        child = self._child
        if child is not None:
            child.kill()
        with self._turn:
            self._end()

    def _begin(self) -> Connection:
        if self._line is None or self._child is None or self._child.poll() is not None:
            self._end()
            self._line, theirs = Pipe()
            command = [sys.executable, "-X", "faulthandler", "-m", "framehouse.apart"]
            command += [str(theirs.fileno()), str(self._memory_bytes)]
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=sys.__stderr__, pass_fds=[theirs.fileno()]
            )
            theirs.close()
        return self._line

    def _answer(self, line: Connection, tell: Tell) -> Any:
        while line.poll(self._stall_s):
            what, value = pickle.loads(line.recv_bytes())  # noqa: S301  our own child wrote it
            if what == "told":
                tell(value)
            elif what == "done":
                return value
            else:
                raise value
        self._end()
        raise MediaError(
            f"reading the video made no progress for {self._stall_s:g} s", code="media.stalled",
            hint="the file may be damaged: framehouse videos probe FILE",
        )  # fmt: skip

    def _died(self) -> MediaError:
        child = self._child
        code = child.wait() if child is not None else 0
        self._end()
        cause = signal.Signals(-code).name if -code in signal.valid_signals() else f"exit code {code}"
        log.error("a process for media died", cause=cause)
        return MediaError(
            f"reading the video ended its process ({cause})", code="media.crashed",
            hint="the file may be damaged: framehouse videos probe FILE",
        )  # fmt: skip

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._line = self._child = None


def _serve(line: Connection) -> None:
    """Be the child: do one piece of work after another until nobody is there to ask for any."""
    told_at = 0.0

    def tell(n: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > _TELL_EVERY_S:
            told_at = time.monotonic()
            line.send_bytes(pickle.dumps(("told", n)))

    while True:
        try:
            work, task = pickle.loads(line.recv_bytes())  # noqa: S301  our own parent wrote it
        except EOFError:
            return
        line.send_bytes(pickle.dumps(_outcome(work, task, tell)))


def _outcome(work: Callable[[Any, Tell], Any], task: Any, tell: Tell) -> tuple[str, Any]:
    try:
        return "done", work(task, tell)
    except FramehouseError as error:
        return "failed", error.bare()
    except Exception as error:  # the outermost edge of this process: the parent raises it again
        log.exception("work on media failed")
        return "failed", RuntimeError(f"{type(error).__name__}: {error}")


def _main(line: Connection, memory_bytes: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person's Ctrl-C is the parent's to act on: then the line ends
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
    configure_logging(json=True)
    _serve(line)


if __name__ == "__main__":
    _main(Connection(int(sys.argv[1])), int(sys.argv[2]))
