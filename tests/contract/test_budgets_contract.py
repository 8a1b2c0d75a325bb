"""Budgets hold on SQLite and on PostgreSQL alike, whoever shares them and whatever dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from framehouse.jobs.submit import resume_job, set_budget, store_job
from framehouse.state import JobRequest, State, open_state
from framehouse.state.budgets import Budgets, Caps, Left, catalog_budget, job_budget

REQUEST = JobRequest("clip.mp4", ("detector",), "5", 0.4)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real("postgres"))])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'state' / 'state.db'}"
    else:
        new_database: Callable[[], str] = request.getfixturevalue("new_postgres_database")
        url = new_database()
    opened = open_state(url)
    yield opened
    opened.close()


@pytest.fixture
def budgets(state: State) -> Budgets:
    return Budgets(state.engine)


def test_no_budget_limits_nothing(budgets: Budgets) -> None:
    assert budgets.left(["job/j"]) == Left()
    assert budgets.reserve(["job/j"], "j", 100) is None
    assert budgets.spend(["job/j"], seconds=5.0) == Left()
    budgets.settle("j", 100)
    assert budgets.get(["job/j"]) == []


def test_the_least_of_several_counts(budgets: Budgets) -> None:
    budgets.put("job/j", Caps(max_frames=10, max_seconds=5.0))
    budgets.put("catalog/doors", Caps(max_frames=7, max_bytes=100))
    names = ["job/j", "catalog/doors"]
    assert budgets.left(names) == Left(7, 5.0, 100)
    assert budgets.reserve(names, "j", 9) == 7
    assert budgets.spend(names, seconds=6.0, n_bytes=30) == Left(0, 0.0, 70)
    assert budgets.left(names).spent == "frames"
    budgets.settle("j", 4)
    assert budgets.left(names) == Left(3, 0.0, 70)


def test_a_run_that_died_has_spent_what_its_job_owes_less(budgets: Budgets) -> None:
    budgets.put("job/j", Caps(max_frames=50))
    assert budgets.reserve(["job/j"], "j", 200) == 50
    assert budgets.reserve(["job/j"], "j", 180) == 30, "20 of the 50 are in the lake"
    budgets.settle("j", 30)
    assert budgets.reserve(["job/j"], "j", 150) == 0
    assert budgets.get(["job/j"])[0].spent_frames == 50


def test_many_jobs_never_spend_more_than_they_share(budgets: Budgets) -> None:
    budgets.put("catalog/doors", Caps(max_frames=100))

    def work(number: int) -> int:
        granted = budgets.reserve(["catalog/doors"], f"j{number}", 30) or 0
        used = granted if number % 2 else granted // 2
        budgets.settle(f"j{number}", used)
        return used

    with ThreadPoolExecutor(8) as pool:
        used = sum(pool.map(work, range(12)))
    assert used <= 100
    assert budgets.get(["catalog/doors"])[0].spent_frames == used


def test_caps_are_there_before_the_job_is_and_go_with_a_known_token(state: State, budgets: Budgets) -> None:
    first = store_job(state, REQUEST, Caps(max_frames=5), job_id="j_1", client_token="t")
    again = store_job(state, REQUEST, Caps(max_frames=9), job_id="j_2", client_token="t")
    assert (first, again) == ("j_1", "j_1")
    assert [budget.caps.max_frames for budget in budgets.get([job_budget("j_1"), job_budget("j_2")])] == [5]


def paused(state: State, request: JobRequest, caps: Caps) -> str:
    job_id = store_job(state, request, caps, job_id=f"j_{request.uri}")
    lease = state.acquire(f"job/{job_id}", "run", 60.0)
    assert lease is not None
    state.begin_attempt(lease, job_id)
    state.pause(lease, job_id, [("v", "d")], ("budget.frames", "spent", "resume"))
    state.release(lease)
    return job_id


def test_a_paused_job_is_owed_to_nobody_until_it_is_resumed(state: State, budgets: Budgets) -> None:
    job_id = paused(state, REQUEST, Caps(max_frames=5))
    budgets.spend([job_budget(job_id)], seconds=3.0)
    job = state.job(job_id)
    assert (job.status, job.error_code, job.is_final, job.is_resting) == ("paused", "budget.frames", False, True)
    assert state.owed_jobs() == []
    assert [load.kind for load in state.loads_after(0)] == ["parts", "job"]
    assert state.settle_published(10) == [], "it is over only when it is over"
    assert resume_job(state, job_id, Caps()).status == "queued"
    assert [job.job_id for job in state.owed_jobs()] == [job_id]
    (budget,) = budgets.get([job_budget(job_id)])
    assert (budget.caps, budget.spent_seconds) == (Caps(max_frames=5), 0.0)
    assert state.job(job_id).error_code is None


def test_a_paused_job_can_be_cancelled(state: State) -> None:
    job_id = paused(state, REQUEST, Caps(max_frames=5))
    state.request_cancel(job_id)
    assert [job.job_id for job in state.cancel_wanted()] == [job_id]


def test_a_shared_budget_set_anew_lets_its_jobs_go_on(state: State, budgets: Budgets) -> None:
    name = catalog_budget("doors")
    budgets.put(name, Caps(max_frames=5))
    mine = paused(state, JobRequest("a", ("detector",), budget=name), Caps())
    other = paused(state, JobRequest("b", ("detector",)), Caps(max_frames=1))
    assert set_budget(state, name, Caps(max_frames=50)) == [mine]
    assert (state.job(mine).status, state.job(other).status) == ("queued", "paused")
    assert budgets.left([name]) == Left(frames=50)
