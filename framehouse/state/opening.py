"""Open the state database: its tables made on first use, and brought to this release's version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import OperationalError

from framehouse.backups import Backups
from framehouse.errors import ConfigError, MigrationError
from framehouse.release import release
from framehouse.state import catalog_tables, shares_table  # noqa: F401  their tables are made with the others
from framehouse.state.copying import copy_state, refuse_later
from framehouse.state.schema import SCHEMA_VERSION, counters, jobs, metadata, schema_version

log = structlog.get_logger(__name__)

_BUSY_TIMEOUT_MS = 30_000
_CREATE_LOCK = 0x46726D48  # any constant of ours
_POOLED = 4
"""Transactions at once in a server of many threads: more only wait for each other, and no transaction opens another."""


def open_engine(url: str, *, pooled: bool = False, backups: Backups | None = None) -> sa.Engine:
    """Open the state database, making its tables on first use and adding what a release before did not have.

    Args:
        url: SQLAlchemy URL.
        pooled: keep connections open between transactions; not for a process that forks.
        backups: where a copy goes before tables of an earlier release are changed; None never changes any.

    Raises:
        ConfigError: the URL is wrong or nothing answers there.
        MigrationError: the database was written by a later release, or by an earlier one and there are no `backups`.
        StoreError: code `store.backup` or `store.disk_full`, no copy could be taken; nothing is changed.
    """
    try:
        engine = bare_engine(url, pooled=pooled)
        if version_of(engine) < SCHEMA_VERSION:
            _make(engine, backups)
        refuse_later(version_of(engine), "the state database")
    except (OperationalError, sa.exc.ArgumentError) as error:
        shown = sa.make_url(url).render_as_string(hide_password=True) if "://" in url else url
        raise ConfigError(f"cannot open the state database {shown}", code="config.state") from error
    return engine


def bare_engine(url: str, *, pooled: bool = False) -> sa.Engine:
    """The state database as it is, of whatever release; nothing is made or changed."""
    parsed = sa.make_url(url)
    kept: dict[str, Any] = {"poolclass": sa.pool.NullPool}
    if pooled:
        kept = {"poolclass": sa.pool.QueuePool, "pool_size": _POOLED, "max_overflow": 0, "pool_pre_ping": True}
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(parsed, **kept)
    Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, **kept)

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN below is the only one
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    return engine


def version_of(engine: sa.Engine) -> int:
    """Version of the tables; 0 where there are none."""
    if not sa.inspect(engine).has_table(schema_version.name):
        return 0
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() or 0


def _make(engine: sa.Engine, backups: Backups | None) -> None:
    """Make the tables and columns that are missing, in one transaction; several processes may want to at once."""
    copy: Path | None = None
    try:
        with engine.begin() as connection:
            found = _locked_version(engine, connection)
            if found >= SCHEMA_VERSION:
                return
            if found:
                copy = _copy_first(engine, found, backups)
                _add_columns(connection, sa.inspect(connection))
            metadata.create_all(connection)
            connection.execute(schema_version.insert().values(version=SCHEMA_VERSION))
            if not found:
                connection.execute(counters.insert().values(name="load", value=0))
    except Exception:
        if copy is not None:  # all is as it was
            copy.unlink(missing_ok=True)
        raise
    if copy is not None:
        log.info("state database brought forward", before=found, now=SCHEMA_VERSION, release=release(), copy=str(copy))


def _locked_version(engine: sa.Engine, connection: sa.Connection) -> int:
    """Version of the tables, which nobody else changes or writes to until the transaction ends; 0 without tables."""
    if engine.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif engine.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})")
    present = set(sa.inspect(connection).get_table_names())
    if schema_version.name not in present:
        return 0
    found = int(connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() or 0)
    if engine.dialect.name == "postgresql" and found < SCHEMA_VERSION:
        known = ", ".join(name for name in metadata.tables if name in present)
        connection.exec_driver_sql(f"LOCK TABLE {known} IN EXCLUSIVE MODE")  # readers, as the copy is, go on
    return found


def _copy_first(engine: sa.Engine, version: int, backups: Backups | None) -> Path | None:
    if backups is None:
        raise MigrationError(
            f"the state database has version {version}, this release works with {SCHEMA_VERSION}",
            hint="bring it forward, with a backup first: framehouse db migrate",
        )
    if not backups.wanted:
        return None
    copy = backups.new_path("state", version)
    copy_state(engine, copy)
    return copy


def _add_columns(connection: sa.Connection, inspector: sa.Inspector) -> None:
    """Columns that tables got after their first release."""
    for table in (jobs, catalog_tables.catalogs):
        if not inspector.has_table(table.name):
            continue
        present = {column["name"] for column in inspector.get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                made = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {made}")


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that writes: committed at the end of the block, rolled back by an error."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # a deferred one can fail half-way with "locked"
        yield connection
        connection.commit()
