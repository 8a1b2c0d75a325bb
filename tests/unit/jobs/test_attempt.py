"""A run's hold on its job: taken once, given back after success, kept after an error. What waits is in integration/."""

from __future__ import annotations

from pathlib import Path

import pytest

from framehouse.config import Settings
from framehouse.errors import JobError, JobNotFound, LeaseLost, UnreadableVideo
from framehouse.jobs.attempt import hold_job, hold_video
from framehouse.state import JobRequest, State
from jobs_in_hand import ENDPOINTS, new_attempt, new_state


@pytest.fixture
def state(tmp_path: Path) -> State:
    return new_state(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def job_id(state: State) -> str:
    return state.submit(JobRequest("clip.mp4", ("detector",)))


def test_the_job_is_held_while_the_run_works(state: State, settings: Settings, job_id: str) -> None:
    with hold_job(state, job_id, "run 1", settings, ENDPOINTS) as attempt:
        assert state.is_held(f"job/{job_id}")
        assert (attempt.job.status, attempt.job.attempt, attempt.job_id) == ("running", 1, job_id)
        assert attempt.lake.root == settings.lake_dir
        attempt.enter("fetch")
        attempt.enter("infer", n_planned=12)
        job = state.job(job_id)
        assert (job.hop, job.n_planned) == ("infer", 12)
    assert not state.is_held(f"job/{job_id}")


def test_after_an_error_the_lease_stays_until_the_failure_is_recorded(
    state: State, settings: Settings, job_id: str
) -> None:
    with pytest.raises(UnreadableVideo), hold_job(state, job_id, "run 1", settings, ENDPOINTS):
        raise UnreadableVideo("no")
    assert state.is_held(f"job/{job_id}")
    assert state.owed_jobs() == []


def test_a_second_run_does_not_get_the_job(state: State, settings: Settings, job_id: str) -> None:
    with hold_job(state, job_id, "run 1", settings, ENDPOINTS):
        with pytest.raises(LeaseLost), hold_job(state, job_id, "run 2", settings, ENDPOINTS):
            pytest.fail("two runs hold one job")
        assert state.job(job_id).attempt == 1


def test_the_same_run_may_take_it_up_again(state: State, settings: Settings, job_id: str) -> None:
    with pytest.raises(UnreadableVideo), hold_job(state, job_id, "run 1", settings, ENDPOINTS):
        raise UnreadableVideo("no")
    with hold_job(state, job_id, "run 1", settings, ENDPOINTS) as attempt:
        assert attempt.job.attempt == 2


@pytest.mark.parametrize("outcome", ["done", "failed", "cancelled"])
def test_a_job_that_is_over_is_not_begun_again(state: State, settings: Settings, job_id: str, outcome: str) -> None:
    state.conclude(job_id, outcome, [])  # type: ignore[arg-type]
    with pytest.raises(JobError) as caught, hold_job(state, job_id, "late", settings, ENDPOINTS):
        pytest.fail("worked on a job that is over")
    assert caught.value.code == "job.is_over"
    assert not state.is_held(f"job/{job_id}")
    assert state.job(job_id).attempt == 0


def test_no_such_job_keeps_no_lease(state: State, settings: Settings) -> None:
    with pytest.raises(JobNotFound), hold_job(state, "j_none", "run 1", settings, ENDPOINTS):
        pytest.fail("worked on nothing")
    assert not state.is_held("job/j_none")


def test_a_lost_lease_stops_the_next_hop(state: State, settings: Settings, job_id: str) -> None:
    with hold_job(state, job_id, "run 1", settings, ENDPOINTS) as attempt:
        state.break_lease(f"job/{job_id}")
        with hold_job(state, job_id, "run 2", settings, ENDPOINTS) as second:
            with pytest.raises(LeaseLost):
                attempt.enter("infer")
            second.enter("fetch")
    assert state.job(job_id).hop == "fetch"


def test_a_broken_lease_is_lost_though_nobody_took_it(state: State, settings: Settings, job_id: str) -> None:
    with hold_job(state, job_id, "run 1", settings, ENDPOINTS) as attempt:
        state.break_lease(f"job/{job_id}")
        with pytest.raises(LeaseLost):
            attempt.enter("infer")


def test_a_lease_is_broken_for_its_owner_alone(state: State) -> None:
    assert state.acquire("video/v", "alive", 60.0) is not None
    state.break_lease("video/v", owner="dead")
    assert state.is_held("video/v")
    state.break_lease("video/v", owner="alive")
    assert not state.is_held("video/v")


@pytest.mark.parametrize("ends_well", [True, False])
def test_a_video_is_given_back_however_it_ends(tmp_path: Path, ends_well: bool) -> None:
    attempt = new_attempt(tmp_path)
    try:
        with hold_video(attempt, "v_1"):
            assert attempt.state.is_held("video/v_1")
            if not ends_well:
                raise UnreadableVideo("no")
    except UnreadableVideo:
        pass
    assert not attempt.state.is_held("video/v_1")
