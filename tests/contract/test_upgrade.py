"""Upgrades: a copy first, then forward whole or not at all; what a later release wrote is refused.

`tests/data/store-0.1` is what an earlier release left; every test works on a copy of it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from framehouse.backups import Backups
from framehouse.errors import MigrationError, ResultsError, StoreError
from framehouse.release import release
from framehouse.results import parts
from framehouse.results.contract import SCHEMA_VERSION as SCHEMA_OF_PARTS
from framehouse.results.lake import Lake
from framehouse.results.parts import from_parquet, read_part
from framehouse.state import JobRequest, open_state, opening
from framehouse.state.copying import copied_version, copy_state, restore_state
from framehouse.state.opening import bare_engine
from framehouse.state.schema import SCHEMA_VERSION, metadata
from framehouse.store.checksum import snapshot_checksum
from framehouse.store.migrate import migrations
from framehouse.store.publish import Publisher, read_facts
from framehouse.store.query import run_query
from framehouse.store.snapshots import current_snapshot
from lakes import put_part

DATA = Path(__file__).resolve().parents[1] / "data" / "store-0.1"
REQUEST = JobRequest("clip.mp4", ("detector",), "5", 0.4)


def state_url(home: Path) -> str:
    return f"sqlite:///{home / 'state' / 'state.db'}"


def dump(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def rows(engine: sa.Engine) -> dict[str, list[str]]:
    """Every row of every table, JSON as its text: NULL and `null` differ."""
    found = {}
    with engine.connect() as connection:
        present = set(sa.inspect(connection).get_table_names())
        for table in metadata.sorted_tables:
            if table.name in present:
                names = [column["name"] for column in sa.inspect(connection).get_columns(table.name)]
                columns = [table.c[name] for name in names]
                raw = [sa.cast(c, sa.Text) if isinstance(c.type, sa.JSON) else c for c in columns]
                found[table.name] = sorted(str(tuple(row)) for row in connection.execute(sa.select(*raw)))
    return found


def child(code: str, *arguments: object) -> int:
    """Exit status of a process that runs this."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env={**os.environ}, timeout=120).returncode


# ---------------------------------------------------------------- state


def test_the_state_of_0_1_comes_forward_with_a_copy_first(kept: Path) -> None:
    before, backups = dump(kept / "state" / "state.db"), Backups(kept / "backups")
    open_state(state_url(kept), backups=backups).close()
    (copy,) = backups.of("state")
    assert copied_version(copy) < SCHEMA_VERSION
    assert copy.name.startswith(f"state-v{copied_version(copy)}-")
    assert dump(copy) == before
    assert copied_version(kept / "state" / "state.db") == SCHEMA_VERSION
    open_state(state_url(kept), backups=backups).close()
    assert backups.of("state") == [copy], "what is current is not copied again"


def test_without_a_place_for_a_copy_nothing_is_changed(kept: Path) -> None:
    before = dump(kept / "state" / "state.db")
    with pytest.raises(MigrationError, match="this release works with") as raised:
        open_state(state_url(kept))
    assert raised.value.hint.endswith("framehouse db migrate")
    (kept / "backups").write_text("a file where the folder should be")
    with pytest.raises(StoreError) as refused:
        open_state(state_url(kept), backups=Backups(kept / "backups"))
    assert refused.value.code == "store.backup"
    assert dump(kept / "state" / "state.db") == before
    open_state(state_url(kept), backups=Backups(kept / "backups", wanted=False)).close()


def test_a_new_state_needs_no_copy(tmp_path: Path) -> None:
    open_state(state_url(tmp_path), backups=Backups(tmp_path / "backups")).close()
    assert not (tmp_path / "backups").exists()


_KILLED_STATE = """
import os, signal, sys
from pathlib import Path
from framehouse.backups import Backups
from framehouse.state import opening, open_state
real = opening._add_columns
def half(connection, present):
    real(connection, present)
    os.kill(os.getpid(), signal.SIGKILL)
opening._add_columns = half
open_state(sys.argv[1], backups=Backups(Path(sys.argv[2])))
"""


def test_killed_in_the_middle_the_state_is_the_old_one(kept: Path) -> None:
    before, backups = dump(kept / "state" / "state.db"), Backups(kept / "backups")
    assert child(_KILLED_STATE, state_url(kept), backups.folder) == -signal.SIGKILL
    assert dump(kept / "state" / "state.db") == before
    assert [dump(copy) for copy in backups.of("state")] == [before]
    state = open_state(state_url(kept), backups=backups)
    assert len(state.list_jobs()) == len(Lake(kept / "lake").job_ids())
    state.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real("postgres"))])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A state database as release 0.1 would have made it, with a job."""
    url = state_url(tmp_path / "old")
    if request.param == "postgres":
        new_database: Callable[[], str] = request.getfixturevalue("new_postgres_database")
        url = new_database()
    state = open_state(url)
    state.submit(REQUEST, client_token="täx'\"t")
    state.submit(REQUEST, estimate={"n_frames": 7})
    state.request_load([("v_1", "d")])
    with state.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs DROP COLUMN budget")
        connection.exec_driver_sql("DROP TABLE shares")
        connection.exec_driver_sql("UPDATE schema_version SET version = 2")
    state.close()
    return url


def test_an_error_in_the_middle_leaves_the_old_tables(
    old_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, backups = bare_engine(old_url), Backups(tmp_path / "backups")
    before, real = rows(engine), opening._add_columns

    def broken(connection: sa.Connection, present: set[str]) -> None:
        real(connection, present)
        raise RuntimeError("power")

    with monkeypatch.context() as patched:
        patched.setattr(opening, "_add_columns", broken)
        with pytest.raises(RuntimeError, match="power"):
            open_state(old_url, backups=backups)
    assert rows(engine) == before
    assert backups.of("state") == [], "a copy of what was not changed is of no use"
    open_state(old_url, backups=backups).close()
    assert len(backups.of("state")) == 1
    engine.dispose()


def test_a_copy_put_back_gives_equal_tables(old_url: str, tmp_path: Path) -> None:
    """Whatever happened since; and the next opening brings it forward again."""
    engine, backups = bare_engine(old_url), Backups(tmp_path / "backups")
    before = rows(engine)
    state = open_state(old_url, backups=backups)
    state.submit(REQUEST)
    state.close()
    (copy,) = backups.of("state")
    restore_state(engine, copy)
    after = rows(engine)
    assert after.pop("shares") == []
    jobs = {**before, "jobs": []}
    assert {**after, "jobs": []} == jobs
    assert len(after["jobs"]) == 2
    whole = open_state(old_url, backups=backups)
    assert {job.request for job in whole.list_jobs()} == {REQUEST}
    current = rows(engine)
    copy_state(engine, tmp_path / "copy.db")
    whole.submit(REQUEST)
    restore_state(engine, tmp_path / "copy.db")
    assert rows(engine) == current
    whole.close()
    engine.dispose()


def test_a_state_moves_from_one_server_to_the_other(old_url: str, tmp_path: Path) -> None:
    source = open_state(old_url, backups=Backups(tmp_path / "backups"))
    copy_state(source.engine, tmp_path / "copy.db")
    target = open_state(state_url(tmp_path / "new"))
    restore_state(target.engine, tmp_path / "copy.db")
    assert rows(target.engine).keys() == rows(source.engine).keys()
    assert {(j.job_id, j.request, j.submitted_at) for j in target.list_jobs()} == {
        (j.job_id, j.request, j.submitted_at) for j in source.list_jobs()
    }
    source.close()
    target.close()


def test_a_downgrade_says_what_to_try(old_url: str, tmp_path: Path) -> None:
    engine = bare_engine(old_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE schema_version SET version = 99")
    before = rows(engine)
    with pytest.raises(MigrationError, match="version 99") as raised:
        open_state(old_url, backups=Backups(tmp_path / "backups"))
    assert (raised.value.code, "framehouse db restore" in raised.value.hint) == ("store.migration", True)
    assert rows(engine) == before
    copy_state(engine, tmp_path / "later.db")
    with pytest.raises(MigrationError, match="version 99"):
        restore_state(engine, tmp_path / "later.db")
    (tmp_path / "no.db").write_bytes(b"no database at all")
    with pytest.raises(StoreError) as wrong:
        restore_state(engine, tmp_path / "no.db")
    assert wrong.value.code == "store.backup"
    assert rows(engine) == before
    engine.dispose()


# ---------------------------------------------------------------- analytics database


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_store_of_0_1_comes_forward_with_a_copy_first(kept: Path) -> None:
    store, backups = kept / "store", Backups(kept / "backups")
    before, checksum = sha256(current_snapshot(store)), snapshot_checksum(store)
    earlier = read_facts(store).schema_version
    with Publisher(store, Lake(kept / "lake"), backups=backups) as publisher:
        assert publisher.need_bytes() >= 2 * current_snapshot(store).stat().st_size
        assert publisher.publish([]) is not None
        assert publisher.publish([]) is None
    (copy,) = backups.of("store")
    assert copy.name.startswith(f"store-v{earlier}-")
    assert sha256(copy) == before
    assert read_facts(store).schema_version == max(migrations()) > earlier
    assert snapshot_checksum(store) == checksum


def test_without_a_place_for_a_copy_the_store_stays(kept: Path) -> None:
    store, lake = kept / "store", Lake(kept / "lake")
    before = sha256(current_snapshot(store))
    with Publisher(store, lake) as publisher, pytest.raises(MigrationError, match="this release works with"):
        publisher.publish([])
    (kept / "backups").write_text("a file where the folder should be")
    with (
        Publisher(store, lake, backups=Backups(kept / "backups")) as publisher,
        pytest.raises(StoreError) as refused,
    ):
        publisher.publish([])
    assert refused.value.code in {"store.backup", "store.write"}
    assert sha256(current_snapshot(store)) == before
    with Publisher(store, lake, backups=Backups(kept / "backups", wanted=False)) as publisher:
        assert publisher.publish([]) is not None


_KILLED_STORE = """
import os, signal, sys
from pathlib import Path
from framehouse.backups import Backups
from framehouse.results.lake import Lake
from framehouse.store import migrate
from framehouse.store.publish import Publisher
home, after = Path(sys.argv[1]), int(sys.argv[2])
real = migrate._apply
def counted(connection, number, name):
    global after
    after -= 1
    if after < 0:
        connection.begin()
        connection.execute(migrate.script(name))
        os.kill(os.getpid(), signal.SIGKILL)
    real(connection, number, name)
migrate._apply = counted
with Publisher(home / "store", Lake(home / "lake"), backups=Backups(home / "backups")) as publisher:
    publisher.publish([])
"""


@pytest.mark.parametrize("after", [0, 2])
def test_killed_in_the_middle_the_store_is_the_old_one(kept: Path, after: int) -> None:
    """In the first of its migrations, and in the third."""
    store, backups = kept / "store", Backups(kept / "backups")
    before, checksum = sha256(current_snapshot(store)), snapshot_checksum(store)
    assert child(_KILLED_STORE, kept, after) == -signal.SIGKILL
    assert sha256(current_snapshot(store)) == before
    assert snapshot_checksum(store) == checksum
    with Publisher(store, Lake(kept / "lake"), backups=backups) as publisher:
        assert publisher.publish([]) is not None
    assert read_facts(store).schema_version == max(migrations())
    assert snapshot_checksum(store) == checksum
    assert [sha256(copy) for copy in backups.of("store")] == [before], "one copy, however often it is tried"


def test_a_later_store_is_refused_with_what_to_try(kept: Path) -> None:
    snapshot = current_snapshot(kept / "store")
    with duckdb.connect(str(snapshot)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, 'later', now()::TIMESTAMP)")
    before = sha256(snapshot)
    for use in (
        lambda: run_query(kept / "store", "SELECT 1"),
        lambda: Publisher(kept / "store", Lake(kept / "lake"), backups=Backups(kept / "backups")),
    ):
        with pytest.raises(MigrationError, match="schema 99") as raised:
            use()
        assert raised.value.code == "store.migration"
        assert "update Framehouse" in raised.value.hint
    assert sha256(snapshot) == before


# ---------------------------------------------------------------- parts


def test_a_part_says_which_schema_and_release_wrote_it(tmp_path: Path) -> None:
    put_part(Lake(tmp_path), range(3))
    (part,) = tmp_path.glob("parts/*/*/*.parquet")
    _, facts = from_parquet(part)
    assert (facts["schema_version"], facts["release"]) == (str(SCHEMA_OF_PARTS), release())


def test_parts_of_0_1_are_read_and_later_ones_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = sorted((kept / "lake").glob("parts/*/*/*.parquet"))
    assert paths
    for path in paths:
        table, facts = from_parquet(path)
        assert (facts["schema_version"], "release" in facts) == ("1", False)
        assert read_part(path).frame_offset.size == table.num_rows
    monkeypatch.setattr(parts, "SCHEMA_VERSION", 0)
    with pytest.raises(ResultsError, match="schema version 1, this release reads up to 0") as raised:
        read_part(paths[0])
    assert (raised.value.code, raised.value.hint) == ("results.schema_version", "update Framehouse")
