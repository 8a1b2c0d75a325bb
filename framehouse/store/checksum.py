"""Equal tables: one checksum per result table, over its sorted rows, without job ids, times of day and attempts."""

from __future__ import annotations

from pathlib import Path

import duckdb

from framehouse.store.connection import fetch, reading

_ROWS = {
    "videos": "SELECT * EXCLUDE (uri, first_seen_at) FROM videos",
    "frames": "SELECT * FROM frames",
    "planned": "SELECT DISTINCT j.video_id, f.frame_offset, f.target_s FROM job_frames f JOIN jobs j USING (job_id)",
    "inferences": "SELECT * EXCLUDE (job_id, infer_s) FROM inferences",
    "detections": "SELECT * FROM detections",
    "completeness": "SELECT * EXCLUDE (uri) FROM completeness",
}


def tables_checksum(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Table -> hex sha256. Rows are compared exactly: floats by their shortest exact text, doubled rows count.

    Args:
        connection: an open database; see `snapshot_checksum` for the published one.
    """
    return {table: _checksum(connection, rows) for table, rows in _ROWS.items()}


def snapshot_checksum(store_dir: Path) -> dict[str, str]:
    """The same, of the published snapshot. Raises as `connection.reading`."""
    with reading(store_dir) as connection:
        return tables_checksum(connection)


def _checksum(connection: duckdb.DuckDBPyConnection, rows: str) -> str:
    digest = fetch(
        connection,
        f"SELECT sha256(coalesce(string_agg(line, '' ORDER BY line), '')) FROM ("  # noqa: S608 - our own constants
        f"SELECT sha256(to_json(r)::VARCHAR) AS line FROM ({rows}) r)",
    )
    return str(digest[0][0])
