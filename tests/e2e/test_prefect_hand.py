"""A person in the Prefect page: a failed run is retried there, a running one is cancelled there; the job follows."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import pytest

from framehouse.state import Job, State, open_state
from local_stack import Stack
from media import Recipe, write

pytestmark = [pytest.mark.real("stack", "prefect"), pytest.mark.timeout(600)]

PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def jobs(stack: Stack) -> Iterator[State]:
    state = open_state(f"sqlite:///{stack.home / 'state' / 'state.db'}")
    yield state
    state.close()


@pytest.fixture(scope="module")
def prefect(stack: Stack) -> Iterator[httpx.Client]:
    url, fresh = stack.facts()["endpoints"]["prefect_api_url"], httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(
        base_url=url, timeout=30.0, limits=fresh
    ) as client:  # the server hangs up on idle ones, after 5 s
        yield client


def start(prefect: httpx.Client, **parameters: Any) -> str:
    deployment = prefect.get("/deployments/name/process-video/process-video").raise_for_status().json()
    return str(send(prefect, f"/deployments/{deployment['id']}/create_flow_run", {"parameters": parameters})["id"])


def send(prefect: httpx.Client, address: str, body: dict[str, Any]) -> dict[str, Any]:
    return dict(prefect.post(address, json=body).raise_for_status().json())


def set_state(prefect: httpx.Client, flow_run_id: str, kind: str, name: str) -> None:
    """What the page's buttons Retry and Cancel send."""
    body = {"state": {"type": kind, "name": name, "message": "by hand"}}
    answer = send(prefect, f"/flow_runs/{flow_run_id}/set_state", body)
    assert answer["status"] == "ACCEPT", answer


def state_of(prefect: httpx.Client, flow_run_id: str) -> str:
    return str(prefect.get(f"/flow_runs/{flow_run_id}").json()["state"]["type"])


def until(jobs: State, flow_run_id: str, holds: Callable[[Job], bool], stack: Stack) -> Job:
    """The job of a run, once something holds of it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        job = jobs.job_of_flow_run(flow_run_id)
        if job is not None and holds(job):
            return job
        assert time.monotonic() < deadline, f"{job}\n{stack.logs()}"
        time.sleep(0.1)


def test_a_failed_run_is_retried_in_the_page(stack: Stack, jobs: State, prefect: httpx.Client, tmp_path: Path) -> None:
    """The file was not there; it is put there, and the same run does the same job."""
    missing = tmp_path / "late.mp4"
    run = start(prefect, source=str(missing))
    failed = until(jobs, run, lambda job: job.is_final, stack)
    assert (failed.status, failed.error_code) == ("failed", "source.not_found")
    shutil.move(write(tmp_path, Recipe("soon.mp4", n_frames=30, first_number=5000)), missing)
    deadline = time.monotonic() + 60
    while state_of(prefect, run) != "FAILED":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    set_state(prefect, run, "SCHEDULED", "AwaitingRetry")
    done = until(jobs, run, lambda job: job.status == "done" or job.attempt > failed.attempt + 1, stack)
    assert (done.status, done.job_id, done.error_code) == ("done", failed.job_id, None)
    assert done.attempt == failed.attempt + 1
    assert len([job for job in jobs.list_jobs() if job.request.uri.endswith("late.mp4")]) == 1


def test_a_running_run_is_cancelled_in_the_page(
    stack: Stack, jobs: State, prefect: httpx.Client, tmp_path: Path
) -> None:
    """The job is cancelled and keeps its parts; tried again in the page, it infers only the rest."""
    several_chunks = Recipe("by_hand_long.mp4", n_frames=240, rate=Fraction(2), gop=4, first_number=5100)
    video = write(tmp_path, several_chunks)
    run = start(prefect, source=str(video), infer_fps="all")
    until(jobs, run, lambda job: job.status == "running" and job.n_settled > 0, stack)
    set_state(prefect, run, "CANCELLING", "Cancelling")
    cancelled = until(jobs, run, lambda job: job.is_final, stack)
    assert cancelled.status == "cancelled"
    deadline = time.monotonic() + 60
    while state_of(prefect, run) != "CANCELLED":
        assert time.monotonic() < deadline, state_of(prefect, run)
        time.sleep(0.2)
    parts = list((stack.home / "lake" / "parts" / str(cancelled.video_id)).rglob("*.parquet"))
    assert parts, "what it had inferred stays"
    before = {part: part.stat().st_mtime_ns for part in parts}
    set_state(prefect, run, "SCHEDULED", "AwaitingRetry")
    done = until(jobs, run, lambda job: job.status in ("done", "failed"), stack)
    assert (done.status, done.job_id) == ("done", cancelled.job_id)
    assert {part: part.stat().st_mtime_ns for part in before} == before
