"""What the local Prefect server changes of Prefect's SQLite, on Prefect's own engine and sessions."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiosqlite
import pytest
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration

from framehouse.jobs.prefect_server import mend

pytestmark = pytest.mark.real("prefect")


@pytest.fixture
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the server's process, and as before afterwards."""
    monkeypatch.setattr(AioSqliteConfiguration, "begin_sqlite_stmt", AioSqliteConfiguration.begin_sqlite_stmt)
    for method in ("execute", "executemany"):
        monkeypatch.setattr(aiosqlite.Cursor, method, getattr(aiosqlite.Cursor, method))
    mend()


@contextmanager
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def open_cursors() -> int:
    """Cursors that are alive and not closed, those in garbage that nobody has collected yet too."""
    return sum(isinstance(one, sqlite3.Cursor) and is_open(one) for one in gc.get_objects())


def is_open(cursor: sqlite3.Cursor) -> bool:
    try:
        cursor.fetchone()
    except sqlite3.ProgrammingError as error:
        assert "closed" in str(error)
        return False
    return True


async def prefects(path: Path) -> tuple[AioSqliteConfiguration, sa.ext.asyncio.AsyncEngine]:
    configuration = AioSqliteConfiguration(connection_url=f"sqlite+aiosqlite:///{path}", timeout=5.0)
    engine = await configuration.engine()
    async with engine.connect() as connection:
        await connection.execute(sa.text("CREATE TABLE IF NOT EXISTS seats (n INTEGER PRIMARY KEY)"))
    return configuration, engine


async def read_then_write(path: Path, n_writers: int) -> int:
    """So many transactions at once that each count the rows and add one; returns the rows at the end."""
    configuration, engine = await prefects(path)

    async def add(n: int) -> None:
        session = await configuration.session(engine)
        async with session, configuration.begin_transaction(session):
            await session.execute(sa.text("SELECT count(*) FROM seats"))
            await asyncio.sleep(0.01)  # the others read too
            await session.execute(sa.text("INSERT INTO seats VALUES (:n)"), {"n": n})

    await asyncio.gather(*(add(n) for n in range(n_writers)))
    async with engine.connect() as connection:
        return int((await connection.execute(sa.text("SELECT count(*) FROM seats"))).scalar_one())


async def fail(path: Path, n_times: int) -> int:
    """Statements that fail; returns how many open cursors are left of them."""
    configuration, engine = await prefects(path)
    before = open_cursors()
    for _ in range(n_times):
        session = await configuration.session(engine)
        with pytest.raises(sa.exc.IntegrityError):
            async with session, configuration.begin_transaction(session):
                await session.execute(sa.text("INSERT INTO seats VALUES (1), (1)"))
    async with engine.connect() as connection:  # its thread has been through all that was asked of it
        await connection.execute(sa.text("SELECT 1"))
    return open_cursors() - before


@pytest.mark.usefixtures("mended")
def test_transactions_that_read_and_then_write_wait_for_each_other(tmp_path: Path) -> None:
    assert asyncio.run(read_then_write(tmp_path / "prefect.db", 12)) == 12


def test_prefects_own_turn_each_other_away(tmp_path: Path) -> None:
    """The day that this fails, Prefect has mended it, and our change may go."""
    with pytest.raises(sa.exc.OperationalError, match="database is locked"):
        asyncio.run(read_then_write(tmp_path / "prefect.db", 12))


@pytest.mark.usefixtures("mended")
def test_a_failed_statement_leaves_no_open_cursor_to_the_collector(tmp_path: Path) -> None:
    with no_collector():
        assert asyncio.run(fail(tmp_path / "prefect.db", 20)) == 0


def test_prefects_own_leaves_them_all(tmp_path: Path) -> None:
    """The day that this fails, SQLAlchemy closes them, and our change may go."""
    with no_collector():
        assert asyncio.run(fail(tmp_path / "prefect.db", 20)) == 20
