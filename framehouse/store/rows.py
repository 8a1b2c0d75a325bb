"""Stored rows as the records that they were: one model's answers about one video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from framehouse.results.contract import FrameRows, dtype_of
from framehouse.results.kinds import KINDS
from framehouse.store.connection import DEFAULT_MEMORY, reading, script

_ORDERED = "FROM ({rows}) ORDER BY frame_offset, row_id"
_OF_JOB = """
FROM ({rows}) SEMI JOIN (SELECT frame_offset FROM job_frames WHERE job_id = $job_id) USING (frame_offset)
ORDER BY frame_offset, row_id
"""


def read_rows(
    connection: duckdb.DuckDBPyConnection, kind: str, video_id: str, model_digest: str, *, job_id: str | None = None
) -> FrameRows:
    """All rows that a model digest has in a video, or those of a job's planned frames, as a record of the kind.

    Args:
        kind: name of a kind of rows; raises KeyError for another.

    Raises:
        ContractViolation: the stored rows break the record's contract.
    """
    record = KINDS[kind]
    key = {"video_id": video_id, "model_digest": model_digest}
    if job_id is None:
        query = _ORDERED
    else:
        query, key = _OF_JOB, {**key, "job_id": job_id}
    table = connection.sql(query.format(rows=script(f"reads/{kind}.sql")), params=key).to_arrow_table()
    columns = {name: _column(table.column(name), type_name) for name, type_name in record.stored.items()}
    return record.from_columns(_column(table.column("frame_offset"), "int64"), columns)


def video_rows(
    store_dir: Path, kind: str, video_id: str, model_digest: str, *, confidence: float, memory: str = DEFAULT_MEMORY
) -> FrameRows:
    """Rows of a model in a video out of the published snapshot, from a confidence on where the kind has one.

    Raises:
        StoreError: as `connection.reading`; else as `read_rows`.
    """
    with reading(store_dir, memory=memory) as connection:
        rows = read_rows(connection, kind, video_id, model_digest)
    sure = rows.arrays().get("confidence")
    return rows if sure is None else rows.where(sure >= np.float32(confidence))


def _column(values: pa.ChunkedArray, type_name: str) -> NDArray[Any]:
    """[N], or [N, K] from lists of one length ([0, 0] without rows)."""
    array, dtype = values.combine_chunks(), dtype_of(type_name)
    if not type_name.startswith("list<"):
        return np.asarray(array).astype(dtype, copy=False)
    items = np.asarray(array.flatten()).astype(dtype, copy=False)
    return items.reshape(len(array), len(items) // len(array) if len(array) else 0)
