"""Bring a database to this release's schema: numbered migrations once, views and macros whenever their text changed."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from functools import cache
from importlib import resources

import duckdb

from framehouse.errors import MigrationError
from framehouse.store.connection import fetch, run_script, script, transaction

_NAME = re.compile(r"(\d{4})_\w+\.sql")
_VIEWS_MARK = "views "
_SEARCH = re.compile(r"\{moments of (?P<hits>\w+)(?:, with (?P<given>[^{}]+))?\}")


@cache
def migrations() -> dict[int, str]:
    """Number -> script name, in order."""
    names = sorted(entry.name for entry in resources.files("framehouse.store").joinpath("migrations").iterdir())
    return {int(match.group(1)): f"migrations/{name}" for name in names if (match := _NAME.fullmatch(name))}


@cache
def views() -> dict[str, str]:
    """View name -> script name."""
    names = sorted(entry.name for entry in resources.files("framehouse.store").joinpath("views").iterdir())
    return {name.removesuffix(".sql"): f"views/{name}" for name in names if name.endswith(".sql")}


@cache
def macros() -> dict[str, str]:
    """Macro name -> the statements that make it."""
    names = sorted(entry.name for entry in resources.files("framehouse.store").joinpath("macros").iterdir())
    return {name.removesuffix(".sql"): _macro(script(f"macros/{name}")) for name in names if name.endswith(".sql")}


def _macro(text: str) -> str:
    """A macro's statements: `{moments of HITS, with NAME = VALUE}` is a search (`store.search`), whose bound values are
    the macro's parameters of the same name."""

    def search(match: re.Match[str]) -> str:
        given = dict([pair.split(" = ", 1) for pair in match["given"].split("; ")] if match["given"] else [])
        query = script("searches/moments.sql").replace("{hits}", script(f"searches/{match['hits']}.sql"))
        return re.sub(r"\$(\w+)", lambda bound: given.get(bound[1], bound[1]), query)

    return _SEARCH.sub(search, text)


def schema_version(connection: duckdb.DuckDBPyConnection) -> int:
    """Newest migration of a database; 0 for an empty one."""
    if not fetch(connection, "SELECT 1 FROM information_schema.tables WHERE table_name = 'schema_version'"):
        return 0
    return int(fetch(connection, "SELECT coalesce(max(version), 0) FROM schema_version")[0][0])


def check_version(connection: duckdb.DuckDBPyConnection) -> int:
    """Newest migration of a database.

    Raises:
        MigrationError: the database is of a later release.
    """
    version, known = schema_version(connection), max(migrations())
    if version > known:
        raise MigrationError(
            f"the database has schema {version}, this release knows {known}",
            hint="update Framehouse, or make the database again: framehouse db rebuild",
        )
    return version


def is_current(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a database has this release's schema and views. Raises MigrationError as `check_version`."""
    return check_version(connection) == max(migrations()) and _views_mark() in _view_marks(connection)


def migrate(connection: duckdb.DuckDBPyConnection) -> None:
    """Apply what is missing, each migration in its own transaction; nothing when current.

    Raises:
        MigrationError: the database is of a later release, or a step fails (nothing of that step is kept).
    """
    version = check_version(connection)
    for number, name in migrations().items():
        if number > version:
            _apply(connection, number, name)
    if _views_mark() not in _view_marks(connection):
        _apply_views(connection)


def _apply(connection: duckdb.DuckDBPyConnection, number: int, name: str) -> None:
    try:
        with transaction(connection):
            run_script(connection, name)
            _record(connection, number, name.removeprefix("migrations/"))
    except duckdb.Error as error:
        raise MigrationError(f"{name} failed: {error}".splitlines()[0], hint="report this as a bug") from error


def _apply_views(connection: duckdb.DuckDBPyConnection) -> None:
    with transaction(connection):
        for name in views().values():
            run_script(connection, name)
        for statements in macros().values():
            connection.execute(statements)
        connection.execute("DELETE FROM schema_version WHERE version = 0")
        _record(connection, 0, _views_mark())


def _record(connection: duckdb.DuckDBPyConnection, number: int, name: str) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    connection.execute("INSERT INTO schema_version VALUES (?, ?, ?)", [number, name, now])


def _view_marks(connection: duckdb.DuckDBPyConnection) -> list[str]:
    return [str(row[0]) for row in fetch(connection, "SELECT name FROM schema_version WHERE version = 0")]


@cache
def _views_mark() -> str:
    """Row 0 of schema_version: a digest of the views' and macros' text."""
    text = "\0".join([*(script(name) for name in views().values()), *macros().values()])
    return _VIEWS_MARK + hashlib.sha256(text.encode()).hexdigest()[:16]
