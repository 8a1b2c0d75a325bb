"""The infer task with a budget, from the plan to the record: run by run, counted in pictures that the server got."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chunk_cases import FakeTriton, numbered_video
from framehouse.jobs.submit import resume_job, store_job
from framehouse.state import JobRequest
from framehouse.state.budgets import Budgets, Caps, job_budget
from jobs_in_hand import new_state
from runs_in_line import infer_here, work


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTriton]:
    """Chunks run here, one after the other, and the server is a fake."""
    server = infer_here(monkeypatch)
    yield server
    server.close()


def test_a_cap_in_frames_holds_from_run_to_run(fake: FakeTriton, tmp_path: Path, media_dir: Path) -> None:
    video, state = numbered_video(media_dir), new_state(tmp_path)
    request = JobRequest(str(video), ("numbers", "small"), "10")
    job_id = store_job(state, request, Caps(max_frames=17), job_id="j_capped")
    first = work(tmp_path, video, job_id)
    assert (first.status, first.error_code) == ("paused", "budget.frames")
    assert (len(fake.numbers_seen("numbers")), len(fake.numbers_seen("small"))) == (8, 8), "17 is 8 instants of two"

    resume_job(state, job_id, Caps(max_frames=10))
    assert work(tmp_path, video, job_id).status == "paused"
    assert fake.numbers_seen("numbers") == list(range(0, 39, 3))

    resume_job(state, job_id, Caps(max_frames=1000))
    done = work(tmp_path, video, job_id)
    assert (done.outcome, done.error_code) == ("done", None)
    for model in ("numbers", "small"):
        assert fake.numbers_seen(model) == list(range(0, 60, 3)), "every frame once, whatever the pauses"
    assert Budgets(state.engine).get([job_budget(job_id)])[0].spent_frames == 40 - 26


def test_two_jobs_share_what_there_is(fake: FakeTriton, tmp_path: Path, media_dir: Path) -> None:
    video, state = numbered_video(media_dir), new_state(tmp_path)
    Budgets(state.engine).put("catalog/doors", Caps(max_frames=20))
    one, two = (
        store_job(state, JobRequest(str(video), ("numbers", "small"), fps, budget="catalog/doors"), Caps(), job_id=name)
        for fps, name in (("2", "j_one"), ("10", "j_two"))
    )
    assert work(tmp_path, video, one).outcome == "done"
    stopped = work(tmp_path, video, two)
    assert (stopped.status, stopped.error_hint) == ("paused", "framehouse jobs budget catalog/doors --max-frames N")
    assert len(fake.numbers_seen("numbers")) + len(fake.numbers_seen("small")) == 20


def test_no_time_left_pauses_before_the_first_frame(fake: FakeTriton, tmp_path: Path, media_dir: Path) -> None:
    video, state = numbered_video(media_dir), new_state(tmp_path)
    job_id = store_job(state, JobRequest(str(video), ("numbers", "small"), "10"), Caps(max_seconds=1e-6), job_id="j_t")
    assert work(tmp_path, video, job_id).error_code == "budget.seconds"
    assert fake.seen == []


def test_only_a_part_of_the_video_is_planned_and_inferred(fake: FakeTriton, tmp_path: Path, media_dir: Path) -> None:
    video, state = numbered_video(media_dir), new_state(tmp_path)
    job_id = state.submit(JobRequest(str(video), ("numbers", "small"), "10", frames=(20, 40), gaps="all"))
    assert work(tmp_path, video, job_id).outcome == "done"
    assert fake.numbers_seen("numbers") == list(range(21, 40, 3))
