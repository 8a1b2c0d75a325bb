"""The resident loader: a real store, a real load log, and the jobs that wait for their rows."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from chunk_cases import LABELS, SPEC, FakeTriton, numbered_video, use_fake
from framehouse import loader
from framehouse.config import Settings, StoreSettings
from framehouse.errors import StoreError
from framehouse.inference.run import infer_chunk
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.outcome import Totals, conclude_run
from framehouse.jobs.plans import PlanRef, chunk_tasks
from framehouse.results.lake import Lake
from framehouse.results.parts import part_paths
from framehouse.room import Room
from framehouse.state import JobRequest, State, open_state
from framehouse.store.connection import writing
from framehouse.store.publish import Publisher
from framehouse.store.query import run_query
from framehouse.store.snapshots import current_snapshot
from framehouse.video.probe import probe
from framehouse.video.sampling import plan_frames
from jobs_in_hand import VIDEO, new_attempt, store
from lakes import DETECTOR, put_job, put_part, small_lake, video_name
from local_stack import clean_environment

pytestmark = [pytest.mark.real("duckdb"), pytest.mark.timeout(120)]
PATIENCE_S = 30.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", store=StoreSettings(publish_interval_s=0.1))


@pytest.fixture
def state(settings: Settings) -> State:
    return open_state(settings.state_url)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    return small_lake(settings.lake_dir)


def submitted(state: State, job_id: str) -> None:
    state.submit(JobRequest("clip.mp4", ("detector",)), job_id=job_id)


def concluded(state: State, job_id: str, number: int) -> None:
    state.conclude(job_id, "done", [(video_name(number), DETECTOR)])


@contextmanager
def draining(settings: Settings, state: State, publisher: Publisher | None = None) -> Iterator[threading.Event]:
    """`loader.drain` in a thread; what it raises is raised here."""
    stop, errors = threading.Event(), []

    def run() -> None:
        try:
            with publisher or Publisher(settings.store_dir, Lake(settings.lake_dir)) as mine:
                loader.drain(mine, state, settings, stop)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not errors, errors


def wait_for(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def n_rows(settings: Settings, number: int) -> int:
    query = f"SELECT count(*) FROM inferences WHERE video_id = '{video_name(number)}'"
    return int(run_query(settings.store_dir, query).rows()[0][0])


def test_done_is_said_after_the_rows_are_out(settings: Settings, state: State, lake: Lake) -> None:
    class Slow(Publisher):
        def publish(self, entries: Any) -> Any:
            published.append(super().publish(entries))
            assert state.job("j_one").status == "queued", "done before its rows are out"
            return published[-1]

    published: list[Any] = []
    submitted(state, "j_one")
    submitted(state, "j_two")
    with draining(settings, state, Slow(settings.store_dir, lake)):
        wait_for(lambda: state.loads_after(0) == [])
        concluded(state, "j_one", 0)
        wait_for(lambda: state.job("j_one").status == "done")
        assert n_rows(settings, 0) == 10
        assert state.job("j_two").status == "queued"
    assert len(published) == 1
    assert state.loads_after(0) == []
    assert state.job("j_one").finished_at is not None


def test_a_backlog_is_published_piece_by_piece(
    settings: Settings, state: State, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_MOST_LOADS", 4)
    for i in range(5):
        put_job(lake, f"j_{i}", range(0, 60, 6), i)
        submitted(state, f"j_{i}")
        concluded(state, f"j_{i}", i)  # its parts and itself: ten loads in all
    with Publisher(settings.store_dir, lake) as publisher:
        pieces = []
        while loader._drain_once(publisher, state, Room(settings.home, 0)):
            pieces.append((publisher.published_seq, [state.job(f"j_{i}").status for i in range(5)].count("done")))
    assert pieces == [(4, 2), (8, 4), (10, 5)]
    assert run_query(settings.store_dir, "SELECT count(*) FROM jobs").rows() == [(5,)]
    assert [n_rows(settings, number) for number in range(2)] == [10, 20]


def test_a_job_in_a_backlog_does_not_end_before_its_parts_which_another_wants_later(
    settings: Settings, state: State, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_MOST_LOADS", 2)
    for job_id, number in (("j_first", 0), ("j_between", 1), ("j_last", 0)):
        put_job(lake, job_id, range(0, 60, 6), number)
        submitted(state, job_id)
        concluded(state, job_id, number)
    with Publisher(settings.store_dir, lake) as publisher:
        assert loader._drain_once(publisher, state, Room(settings.home, 0))
    assert [job.job_id for job in state.list_jobs() if job.status == "done"] == ["j_first"]
    assert n_rows(settings, 0) == 10


def test_many_jobs_are_published_together(settings: Settings, state: State, lake: Lake) -> None:
    for i in range(20):
        put_job(lake, f"j_{i}", range(0, 60, 6), 0)
        submitted(state, f"j_{i}")
        concluded(state, f"j_{i}", 0)
    with draining(settings, state):
        wait_for(lambda: all(job.status == "done" for job in state.list_jobs()))
    with Publisher(settings.store_dir, lake) as publisher:
        assert publisher.published_seq == state.last_load_seq()
    assert len(list(settings.store_dir.glob("snapshot-*.duckdb"))) == 1
    assert run_query(settings.store_dir, "SELECT count(*) FROM jobs").rows() == [(20,)]


def test_a_store_that_fails_is_tried_again(
    settings: Settings, state: State, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Publisher):
        n_calls = 0

        def publish(self, entries: Any) -> Any:
            Full.n_calls += 1
            if Full.n_calls <= 2:
                raise StoreError("no room left", code="store.disk_full")
            return super().publish(entries)

    monkeypatch.setattr(loader, "_RETRY_S", 0.05)
    submitted(state, "j_one")
    concluded(state, "j_one", 0)
    with draining(settings, state, Full(settings.store_dir, lake)):
        wait_for(lambda: Full.n_calls == 2)
        assert state.job("j_one").status == "queued"
        wait_for(lambda: state.job("j_one").status == "done")
    assert Full.n_calls == 3
    assert n_rows(settings, 0) == 10


def test_a_loader_that_died_between_publish_and_telling(settings: Settings, state: State, lake: Lake) -> None:
    submitted(state, "j_one")
    concluded(state, "j_one", 0)
    with Publisher(settings.store_dir, lake) as publisher:
        rows = state.loads_after(0)
        publisher.publish([loader.LoadEntry(r.seq, r.kind, r.video_id, r.model_digest, r.job_id) for r in rows])
    with draining(settings, state):
        wait_for(lambda: state.job("j_one").status == "done")


def test_a_new_state_database_beside_an_older_store(
    settings: Settings, state: State, lake: Lake, tmp_path: Path
) -> None:
    """What the new one asked for before the loader came up is loaded too, not taken for an older wish."""
    for i in range(5):
        submitted(state, f"j_old{i}")
        put_job(lake, f"j_old{i}", range(0, 60, 6), 0)
        concluded(state, f"j_old{i}", 0)
    with draining(settings, state):
        wait_for(lambda: all(job.status == "done" for job in state.list_jobs()))
    assert n_rows(settings, 1) == 0
    new = open_state(f"sqlite:///{tmp_path / 'new.db'}")
    submitted(new, "j_two")
    concluded(new, "j_two", 1)
    assert new.last_load_seq() < 5
    with draining(settings, new):
        wait_for(lambda: new.job("j_two").status == "done")
        assert n_rows(settings, 1) == 20
        submitted(new, "j_one")
        put_part(lake, [299], chunk_id="c000000299")
        concluded(new, "j_one", 0)
        wait_for(lambda: new.job("j_one").status == "done")
    assert n_rows(settings, 0) == 11
    assert new.last_load_seq() > state.last_load_seq()


def test_a_database_of_an_earlier_release_comes_forward_without_a_load(
    settings: Settings, state: State, lake: Lake
) -> None:
    """After an update the new views are there at once, not with the next video."""
    submitted(state, "j_one")
    concluded(state, "j_one", 0)
    with draining(settings, state):
        wait_for(lambda: state.job("j_one").status == "done")
    with writing(current_snapshot(settings.store_dir)) as connection:
        connection.execute("DELETE FROM schema_version WHERE version = 0")  # as if its views were others
    before = current_snapshot(settings.store_dir)
    with draining(settings, state):
        wait_for(lambda: current_snapshot(settings.store_dir) != before)
    assert n_rows(settings, 0) == 10


# ---------------------------------------------------------------- a damaged part


def worked(attempt: Attempt, ref: PlanRef) -> None:
    """The infer and load hops, without Dask."""
    totals = Totals((SPEC,), ref.n_frames)
    for task in chunk_tasks(attempt, ref, (SPEC,)):
        totals.add(infer_chunk(task))
    conclude_run(attempt, ref, totals)
    attempt.state.release(attempt.lease)


def test_a_part_set_aside_is_named_and_retry_infers_it_again(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = use_fake(monkeypatch, FakeTriton())
    attempt = new_attempt(tmp_path)
    state, lake = attempt.state, attempt.lake
    video = numbered_video(tmp_path)
    index = probe(video)
    ref = store(attempt, index, plan_frames(index, "all"), video)
    counts = "SELECT n_planned, n_loaded, n_gaps, n_open, n_unexplained FROM completeness"
    seen = f"SELECT count(*), count(DISTINCT frame_offset) FROM detections WHERE class_name = '{LABELS[7]}'"
    with draining(settings, state):
        worked(attempt, ref)
        wait_for(lambda: state.job(attempt.job_id).status == "done")
        assert run_query(settings.store_dir, counts).rows() == [(60, 60, 0, 0, 0)]

    (part,) = part_paths(lake.parts_dir(VIDEO, SPEC.digest))
    whole = part.read_bytes()
    part.write_bytes(whole[:200] + bytes(64) + whole[264:])
    with structlog.testing.capture_logs() as events, draining(settings, state):
        seq = state.request_load([(VIDEO, SPEC.digest)])
        wait_for(lambda: state.last_load_seq() == seq and not state.loads_after(0))
        assert run_query(settings.store_dir, counts).rows() == [(60, 0, 0, 0, 60)]
        wait_for(lambda: any("owed again" in event["event"] for event in events))
    (told,) = [event for event in events if "owed again" in event["event"]]
    assert (told["log_level"], told["video_id"]) == ("error", VIDEO)
    assert told["hint"] == f"framehouse jobs retry {attempt.job_id}"

    state.reopen(attempt.job_id)
    lease = state.acquire(f"job/{attempt.job_id}", "again", 600.0)
    assert lease is not None
    again = Attempt(state.begin_attempt(lease, attempt.job_id), lease, state, lake, settings, attempt.endpoints)
    fake.seen.clear()
    with draining(settings, state):
        worked(again, ref)
        wait_for(lambda: state.job(attempt.job_id).status == "done")
    assert fake.numbers_seen() == list(range(60))
    assert run_query(settings.store_dir, counts).rows() == [(60, 60, 0, 0, 0)]
    assert run_query(settings.store_dir, seen).rows() == [(1, 1)]
    fake.close()


# ---------------------------------------------------------------- the process


@contextmanager
def process(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m framehouse.loader`, told where to say that it is ready."""
    env = clean_environment(home) | {"FRAMEHOUSE_READY_DIR": str(home / "ready")}
    with subprocess.Popen([sys.executable, "-m", "framehouse.loader"], env=env, stderr=subprocess.DEVNULL) as running:
        try:
            yield running
        finally:
            running.kill()


def is_ready(home: Path, running: subprocess.Popen[bytes]) -> bool:
    return (home / "ready" / f"loader.{running.pid}").exists()


def test_the_process_says_ready_when_it_is_the_writer_and_sweeps_leftovers(
    settings: Settings, state: State, lake: Lake
) -> None:
    old, young = (lake.root / "runs" / f".{name}.json.0123456789ab.tmp" for name in ("old", "young"))
    for path in (old, young):
        path.write_text("{")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    submitted(state, "j_one")
    concluded(state, "j_one", 0)
    with Publisher(settings.store_dir, lake), process(settings.home) as waiting:
        wait_for(lambda: not old.exists())
        time.sleep(0.5)
        assert not is_ready(settings.home, waiting), "ready, though another process is the writer"
    with process(settings.home) as running:
        wait_for(lambda: is_ready(settings.home, running))
        wait_for(lambda: state.job("j_one").status == "done")
        running.terminate()
        assert running.wait(PATIENCE_S) == 0
    assert young.exists()
    assert n_rows(settings, 0) == 10
