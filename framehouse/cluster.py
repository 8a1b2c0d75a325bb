"""The Dask client: a bounded window of chunks in flight, and what became of each.

The only importer of `distributed`. A chunk is one Dask task; a task returns a receipt, never pixels. A worker that dies
gets its chunk run again by Dask; a chunk whose workers keep dying is a *suspect* and is told to the caller, so that one
poisonous chunk never takes the video with it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar
from uuid import uuid4

import distributed
import structlog
from distributed.client import ClosedClientError
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from framehouse.errors import EngineUnavailable, FramehouseError

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")
Beat = Callable[[], None]

_LOST = (CommClosedError, ClosedClientError, concurrent.futures.CancelledError, asyncio.CancelledError, OSError)
"""Dask's own FutureCancelledError and FuturesCancelledError are kinds of concurrent.futures.CancelledError."""
_STALLED_EXIT_CODE = 86
_ADDRESS = re.compile(r"[a-z]+://[^/\s]+:\d+")


def run_chunks(
    address: str,
    work: Callable[[T, Beat], R],
    tasks: Sequence[T],
    *,
    window: int = 0,
    stall_s: float = 180.0,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[tuple[T, R | None]]:
    """Run tasks on the cluster, at most `window` in flight, and yield each with its receipt as it ends.

    Args:
        address: of the Dask scheduler.
        work: picklable function of (task, beat); runs in a worker process and calls beat() whenever it gets forward.
        window: 0 takes twice the number of workers.
        stall_s: a task that does not beat for so long takes its worker process down (hung decoder, hung call).
        on_wait: called about once a second and after each ended task.

    Yields:
        (task, receipt); the receipt is None for a suspect: its workers died several times, alone as well.

    Raises:
        EngineUnavailable: no scheduler, or it went away.
        Exception: whatever the work raises, as it raised it.
    """
    suspects: list[T] = []
    with _connect(address) as client:
        try:
            for task, receipt in _run(client, work, tasks, window or _default_window(client), stall_s, on_wait):
                if receipt is None:
                    suspects.append(task)
                else:
                    yield task, receipt
            for suspect in suspects:  # alone: it may only have sat beside the guilty one
                log.warning("chunk killed its workers, trying it alone", chunk=str(suspect)[:120])
                yield from _run(client, work, [suspect], 1, stall_s, on_wait)
        except _WorkFailed as failed:
            raise failed.cause from None
        except _LOST as error:
            raise EngineUnavailable("the Dask scheduler went away", hint="it is restarted; retry") from error


def _connect(address: str) -> distributed.Client:
    if _ADDRESS.fullmatch(address) is None:  # such a one can keep Dask's client busy for minutes
        raise EngineUnavailable(
            f"{address!r} is no address of a Dask scheduler", hint="for example tcp://10.0.0.5:8786"
        )
    try:
        return distributed.Client(address, timeout=10, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"no Dask scheduler answers at {address}") from error


def _default_window(client: distributed.Client) -> int:
    return 2 * max(1, len(client.scheduler_info(n_workers=-1)["workers"]))


def _run(
    client: distributed.Client,
    work: Callable[[T, Beat], R],
    tasks: Sequence[T],
    window: int,
    stall_s: float,
    on_wait: Callable[[], None],
) -> Iterator[tuple[T, R | None]]:
    waiting = iter(tasks)
    in_flight: dict[distributed.Future[R], T] = {}
    while True:
        while len(in_flight) < window and (task := next(waiting, None)) is not None:
            future = client.submit(guarded, work, task, stall_s, key=f"chunk-{uuid4().hex}", pure=False)
            in_flight[future] = task
        if not in_flight:
            return
        try:
            with client.as_current():
                done, _ = distributed.wait(list(in_flight), timeout=1, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]
        except TimeoutError:
            done = set()
        for future in done:
            task = in_flight.pop(future)
            yield task, _receipt(future)
        on_wait()


class _WorkFailed(Exception):
    """Carries an error of the work past the translation of those of the cluster: a full disk is no lost scheduler."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(cause)
        self.cause = cause


def _receipt(future: distributed.Future[R]) -> R | None:
    """What an ended task returned; None when its workers died. Raises what the work raised, as `_WorkFailed`."""
    if future.status != "error":
        return future.result()
    cause = future.exception()  # type: ignore[no-untyped-call]
    if isinstance(cause, KilledWorker):
        return None
    raise _WorkFailed(cause)


def guarded(work: Callable[[T, Beat], R], task: T, stall_s: float) -> R:
    """Run the work under a watchdog: without a beat for `stall_s` seconds the process ends itself.

    A decoder that hangs inside a library cannot be interrupted from Python; only its process can be ended. Dask then
    runs the task on another worker, and names it a suspect after a few deaths.
    """
    beaten_at = time.monotonic()
    over = threading.Event()

    def beat() -> None:
        nonlocal beaten_at
        beaten_at = time.monotonic()

    def watch() -> None:
        while not over.wait(min(1.0, stall_s / 4)):
            if time.monotonic() - beaten_at > stall_s:
                log.error("chunk makes no progress, ending its worker", stall_s=stall_s, chunk=str(task)[:120])
                os._exit(_STALLED_EXIT_CODE)

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


def worker_count(address: str) -> int:
    """How many workers the scheduler has.

    Raises:
        EngineUnavailable: no scheduler answers.
    """
    with _connect(address) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])
