"""What release 0.1 stored, this release reads: `tests/data/store-0.1/`, made once by scripts/make_store_0_1.py.

Every test works on a copy; the data must never change. `expected.json` says what a reader has to find in it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framehouse.backups import Backups
from framehouse.errors import StoreError
from framehouse.results.indexes import read_index
from framehouse.results.lake import Lake
from framehouse.results.parts import owed, part_paths, read_part, settled
from framehouse.state import JobRequest, open_state
from framehouse.store.checksum import snapshot_checksum
from framehouse.store.job_results import job_results
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from framehouse.video.sampling import chunks, frames_of_chunk

DATA = Path(__file__).resolve().parents[1] / "data" / "store-0.1"
EXPECTED: dict[str, Any] = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
JOBS: dict[str, dict[str, Any]] = EXPECTED["jobs"]
PLANNED = [job_id for job_id, job in JOBS.items() if job["results"] is not None]
UNPLANNED = [job_id for job_id, job in JOBS.items() if job["results"] is None]
LIMIT_BYTES = 1_000_000


@pytest.fixture
def lake(kept: Path) -> Lake:
    return Lake(kept / "lake")


def files() -> dict[str, Path]:
    found = {str(file.relative_to(DATA)): file for file in DATA.rglob("*") if file.is_file()}
    del found["expected.json"]
    return found


def count(store: Path, table: str) -> int:
    return int(run_query(store, f"SELECT count(*) FROM {table}").rows()[0][0])


# ---------------------------------------------------------------- the data itself


def test_not_a_byte_of_it_has_changed() -> None:
    found = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files().items()}
    assert found == EXPECTED["files"]


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file()) < LIMIT_BYTES


def test_it_holds_every_kind_of_outcome() -> None:
    """Else the tests below would pass over nothing."""
    outcomes = {(job["status"], job["error_code"]) for job in JOBS.values()}
    assert outcomes == {("done", None), ("failed", "inference.too_many_gaps"), ("failed", "media.unreadable")}
    results = [JOBS[job_id]["results"] for job_id in PLANNED]
    done = [JOBS[job_id]["results"] for job_id in PLANNED if JOBS[job_id]["status"] == "done"]
    assert {True, False} == {result["n_gaps"] > 0 for result in done}
    assert any(result["n_boxes"].get("person", 0) > 10 for result in results)
    assert EXPECTED["n_rows"]["video_locations"] > EXPECTED["n_rows"]["videos"]
    names = [Path(name) for name in EXPECTED["files"] if name.startswith("lake/parts/")]
    assert max(Counter(name.parent for name in names).values()) > 1


# ---------------------------------------------------------------- state


def test_the_state_opens_and_lists_the_jobs(kept: Path) -> None:
    state = open_state(f"sqlite:///{kept / 'state' / 'state.db'}", backups=Backups(kept / "backups"))
    jobs = {job.job_id: job for job in state.list_jobs()}
    assert jobs.keys() == JOBS.keys()
    for job_id, job in jobs.items():
        facts = JOBS[job_id]
        assert (job.request.uri, job.status, job.video_id) == (facts["uri"], facts["status"], facts["video_id"])
        assert (job.error_code, job.n_planned, job.n_settled) == (
            facts["error_code"],
            facts["n_planned"],
            facts["n_settled"],
        )
        assert job.is_final
        assert job.request.models == ("detector",)
        assert job.submitted_at < job.started_at < job.finished_at  # type: ignore[operator]
    assert state.owed_jobs() == []
    state.close()


def test_the_state_goes_on(kept: Path) -> None:
    state = open_state(f"sqlite:///{kept / 'state' / 'state.db'}", backups=Backups(kept / "backups"))
    last = state.last_load_seq()
    assert state.request_load([("v_new", "d")]) == last + 1
    failed = next(job_id for job_id, job in JOBS.items() if job["status"] == "failed")
    assert state.reopen(failed).status == "queued"
    new = state.submit(JobRequest("file:///videos/new.mp4", ("detector",)))
    assert {job.job_id for job in state.list_jobs(statuses=["queued"])} == {failed, new}
    state.close()


# ---------------------------------------------------------------- lake


def test_every_record_of_the_lake_is_read(lake: Lake) -> None:
    assert lake.job_ids() == sorted(JOBS)
    for job_id, job in JOBS.items():
        record = lake.read_run(job_id)
        assert record is not None
        assert (record.uri, record.status, record.error_code) == (job["uri"], job["status"], job["error_code"])
        assert sum(use.n_planned for use in record.models) == job["n_planned"]
    places = [place.uri for video_id in lake.video_ids() for place in lake.read_video(video_id).locations]  # type: ignore[union-attr]
    assert len(places) == EXPECTED["n_rows"]["video_locations"]
    assert set(places) == {JOBS[job_id]["uri"] for job_id in PLANNED}


@pytest.mark.parametrize("job_id", UNPLANNED)
def test_a_job_that_failed_early_has_no_plan(lake: Lake, job_id: str) -> None:
    assert lake.read_plan(job_id) is None


@pytest.mark.parametrize("job_id", PLANNED)
def test_every_plan_fits_the_index_of_its_video(lake: Lake, job_id: str) -> None:
    stored = lake.read_plan(job_id)
    assert stored is not None
    video_id, plan = stored
    assert video_id == JOBS[job_id]["video_id"]
    assert plan.frame_offset.size == JOBS[job_id]["n_planned"]
    index, video = read_index(lake, video_id), lake.read_video(video_id)
    assert video is not None
    assert (index.n_frames, index.stream.codec, index.damage) == (video.n_frames, video.codec, video.damage)
    assert np.array_equal(index.pts[plan.frame_offset], plan.pts)


def test_every_part_is_read(lake: Lake) -> None:
    n_settled, n_rows = 0, 0
    for video_id, digest in lake.part_keys():
        for path in part_paths(lake.parts_dir(video_id, digest)):
            part = read_part(path)
            assert (part.header.video_id, part.header.model_digest) == (video_id, digest)
            assert part.header.job_id in JOBS
            n_settled += part.frame_offset.size
            n_rows += part.rows.frame_offset.size
    assert n_settled == EXPECTED["n_rows"]["inferences"]
    assert n_rows == EXPECTED["n_rows"]["detections"]


@pytest.mark.parametrize("job_id", PLANNED)
def test_what_was_inferred_is_not_owed_again(lake: Lake, job_id: str) -> None:
    """Chunks are cut today where 0.1 cut them, so only the gaps are to be tried once more."""
    video_id, plan = lake.read_plan(job_id)  # type: ignore[misc]
    (use,) = lake.read_run(job_id).models  # type: ignore[union-attr]
    folder = lake.parts_dir(video_id, use.model_digest)
    n_owed = 0
    for chunk in chunks(read_index(lake, video_id)):
        loaded, _ = settled(folder, chunk.chunk_id)
        n_owed += owed(frames_of_chunk(plan, chunk), loaded).size
    assert n_owed == JOBS[job_id]["results"]["n_gaps"]
    assert not list(folder.glob("*.bad"))


# ---------------------------------------------------------------- database


@pytest.mark.parametrize("answer", EXPECTED["answers"], ids=lambda answer: answer["sql"].split(" FROM ")[1].split()[0])
def test_the_snapshot_answers_as_it_did(kept: Path, answer: dict[str, Any]) -> None:
    assert answer["rows"]
    assert run_query(kept / "store", answer["sql"]).records() == answer["rows"]


def test_the_snapshot_holds_the_same_tables(kept: Path) -> None:
    store = kept / "store"
    assert {table: count(store, table) for table in EXPECTED["n_rows"]} == EXPECTED["n_rows"]
    assert snapshot_checksum(store) == EXPECTED["checksums"]


def test_a_rebuild_from_the_lake_gives_the_same_tables(lake: Lake, tmp_path: Path) -> None:
    store = tmp_path / "rebuilt"
    done = rebuild(store, lake)
    assert done.set_aside == ()
    assert (done.n_videos, done.n_jobs) == (EXPECTED["n_rows"]["videos"], len(JOBS))
    assert {table: count(store, table) for table in EXPECTED["n_rows"]} == EXPECTED["n_rows"]
    assert snapshot_checksum(store) == EXPECTED["checksums"]
    for answer in EXPECTED["answers"]:
        assert run_query(store, answer["sql"]).records() == answer["rows"], answer["sql"]


def test_the_loader_goes_on_from_the_snapshot(kept: Path, lake: Lake) -> None:
    with Publisher(kept / "store", lake, backups=Backups(kept / "backups")) as publisher:
        last = publisher.published_seq
        assert last > 0
        again = [LoadEntry(last + 1 + i, "job", job_id=job_id) for i, job_id in enumerate(lake.job_ids())]
        keys = lake.part_keys()
        again += [LoadEntry(last + 1 + len(again) + i, "parts", *key) for i, key in enumerate(keys)]
        assert publisher.apply_and_publish(again) == again[-1].seq
    assert snapshot_checksum(kept / "store") == EXPECTED["checksums"]


# ---------------------------------------------------------------- results


@pytest.mark.parametrize("job_id", PLANNED)
def test_the_results_of_a_job_assemble(kept: Path, lake: Lake, job_id: str) -> None:
    results = job_results(kept / "store", job_id)
    _, plan = lake.read_plan(job_id)  # type: ignore[misc]
    assert results["frame_offset"] == plan.frame_offset.tolist()
    frames = results["detector"]
    boxes = Counter(box["class"] for frame in frames if frame for box in frame["predictions"])
    found = {"n_frames": len(frames), "n_gaps": frames.count(None), "n_boxes": dict(boxes)}
    assert found == JOBS[job_id]["results"]
    assert json.loads(json.dumps(results)) == results


@pytest.mark.parametrize("job_id", UNPLANNED)
def test_a_job_without_a_plan_says_why_it_has_no_results(kept: Path, job_id: str) -> None:
    with pytest.raises(StoreError) as raised:
        job_results(kept / "store", job_id)
    assert raised.value.code == "store.no_results"
    assert "not a video" in raised.value.message
