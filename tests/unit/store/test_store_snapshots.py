from __future__ import annotations

import os
from pathlib import Path

import pytest

from framehouse.errors import StoreError, StoreLocked
from framehouse.store import snapshots
from framehouse.store.publish import LoadEntry, Publisher, newest, recover
from framehouse.store.snapshots import current_snapshot, number_of, point_to, snapshot_path
from lakes import small_lake


def test_nothing_published_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        current_snapshot(tmp_path)
    assert caught.value.code == "store.empty"


@pytest.mark.parametrize("text", [b"", b"../../etc/passwd", b"snapshot-1.duckdb/..", b"snapshot-.duckdb", b"\xff\xfe"])
def test_a_pointer_that_names_no_snapshot_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "CURRENT").write_bytes(text)
    with pytest.raises(StoreError) as caught:
        current_snapshot(tmp_path)
    assert caught.value.code == "store.damaged"


def test_pointing_and_reading(tmp_path: Path) -> None:
    point_to(snapshot_path(tmp_path, 12))
    assert current_snapshot(str(tmp_path)) == tmp_path / "snapshot-12.duckdb"
    assert [p.name for p in tmp_path.iterdir()] == ["CURRENT"]


@pytest.mark.parametrize(
    ("name", "number"), [("snapshot-7.duckdb", 7), ("snapshot-7.duckdb.wal", 0), ("loading-7.duckdb", 0)]
)
def test_numbers(name: str, number: int) -> None:
    assert number_of(Path(name)) == number


def test_readers_and_the_writer_keep_apart_in_one_process(tmp_path: Path) -> None:
    path = snapshot_path(tmp_path, 1)
    path.write_bytes(b"x")
    with snapshots.reading_lock(path) as first, snapshots.reading_lock(path) as second:
        assert (first, second) == (True, True)
        with snapshots.claim(path) as mine:
            assert not mine
    with snapshots.claim(path) as mine:
        assert mine
        with snapshots.reading_lock(path) as free:
            assert not free


def test_a_second_writer_is_told_who_writes(tmp_path: Path) -> None:
    lake = small_lake(tmp_path / "lake")
    with (
        Publisher(tmp_path / "store", lake),
        pytest.raises(StoreLocked, match=f"process {os.getpid()} is writing") as caught,
    ):
        Publisher(tmp_path / "store", lake)
    assert caught.value.retryable
    with Publisher(tmp_path / "store", lake) as again:
        assert again.published_seq == 0


def test_the_newest_of_each_key_in_order() -> None:
    entries = [
        LoadEntry(3, "job", job_id="a"),
        LoadEntry(1, "parts", "v", "m"),
        LoadEntry(9, "job", job_id="b"),
        LoadEntry(7, "parts", "v", "m"),
    ]
    assert [(e.seq, e.kind) for e in newest(entries)] == [(3, "job"), (7, "parts"), (9, "job")]
    assert newest([]) == []


def test_recovery_moves_the_pointer_to_the_newest_whole_file(tmp_path: Path) -> None:
    assert recover(tmp_path) is None
    for number in (9, 10):
        snapshot_path(tmp_path, number).write_bytes(b"")
    point_to(snapshot_path(tmp_path, 9))
    assert recover(tmp_path) == snapshot_path(tmp_path, 10)
    assert current_snapshot(tmp_path) == snapshot_path(tmp_path, 10)


def test_sweeping_keeps_what_is_kept(tmp_path: Path) -> None:
    keep, gone = snapshot_path(tmp_path, 3), snapshot_path(tmp_path, 1)
    loading = tmp_path / "loading-4.duckdb"
    names = [
        "loading-4.duckdb.wal",
        "loading-2.duckdb.wal",
        ".copy-loading-4.duckdb",
        ".reader-1.lock",
        ".reader-3.lock",
    ]
    for path in (keep, gone, loading, *(tmp_path / name for name in names)):
        path.write_bytes(b"")
    (tmp_path / "loading-2.tmp").mkdir()
    snapshots.sweep(tmp_path, {keep, loading})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".reader-3.lock", "loading-4.duckdb", "loading-4.duckdb.wal", "snapshot-3.duckdb",
    ]  # fmt: skip
