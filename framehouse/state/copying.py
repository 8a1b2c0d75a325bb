"""The state database as one SQLite file and back, whichever server it lies on.

One form of copy for SQLite and PostgreSQL: it needs no program of the server's version, and what was copied from one
can be put back into the other.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from framehouse.errors import MigrationError, StoreError
from framehouse.results.files import flush_folder, make_folder, no_room_named
from framehouse.state import catalog_tables, shares_table  # noqa: F401  their tables are copied with the others
from framehouse.state.schema import SCHEMA_VERSION, metadata, schema_version

_ROWS_AT_ONCE = 1000


def copy_state(engine: sa.Engine, path: Path) -> None:
    """Copy the state database as it is at one moment into a new SQLite file, whoever writes meanwhile.

    Raises:
        StoreError: code `store.backup` or `store.disk_full`; nothing is left behind.
    """
    draft = path.with_name(f".{path.name}.tmp")
    with _failures_named(), no_room_named(path.parent):
        make_folder(path.parent)
        try:
            if engine.dialect.name == "sqlite":
                _copy_file(Path(engine.url.database or ""), draft)
            else:
                _copy_tables(engine, draft)
            with draft.open("rb") as written:
                os.fsync(written.fileno())
            draft.replace(path)
            flush_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def restore_state(engine: sa.Engine, path: Path) -> None:
    """Put a copy in the place of the state database, in one transaction.

    The version is the copy's: the next opening brings it forward.

    Raises:
        MigrationError: the copy is of a later release.
        StoreError: code `store.backup`, it is no copy of a state database.
    """
    copied_version(path)
    source = sa.create_engine(f"sqlite:///{path}", poolclass=sa.pool.NullPool)
    with _failures_named(), source.connect() as copied, engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        metadata.drop_all(connection)
        metadata.create_all(connection)
        _copy_rows(copied, connection)


def copied_version(path: Path) -> int:
    """Version of the tables in a copy. Raises as `restore_state`."""
    with _failures_named(), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as copied:
        if copied.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise StoreError(f"{path.name} is damaged", code="store.backup", hint="take another backup")
        version = int(copied.execute(f"SELECT max(version) FROM {schema_version.name}").fetchone()[0] or 0)  # noqa: S608
    refuse_later(version, f"{path.name} holds a state database that")
    return version


def refuse_later(version: int, what: str) -> None:
    """Stop at a state database of a later release.

    Raises:
        MigrationError: with what to try.
    """
    if version > SCHEMA_VERSION:
        raise MigrationError(
            f"{what} has version {version}, this release knows {SCHEMA_VERSION}",
            hint="update Framehouse, or go back to what was kept before the update: framehouse db restore BACKUP",
        )


def _copy_file(database: Path, draft: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(draft)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it


def _copy_tables(engine: sa.Engine, draft: Path) -> None:
    target = sa.create_engine(f"sqlite:///{draft}", poolclass=sa.pool.NullPool)
    with engine.connect() as plain, target.begin() as into:
        source = plain.execution_options(isolation_level="REPEATABLE READ")
        with source.begin():
            metadata.create_all(into)
            _copy_rows(source, into)


def _copy_rows(source: sa.Connection, into: sa.Connection) -> None:
    """Rows of every table, with the columns that the source has: an older release had fewer."""
    inspector = sa.inspect(source)
    for table in metadata.sorted_tables:
        if not inspector.has_table(table.name):
            continue
        present = {column["name"] for column in inspector.get_columns(table.name)}
        columns = [column for column in table.columns if column.name in present]
        rows = source.execute(
            sa.select(*[_raw(column) for column in columns]), execution_options={"yield_per": _ROWS_AT_ONCE}
        )
        adding = table.insert().values({column.name: _value(column, into.dialect.name) for column in columns})
        for some in rows.mappings().partitions():
            into.execute(adding, [dict(row) for row in some])


def _raw(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """A column as it is stored: JSON as its text, in which NULL is not `null`."""
    value = sa.cast(column, sa.Text) if isinstance(column.type, sa.JSON) else column
    return value.label(f"copied_{column.name}")


def _value(column: sa.Column[Any], dialect: str) -> sa.ColumnElement[Any]:
    name = f"copied_{column.name}"
    if not isinstance(column.type, sa.JSON):
        return sa.bindparam(name, type_=column.type)
    text = sa.bindparam(name, type_=sa.Text)
    return text if dialect == "sqlite" else sa.cast(text, sa.JSON)


@contextmanager
def _failures_named() -> Iterator[None]:
    """Translate what goes wrong while copying.

    Raises:
        StoreError: code `store.backup`.
    """
    try:
        yield
    except (OSError, sqlite3.Error, sa.exc.SQLAlchemyError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(
            f"the state database cannot be copied: {' '.join(str(cause).split())}",
            code="store.backup",
            hint="see that FRAMEHOUSE_HOME/backups can be written and there is room",
        ) from error
