"""Webhooks over a real server: told once, signed, tried again, never to where they must not go."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from framehouse.api.deliver import Deliverer, signature
from framehouse.config import Settings
from framehouse.errors import ConfigError, NotFound
from framehouse.state import JobRequest, Origin, State, open_state
from framehouse.state import webhooks as module
from framehouse.state.webhooks import Webhooks

REQUEST = JobRequest("/videos/a.mp4", ("detector",))


@dataclass
class Receiver:
    """A web server that notes what it is told and answers as it is told."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append((dict(self.headers.items()), body))
            self.send_response(receiver.answers.pop(0) if receiver.answers else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook?token=secret"
        Thread(target=server.serve_forever, daemon=True).start()
        yield receiver
        server.shutdown()


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    url = f"sqlite:///{tmp_path / 'state.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = open_state(url)
    yield opened
    opened.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def deliverer(state: State, tmp_path: Path) -> Deliverer:
    settings = Settings(home=tmp_path)
    settings.source.private_networks = ["127.0.0.0/8"]
    return Deliverer(Webhooks(state.engine), settings)


@pytest.fixture
def end_job(state: State) -> Callable[..., str]:
    def end(owner: str, outcome: str = "failed") -> str:
        job_id = state.submit(REQUEST, origin=Origin(owner))
        state.conclude(job_id, outcome, [], error=("media.unreadable", "no", "try"))  # type: ignore[arg-type]
        return job_id

    return end


def test_the_end_of_a_job_is_told_once_and_signed(
    state: State, receiver: Receiver, deliverer: Deliverer, end_job: Callable[..., str]
) -> None:
    before = end_job("k_1")
    hook = Webhooks(state.engine).create("k_1", receiver.url)
    job_id, other = end_job("k_1"), end_job("k_2")
    for _ in range(3):
        deliverer.round()
    ((headers, body),) = receiver.got
    told = json.loads(body)
    assert (told["job_id"], told["type"], told["error"]["code"]) == (job_id, "job.failed", "media.unreadable")
    assert headers["X-Framehouse-Event-Id"] == told["id"]
    timestamp = int(headers["X-Framehouse-Signature"].split(",")[0].removeprefix("t="))
    assert headers["X-Framehouse-Signature"] == signature(hook.secret, timestamp, body)
    assert headers["X-Framehouse-Signature"] != signature("whsec_other", timestamp, body)
    assert abs(timestamp - time.time()) < 60
    assert not {before, other} & {json.loads(body)["job_id"] for _, body in receiver.got}


def test_only_the_events_asked_for(
    state: State, receiver: Receiver, deliverer: Deliverer, end_job: Callable[..., str]
) -> None:
    Webhooks(state.engine).create("k_1", receiver.url, ["job.cancelled"])
    end_job("k_1", "failed")
    cancelled = end_job("k_1", "cancelled")
    deliverer.round()
    assert [json.loads(body)["job_id"] for _, body in receiver.got] == [cancelled]
    with pytest.raises(ConfigError, match="unknown event job"):
        Webhooks(state.engine).create("k_1", receiver.url, ["job.flies"])


def test_it_is_tried_again_with_growing_pauses_and_then_given_up(
    state: State, receiver: Receiver, deliverer: Deliverer, end_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = Webhooks(state.engine)
    hook = hooks.create("k_1", receiver.url)
    receiver.answers += [500] * module.MAX_ATTEMPTS
    end_job("k_1")
    now = time.time()
    pauses = []
    for attempt in range(module.MAX_ATTEMPTS):
        monkeypatch.setattr(module.time, "time", lambda now=now: now)
        assert deliverer.round() == 1
        assert deliverer.round() == 0, "not before its time"
        (logged,) = hooks.log(hook.webhook_id)
        assert (logged.attempt, logged.answer) == (attempt + 1, 500)
        pauses.append(logged.next_at - now)
        now = logged.next_at + 0.001
    assert hooks.log(hook.webhook_id)[0].status == "given_up"
    assert deliverer.round() == 0
    assert pauses == pytest.approx([5.0 * 4**i for i in range(module.MAX_ATTEMPTS)])
    assert len({headers["X-Framehouse-Event-Id"] for headers, _ in receiver.got}) == 1


def test_a_failure_that_passes_is_delivered(
    state: State, receiver: Receiver, deliverer: Deliverer, end_job: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.0)
    hooks = Webhooks(state.engine)
    hook = hooks.create("k_1", receiver.url)
    receiver.answers += [503, 200]
    end_job("k_1")
    assert deliverer.round() == 1
    assert deliverer.round() == 1
    (logged,) = hooks.log(hook.webhook_id)
    assert (logged.status, logged.attempt, logged.answer) == ("delivered", 2, 200)
    assert [json.loads(body)["attempt"] for _, body in receiver.got] == [1, 2]


def test_two_deliverers_send_one_event_once(
    state: State, receiver: Receiver, deliverer: Deliverer, end_job: Callable[..., str]
) -> None:
    Webhooks(state.engine).create("k_1", receiver.url)
    jobs = {end_job("k_1") for _ in range(12)}
    threads = [Thread(target=deliverer.round) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(json.loads(body)["job_id"] for _, body in receiver.got) == sorted(jobs)


def test_a_private_address_is_told_nothing(
    state: State, receiver: Receiver, end_job: Callable[..., str], tmp_path: Path
) -> None:
    hooks = Webhooks(state.engine)
    hook = hooks.create("k_1", receiver.url)
    end_job("k_1")
    Deliverer(hooks, Settings(home=tmp_path)).round()
    (logged,) = hooks.log(hook.webhook_id)
    assert receiver.got == []
    assert logged.error is not None and logged.error.startswith("source.private_address")


def test_a_removed_webhook_is_told_nothing(
    state: State, receiver: Receiver, deliverer: Deliverer, end_job: Callable[..., str]
) -> None:
    hooks = Webhooks(state.engine)
    hook = hooks.create("k_1", receiver.url)
    end_job("k_1")
    hooks.note_ended_jobs()
    hooks.remove(hook.webhook_id)
    assert deliverer.round() == 0
    with pytest.raises(NotFound):
        hooks.get(hook.webhook_id)
