"""From words to a selection, from debts to jobs: what is under way, where the bytes are, what is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import media
from framehouse import ids
from framehouse.cli.backfill import backlog_facts, backlog_text
from framehouse.config import ROOT, Settings
from framehouse.errors import ConfigError, SourceNotFound
from framehouse.inference.repository import load_specs
from framehouse.jobs.backfill import Backlog, backlog_of_requests, backlog_rows, read_backlog, select, submit_backlog
from framehouse.jobs.plans import keep_index
from framehouse.jobs.submit import connect
from framehouse.results.lake import Lake, ModelUse, RunRecord
from framehouse.state import JobRequest, State
from framehouse.state.budgets import Budgets, Caps, job_budget
from framehouse.storage.local import LocalSource, path_uri
from framehouse.video.probe import probe

DETECTOR = load_specs([ROOT / "triton_models"])["detector/1"]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two seconds at 30 frames a second."""
    return media.write(tmp_path, replace(media.B_FRAMES, name="clip é.mp4", n_frames=60))


@pytest.fixture
def place(tmp_path: Path, video: Path) -> tuple[Settings, State, str]:
    """A home where the video was run at 5 frames a second, and everything it gave was lost."""
    settings = Settings(home=tmp_path / "home")
    local = LocalSource(video).fetch(tmp_path)
    video_id = ids.video_id(local.sha256)
    lake = Lake(settings.lake_dir)
    keep_index(lake, local, video_id, probe(video))
    use = ModelUse("detector/1", DETECTOR.digest, DETECTOR.kind, 10, 10, 0, {}, 1.0, 10)
    lake.write_run(RunRecord("j_1", video_id, local.uri, "done", "5", 0.4, (use,), submitted_at="2026-11-01T00:00:00Z"))
    return settings, connect(settings), video_id


def read(place: tuple[Settings, State, str], *videos: str, **words: object) -> Backlog:
    settings, state, _ = place
    selection = select(settings, state, videos, **words)  # type: ignore[arg-type]
    return read_backlog(settings, state, selection, ask_places=True)


def test_a_debt_becomes_one_job_and_no_second(place: tuple[Settings, State, str], video: Path) -> None:
    settings, state, video_id = place
    backlog = read(place)
    assert [(item.debt.video.video_id, item.debt.n_owed) for item in backlog.owing] == [(video_id, 10)]
    (job_id,) = submit_backlog(settings, state, backlog, caps=Caps(max_frames=7))
    job = state.job(job_id)
    assert job.request == JobRequest(path_uri(video), ("detector/1",), "5", 0.4, gaps="all")
    assert job.estimate is not None
    assert job.estimate["n_frames"] == 10
    assert Budgets(state.engine).get([job_budget(job_id)])[0].caps.max_frames == 7
    again = read(place)
    assert [item.job_id for item in again.owing] == [job_id]
    assert submit_backlog(settings, state, again) == []
    assert (again.total.n_frames, again.total.seconds) == (0, 0)
    assert f"{job_id} is at it" in backlog_text(again)


def test_a_finer_job_is_no_reason_to_leave_another_rate_out(place: tuple[Settings, State, str], video: Path) -> None:
    _, state, _ = place
    state.submit(JobRequest(video.as_uri(), ("detector",), "2"))
    assert [item.job_id for item in read(place).owing] == [None]
    state.submit(JobRequest(video.as_uri(), ("detector", "clip"), "5", frames=(0, 10)))
    assert [item.job_id for item in read(place).owing] == [None], "it is about a part only"
    whole = state.submit(JobRequest(video.as_uri(), ("detector", "clip"), "5"))
    assert [item.job_id for item in read(place).owing] == [whole]


def test_a_failed_job_goes_on_as_itself(place: tuple[Settings, State, str], video: Path) -> None:
    settings, state, video_id = place
    job_id = state.submit(JobRequest(video.as_uri(), ("detector",), "5"))
    state.conclude(job_id, "failed", [], error=("inference.error", "no", ""))
    use = ModelUse("detector/1", DETECTOR.digest, DETECTOR.kind)
    Lake(settings.lake_dir).write_run(
        RunRecord(job_id, video_id, video.as_uri(), "failed", "5", 0.4, (use,), submitted_at="2026-11-02T00:00:00Z")
    )
    assert submit_backlog(settings, state, read(place, only_failed=True)) == [job_id]
    job = state.job(job_id)
    assert (job.status, job.request.gaps) == ("queued", "all")
    assert job.estimate is not None


def test_what_failed_before_its_video_was_read_is_tried_again(place: tuple[Settings, State, str]) -> None:
    settings, state, _ = place
    job_id = state.submit(JobRequest("file:///gone.mp4", ("detector",), "5"))
    state.conclude(job_id, "failed", [], error=("source.not_found", "no", ""))
    lake = Lake(settings.lake_dir)
    record = RunRecord(job_id, None, "file:///gone.mp4", "failed", "5", 0.4, error_code="source.not_found")
    lake.write_run(record)
    lake.write_run(replace(record, job_id="j_lost", uri="file:///lost.mp4"))
    backlog = read(place, only_failed=True)
    assert [run.job_id for run in backlog.unseen] == [job_id]
    assert [(left.what, left.code) for left in backlog.left_out] == [("file:///lost.mp4", "job.not_found")]
    assert submit_backlog(settings, state, backlog) == [job_id]
    assert read(place, models=["detector"], only_failed=True).unseen == ()


def test_a_video_that_is_gone_or_replaced_is_told(place: tuple[Settings, State, str], video: Path) -> None:
    _, _, video_id = place
    content = video.read_bytes()
    video.write_bytes(content + b"more")
    assert [(left.what, left.code) for left in read(place).left_out] == [(video_id, "source.gone")]
    video.unlink()
    backlog = read(place)
    assert (backlog.owing, backlog.cannot) == ((), True)
    assert [(left.what, left.code) for left in backlog.left_out] == [(video_id, "source.not_found")]
    settings = place[0]
    settings.fetch_dir.mkdir(parents=True)
    (settings.fetch_dir / f"{video_id}.mp4").write_bytes(content)
    assert [item.place.uri for item in read(place).owing] == [(settings.fetch_dir / f"{video_id}.mp4").as_uri()]


def test_a_place_that_a_job_named_is_trusted_as_far_as_the_job_was(
    place: tuple[Settings, State, str], video: Path
) -> None:
    settings, state, video_id = place
    signed = "http://127.0.0.1:9/clip.mp4?signature=s3cret"
    job_id = state.submit(JobRequest(signed, ("detector",), "5", allow_private=False))
    lease = state.acquire(f"job/{job_id}", "run", 60.0)
    assert lease is not None
    state.note(lease, job_id, video_id=video_id)
    state.conclude(job_id, "done", [], lease=lease)
    state.settle_published(10)
    video.unlink()
    selection = select(settings, state)
    (item,) = read_backlog(settings, state, selection, ask_places=False).owing
    assert (item.place.uri, item.place.allow_private, item.place.is_asked) == (signed, False, False)
    assert item.estimate.fetch_bytes == item.debt.video.size_bytes > 0
    backlog = read_backlog(settings, state, selection, ask_places=False)
    assert "s3cret" not in backlog_text(backlog) + str(backlog_facts(backlog)) + str(backlog_rows(backlog))


def test_a_video_is_named_by_id_file_or_place(place: tuple[Settings, State, str], video: Path, tmp_path: Path) -> None:
    settings, state, video_id = place
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(video.read_bytes())
    for text in (video_id, str(video), video.as_uri(), str(copy)):
        assert select(settings, state, [text]).video_ids == {video_id}, text
    with pytest.raises(SourceNotFound):
        select(settings, state, [str(tmp_path / "no.mp4")])


def test_words_that_mean_nothing_are_refused(place: tuple[Settings, State, str]) -> None:
    settings, state, video_id = place
    for words, code in [
        ({"gaps": "some"}, "config.gaps"),
        ({"chunk": "c000000000"}, "config.chunk"),
    ]:
        with pytest.raises(ConfigError) as caught:
            select(settings, state, **words)  # type: ignore[arg-type]
        assert caught.value.code == code
    with pytest.raises(ConfigError):
        read(place, models=["nope"])
    with pytest.raises(ConfigError):
        read(place, infer_fps="-1")
    assert select(settings, state, [video_id], chunk="c000000000").frames == (0, 60)
    assert select(settings, state, [video_id], frame=7).frames == (7, 8)
    assert select(settings, state, quarantined=True).gaps == "every"


def test_a_new_job_is_foretold_too(place: tuple[Settings, State, str], video: Path) -> None:
    settings, state, _ = place
    requests = [JobRequest(str(video), ("detector",), "10"), JobRequest("/no/such.mp4", ("detector",))]
    backlog = backlog_of_requests(settings, state, requests)
    assert [(item.debt.n_owed, item.estimate.n_frames) for item in backlog.owing] == [(20, 20)]
    assert [left.code for left in backlog.left_out] == ["source.not_found"]
    assert state.list_jobs() == []
