"""A plan as work: every planned frame in exactly one task."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunk_cases import SPEC
from framehouse.errors import ResultsError
from framehouse.jobs.plans import chunk_tasks
from framehouse.results.indexes import index_path
from framehouse.results.lake import Lake
from framehouse.video.index import StreamFacts, VideoIndex
from framehouse.video.sampling import FramePlan, chunks, plan_frames
from jobs_in_hand import ENDPOINTS, MODELS, VIDEO, new_attempt, store

STREAM = StreamFacts("mp4", "h264", 64, 60, 0, Fraction(1, 1000), "exact")


def index(pts: list[int], keys: list[bool]) -> VideoIndex:
    return VideoIndex(STREAM, np.array(pts, np.int64), np.array(keys), packet=np.arange(len(pts)))


@st.composite
def indexes(draw: st.DrawFn) -> VideoIndex:
    steps = draw(st.lists(st.integers(1, 9000), min_size=1, max_size=60))
    keys = draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps)))
    start = draw(st.integers(-5000, 5000))
    return index((np.cumsum(steps) + start).tolist(), keys)


@pytest.fixture(scope="module")
def attempt(tmp_path_factory: pytest.TempPathFactory) -> object:
    return new_attempt(tmp_path_factory.mktemp("plans"))


@given(indexes(), st.sampled_from(["all", None, Fraction(1, 7), Fraction(1, 40)]))
def test_every_planned_frame_is_in_exactly_one_task(attempt: object, video: VideoIndex, fps: object) -> None:
    if isinstance(fps, Fraction) and (video.rate is None or fps > video.rate):
        fps = "all"
    plan = plan_frames(video, fps)  # type: ignore[arg-type]
    ref = store(attempt, video, plan)  # type: ignore[arg-type]
    tasks = chunk_tasks(attempt, ref, MODELS)  # type: ignore[arg-type]
    assert np.concatenate([task.planned for task in tasks]).tolist() == plan.frame_offset.tolist()
    assert all(task.planned.size for task in tasks)
    assert len({task.chunk.chunk_id for task in tasks}) == len(tasks)
    whole = {chunk.chunk_id: chunk for chunk in chunks(video)}
    for task in tasks:
        assert task.chunk.pts.tolist() == whole[task.chunk.chunk_id].pts.tolist()
        assert task.chunk.packet.tolist() == whole[task.chunk.chunk_id].packet.tolist()
        assert (task.first_pts, task.models, task.video_id) == (int(video.pts[0]), MODELS, VIDEO)


def test_a_task_knows_where_to_read_and_write(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    ref = store(attempt, index([0, 40, 80], [True, False, False]), plan := FramePlan(*[np.array([1])] * 3), tmp_path)
    (task,) = chunk_tasks(attempt, ref, (SPEC,))
    assert (task.job_id, task.path, task.lake_root) == (attempt.job_id, str(tmp_path), str(attempt.lake.root))
    assert (task.triton.url, task.triton.in_flight) == (ENDPOINTS.triton_url, attempt.settings.triton.in_flight)
    assert (task.planned.tolist(), ref.n_frames, ref.n_bytes) == (plan.frame_offset.tolist(), 1, 77)


def test_a_plan_of_no_frame_is_no_work(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    nothing = FramePlan(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    assert chunk_tasks(attempt, store(attempt, index([0], [True]), nothing), MODELS) == []


def test_the_video_is_recorded_before_anything_is_decoded(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    video = index([1000, 1040, 1080], [True, False, False])
    store(attempt, video, plan_frames(video, "all"))
    record = Lake(attempt.lake.root).read_video(VIDEO)
    assert record is not None
    assert (record.first_pts, record.time_base, record.video_fps, record.n_frames) == (1000, "1/1000", "25", 3)
    assert [place.uri for place in record.locations] == ["clip.mp4"]


@pytest.mark.parametrize("lost", ["plan", "index"])
def test_what_is_gone_is_named(tmp_path: Path, lost: str) -> None:
    attempt = new_attempt(tmp_path)
    video = index([0, 40], [True, False])
    ref = store(attempt, video, plan_frames(video, "all"))
    (attempt.lake.plan_path(attempt.job_id) if lost == "plan" else index_path(attempt.lake, VIDEO)).unlink()
    with pytest.raises(ResultsError) as caught:
        chunk_tasks(attempt, ref, MODELS)
    assert caught.value.code == "results.unreadable"
