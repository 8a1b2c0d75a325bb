"""The Dask client: a bounded window of chunks in flight, and what became of each.

The only importer of `distributed`. A chunk is one Dask task; a task returns a receipt, never pixels. A worker that dies
accuses every chunk that it held. An accused chunk is tried again alone, in a fresh process of its own; one that kills
that process twice is given up and told to the caller, so that one poisonous chunk never takes the video with it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar
from uuid import uuid4

import distributed
import structlog
from distributed.client import ClosedClientError
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from framehouse.alone import Beat, Death, guarded, run_alone
from framehouse.errors import EngineUnavailable, FramehouseError, InferenceError, InferenceTimeout

log = structlog.get_logger(__name__)

T = TypeVar("T")
R = TypeVar("R")

_LOST = (CommClosedError, ClosedClientError, concurrent.futures.CancelledError, asyncio.CancelledError, OSError)
"""Dask's own FutureCancelledError and FuturesCancelledError are kinds of concurrent.futures.CancelledError."""
_ADDRESS = re.compile(r"[a-z]+://[^/\s]+:\d+")
_MOST_DEATHS = 2
"""Alone. The second is what tells a poisonous chunk from bad luck."""
_MOST_LOST = 4
"""Workers that may die around a chunk that runs alone in a child of theirs, before that too is held against it."""
_MOST_TIMEOUTS = 3
"""The first beside others, then alone."""
_MOST_SLOW = 3
"""Chunks in a row that nothing answers: then it is the server, not they."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A chunk that is not tried any more: it killed every process that had it alone, or no server answered it in time.

    Attributes:
        deaths: of its processes, in order.
        error: the last timeout, where that is why.
    """

    deaths: tuple[Death, ...] = ()
    error: FramehouseError | None = None


def run_chunks(
    address: str,
    work: Callable[[T, Beat], R],
    tasks: Sequence[T],
    *,
    window: int = 0,
    share: Callable[[int], int] = lambda n_slots: n_slots,
    stall_s: float = 180.0,
    on_wait: Callable[[], None] = lambda: None,
    suspicion: Callable[[T], tuple[Death, ...] | None] = lambda _task: None,
    on_suspicion: Callable[[T, tuple[Death, ...]], None] = lambda _task, _deaths: None,
    on_retry: Callable[[], None] = lambda: None,
) -> Iterator[tuple[T, R | GivenUp]]:
    """Run tasks on the cluster, at most `window` in flight, and yield each with its receipt as it ends.

    Args:
        address: of the Dask scheduler.
        work: picklable function of (task, beat); runs in a worker process and calls beat() whenever it gets forward.
        window: 0 takes twice the number of workers.
        share: how many of so many slots may be in flight now; asked whenever there is something to hand out.
        stall_s: a task that does not beat for so long takes its process down (hung decoder, hung call).
        on_wait: called about once a second and after each ended task.
        suspicion: what earlier calls hold against a task, None for nothing; else it runs alone from the first, and
            these deaths of its processes count.
        on_suspicion: called when something more is held against a task, before it is tried again.
        on_retry: called when a task is to be tried another time.

    Yields:
        (task, receipt), or (task, what is known of why it was given up).

    Raises:
        EngineUnavailable: no scheduler, or it went away.
        InferenceError: code `inference.timeout`, the server answers no chunk in time; not worth another try.
        Exception: whatever the work raises, as it raised it.
    """
    with _connect(address) as client:
        window = window or _default_window(client)
        flight = _Flight(client, work, stall_s, lambda: min(window, share(window)), on_wait, on_retry, on_suspicion)
        try:
            yield from flight.run(_first_try(task, suspicion(task)) for task in tasks)
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


@dataclass(frozen=True, slots=True)
class _Try(Generic[T]):
    """A task, and what has happened to it so far."""

    task: T
    alone: bool = False
    deaths: tuple[Death, ...] = ()
    n_lost: int = 0
    n_timeouts: int = 0


def _first_try(task: T, deaths: tuple[Death, ...] | None) -> _Try[T]:
    return _Try(task, alone=deaths is not None, deaths=deaths or ())


class _Flight(Generic[T, R]):
    """The tasks of one call: waiting, in flight, and those that nothing answered, which come last and one by one."""

    def __init__(
        self,
        client: distributed.Client,
        work: Callable[[T, Beat], R],
        stall_s: float,
        window: Callable[[], int],
        on_wait: Callable[[], None],
        on_retry: Callable[[], None],
        on_suspicion: Callable[[T, tuple[Death, ...]], None],
    ) -> None:
        self._client, self._work, self._stall_s, self._window = client, work, stall_s, window
        self._on_wait, self._on_retry, self._on_suspicion = on_wait, on_retry, on_suspicion
        self._again: deque[_Try[T]] = deque()
        self._slow: deque[_Try[T]] = deque()
        self._in_flight: dict[distributed.Future[Any], _Try[T]] = {}
        self._n_slow_in_a_row = 0

    def run(self, tries: Iterator[_Try[T]]) -> Iterator[tuple[T, R | GivenUp]]:
        """Yield every task once, with its end; after a failure what is in flight is waited for, and then it is raised.

        Else a chunk would go on unseen, and be done a second time by the run that tries again.
        """
        failure: _WorkFailed | None = None
        while True:
            while failure is None and len(self._in_flight) < self._window() and (one := self._next(tries)) is not None:
                self._submit(one)
            if not self._in_flight:
                break
            for future in self._ended():
                one = self._in_flight.pop(future)
                try:
                    end = self._judged(one, future)
                except _WorkFailed as failed:
                    failure = failure or failed
                else:
                    if end is not None:
                        yield one.task, end
            self._on_wait()
        if failure is not None:
            raise failure

    def _next(self, tries: Iterator[_Try[T]]) -> _Try[T] | None:
        if self._again:
            return self._again.popleft()
        if (one := next(tries, None)) is not None:
            return one
        return self._slow.popleft() if self._slow and not self._in_flight else None

    def _submit(self, one: _Try[T]) -> None:
        call = _alone if one.alone else guarded
        future = self._client.submit(call, self._work, one.task, self._stall_s, key=f"chunk-{uuid4().hex}", pure=False)
        self._in_flight[future] = one

    def _ended(self) -> set[distributed.Future[Any]]:
        try:
            with self._client.as_current():
                done, _ = distributed.wait(list(self._in_flight), timeout=1, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]
        except TimeoutError:
            return set()
        return set(done)

    def _judged(self, one: _Try[T], future: distributed.Future[Any]) -> R | GivenUp | None:
        """How a task ended; None when it is tried again. Raises what the work raised, as `_WorkFailed`."""
        if future.status != "error":
            result = future.result()
            if isinstance(result, Death):
                return self._died(one, result)
            self._n_slow_in_a_row = 0
            return result  # type: ignore[no-any-return]
        cause = future.exception()  # type: ignore[no-untyped-call]
        if isinstance(cause, KilledWorker):
            return self._accused(one)
        if isinstance(cause, InferenceTimeout):
            return self._unanswered(one, cause)
        raise _WorkFailed(cause)

    def _accused(self, one: _Try[T]) -> GivenUp | None:
        """The worker died that held it; whose fault that was shows alone."""
        log.warning("chunk was in a worker that died, trying it alone", chunk=str(one.task)[:120])
        if one.alone and one.n_lost >= _MOST_LOST:
            return self._died(one, Death("its worker died with it", 0.0, ""))
        if not one.alone:
            self._on_suspicion(one.task, ())
        self._on_retry()
        self._again.append(replace(one, alone=True, n_lost=one.n_lost + one.alone))
        return None

    def _died(self, one: _Try[T], death: Death) -> GivenUp | None:
        deaths = (*one.deaths, death)
        log.error("chunk killed its process alone", chunk=str(one.task)[:120], cause=death.cause, n_deaths=len(deaths))
        if len(deaths) >= _MOST_DEATHS:
            return GivenUp(deaths)
        self._on_suspicion(one.task, deaths)
        self._on_retry()
        self._again.append(replace(one, deaths=deaths))
        return None

    def _unanswered(self, one: _Try[T], error: InferenceTimeout) -> GivenUp | None:
        """A server or model hangs on it, or is slow with everybody: tried again when no other chunk is in flight."""
        n_timeouts = one.n_timeouts + 1
        log.warning("chunk got no answer in time", chunk=str(one.task)[:120], n_timeouts=n_timeouts)
        if n_timeouts < _MOST_TIMEOUTS:
            self._on_retry()
            self._slow.append(replace(one, n_timeouts=n_timeouts))
            return None
        self._n_slow_in_a_row += 1
        if self._n_slow_in_a_row >= _MOST_SLOW:
            raise _WorkFailed(
                InferenceError(
                    f"{_MOST_SLOW} chunks in a row got no answer in time, {_MOST_TIMEOUTS} times each",
                    code=error.code, hint="see the log of the Triton server, then retry the job",
                )
            )  # fmt: skip
        return GivenUp(error=error)


def _alone(work: Callable[[T, Beat], R], task: T, stall_s: float) -> R | Death:
    """In a worker: have the task done by a child process with nothing but it, under the worker's own memory limit."""
    limit = distributed.get_worker().memory_manager.memory_limit
    return run_alone(work, task, stall_s, memory_bytes=int(limit or 0))


class _WorkFailed(Exception):
    """Carries an error of the work past the translation of those of the cluster: a full disk is no lost scheduler."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(cause)
        self.cause = cause


def worker_count(address: str) -> int:
    """How many workers the scheduler has.

    Raises:
        EngineUnavailable: no scheduler answers.
    """
    with _connect(address) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


def all_workers(address: str, question: Callable[[T], bool], about: T, *, timeout_s: float = 10.0) -> bool:
    """Whether every worker answers yes to a short question; one that hangs, or goes away meanwhile, does not.

    Raises:
        EngineUnavailable: no scheduler answers.
    """
    with _connect(address) as client, concurrent.futures.ThreadPoolExecutor(1) as pool:
        answers = pool.submit(client.run, question, about, on_error="return")
        try:
            return all(answer is True for answer in answers.result(timeout_s).values())
        except concurrent.futures.TimeoutError:
            client.close(timeout=1)  # ends the call
            return False
        except _LOST as error:
            raise EngineUnavailable("the Dask scheduler went away", hint="it is restarted; retry") from error
