"""Merging parts changes neither what is settled nor any row, whatever way the parts were cut and shadow each other."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framehouse.keep.compact import compact_lake, compact_parts
from framehouse.results.lake import Lake
from framehouse.results.parts import part_paths, settled
from framehouse.state import JobRequest
from framehouse.state.database import open_state
from framehouse.store.checksum import tables_checksum
from framehouse.store.load import load_job, load_parts
from framehouse.store.migrate import migrate
from lakes import DETECTOR, put_every_kind, put_job, put_part, video_name

PARTS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 11), min_size=1, max_size=8),  # frames
        st.sets(st.integers(0, 11), max_size=3),  # gaps among them
        st.sampled_from(["j_a", "j_b"]),
        st.sampled_from(["decode.failed", "inference.timeout"]),
        st.sampled_from(["c000000000", "c000000012"]),
    ),
    min_size=1,
    max_size=9,
)


def tables(lake: Lake, digest: str = DETECTOR, number: int = 0) -> tuple[dict[str, str], list[tuple[object, ...]]]:
    """Checksums of all tables, and the whole ledger with its jobs and seconds."""
    connection = duckdb.connect()
    migrate(connection)
    for job_id in lake.job_ids():
        load_job(connection, lake, job_id)
    load_parts(connection, lake, video_name(number), digest)
    ledger = connection.execute("SELECT * FROM inferences ORDER BY ALL").fetchall()
    return tables_checksum(connection), ledger


@settings(max_examples=12)
@given(PARTS, st.integers(2, 4))
def test_tables_and_what_is_owed_stay(tmp_path_factory: pytest.TempPathFactory, parts: list, min_parts: int) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    put_job(lake, "j_a", range(24))
    for frames, gaps, job_id, reason, chunk in parts:
        start = int(chunk[1:])
        put_part(
            lake, [start + f for f in frames], gaps={start + f: reason for f in gaps & frames}, job_id=job_id,
            chunk_id=chunk,
        )  # fmt: skip
    folder = lake.parts_dir(video_name(0), DETECTOR)
    before, held = tables(lake), settled(folder)
    done = compact_parts(folder, min_parts=min_parts)
    assert tables(lake) == before
    for now, then in zip(settled(folder), held, strict=True):
        np.testing.assert_array_equal(now, then)
    assert done.n_before - done.n_after >= 0
    again = compact_parts(folder, min_parts=min_parts)
    assert tables(lake) == before
    assert again.n_after <= again.n_before


def test_parts_of_every_kind_are_merged(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for start in range(0, 40, 8):
        put_every_kind(lake, "j_all", range(start, start + 8, 2))
    for video_id, digest in lake.part_keys():
        folder = lake.parts_dir(video_id, digest)
        before, names = tables(lake, digest, 2), part_paths(folder)
        done = compact_parts(folder, min_parts=4)
        assert (len(names), done.n_before, done.n_after, len(part_paths(folder))) == (5, 5, 1, 1)
        assert tables(lake, digest, 2) == before


def test_few_parts_stay(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for start in range(3):
        put_part(lake, [start], job_id="j_a")
    put_part(lake, [3], job_id="j_b")
    assert compact_parts(lake.parts_dir(video_name(0), DETECTOR), min_parts=4).n_chunks == 0
    assert len(part_paths(lake.parts_dir(video_name(0), DETECTOR))) == 4


def test_a_damaged_part_stops_only_its_chunk(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for start in range(4):
        bad = put_part(lake, [start], job_id="j_a")
        put_part(lake, [20 + start], job_id="j_a", chunk_id="c000000020")
    Path(bad.path).write_bytes(b"PAR1")
    done = compact_parts(lake.parts_dir(video_name(0), DETECTOR), min_parts=4)
    assert (done.n_chunks, done.n_before, done.n_after) == (1, 4, 1)


def test_a_video_that_a_job_works_on_is_left_alone(tmp_path: Path) -> None:
    lake, state = Lake(tmp_path / "lake"), open_state(f"sqlite:///{tmp_path / 'state.db'}")
    for number in (0, 1, 2):
        for start in range(4):
            put_part(lake, [start], number=number, job_id="j_a")
    job_id = state.submit(JobRequest("clip.mp4", ("detector",)))
    run = state.acquire(f"job/{job_id}", "run", 60.0)
    assert run is not None
    state.note(run, job_id, video_id=video_name(0))
    assert state.acquire(f"video/{video_name(1)}", "run", 60.0) is not None
    done = compact_lake(lake, state, min_parts=4)
    assert (done.n_chunks, done.n_busy) == (1, 2)
    assert [len(part_paths(lake.parts_dir(video_name(n), DETECTOR))) for n in (0, 1, 2)] == [4, 4, 1]
    assert not state.is_held(f"video/{video_name(2)}")
    state.conclude(job_id, "cancelled", [])
    assert compact_lake(lake, state, min_parts=4).n_busy == 1


@pytest.mark.parametrize("reader", ["what is owed", "the loader"])
def test_a_reader_with_an_old_list_reads_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str) -> None:
    """Between listing and reading everything is merged: nothing may look owed, no row may be lost."""
    from framehouse.results import parts
    from framehouse.store import load

    lake = Lake(tmp_path)
    for start in range(4):
        put_part(lake, [start], job_id="j_a")
    folder = lake.parts_dir(video_name(0), DETECTOR)
    real = part_paths

    def stale(where: object, *words: str) -> list[Path]:
        monkeypatch.undo()
        listed = real(folder) if isinstance(where, Lake) else real(where, *words)  # type: ignore[arg-type]
        assert compact_parts(folder, min_parts=4).n_after == 1
        return listed

    if reader == "the loader":
        monkeypatch.setattr(Lake, "part_paths", stale)
        found = load.pick(lake, video_name(0), DETECTOR).table.column("frame_offset").to_pylist()
    else:
        monkeypatch.setattr(parts, "part_paths", stale)
        found = settled(folder)[0].tolist()
    assert found == [0, 1, 2, 3]
