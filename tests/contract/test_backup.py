"""Whole backups and putting them back: while things run, killed anywhere, on SQLite and on PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from framehouse.backups import restore_mark
from framehouse.config import Settings, StateSettings
from framehouse.errors import ConfigError, MigrationError, ResultsError, StoreError, StoreLocked
from framehouse.jobs.housekeeping import backup, restore
from framehouse.keep.backup import Installation, finish_restore, take_backup
from framehouse.results.lake import Lake
from framehouse.results.parts import read_part
from framehouse.state import JobRequest, open_state
from framehouse.store.checksum import snapshot_checksum
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from framehouse.store.snapshots import current_snapshot
from lakes import put_job, put_part, small_lake

REQUEST = JobRequest("clip.mp4", ("detector",), "5", 0.4)


def publish(settings: Settings) -> int:
    """Everything in the lake, published once more."""
    lake, state = Lake(settings.lake_dir), open_state(settings.state_url)
    seq = max(state.request_load([key]) for key in lake.part_keys())
    with Publisher(settings.store_dir, lake) as publisher:
        entries = [LoadEntry(seq - 1, "job", job_id=job_id) for job_id in lake.job_ids()]
        entries += [LoadEntry(seq, "parts", *key) for key in lake.part_keys()]
        publisher.apply_and_publish(entries)
        state.forget_loads(publisher.min_applied_seq)  # as the loader does
    state.close()
    return seq


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real("postgres"))])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """An installation with jobs, parts and a published snapshot."""
    url = ""
    if request.param == "postgres":
        new_database: Callable[[], str] = request.getfixturevalue("new_postgres_database")
        url = new_database()
    return filled(Settings(home=tmp_path / "home", state=StateSettings(url=url)))


def filled(settings: Settings) -> Settings:
    small_lake(settings.lake_dir)
    state = open_state(settings.state_url)
    state.submit(REQUEST, client_token="first")
    state.close()
    (settings.state_dir).mkdir(exist_ok=True)
    (settings.state_dir / "signing.key").write_bytes(b"k" * 32)
    publish(settings)
    return settings


def all_of(settings: Settings) -> dict[str, object]:
    """What a restore has to bring back."""
    state = open_state(settings.state_url)
    jobs = sorted((job.job_id, job.status) for job in state.list_jobs())
    state.close()
    lake = {
        str(path.relative_to(settings.lake_dir)): path.read_bytes()
        for path in settings.lake_dir.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    key = (settings.state_dir / "signing.key").read_bytes()
    return {"jobs": jobs, "tables": snapshot_checksum(settings.store_dir), "lake": lake, "key": key}


def change(settings: Settings) -> None:
    state = open_state(settings.state_url)
    state.submit(REQUEST)
    state.close()
    lake = Lake(settings.lake_dir)
    put_job(lake, "j_later", range(0, 60, 6), number=7)
    put_part(lake, range(0, 60, 6), number=7, job_id="j_later")
    removed = next(settings.lake_dir.glob("parts/*/*/*.parquet"))
    removed.unlink()
    (settings.state_dir / "signing.key").write_bytes(b"n" * 32)
    publish(settings)


def test_what_comes_back_is_what_was_there(settings: Settings, tmp_path: Path) -> None:
    before = all_of(settings)
    taken = backup(settings, tmp_path / "elsewhere")
    assert taken.path.parent == tmp_path / "elsewhere"
    assert [path.name for path in taken.path.parent.iterdir()] == [taken.path.name], "no drafts"
    assert taken.path.stat().st_mode & 0o077 == 0, "it holds secrets"
    assert taken.n_linked > 0
    change(settings)
    changed = all_of(settings)
    assert all(changed[name] != before[name] for name in before)
    replaced = restore(settings, taken.path)
    assert all_of(settings) == before
    assert {"store", "lake", "state.db", "signing.key"} == {path.name for path in replaced.iterdir()}
    assert not restore_mark(settings.home).exists()
    assert list(settings.home.glob(".restore-*")) == []
    rebuild(settings.store_dir, Lake(settings.lake_dir))
    assert all_of(settings) == before, "the lake is whole"
    publish(settings)
    assert all_of(settings)["tables"] == before["tables"], "and loading goes on"
    assert all_of(settings)["lake"] == before["lake"]


def test_what_happens_later_does_not_reach_into_the_backup(local: Settings) -> None:
    taken = backup(local)
    before = {path: path.read_bytes() for path in taken.path.rglob("*") if path.is_file()}
    assert taken.path.parent == local.backups.folder
    change(local)
    rebuild(local.store_dir, Lake(local.lake_dir))
    assert {path: path.read_bytes() for path in taken.path.rglob("*") if path.is_file()} == before


_KILLED = """
import os, signal, sys
from pathlib import Path
from framehouse.keep.backup import Installation, restore_backup
home, backup, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
watched = ("framehouse/keep/backup.py", "framehouse/state/copying.py")
def trace(frame, event, _):
    def line(frame, event, _):
        global steps
        if event == "line":
            steps -= 1
            if steps == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return line
    return line if frame.f_code.co_filename.endswith(watched) else None
sys.settrace(trace)
restore_backup(Installation(home, f"sqlite:///{home / 'state' / 'state.db'}"), backup)
sys.settrace(None)
print(steps)
"""


def killed_at(home: Path, backup: Path, step: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _KILLED, str(home), str(backup), str(step)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_killed_anywhere_it_is_whole_or_not_at_all(local: Settings, tmp_path: Path) -> None:
    """Before the mark all is as it was; from then on, going on gives all of the backup."""
    wanted = all_of(local)
    taken = backup(local, tmp_path / "elsewhere")
    change(local)
    now, outcomes = all_of(local), []
    shutil.copytree(local.home, tmp_path / "whole")
    done = killed_at(tmp_path / "whole", taken.path, 1_000_000)
    n_steps = 1_000_000 - int(done.stdout.split()[-1])
    for at, step in enumerate((15, n_steps // 20, n_steps // 10, n_steps // 2, n_steps - 8)):
        settings = Settings(home=tmp_path / f"killed-{at}")
        shutil.copytree(local.home, settings.home)
        assert killed_at(settings.home, taken.path, step).returncode == -signal.SIGKILL
        if restore_mark(settings.home).exists():
            finish_restore(Installation(settings.home, settings.state_url))
            outcomes.append("gone on")
        found = all_of(settings)
        if found == wanted:
            outcomes.append("whole")
        else:
            assert found == now
            outcomes.append("not at all")
    assert {"gone on", "whole", "not at all"} <= set(outcomes), outcomes


@pytest.fixture
def local(tmp_path: Path) -> Settings:
    return filled(Settings(home=tmp_path / "home"))


def test_a_backup_beside_a_busy_loader_is_one_moment(local: Settings, tmp_path: Path) -> None:
    """Every row of its snapshot is in its lake, and every job of its state goes on."""
    stop, lake = threading.Event(), Lake(local.lake_dir)

    def work() -> None:
        number = 10
        while not stop.is_set():
            frames = range(0, 60, 6)
            put_job(lake, f"j_{number}", frames, number=number)
            put_part(lake, frames, number=number, job_id=f"j_{number}")
            publish(local)
            number += 1

    worker = threading.Thread(target=work)
    worker.start()
    try:
        taken = [backup(local, tmp_path / "elsewhere") for _ in range(2)]
    finally:
        stop.set()
        worker.join()
    for one in taken:
        restore(local, one.path)
        videos = {row[0] for row in run_query(local.store_dir, "SELECT DISTINCT video_id FROM inferences").rows()}
        assert videos <= {video_id for video_id, _ in lake.part_keys()}
        assert [read_part(path) for path in local.lake_dir.glob("parts/*/*/*.parquet")]
        published = run_query(local.store_dir, "SELECT max(seq) FROM loads").rows()[0][0]
        state = open_state(local.state_url)
        wished = [row.seq for row in state.loads_after(published)]
        assert wished == list(range(published + 1, state.last_load_seq() + 1)), "no wish to load is lost"
        state.close()


def test_it_refuses_while_something_runs(local: Settings) -> None:
    taken, before = backup(local), all_of(local)
    with Publisher(local.store_dir, Lake(local.lake_dir)), pytest.raises(StoreLocked):
        restore(local, taken.path)
    state = open_state(local.state_url)
    lease = state.acquire("job/j_1", "somebody", 60.0)
    assert lease is not None
    with pytest.raises(ConfigError) as raised:
        restore(local, taken.path)
    assert raised.value.code == "config.stack_runs"
    state.release(lease)
    state.close()
    assert all_of(local) == before


@pytest.mark.parametrize("damage", ["cut", "missing", "part", "manifest", "none"])
def test_what_is_no_whole_backup_is_refused(local: Settings, tmp_path: Path, damage: str) -> None:
    taken, before = backup(local, tmp_path / "elsewhere"), all_of(local)
    path, snapshot = taken.path, current_snapshot(taken.path / "store")
    if damage == "cut":
        os.truncate(snapshot, snapshot.stat().st_size - 1)
    elif damage == "missing":
        (path / "state.db").unlink()
    elif damage == "part":
        next(path.glob("lake/parts/*/*/*.parquet")).unlink()
    elif damage == "manifest":
        (path / "manifest.json").write_text("{")
    else:
        path = tmp_path / "nowhere"
    with pytest.raises(StoreError) as raised:
        restore(local, path)
    assert raised.value.code == "store.backup"
    assert all_of(local) == before
    assert list(local.home.glob(".restore*")) == []


@pytest.mark.parametrize("what", ["store", "lake"])
def test_a_backup_of_a_later_release_is_refused(local: Settings, what: str) -> None:
    taken, before = backup(local), all_of(local)
    manifest = json.loads((taken.path / "manifest.json").read_text())
    manifest[what]["schema" if what == "store" else "schema_version"] = 99
    (taken.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises((MigrationError, ResultsError), match="99") as raised:
        restore(local, taken.path)
    assert "update Framehouse" in raised.value.hint
    assert all_of(local) == before


def test_a_damaged_state_is_put_aside_and_replaced(local: Settings) -> None:
    taken, before = backup(local), all_of(local)
    database = local.state_dir / "state.db"
    for log in local.state_dir.glob("state.db-*"):
        log.unlink()
    database.write_bytes(b"\0" * 8192)
    replaced = restore(local, taken.path)
    assert all_of(local) == before
    assert (replaced / "damaged-state.db").read_bytes() == b"\0" * 8192


def test_without_the_lake_the_lake_stays(local: Settings) -> None:
    taken = backup(local, with_lake=False)
    before = all_of(local)
    assert not (taken.path / "lake").exists()
    change(local)
    changed = all_of(local)
    restore(local, taken.path)
    after = all_of(local)
    assert (after["jobs"], after["tables"]) == (before["jobs"], before["tables"])
    assert after["lake"] == changed["lake"]


def test_nothing_is_left_of_a_backup_that_failed(local: Settings, tmp_path: Path) -> None:
    (local.store_dir / "CURRENT").write_text("snapshot-999.duckdb\n")
    folder = tmp_path / "elsewhere"
    with pytest.raises(StoreError):
        take_backup(Installation(local.home, local.state_url), folder)
    assert list(folder.iterdir()) == []
    with contextlib.suppress(FileNotFoundError):
        (tmp_path / "file").write_text("")
    with pytest.raises(StoreError) as raised:
        take_backup(Installation(local.home, local.state_url), tmp_path / "file")
    assert raised.value.code == "store.backup"


def command(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FRAMEHOUSE_HOME": str(settings.home)}
    return subprocess.run(
        [sys.executable, "-m", "framehouse.cli.main", "db", *words], capture_output=True, text=True, env=env
    )


def test_the_commands(local: Settings) -> None:
    before = all_of(local)
    made = command(local, "backup")
    path = made.stdout.strip()
    assert (made.returncode, Path(path).parent) == (0, local.backups.folder)
    assert "hard links" in made.stderr
    change(local)
    back = command(local, "restore", path)
    assert (back.returncode, "what was here before is in" in back.stderr) == (0, True), back.stderr
    assert all_of(local) == before
    wrong = command(local, "restore", str(local.home))
    assert wrong.returncode == 7
    assert "store.backup" in wrong.stderr
