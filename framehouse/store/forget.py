"""Take every row of one video out of the tables, whichever tables there are."""

from __future__ import annotations

import duckdb

from framehouse.store.connection import fetch
from framehouse.store.load import Loaded

_TABLES = """
SELECT c.table_name, c.column_name FROM duckdb_columns() c JOIN duckdb_tables() t USING (schema_name, table_name)
WHERE c.column_name IN ('video_id', 'job_id') AND c.table_name <> 'loads' AND NOT c.internal ORDER BY c.table_name
"""


def forget_video(connection: duckdb.DuckDBPyConnection, video_id: str) -> Loaded:
    """Delete its rows and those of its jobs. What is loaded later, from the lake, comes in anew.

    Raises:
        duckdb.Error: the database or the disk failed.
    """
    jobs = [str(row[0]) for row in fetch(connection, "SELECT job_id FROM jobs WHERE video_id = ?", [video_id])]
    keys = {"video_id": [video_id], "job_id": jobs}
    for table, column in fetch(connection, _TABLES):
        connection.execute(f'DELETE FROM "{table}" WHERE "{column}" IN (SELECT unnest(?::VARCHAR[]))', [keys[column]])  # noqa: S608
    connection.execute("DELETE FROM rulesets WHERE ruleset_id NOT IN (SELECT ruleset_id FROM findings)")
    return Loaded()
