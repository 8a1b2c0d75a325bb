"""A run spends what its budgets allow: cut before it is handed out, paused with what it has."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from chunk_cases import SMALL, SPEC
from framehouse.errors import BudgetSpent
from framehouse.inference.run import ChunkReceipt, ChunkTask, ModelTally
from framehouse.jobs.allowance import fetch_within, hold_allowance
from framehouse.jobs.attempt import Attempt, hold_job
from framehouse.jobs.chunks import HeldChunk
from framehouse.jobs.outcome import Totals, conclude_run
from framehouse.jobs.plans import chunk_tasks
from framehouse.results.parts import PartHeader, write_part
from framehouse.results.records.boxes import Detections
from framehouse.state import JobRequest
from framehouse.state.budgets import Budgets, Caps, job_budget
from framehouse.storage.base import LocalVideo, VideoRef
from framehouse.video.index import StreamFacts, VideoIndex
from framehouse.video.sampling import plan_frames
from jobs_in_hand import ENDPOINTS, MODELS, VIDEO, new_attempt, new_state, store

STREAM = StreamFacts("mp4", "h264", 64, 60, 0, Fraction(1, 1000), "exact")
N = 100
PTS = np.arange(N, dtype=np.int64) * 1000
INDEX = VideoIndex(STREAM, PTS, np.arange(N) % 20 == 0, packet=np.arange(N))


def capped(folder: Path, caps: Caps, request: JobRequest | None = None) -> tuple[Attempt, list[HeldChunk]]:
    """An attempt at 100 frames by two models, in five chunks, and its chunks."""
    attempt = new_attempt(folder, request)
    Budgets(attempt.state.engine).put(job_budget(attempt.job_id), caps)
    ref = store(attempt, INDEX, plan_frames(INDEX, "all"))
    return attempt, [HeldChunk(task, attempt.lease, "") for task in chunk_tasks(attempt, ref, MODELS)]


def put(attempt: Attempt, digest: str, frames: range) -> None:
    offsets = np.array(frames, np.int64)
    write_part(
        attempt.lake.parts_dir(VIDEO, digest),
        PartHeader(VIDEO, f"c{frames[0] // 20 * 20:09d}", "m/1", digest, "detections", "j"),
        frame_offset=offsets,
        pts=PTS[offsets],
        time_offset_s=offsets.astype(np.float64),
        gap_reason=np.full(offsets.size, None, np.object_),
        infer_s=np.zeros(offsets.size, np.float32),
        rows=Detections.empty(),
    )


def done(task: ChunkTask, n_open: int = 0) -> ChunkReceipt:
    n = task.planned.size - n_open
    tallies = tuple(ModelTally("m/1", s.digest, n, 0, n, (), 0.1, n, n_open) for s in task.models)
    return ChunkReceipt(task.chunk.chunk_id, tallies, 0.0, 0.0, n)


def spent(attempt: Attempt) -> int:
    return Budgets(attempt.state.engine).get([job_budget(attempt.job_id)])[0].spent_frames


def test_without_a_budget_nothing_is_cut(tmp_path: Path) -> None:
    attempt, tasks = capped(tmp_path, Caps())
    with hold_allowance(attempt) as allowance:
        assert allowance.cut(tasks) == tasks
        assert not allowance.is_over
    assert allowance.spent is None


@pytest.mark.parametrize(
    ("cap", "instants"),
    [(1, 0), (2, 1), (39, 19), (40, 20), (41, 20), (42, 21), (199, 99), (200, 100), (9999, 100)],
)
def test_a_cap_in_frames_is_never_passed(tmp_path: Path, cap: int, instants: int) -> None:
    attempt, tasks = capped(tmp_path, Caps(max_frames=cap))
    with hold_allowance(attempt) as allowance:
        cut = allowance.cut(tasks)
        assert [frame for chunk in cut for frame in chunk.task.planned.tolist()] == list(range(instants))
        assert spent(attempt) == min(cap, 200), "reserved before anything is handed out"
        for chunk in cut:
            allowance.note(done(chunk.task))
    assert spent(attempt) == 2 * instants
    assert allowance.spent == ("frames" if cap < 200 else None)


def test_what_parts_hold_costs_nothing(tmp_path: Path) -> None:
    attempt, tasks = capped(tmp_path, Caps(max_frames=30))
    put(attempt, SPEC.digest, range(20))
    put(attempt, SMALL.digest, range(10))
    with hold_allowance(attempt) as allowance:
        cut = allowance.cut(tasks)
    assert cut[-1].task.planned.tolist() == list(range(20, 30)), "10 of the second model, then 10 of both"


def test_a_time_that_is_over_pauses(tmp_path: Path) -> None:
    attempt, tasks = capped(tmp_path, Caps(max_seconds=1000.0))
    with hold_allowance(attempt) as allowance:
        cut = allowance.cut(tasks)
        assert all(chunk.task.stop_at > 0 for chunk in cut)
        allowance.note(done(cut[0].task))
        assert not allowance.is_over
        allowance.note(done(cut[1].task, n_open=5))
        assert allowance.spent == "seconds"
        Budgets(attempt.state.engine).spend([job_budget(attempt.job_id)], seconds=1000.0)
        assert allowance.is_over
        for chunk in cut[2:]:
            allowance.note(done(chunk.task))
        assert not allowance.is_over, "nothing is out any more"


def test_a_paused_run_keeps_and_shows_what_it_has(tmp_path: Path) -> None:
    attempt, _ = capped(tmp_path, Caps(max_frames=40))
    ref = store(attempt, INDEX, plan_frames(INDEX, "all"))
    put(attempt, SPEC.digest, range(20))
    put(attempt, SMALL.digest, range(20))
    totals = Totals(MODELS, N, spent="frames")
    conclude_run(attempt, ref, totals)
    job, record = attempt.state.job(attempt.job_id), attempt.lake.read_run(attempt.job_id)
    assert record is not None
    assert (job.status, job.error_code, job.outcome) == ("paused", "budget.frames", None)
    assert "40 of 200 frames x models" in (job.error_message or "")
    assert (job.error_hint or "").startswith(f"framehouse jobs resume {job.job_id} --max-frames")
    assert (record.status, [(use.n_planned, use.n_loaded) for use in record.models]) == ("paused", [(100, 20)] * 2)
    assert record.worked_s > 0
    assert {load.kind for load in attempt.state.loads_after(0)} == {"parts", "job"}


def test_a_shared_budget_tells_how_it_is_raised(tmp_path: Path) -> None:
    request = JobRequest(f"{tmp_path}/clip.mp4", tuple(spec.slug for spec in MODELS), "5", budget="catalog/doors")
    attempt, _ = capped(tmp_path, Caps(), request)
    Budgets(attempt.state.engine).put("catalog/doors", Caps(max_frames=0))
    conclude_run(attempt, store(attempt, INDEX, plan_frames(INDEX, "all")), Totals(MODELS, N, spent="frames"))
    hint = attempt.state.job(attempt.job_id).error_hint
    assert hint == "framehouse jobs budget catalog/doors --max-frames N"


class FarAway:
    """A source of 1000 bytes."""

    uri = "https://example.com/clip.mp4"

    def __init__(self) -> None:
        self.n_fetches = 0

    def list(self) -> object:
        raise AssertionError

    def stat(self) -> VideoRef:
        return VideoRef(self.uri, 1000, None, None)

    def fetch(self, dest_dir: Path, progress: object = None) -> LocalVideo:
        self.n_fetches += 1
        return LocalVideo(dest_dir / "clip.mp4", self.uri, 1000, "0" * 64, None, None, 1000)


@pytest.mark.parametrize(("cap", "fetched"), [(999, False), (1000, True), (None, True)])
def test_bytes_are_asked_before_the_download(tmp_path: Path, cap: int | None, fetched: bool) -> None:
    attempt, _ = capped(tmp_path, Caps(max_bytes=cap, max_frames=1))
    source = FarAway()
    unseen = replace(attempt, job=replace(attempt.job, video_id=None))
    if not fetched:
        with pytest.raises(BudgetSpent) as caught:
            fetch_within(unseen, source)  # type: ignore[arg-type]
        assert (caught.value.code, source.n_fetches) == ("budget.bytes", 0)
        return
    fetch_within(unseen, source)  # type: ignore[arg-type]
    again = replace(attempt, job=replace(attempt.job, video_id=VIDEO))
    fetch_within(again, source)  # type: ignore[arg-type]
    assert source.n_fetches == 2, "what was fetched once is not asked again: it is here"


def test_a_spent_budget_ends_the_run_without_an_error_and_frees_the_job(tmp_path: Path) -> None:
    state = new_state(tmp_path)
    settings = new_attempt(tmp_path / "other").settings
    job_id = state.submit(JobRequest("https://example.com/x.mp4", ("numbers",)))
    with hold_job(state, job_id, "run", settings, ENDPOINTS):
        raise BudgetSpent("spent", code="budget.bytes", hint="resume")
    job = state.job(job_id)
    assert (job.status, job.error_code) == ("paused", "budget.bytes")
    assert not state.is_held(f"job/{job_id}")
