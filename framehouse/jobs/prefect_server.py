"""The Prefect server of a local stack: `python -m framehouse.jobs.prefect_server server start …`, as `prefect` itself.

On SQLite, and there alone, Prefect 3.8.8 stands still for a minute again and again when several runs write at a time
(`docs/decisions/0020-prefect-on-sqlite.md`). Two things are put right before it starts:

- A transaction that writes begins as one (`BEGIN IMMEDIATE`) and waits for its turn. Prefect's begin with a read
  (`BEGIN DEFERRED`); of two that turn to writing SQLite refuses the second at once, whatever the timeout, and Prefect
  answers 503.
- The cursor of a statement that failed is let go at once. Held by its traceback until the cyclic garbage collector
  comes round, it is reset by whoever collects: the thread of the event loop, which then waits for the lock of a
  connection that waits for the database that a coroutine of this event loop holds, until SQLite's timeout of 60 s.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from prefect.cli import app
from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from sqlalchemy import event
from sqlalchemy.engine import Engine

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import ExceptionContext


def main() -> None:
    """Prefect's command line, with a database that waits its turn."""
    mend()
    app()


def mend() -> None:
    """Take effect for every engine that is made from now on in this process."""
    begin = AioSqliteConfiguration.begin_sqlite_stmt

    def begin_to_write(self: AioSqliteConfiguration, connection: Connection) -> None:
        if SQLITE_BEGIN_MODE.get() != "DEFERRED":
            begin(self, connection)
            return
        token = SQLITE_BEGIN_MODE.set("IMMEDIATE")
        try:
            begin(self, connection)
        finally:
            SQLITE_BEGIN_MODE.reset(token)

    AioSqliteConfiguration.begin_sqlite_stmt = begin_to_write  # type: ignore[method-assign]
    event.listen(Engine, "handle_error", forget_cursor)


def forget_cursor(context: ExceptionContext) -> None:
    """Drop what the frames of a failed statement still hold, so that its cursor ends now, on an idle connection."""
    traceback.clear_frames(context.original_exception.__traceback__)


if __name__ == "__main__":
    main()
