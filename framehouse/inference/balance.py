"""Several Triton servers as one: each request goes to the one with the fewest unanswered.

A server that does not answer is left out until it answers again and has loaded what it should have; what it was asked
is asked of another, which inference allows: the same frames give the same rows everywhere.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from framehouse.errors import InferenceError, InferenceTimeout, ModelNotReady, TritonUnavailable
from framehouse.inference.specs import TritonTarget
from framehouse.inference.triton import Answer, Tensor, connect, disconnect

log = structlog.get_logger(__name__)

_AWAY_S = 5.0
_ANSWERS_NOT = (TritonUnavailable, InferenceTimeout, ModelNotReady)
"""Another server may do better; ModelNotReady is what a server says that was started again."""


class Client(Protocol):
    """What is asked of one server, and of several."""

    def submit(
        self, model: str, inputs: Mapping[str, Tensor], *, version: str = "", priority: int = 0
    ) -> Future[Answer]:
        """Send a request."""
        ...

    def infer(self, model: str, inputs: Mapping[str, Tensor], *, version: str = "") -> dict[str, Tensor]:
        """Send a request and wait for its outputs."""
        ...

    def ensure_loaded(self, models: Sequence[str]) -> None:
        """Load what is not loaded yet, in the order given."""
        ...


def connect_all(target: TritonTarget) -> Client:
    """The client of this process for all servers of a target: made at the first call, the same one after it."""
    if len(target.urls) == 1:
        return connect(target)
    key = (os.getpid(), target)
    with _balanced_lock:
        if key not in _balanced:
            _balanced[key] = BalancedClient(target)
        return _balanced[key]


def disconnect_all() -> None:
    """Close every client that `connect_all` made in this process, and those of single servers."""
    with _balanced_lock:
        mine = [key for key in _balanced if key[0] == os.getpid()]
        closing = [_balanced.pop(key) for key in mine]
    for client in closing:
        client.close()
    disconnect()


_balanced: dict[tuple[int, TritonTarget], BalancedClient] = {}
_balanced_lock = threading.Lock()


@dataclass(slots=True, eq=False)
class _Server:
    target: TritonTarget
    n_in_flight: int = 0
    is_away: bool = False
    last_used: int = 0
    refused: dict[str, InferenceError] = field(default_factory=dict)
    """Models that it cannot give, and why."""


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    model: str
    inputs: Mapping[str, Tensor]
    version: str
    priority: int = 0
    future: Future[Answer] = field(default_factory=Future)
    tried: list[_Server] = field(default_factory=list)
    started_s: float = field(default_factory=time.perf_counter)


class BalancedClient:
    """Requests to several servers. Safe for threads; after a fork, make a new one (`connect_all` does)."""

    def __init__(
        self,
        target: TritonTarget,
        *,
        connect: Callable[[TritonTarget], Client] = connect,
        away_s: float = _AWAY_S,
    ) -> None:
        """Nothing is sent before the first call.

        Args:
            connect: gives the client of one server.
            away_s: how long a server that does not answer is left alone before it is asked again.
        """
        self._servers = [_Server(one) for one in target.each()]
        self._connect, self._away_s = connect, away_s
        self._timeout_s = target.request_timeout_s
        self._lock = threading.Lock()
        self._n_sent = 0
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._closed = threading.Event()

    def close(self) -> None:
        """Ask no more after servers that are away; what is in flight ends as it would have."""
        self._closed.set()

    def submit(
        self, model: str, inputs: Mapping[str, Tensor], *, version: str = "", priority: int = 0
    ) -> Future[Answer]:
        """Send a request to the least busy server; blocks as `TritonClient.submit` does.

        Returns:
            A future that always ends, as one of `TritonClient.submit` does; one of a server that does not answer only
            when no other did better.
        """
        request = _Request(model, inputs, version, priority)
        request.future.set_running_or_notify_cancel()
        self._send(request, self._take(request) or self._servers[0])
        return request.future

    def infer(self, model: str, inputs: Mapping[str, Tensor], *, version: str = "") -> dict[str, Tensor]:
        """Send a request and wait for its outputs; raises what `submit` describes."""
        return self.submit(model, inputs, version=version).result().outputs

    def ensure_loaded(self, models: Sequence[str]) -> None:
        """Have every server load what it has not; one that is away does so before it is used again.

        Raises:
            InferenceError: no server can give the last of the models; why the first of them cannot.
        """
        self._wanted[models[-1]] = tuple(models)
        failures: list[InferenceError] = []
        n_loaded = 0
        for server in sorted(self._servers, key=lambda server: server.is_away):
            if server.is_away and n_loaded:
                return
            try:
                self._load(server, models)
                n_loaded += 1
            except InferenceError as error:
                failures.append(error)
        if not n_loaded:
            raise failures[0]

    def _load(self, server: _Server, models: Sequence[str]) -> None:
        try:
            self._connect(server.target).ensure_loaded(models)
        except InferenceError as error:
            if error.retryable:
                self._leave_out(server, error)
            elif models[-1] not in server.refused:
                log.warning("triton lacks a model", url=server.target.url, model=models[-1], cause=error.message)
                server.refused[models[-1]] = error
            raise
        server.refused.pop(models[-1], None)
        self._take_up(server)

    # ---- one request

    def _take(self, request: _Request) -> _Server | None:
        """The least busy server that was not asked yet, those away last; of equals the one unused for longest."""
        with self._lock:
            able = [s for s in self._servers if s not in request.tried and request.model not in s.refused]
            if not able:
                return None
            server = min(able, key=lambda s: (s.is_away, s.n_in_flight, s.last_used))
            self._n_sent += 1
            server.last_used = self._n_sent
            return server

    def _send(self, request: _Request, server: _Server) -> None:
        request.tried.append(server)
        with self._lock:
            server.n_in_flight += 1
        client = self._connect(server.target)
        sent = client.submit(request.model, request.inputs, version=request.version, priority=request.priority)
        sent.add_done_callback(lambda done: self._answered(request, server, done))

    def _answered(self, request: _Request, server: _Server, done: Future[Answer]) -> None:
        """May run in gRPC's thread, which must not block: another try gets a thread of its own."""
        with self._lock:
            server.n_in_flight -= 1
        error = done.exception()
        if error is None:
            self._take_up(server)
            request.future.set_result(done.result())
            return
        if isinstance(error, InferenceError) and _is_its_fault(error):
            self._leave_out(server, error)
            in_time = time.perf_counter() - request.started_s < 1.5 * self._timeout_s  # a caller waits for two
            if in_time and (other := self._take(request)) is not None:
                log.info("asking another triton", url=other.target.url, model=request.model, code=error.code)
                threading.Thread(target=self._send, args=(request, other), name="triton-again", daemon=True).start()
                return
        request.future.set_exception(error)

    # ---- who answers

    def _leave_out(self, server: _Server, error: InferenceError) -> None:
        with self._lock:
            if server.is_away:
                return
            server.is_away = True
        log.warning("triton left out", url=server.target.url, code=error.code, cause=error.message)
        threading.Thread(target=self._await, args=(server,), name="triton-away", daemon=True).start()

    def _await(self, server: _Server) -> None:
        """Ask now and then, until the server has all that it should have, or has answered somebody else."""
        while server.is_away and not self._closed.wait(self._away_s):
            try:
                for models in [*self._wanted.values()]:
                    if models[-1] not in server.refused:
                        self._connect(server.target).ensure_loaded(models)
            except InferenceError as error:
                log.debug("triton still away", url=server.target.url, code=error.code)
                continue
            self._take_up(server)

    def _take_up(self, server: _Server) -> None:
        with self._lock:
            was_away, server.is_away = server.is_away, False
        if was_away:
            log.info("triton taken up again", url=server.target.url)


def _is_its_fault(error: InferenceError) -> bool:
    """Whether the server is to blame, not the request."""
    return isinstance(error, _ANSWERS_NOT) or error.code == "inference.wrong_numbers"
