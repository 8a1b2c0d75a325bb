"""A chunk is left when its run has lost the job, and not before."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framehouse.errors import LeaseLost
from framehouse.jobs import chunks
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.chunks import HeldChunk, infer_held
from framehouse.state import Lease
from framehouse.state.holds import may_go_on
from jobs_in_hand import new_attempt

Act = Callable[[Attempt], Any]


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return new_attempt(tmp_path)


LOSSES: dict[str, Act] = {
    "cancelled": lambda a: a.state.request_cancel(a.job_id),
    "ended by the runner": lambda a: a.state.break_lease(f"job/{a.job_id}"),
    "expired": lambda a: a.state.renew(a.lease, -1.0),
    "gone to another run": lambda a: (a.state.release(a.lease), a.state.acquire(f"job/{a.job_id}", "other", 60.0)),
    "job over": lambda a: a.state.conclude(a.job_id, "failed", []),
}


@pytest.mark.parametrize("how", LOSSES)
def test_a_run_may_go_on_until_it_has_lost_the_job(attempt: Attempt, how: str) -> None:
    assert may_go_on(attempt.state, attempt.lease, attempt.job_id)
    LOSSES[how](attempt)
    assert not may_go_on(attempt.state, attempt.lease, attempt.job_id)


def test_the_lease_of_another_fence_is_not_ours(attempt: Attempt) -> None:
    older = Lease(attempt.lease.name, attempt.lease.owner, attempt.lease.fence - 1)
    assert not may_go_on(attempt.state, older, attempt.job_id)


class Task:
    """As much of a ChunkTask as is looked at here."""

    job_id = video_id = "j"
    models: tuple[Any, ...] = ()

    class chunk:  # noqa: N801
        chunk_id = "c0"


def held(attempt: Attempt, url: str = "") -> HeldChunk:
    task: Any = Task()
    task.job_id = attempt.job_id
    return HeldChunk(task, attempt.lease, url or attempt.settings.state_url)


def use_work(monkeypatch: pytest.MonkeyPatch, work: Callable[[Callable[[], None]], Any]) -> None:
    monkeypatch.setattr(chunks, "_ASK_S", 0.01)
    monkeypatch.setattr(chunks, "infer_chunk", lambda _task, _beat, check=lambda: None: work(check))


def test_a_chunk_whose_job_is_cancelled_is_left(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(check: Callable[[], None]) -> None:
        check()
        attempt.state.request_cancel(attempt.job_id)
        for _ in range(1000):
            threading.Event().wait(0.01)
            check()

    use_work(monkeypatch, work)
    with pytest.raises(LeaseLost):
        infer_held(held(attempt), lambda: None)


def test_a_chunk_whose_job_is_held_runs_to_its_end(attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(check: Callable[[], None]) -> str:
        for _ in range(5):
            threading.Event().wait(0.01)
            check()
        return "receipt"

    use_work(monkeypatch, work)
    assert infer_held(held(attempt), lambda: None) == "receipt"  # type: ignore[comparison-overlap]


def test_where_no_state_database_is_nobody_is_asked(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_work(monkeypatch, lambda _check: "receipt")
    elsewhere = held(attempt, f"sqlite:///{tmp_path}/no/such.db")
    assert infer_held(elsewhere, lambda: None) == "receipt"  # type: ignore[comparison-overlap]
    assert not (tmp_path / "no").exists()


def test_no_secret_of_the_database_is_logged(attempt: Attempt) -> None:
    assert "Pass" not in repr(held(attempt, "postgresql://me:Pass@host/db"))
    assert "Pass" not in str(held(attempt, "postgresql://me:Pass@host/db"))
