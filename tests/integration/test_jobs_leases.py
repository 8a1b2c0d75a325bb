"""Leases as time passes: renewed while a run lives, lost when it is silent, waited for by the next."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from framehouse.config import Settings, StateSettings
from framehouse.errors import InferenceError, LeaseLost
from framehouse.jobs.attempt import hold_job, hold_video
from framehouse.state import JobRequest, State
from jobs_in_hand import ENDPOINTS, new_attempt, new_state

pytestmark = pytest.mark.real("state")
LEASE_S = 1.2


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", state=StateSettings(lease_s=LEASE_S))


@pytest.fixture
def state(tmp_path: Path) -> State:
    return new_state(tmp_path)


def test_a_run_that_lives_keeps_its_job_beyond_the_lease(state: State, settings: Settings) -> None:
    job_id = state.submit(JobRequest("clip.mp4", ("detector",)))
    with hold_job(state, job_id, "run 1", settings, ENDPOINTS) as attempt:
        until = time.monotonic() + 2 * LEASE_S
        while time.monotonic() < until:
            assert state.is_held(f"job/{job_id}")
            assert state.owed_jobs() == []
            time.sleep(0.1)
        attempt.enter("load")
    assert [job.job_id for job in state.owed_jobs()] == [job_id]


def test_after_an_error_the_job_is_owed_again_when_the_lease_is_over(state: State, settings: Settings) -> None:
    job_id = state.submit(JobRequest("clip.mp4", ("detector",)))
    with pytest.raises(ValueError, match="gone"), hold_job(state, job_id, "run 1", settings, ENDPOINTS):
        raise ValueError("gone")
    assert state.owed_jobs() == []
    time.sleep(LEASE_S + 0.1)
    assert [job.job_id for job in state.owed_jobs()] == [job_id]


def test_a_run_that_was_silent_too_long_finds_its_job_gone(state: State, settings: Settings) -> None:
    """As a stopped process would: no renewal, and meanwhile another run takes the job."""
    job_id = state.submit(JobRequest("clip.mp4", ("detector",)))
    late = state.acquire(f"job/{job_id}", "late", 0.2)
    assert late is not None
    time.sleep(0.3)
    with hold_job(state, job_id, "present", settings, ENDPOINTS) as attempt:
        assert not state.renew(late, 60.0)
        with pytest.raises(LeaseLost):
            state.note(late, job_id, hop="infer")
        attempt.enter("fetch")


def test_the_second_waits_for_the_video(tmp_path: Path) -> None:
    first = new_attempt(tmp_path, owner="run 1")
    second = new_attempt(tmp_path, owner="run 2")
    events: list[str] = []
    inside = threading.Event()

    def take_second() -> None:
        inside.wait()
        with hold_video(second, "v_same", poll_s=0.02):
            events.append("second in")

    waiting = threading.Thread(target=take_second)
    waiting.start()
    with hold_video(first, "v_same"):
        inside.set()
        with hold_video(replace(second), "v_other"):
            events.append("another video does not wait")
        time.sleep(0.4)
        events.append("first out")
    waiting.join(10)
    assert events == ["another video does not wait", "first out", "second in"]
    assert not first.state.is_held("video/v_same")


def test_a_video_whose_holder_died_is_free_after_the_lease(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    assert attempt.state.acquire("video/v_1", "dead", 0.5) is not None
    began = time.monotonic()
    with hold_video(attempt, "v_1", poll_s=0.02):
        assert 0.3 < time.monotonic() - began < 5


def test_a_run_that_concluded_as_failed_leaves_no_lease_to_wait_for(state: State, settings: Settings) -> None:
    job_id = state.submit(JobRequest("clip.mp4", ("detector",)))
    with (
        pytest.raises(InferenceError, match="gaps"),
        hold_job(state, job_id, "run 1", settings, ENDPOINTS) as attempt,
    ):
        state.conclude(job_id, "failed", [], lease=attempt.lease, error=("inference.too_many_gaps", "gaps", ""))
        raise InferenceError("too many gaps")
    assert not state.is_held(f"job/{job_id}")
