"""Open the state database: its tables made on first use, and brought to this release's version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from framehouse.errors import ConfigError, MigrationError
from framehouse.state import catalog_tables, shares_table  # noqa: F401  their tables are made with the others
from framehouse.state.schema import SCHEMA_VERSION, counters, jobs, metadata, schema_version

_BUSY_TIMEOUT_MS = 30_000
_CREATE_LOCK = 0x46726D48  # any constant of ours
_POOLED = 4
"""Transactions at once in a server of many threads: more only wait for each other, and no transaction opens another."""


def open_engine(url: str, *, pooled: bool = False) -> sa.Engine:
    """Open the state database, making its tables on first use and adding what a release before did not have.

    Args:
        url: SQLAlchemy URL.
        pooled: keep connections open between transactions; not for a process that forks.

    Raises:
        ConfigError: the URL is wrong or nothing answers there.
        MigrationError: the database was written by a later release.
    """
    try:
        engine = _engine(url, pooled)
        if _version(engine) < SCHEMA_VERSION:
            _make(engine)
        if (found := _version(engine)) > SCHEMA_VERSION:
            raise MigrationError(f"the state database has version {found}, this release knows {SCHEMA_VERSION}")
    except (OperationalError, sa.exc.ArgumentError) as error:
        shown = sa.make_url(url).render_as_string(hide_password=True) if "://" in url else url
        raise ConfigError(f"cannot open the state database {shown}", code="config.state") from error
    return engine


def _engine(url: str, pooled: bool) -> sa.Engine:
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


def _version(engine: sa.Engine) -> int:
    """Version of the tables; 0 where there are none."""
    if not sa.inspect(engine).has_table(schema_version.name):
        return 0
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() or 0


def _make(engine: sa.Engine) -> None:
    """Make the tables and columns that are missing; several processes may want to at once."""
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})")
        inspector = sa.inspect(connection)
        is_new = not inspector.has_table(schema_version.name)
        if (
            not is_new
            and connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() == SCHEMA_VERSION
        ):
            return
        if not is_new:
            _add_columns(connection, inspector)
        metadata.create_all(connection)
        connection.execute(schema_version.insert().values(version=SCHEMA_VERSION))
        if is_new:
            connection.execute(counters.insert().values(name="load", value=0))


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
