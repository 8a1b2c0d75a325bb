"""One trace for a job, over processes that never meet: submitted, run, inferred in a worker, published."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from chunk_cases import FakeTriton, numbered_video
from framehouse import tracing
from framehouse.errors import SourceNotFound
from framehouse.inference.run import ChunkReceipt
from framehouse.jobs.chunks import HeldChunk, infer_held
from framehouse.jobs.measuring import in_hop
from framehouse.jobs.submit import store_job
from framehouse.loader import _drain_once
from framehouse.results.lake import Lake
from framehouse.room import Room
from framehouse.state import JobRequest
from framehouse.state.budgets import Caps
from framehouse.store.publish import Publisher
from jobs_in_hand import new_attempt, new_state
from otlp_receiver import Receiver, receiving
from places import Bucket, Watched
from runs_in_line import infer_here, work

REQUEST = ("numbers", "small"), "10"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(tracing, "_providers", {})
    with receiving() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found
        for provider in tracing._providers.values():
            provider.shutdown()


def elsewhere(held: HeldChunk) -> ChunkReceipt:
    """As in another process: nothing of the caller's context is there."""
    return contextvars.Context().run(infer_held, replace(held, video=None), lambda: None)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTriton]:
    server = infer_here(monkeypatch, elsewhere)
    yield server
    server.close()


@pytest.mark.usefixtures("fake")
def test_one_job_is_one_trace(receiver: Receiver, tmp_path: Path, media_dir: Path) -> None:
    video, state = numbered_video(media_dir), new_state(tmp_path)
    job_id = store_job(state, JobRequest(str(video), *REQUEST), Caps(), job_id="j_traced")
    assert work(tmp_path, video, job_id).outcome == "done"
    with Publisher(tmp_path / "home" / "store", Lake(tmp_path / "home" / "lake")) as publisher:
        assert _drain_once(publisher, state, Room(tmp_path, 0))
    tracing.flush()

    spans = receiver.of_trace(tracing.trace_id(job_id))
    assert len(spans) == len(receiver.spans), "no other trace"
    by_id = {span.span_id: span for span in spans}
    names = [span.name for span in spans]
    assert {"job", "submit", "run", "infer", "chunk", "part", "publish"} == set(names)
    assert names.count("job") == names.count("run") == 1
    parents = {(span.name, by_id[span.parent_span_id].name) for span in spans if span.parent_span_id}
    assert parents == {
        ("submit", "job"), ("run", "job"), ("publish", "job"), ("infer", "run"), ("chunk", "infer"), ("part", "chunk"),
    }  # fmt: skip
    (root,) = (span for span in spans if not span.parent_span_id)
    assert root.name == "job" and root.end_time_unix_nano > root.start_time_unix_nano
    facts = {item.key: item.value.string_value for item in root.attributes}
    assert (facts["framehouse.job_id"], facts["framehouse.status"]) == (job_id, "done")


def test_a_scan_submits_its_jobs_once(receiver: Receiver, tmp_path: Path) -> None:
    watched, bucket = Watched.of(tmp_path), Bucket()
    bucket.put("a.mp4"), bucket.put("b.mp4")
    watched.scan(bucket)
    watched.scan(bucket)
    tracing.flush()
    job_ids = [job.job_id for job in watched.state.list_jobs()]
    assert len(job_ids) == 2
    for job_id in job_ids:
        assert [span.name for span in receiver.of_trace(tracing.trace_id(job_id))] == ["submit"]
    watched.state.close()


def test_an_error_is_noted_by_its_code(receiver: Receiver, tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    with pytest.raises(SourceNotFound), in_hop(attempt, "fetch"):
        raise SourceNotFound("gone", code="source.not_found")
    tracing.flush()
    (span,) = receiver.of_trace(tracing.trace_id(attempt.job_id))
    assert span.status.code == 2 and span.status.message == "gone"
    assert {item.key: item.value.string_value for item in span.attributes}["error.type"] == "source.not_found"


def test_without_a_receiver_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_providers", {})
    for name in tracing._ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    with in_hop(new_attempt(tmp_path), "fetch"):
        assert tracing.here() == ""
    assert tracing._providers == {}


@pytest.fixture
def every_event() -> Iterator[None]:
    """Whatever level a command of an earlier test has set in this process."""
    before = structlog.get_config()
    structlog.reset_defaults()
    yield
    structlog.configure(**before)


@pytest.mark.usefixtures("fake", "every_event")
def test_events_of_a_chunk_name_job_and_video(tmp_path: Path, media_dir: Path) -> None:
    video, state = numbered_video(media_dir), new_state(tmp_path)
    job_id = store_job(state, JobRequest(str(video), *REQUEST), Caps(), job_id="j_logged")
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as events:
        work(tmp_path, video, job_id)
    written = [event for event in events if event["event"] in ("part written", "chunk inferred")]
    assert len(written) >= 3
    assert all(event["job_id"] == job_id and event["video_id"].startswith("v_") for event in written), written
