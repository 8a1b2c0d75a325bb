"""What a reader's statement may name: tables, views and functions that tell of the rows and of nothing around them.

Files and settings are out of reach already (`connection.reading`). But some functions show where the database lies and
how the process is set up, and some run a text as SQL. So the statement's own syntax tree is looked through: table
functions must be listed here, a few tables and plain functions must not be named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from framehouse.errors import QueryRejected
from framehouse.store.migrate import macros

TABLE_FUNCTIONS = frozenset(
    {
        "range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "pg_timezone_names",
        "icu_calendar_names", "duckdb_columns", "duckdb_constraints", "duckdb_functions", "duckdb_indexes",
        "duckdb_keywords", "duckdb_schemas", "duckdb_tables", "duckdb_types", "duckdb_views", "pragma_table_info",
    }
)  # fmt: skip
"""All others read files, show settings or paths, or run SQL that is not looked at here."""

HIDDEN_TABLES = frozenset(
    {"duckdb_databases", "duckdb_logs", "pragma_database_list", "pg_settings", "pg_prepared_statements"}
)
HIDDEN_FUNCTIONS = frozenset({"current_setting", "getenv", "duckdb_profiling_settings", "write_log", "pg_sleep"})
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(ANALYZE\s+)?(\([^()]*\)\s*)?", re.IGNORECASE)
_TREE = "SELECT json_serialize_sql(?::VARCHAR)"


def check_reach(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Let one SELECT (or EXPLAIN of one) pass that names only what readers may see.

    Raises:
        QueryRejected: it names something else, or its tree cannot be had; code `store.query_rejected`.
    """
    text = _EXPLAIN.sub("", sql, count=1) if _EXPLAIN.match(sql) else sql
    (answer,) = connection.execute(_TREE, [text]).fetchall()[0]
    tree: dict[str, Any] = json.loads(answer)
    if tree["error"]:
        raise QueryRejected(
            f"this is no plain SELECT: {tree.get('error_message')}", hint="only SELECT: the snapshot is read-only"
        )
    for name in _forbidden(tree):
        raise QueryRejected(f"{name} is not for readers", hint="tables: SHOW TABLES; columns: DESCRIBE detections")


def _forbidden(node: Any) -> Iterator[str]:
    """Names in a syntax tree that may not stand there."""
    if isinstance(node, list):
        for item in node:
            yield from _forbidden(item)
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    if kind == "TABLE_FUNCTION" and not _is_open(name := _named(node["function"], "function_name")):
        yield f"the table function {name}"
    if kind in ("BASE_TABLE", "SHOW_REF") and (name := _named(node, "table_name")) in HIDDEN_TABLES:
        yield f"the table {name}"
    if (name := _named(node, "function_name")) in HIDDEN_FUNCTIONS:
        yield f"the function {name}"
    for item in node.values():
        yield from _forbidden(item)


def _is_open(table_function: str) -> bool:
    """Whether readers may call it: listed here, or one of the database's own macros."""
    return table_function in TABLE_FUNCTIONS or table_function in macros()


def _named(node: dict[str, Any], key: str) -> str:
    return str(node.get(key, "")).lower().strip('"')
