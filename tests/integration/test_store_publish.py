"""The published snapshot, with other processes reading, writing and dying."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from framehouse.errors import StoreError, StoreLocked
from framehouse.results.lake import Lake
from framehouse.store.checksum import tables_checksum
from framehouse.store.connection import reading
from framehouse.store.load import load_parts
from framehouse.store.publish import LoadEntry, Publisher, read_seq
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from framehouse.store.snapshots import current_snapshot
from lakes import DETECTOR, put_job, put_part, small_lake, video_name
from store_writer import facts, held_after, publish_up_to

pytestmark = pytest.mark.real("duckdb")
N_KILLS = 22
TESTS = Path(__file__).parents[1]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return small_lake(tmp_path / "lake")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@contextmanager
def process(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    script = [] if arguments[0] == "-c" else [str(TESTS / "store_writer.py")]
    command = [sys.executable, *script, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as running:
        try:
            yield running
        finally:
            running.kill()


def line(running: subprocess.Popen[str]) -> str:
    assert running.stdout
    return running.stdout.readline().strip()


def tell(running: subprocess.Popen[str]) -> str:
    assert running.stdin
    running.stdin.write("go on\n")
    running.stdin.flush()
    return line(running)


def numbers(store: Path) -> list[int]:
    return sorted(int(p.stem.removeprefix("snapshot-")) for p in store.glob("snapshot-*.duckdb"))


def test_two_files_take_turns(store: Path, lake: Lake) -> None:
    inodes = []
    with Publisher(store, lake) as publisher:
        for seq in range(1, 8):
            assert publisher.apply_and_publish([LoadEntry(seq, "parts", video_name(0), DETECTOR)]) == seq
            inodes.append(current_snapshot(store).stat().st_ino)
            assert current_snapshot(store).name == f"snapshot-{seq}.duckdb"
            assert numbers(store) == [seq - 1, seq][seq == 1 :]
    assert inodes[2:] == [inodes[0], inodes[1]] * 2 + [inodes[0]]
    assert list(store.glob("*.wal")) == []


def test_publishing_nothing(store: Path, lake: Lake) -> None:
    with Publisher(store, lake) as publisher:
        assert publisher.apply_and_publish([]) == 0
        assert run_query(store, "SELECT count(*) FROM videos").rows() == [(0,)]
        assert publisher.publish([]) is None
        assert publisher.apply_and_publish([LoadEntry(4, "job", job_id="j_one")]) == 4
        assert publisher.publish([LoadEntry(3, "job", job_id="j_two"), LoadEntry(4, "job", job_id="j_one")]) is None
        assert publisher.min_applied_seq == publisher.published_seq == 4


def test_the_other_file_catches_up_by_itself(store: Path, lake: Lake) -> None:
    """The caller gives each entry once; the files hand each other what they lack, also over a restart."""
    for seq in range(1, 9):
        assert publish_up_to(store, lake, seq) == seq
    everything = facts(store)
    rebuild(store, lake)
    assert facts(store) == everything


_PLAIN_READER = """
import duckdb, json, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
def rows(): return connection.execute("SELECT (SELECT max(seq) FROM loads), sum(x) FROM detections").fetchall()
before = rows()
print("open", flush=True)
sys.stdin.readline()
print(json.dumps([before == rows(), before[0][0]]), flush=True)
"""


@pytest.mark.parametrize("how", ["framehouse", "plain duckdb"])
def test_another_process_keeps_its_rows_while_the_files_turn(store: Path, lake: Lake, how: str) -> None:
    publish_up_to(store, lake, 3, step=2)
    held = current_snapshot(store)
    with process("hold", store) if how == "framehouse" else process("-c", _PLAIN_READER, held) as reader:
        assert line(reader) == "open"
        with Publisher(store, lake) as publisher:
            publish_new_parts(publisher, lake, [4, 5, 6])
            assert held.exists()
            assert json.loads(tell(reader)) == [True, 3]
            reader.wait(20)
            publish_new_parts(publisher, lake, [7])
    assert not held.exists()
    assert len(numbers(store)) == 2
    assert run_query(store, "SELECT max(frame_offset) FROM inferences").rows() == [(107,)]


def test_a_reader_in_the_writer_s_process_keeps_its_rows(store: Path, lake: Lake) -> None:
    publish_up_to(store, lake, 3, step=2)
    held = current_snapshot(store)
    with Publisher(store, lake) as publisher:
        with reading(store) as connection:
            before = tables_checksum(connection)
            publish_new_parts(publisher, lake, [4, 5, 6])
            assert (read_seq(connection), tables_checksum(connection)) == (3, before)
            assert held.exists()
        publish_new_parts(publisher, lake, [7])
    assert not held.exists()
    assert len(numbers(store)) == 2


def publish_new_parts(publisher: Publisher, lake: Lake, seqs: list[int]) -> None:
    for seq in seqs:
        put_part(lake, [100 + seq])
        assert publisher.apply_and_publish([LoadEntry(seq, "parts", video_name(0), DETECTOR)]) == seq


def test_readers_never_see_a_gap(store: Path, lake: Lake) -> None:
    publish_up_to(store, lake, 1)
    with process("read_on", store) as reader:
        assert line(reader) == "open"
        publish_up_to(store, lake, 13, step=1)
        seen = json.loads(tell(reader))
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert set(seen) <= set(range(1, 14))


def test_a_second_process_is_refused_until_the_first_dies(store: Path, lake: Lake) -> None:
    with process("write_forever", store, lake.root) as writer:
        pid = line(writer)
        with pytest.raises(StoreLocked, match=f"process {pid} is writing") as caught:
            Publisher(store, lake)
        with pytest.raises(StoreLocked):
            rebuild(store, lake)
        writer.send_signal(signal.SIGKILL)
        writer.wait(20)
        with Publisher(store, lake) as publisher:
            assert publisher.published_seq == 0
    assert caught.value.code == "store.locked"


def test_killing_the_writer_anywhere_loses_and_doubles_nothing(store: Path, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "many")
    for number in range(30):
        put_job(lake, f"j_{number:02}", range(10), number)
        put_part(lake, range(10), number=number)
    with process("kill_many", store, lake.root, N_KILLS, 7) as running:
        out, _ = running.communicate(timeout=300)
    got = json.loads(out)
    assert got["killed"] == N_KILLS
    sequence = [state["seq"] for state in got["seen"]]
    assert sequence == sorted(sequence)
    assert sequence[-1] == got["last"] > N_KILLS
    for state in got["seen"]:
        assert tuple(state["held"]) == held_after(lake, state["seq"], 10), state["seq"]
    assert len([name for name in got["files"] if name.startswith(("loading", ".copy"))]) == 0
    assert len([name for name in got["files"] if name.endswith(".duckdb")]) == 2
    undisturbed = tmp_path / "undisturbed"
    publish_up_to(undisturbed, lake, got["last"], step=100)
    assert facts(undisturbed)["tables"] == got["seen"][-1]["tables"]


@pytest.mark.parametrize("damaged", ["resting", "abandoned"])
def test_a_damaged_spare_file_costs_a_copy_only(store: Path, lake: Lake, damaged: str) -> None:
    publish_up_to(store, lake, 4, step=1)
    if damaged == "resting":
        spare = store / "snapshot-3.duckdb"
        content = bytearray(spare.read_bytes())
        content[4096:9000] = os.urandom(9000 - 4096)
        spare.write_bytes(content)
    else:
        (store / "loading-5.duckdb").write_bytes(b"not a database" * 1000)
        (store / "loading-5.duckdb.wal").write_bytes(b"nor a log")
    assert publish_up_to(store, lake, 7, step=1) == 7
    everything = facts(store)
    rebuild(store, lake)
    assert facts(store) == everything


def test_a_damaged_snapshot_is_named_and_mended_by_a_rebuild(store: Path, lake: Lake) -> None:
    publish_up_to(store, lake, 4, step=2)
    everything = facts(store)
    current_snapshot(store).write_bytes(b"scrap")
    with pytest.raises(StoreError) as caught:
        run_query(store, "SELECT 1")
    assert (caught.value.code, caught.value.hint) == ("store.open", "if it stays so: framehouse db rebuild")
    with pytest.raises(StoreError):
        Publisher(store, lake)
    rebuild(store, lake)
    assert facts(store)["tables"] == everything["tables"]
    assert publish_up_to(store, lake, 4) == 4


def test_a_spare_file_from_before_a_rebuild_is_not_taken_up(store: Path, lake: Lake) -> None:
    publish_up_to(store, lake, 4, step=1)
    with duckdb.connect(store / "snapshot-3.duckdb") as connection:
        connection.execute("DELETE FROM inferences")
    old = (store / "snapshot-3.duckdb").read_bytes()
    rebuild(store, lake)
    (store / "snapshot-3.duckdb").write_bytes(old)
    publish_up_to(store, lake, 5)
    assert facts(store)["seq"] == 5
    assert run_query(store, "SELECT count(*) FROM inferences").rows() == [(30,)]
    assert numbers(store) == [5, 6]


def test_the_pointer_moves_last(store: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_up_to(store, lake, 3, step=1)

    def power_cut(snapshot: Path) -> None:
        raise KeyboardInterrupt(snapshot.name)

    monkeypatch.setattr("framehouse.store.publish.point_to", power_cut)
    with pytest.raises(KeyboardInterrupt, match=r"snapshot-4\.duckdb"):
        publish_up_to(store, lake, 4)
    monkeypatch.undo()
    assert current_snapshot(store).name == "snapshot-3.duckdb"
    assert facts(store)["seq"] == 3
    assert (store / "snapshot-4.duckdb").exists()
    with Publisher(store, lake) as publisher:
        assert publisher.published_seq == 4
    assert facts(store)["seq"] == 4


def test_a_full_disk_is_named_and_loading_goes_on_later(store: Path, lake: Lake) -> None:
    publish_up_to(store, lake, 4, step=1)
    put_part(lake, range(100, 300), gaps={})
    before, seq = facts(store), 5
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Publisher(store, lake) as publisher:
        entries = [LoadEntry(seq, "parts", video_name(0), DETECTOR)]
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            with pytest.raises(StoreError) as caught:
                publisher.apply_and_publish(entries)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)
        assert caught.value.code == "store.disk_full"
        assert facts(store) == before
        assert publisher.apply_and_publish(entries) == seq
    everything = facts(store)
    rebuild(store, lake)
    assert facts(store) == everything


def test_an_odd_home_is_no_problem(tmp_path: Path) -> None:
    home = tmp_path / "a 'home' [1] *ü"
    lake = small_lake(home / "lake")
    publish_up_to(home / "store", lake, 4)
    assert run_query(home / "store", "SELECT count(*) FROM inferences").rows() == [(30,)]
    assert run_query(home / "store", "SELECT count(*) > 0 FROM detections").rows() == [(True,)]


def test_a_home_that_duckdb_takes_for_a_url_is_refused(tmp_path: Path, lake: Lake) -> None:
    with pytest.raises(StoreError, match="question mark") as caught:
        publish_up_to(tmp_path / "what?" / "store", lake, 1)
    assert caught.value.code == "store.path"


def test_a_load_that_fails_keeps_the_snapshot(store: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_up_to(store, lake, 4, step=1)
    before = facts(store)

    def broken(connection: duckdb.DuckDBPyConnection, *arguments: object) -> object:
        load_parts(connection, lake, video_name(0), DETECTOR)
        raise duckdb.IOException("IO Error: something broke")

    monkeypatch.setattr("framehouse.store.publish.load_parts", broken)
    with Publisher(store, lake) as publisher:
        entries = [LoadEntry(5, "parts", video_name(0), DETECTOR)]
        with pytest.raises(StoreError, match="something broke"):
            publisher.apply_and_publish(entries)
        assert facts(store) == before
        monkeypatch.undo()
        assert publisher.apply_and_publish(entries) == 5
    assert facts(store)["tables"] == before["tables"]
