"""Requests over several servers, with fake ones. Real ones: integration/test_balance_servers.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from framehouse.errors import InferenceError, InferenceTimeout, ModelNotReady, TensorMismatch, TritonUnavailable
from framehouse.inference.balance import BalancedClient, connect_all
from framehouse.inference.specs import TritonTarget
from framehouse.inference.triton import Answer, TritonClient

FRAME = {"image": np.zeros((1, 2, 2, 3), np.uint8)}


class FakeServer:
    """Answers at once, or when told to; fails as told."""

    def __init__(self) -> None:
        self.waiting: list[Future[Answer]] = []
        self.error: InferenceError | None = None
        self.load_error: InferenceError | None = None
        self.holds = False
        self.n_asked = 0
        self.loads: list[tuple[str, ...]] = []

    def submit(self, model: str, inputs: Mapping[str, Any], *, version: str = "", priority: int = 0) -> Future[Answer]:
        self.n_asked += 1
        future: Future[Answer] = Future()
        if self.error is not None:
            future.set_exception(self.error)
        elif self.holds:
            self.waiting.append(future)
        else:
            future.set_result(Answer({}, 0.0, 0.0))
        return future

    def infer(self, model: str, inputs: Mapping[str, Any], *, version: str = "") -> dict[str, Any]:
        return self.submit(model, inputs, version=version).result().outputs

    def ensure_loaded(self, models: Sequence[str]) -> None:
        if self.load_error is not None:
            raise self.load_error
        self.loads.append(tuple(models))


MADE: list[BalancedClient] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """No client asks after its servers once its test is over: it would write into another's output."""
    yield
    while MADE:
        MADE.pop().close()


def several(n: int, *, away_s: float = 60.0) -> tuple[BalancedClient, list[FakeServer]]:
    servers = {f"host{i}:8001": FakeServer() for i in range(n)}
    target = TritonTarget(",".join(servers), False, 10.0, 4)
    MADE.append(BalancedClient(target, connect=lambda one: servers[one.url], away_s=away_s))
    return MADE[-1], [*servers.values()]


def until(holds: Callable[[], bool]) -> None:
    pause, deadline = threading.Event(), time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        pause.wait(0.005)


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("", ("",)),
        ("a:1", ("a:1",)),
        ("a:1,b:2", ("a:1", "b:2")),
        (" a:1 ,, b:2,a:1,", ("a:1", "b:2")),
    ],
)
def test_addresses_by_comma(url: str, urls: tuple[str, ...]) -> None:
    target = TritonTarget(url, False, 1.0, 4)
    assert target.urls == urls
    assert [one.url for one in target.each()] == [*urls]
    assert target.most_in_flight == 4 * len(urls)


def test_one_address_needs_no_balance() -> None:
    assert isinstance(connect_all(TritonTarget("127.0.0.1:1", False, 1.0, 1)), TritonClient)
    several_urls = TritonTarget("127.0.0.1:1,127.0.0.1:2", False, 1.0, 1)
    assert isinstance(connect_all(several_urls), BalancedClient)
    assert connect_all(several_urls) is connect_all(several_urls)


def test_idle_servers_take_turns() -> None:
    client, servers = several(3)
    for _ in range(9):
        client.infer("m", FRAME)
    assert [server.n_asked for server in servers] == [3, 3, 3]


def test_the_least_busy_is_asked() -> None:
    client, (slow, quick) = several(2)
    slow.holds = True
    for _ in range(11):
        client.submit("m", FRAME)
    assert (slow.n_asked, quick.n_asked) == (1, 10)
    slow.waiting[0].set_result(Answer({}, 0.0, 0.0))
    client.submit("m", FRAME)
    client.submit("m", FRAME)
    assert slow.n_asked == 2


@pytest.mark.parametrize(
    "error", [TritonUnavailable("gone"), InferenceTimeout("late"), ModelNotReady("started again"),
              InferenceError("1 + 1 = 3", code="inference.wrong_numbers")],
)  # fmt: skip
def test_what_a_server_does_not_answer_is_asked_of_another(error: InferenceError) -> None:
    client, (dead, alive) = several(2)
    dead.error = error
    answers = [client.submit("m", FRAME) for _ in range(10)]
    assert all(answer.result(5).outputs == {} for answer in answers)
    assert dead.n_asked == 1 and alive.n_asked == 10, "left out after its first failure"


def test_a_wrong_request_is_not_asked_again() -> None:
    client, servers = several(2)
    for server in servers:
        server.error = TensorMismatch("shape")
    with pytest.raises(TensorMismatch):
        client.infer("m", FRAME)
    assert sum(server.n_asked for server in servers) == 1


def test_requests_fail_only_when_nobody_answers_and_each_is_asked_once() -> None:
    client, servers = several(3)
    for server in servers:
        server.error = TritonUnavailable("gone")
    with pytest.raises(TritonUnavailable):
        client.infer("m", FRAME)
    assert [server.n_asked for server in servers] == [1, 1, 1]
    servers[1].error = None
    client.infer("m", FRAME)  # all are away: each is still tried, so that the one that is back is found
    assert servers[1].n_asked == 2
    client.infer("m", FRAME)
    assert servers[1].n_asked == 3, "it is the first to be asked"


def test_a_server_comes_back_with_its_models() -> None:
    client, (mortal, other) = several(2, away_s=0.01)
    client.ensure_loaded(["step", "m"])
    mortal.error = mortal.load_error = TritonUnavailable("gone")
    for _ in range(4):
        client.infer("m", FRAME)
    n_asked = mortal.n_asked
    mortal.error = mortal.load_error = None
    until(lambda: len(mortal.loads) == 2)
    assert mortal.loads == [("step", "m"), ("step", "m")] and other.loads == [("step", "m")]

    def is_asked() -> bool:
        client.infer("m", FRAME)
        return mortal.n_asked > n_asked

    until(is_asked)


def test_a_model_that_one_server_lacks_is_asked_of_the_others() -> None:
    client, (without, full) = several(2)
    without.load_error = InferenceError("no such model", code="inference.model_broken")
    client.ensure_loaded(["m"])
    for _ in range(6):
        client.infer("m", FRAME)
    assert (without.n_asked, full.n_asked) == (0, 6)
    client.infer("other", FRAME)
    assert without.n_asked == 1, "it gives what it has"
    full.load_error = without.load_error
    with pytest.raises(InferenceError, match="no such model"):
        client.ensure_loaded(["m"])


def test_loading_passes_when_one_server_answers() -> None:
    client, (dead, alive) = several(2)
    dead.load_error = TritonUnavailable("gone")
    client.ensure_loaded(["m"])
    client.ensure_loaded(["m"])
    assert len(alive.loads) == 2
    alive.load_error = TritonUnavailable("gone too")
    with pytest.raises(TritonUnavailable):
        client.ensure_loaded(["m"])


def test_a_closed_client_asks_no_more_after_a_server_that_is_away() -> None:
    before = set(threading.enumerate())
    client, (mortal, _) = several(2, away_s=0.01)
    client.ensure_loaded(["m"])
    mortal.error = mortal.load_error = TritonUnavailable("gone")
    for _ in range(4):
        client.infer("m", FRAME)

    def waits() -> bool:
        return any(thread.name == "triton-away" for thread in {*threading.enumerate()} - before)

    assert waits()
    client.close()
    until(lambda: not waits())
