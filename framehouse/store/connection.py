"""The one place that opens DuckDB, and the translation of its errors."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from framehouse.errors import StoreError
from framehouse.store.snapshots import current_snapshot, reading_lock

DEFAULT_MEMORY = "2GB"
_OPEN_TRIES = 40
_OPEN_PAUSE_S = 0.025


@contextmanager
def writing(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database file for writing; made when missing. Closed, and so checkpointed, at the end.

    One thread: a load is small, and decoding needs the other cores.

    Raises:
        StoreError: code `store.path`, a path that DuckDB takes for a URL; else as `failures_named`.
    """
    config: dict[str, Any] = {
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "temp_directory": str(path.with_suffix(".tmp")),
        "threads": 1,
    }
    if "?" in str(path):
        raise StoreError(
            f"DuckDB cannot keep a database under a path with a question mark: {path}",
            code="store.path",
            hint="set FRAMEHOUSE_HOME to another folder",
        )
    with failures_named():
        connection = duckdb.connect(str(path), config=config)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def reading(store_dir: Path, *, memory: str = DEFAULT_MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published snapshot for reading, with everything outside it out of reach.

    Readers of one process share one DuckDB instance, so `memory` must be the same for all and is their total.

    Raises:
        StoreError: code `store.empty`, nothing was published; code `store.open`, it cannot be opened.
    """
    config: dict[str, Any] = {
        "enable_external_access": False,
        "lock_configuration": True,
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": "",
        "memory_limit": memory,
    }
    last: Exception | None = None
    for _ in range(_OPEN_TRIES):
        snapshot = current_snapshot(store_dir)
        with reading_lock(snapshot) as free:
            connection = None
            if free:
                try:
                    connection = duckdb.connect(str(snapshot), read_only=True, config=config)
                except duckdb.ConnectionException as error:
                    raise _other_settings(snapshot) from error
                except duckdb.Error as error:  # the file turned while we came: ask for the pointer again
                    last = error
            if connection is not None:
                with connection:
                    yield connection
                return
        time.sleep(_OPEN_PAUSE_S)
    raise StoreError(
        f"the published snapshot cannot be opened: {one_line(last, store_dir)}",
        code="store.open",
        hint="if it stays so: framehouse db rebuild",
    ) from last


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def run_script(
    connection: duckdb.DuckDBPyConnection, name: str, parameters: Mapping[str, object] | None = None
) -> None:
    """Run the statements of a `.sql` file of this package, each with those of the parameters that it names."""
    bound = parameters or {}
    for statement in connection.extract_statements(script(name)):
        connection.execute(statement, {key: bound[key] for key in statement.named_parameters})


def fetch(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[object] | None = None
) -> list[tuple[Any, ...]]:
    """All rows of a small query. Always to the end: DuckDB refuses other work beside an unfinished result."""
    return connection.execute(sql, parameters).fetchall()


@cache
def script(name: str) -> str:
    """Text of a `.sql` file of this package, such as `loads/job.sql`."""
    return resources.files("framehouse.store").joinpath(name).read_text(encoding="utf-8")


@contextmanager
def failures_named() -> Iterator[None]:
    """Translate what goes wrong while writing.

    Raises:
        StoreError: code `store.disk_full` when there is no room, else `store.write` with DuckDB's message.
    """
    try:
        yield
    except duckdb.Error as error:
        if "No space left" in str(error) or "Disk quota" in str(error) or "File too large" in str(error):
            raise StoreError(
                "no room left to write the database",
                code="store.disk_full",
                hint="free space on the disk of FRAMEHOUSE_HOME; loading goes on by itself",
            ) from error
        raise StoreError(one_line(error), code="store.write", hint="if it stays so: framehouse db rebuild") from error


def one_line(error: BaseException | None, hidden: Path | None = None) -> str:
    """DuckDB's message without the quoted query, in one line; the path of the store is left out."""
    text = str(error).partition("\n\nLINE ")[0]
    if hidden is not None:
        text = text.replace(str(hidden), "store")
    return " ".join(text.split())


def _other_settings(snapshot: Path) -> StoreError:
    return StoreError(
        f"this process has {snapshot.name} open with other settings",
        code="store.open",
        hint="close the plain duckdb connection first, or query from another process",
    )
