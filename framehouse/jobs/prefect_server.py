"""The Prefect server of a local stack: `python -m framehouse.jobs.prefect_server server start …`, as `prefect` itself.

On SQLite, and there alone, Prefect 3.8.8 stands still for a minute again and again when several runs write at a time
(`docs/decisions/0020-prefect-on-sqlite.md`). Two things are put right before it starts:

- A transaction that writes begins as one (`BEGIN IMMEDIATE`) and waits for its turn. Prefect's begin with a read
  (`BEGIN DEFERRED`); of two that turn to writing SQLite refuses the second at once, whatever the timeout, and Prefect
  answers 503.
- The cursor of a statement that failed is closed at once, in its connection's thread. Kept by its error until the
  cyclic garbage collector comes round, it is reset by whoever collects: the thread of the event loop, which then waits
  for the lock of a connection that waits for the database that a coroutine of this event loop holds, until SQLite's
  timeout of 60 s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import aiosqlite
from prefect.cli import app
from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration

if TYPE_CHECKING:
    from sqlalchemy import Connection


def main() -> None:
    """Prefect's command line, with a database that waits its turn."""
    mend()
    app()


def mend() -> None:
    """Take effect for every transaction and statement from now on in this process."""
    AioSqliteConfiguration.begin_sqlite_stmt = _begin_to_write  # type: ignore[method-assign]
    aiosqlite.Cursor.execute = _closing(aiosqlite.Cursor.execute)  # type: ignore[method-assign]
    aiosqlite.Cursor.executemany = _closing(aiosqlite.Cursor.executemany)  # type: ignore[method-assign]


def _begin_to_write(self: AioSqliteConfiguration, conn: Connection) -> None:
    """As Prefect's own, which begins nothing where no transaction was asked for."""
    if SQLITE_BEGIN_MODE.get() is not None:
        conn.exec_driver_sql("BEGIN IMMEDIATE")


def _closing(execute: Callable[..., Awaitable[aiosqlite.Cursor]]) -> Callable[..., Any]:
    """The same method, which closes its cursor when it fails or is cancelled."""

    async def execute_or_close(cursor: aiosqlite.Cursor, *arguments: Any) -> aiosqlite.Cursor:
        try:
            return await execute(cursor, *arguments)
        except BaseException:
            cursor._conn._tx.put_nowait((None, cursor._cursor.close))  # after what its thread is at; nobody waits
            raise

    return execute_or_close


if __name__ == "__main__":
    main()
