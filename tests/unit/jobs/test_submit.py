"""What is refused when a job is handed in, and what a request means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from framehouse.config import Settings, TritonSettings
from framehouse.errors import ConfigError
from framehouse.jobs.register import register_run
from framehouse.jobs.submit import check_request, known_models, submit_job, wait_for_jobs
from framehouse.state import JobRequest, State, open_state

GOOD = JobRequest("clip.mp4", ("detector",), "5", 0.4)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def state(tmp_path: Path) -> State:
    return open_state(f"sqlite:///{tmp_path / 'state.db'}")


@pytest.mark.parametrize(
    ("changes", "model_ids"),
    [
        ({}, ["detector/1"]),
        ({"models": ("detector/1",)}, ["detector/1"]),
        ({"models": ("detector", "detector/1", "detector")}, ["detector/1"]),
        ({"infer_fps": ""}, ["detector/1"]),
        ({"infer_fps": "all"}, ["detector/1"]),
        ({"infer_fps": "30000/1001"}, ["detector/1"]),
        ({"infer_fps": "1000000"}, ["detector/1"]),  # only the video can tell
        ({"confidence": 1.0}, ["detector/1"]),
        ({"confidence": 0.1}, ["detector/1"]),
    ],
)
def test_a_request_that_can_work(settings: Settings, changes: dict[str, object], model_ids: list[str]) -> None:
    request = replace(GOOD, **changes)  # type: ignore[arg-type]
    assert [spec.model_id for spec in check_request(request, settings)] == model_ids


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"models": ()}, "config.unknown_model", "no model"),
        ({"models": ("",)}, "config.unknown_model", "detector/1"),
        ({"models": ("nobody",)}, "config.unknown_model", "'nobody'"),
        ({"models": ("detector", "detector/999")}, "config.unknown_model", "'detector/999'"),
        ({"infer_fps": "0"}, "config.infer_fps", "above zero"),
        ({"infer_fps": "-1"}, "config.infer_fps", "above zero"),
        ({"infer_fps": "1/0"}, "config.infer_fps", "1/0"),
        ({"infer_fps": "nan"}, "config.infer_fps", "nan"),
        ({"infer_fps": "inf"}, "config.infer_fps", "inf"),
        ({"infer_fps": "fast"}, "config.infer_fps", "fast"),
        ({"confidence": 0.0}, "config.confidence", "detector/1"),
        ({"confidence": 1.0001}, "config.confidence", "1.0001"),
        ({"confidence": float("nan")}, "config.confidence", "nan"),
    ],
)
def test_a_request_that_cannot_work_is_refused_and_not_stored(
    settings: Settings, state: State, changes: dict[str, object], code: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        submit_job(state, replace(GOOD, **changes), settings)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert said in caught.value.message
    assert "\n" not in caught.value.line()
    assert caught.value.hint
    assert state.list_jobs() == []


def test_models_that_are_known_and_others(settings: Settings, tmp_path: Path) -> None:
    request = replace(GOOD, models=("nobody", "detector", "detector/1"))
    assert [spec.model_id for spec in known_models(request, settings)] == ["detector/1"]
    without = Settings(home=tmp_path, triton=TritonSettings(model_repository=tmp_path / "none"))
    assert known_models(request, without) == ()


def test_waiting_gives_the_jobs_in_the_order_asked_for(settings: Settings, state: State) -> None:
    ids = [submit_job(state, GOOD, settings) for _ in range(3)]
    for job_id in ids:
        state.conclude(job_id, "cancelled", [])
    shown: list[int] = []
    jobs = wait_for_jobs(state, ids[::-1], on_progress=lambda found: shown.append(len(found)))
    assert [job.job_id for job in jobs] == ids[::-1]
    assert shown == [3]
    assert wait_for_jobs(state, []) == []


def test_waiting_ends_at_its_limit(settings: Settings, state: State) -> None:
    job_id = submit_job(state, GOOD, settings)
    with pytest.raises(TimeoutError, match="1 jobs"):
        wait_for_jobs(state, [job_id], timeout_s=-1.0)


def test_the_same_token_is_the_same_job(settings: Settings, state: State) -> None:
    first = submit_job(state, GOOD, settings, client_token="once")
    assert submit_job(state, GOOD, settings, client_token="once") == first
    assert len(state.list_jobs()) == 1


# ---------------------------------------------------------------- a Prefect run and its job


def test_a_run_that_we_made_names_its_job(state: State) -> None:
    job_id = state.submit(GOOD)
    state.assign_run(job_id, "run 1", expected=None)
    assert register_run(state, "run 1", GOOD, job_id).job_id == job_id
    assert len(state.list_jobs()) == 1


def test_a_run_by_hand_registers_one_job_and_keeps_it(state: State) -> None:
    first = register_run(state, "by hand", GOOD, None)
    again = register_run(state, "by hand", GOOD, None)
    other = register_run(state, "by hand 2", GOOD, None)
    assert (first.request, first.status, first.flow_run_id) == (GOOD, "queued", "by hand")
    assert again.job_id == first.job_id
    assert other.job_id != first.job_id


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_a_run_tried_again_opens_its_own_job_again(state: State, outcome: str) -> None:
    job = register_run(state, "by hand", GOOD, None)
    state.conclude(job.job_id, outcome, [])  # type: ignore[arg-type]
    again = register_run(state, "by hand", GOOD, None)
    assert (again.job_id, again.status, again.flow_run_id) == (job.job_id, "queued", "by hand")


def test_a_late_run_does_not_open_a_job_that_went_to_another(state: State) -> None:
    job_id = state.submit(GOOD)
    state.assign_run(job_id, "new", expected=None)
    state.conclude(job_id, "failed", [])
    assert register_run(state, "late", GOOD, job_id).status == "failed"
