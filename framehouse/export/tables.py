"""The tables of the database as Parquet or CSV, rows of the wanted videos only.

Which tables there are, and how their rows belong to a video, is read from the database: a new table comes along by
itself. Rows are ordered by their key, so that the same rows give the same bytes. Parquet: a folder per table with parts
of a million rows at most, types as they are. CSV: a file per table; lists and structs are JSON. `tables.json` says what
every table and column means, and its type.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from framehouse.export.folder import write_json
from framehouse.export.selection import Wanted, find_uses, find_videos
from framehouse.store.connection import fetch

OURS = frozenset({"schema_version", "loads", "settings"})
"""Tables about the database itself."""
KEYS = (
    "video_id", "job_id", "ruleset_id", "model_digest", "model_id", "frame_offset", "time_offset_s", "uri", "rank",
    "detection_id", "gaze_id", "text_id", "scene_id", "event_id",
)  # fmt: skip
"""Columns that rows are ordered by, in this order; those that a table has are its key."""
SURE = {"detections": "confidence", "classifications": "confidence", "texts": "confidence", "gazes": "face_confidence"}
NAMED = frozenset({"detections", "classifications"})
"""Tables whose rows have a class."""
GROUP_ROWS = 131_072
PART_ROWS = 8 * GROUP_ROWS
_BATCH_ROWS = 65_536
_VIDEOS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Column:
    """One column: DuckDB's type, and what it means."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the snapshot."""

    name: str
    comment: str
    columns: tuple[Column, ...]

    def has(self, *names: str) -> bool:
        """Whether it has all these columns."""
        return {*names} <= {column.name for column in self.columns}

    @property
    def key(self) -> list[str]:
        """Columns that tell its rows apart."""
        return [name for name in KEYS if self.has(name)]


def find_tables(connection: Any) -> list[Table]:
    """The tables that hold results, by name."""
    comments = dict(fetch(connection, "SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal"))
    columns = fetch(
        connection,
        "SELECT table_name, column_name, data_type, coalesce(comment, '') FROM duckdb_columns() WHERE NOT internal"
        " ORDER BY table_name, column_index",
    )
    return [
        Table(name, comments[name] or "", tuple(Column(*row[1:]) for row in rows))
        for name, rows in itertools.groupby(columns, key=lambda row: row[0])
        if name in comments and name not in OURS
    ]


def write_tables(folder: Path, connection: Any, wanted: Wanted, *, csv: bool) -> dict[str, int]:
    """Write every table; returns how many rows each has.

    Raises:
        ConfigError, JobNotFound: as `selection.find_videos` and `find_uses`.
    """
    videos = find_videos(connection, wanted)
    if wanted.model or wanted.job_id:
        find_uses(connection, wanted, videos)
    ids = [video.video_id for video in videos]
    counts: dict[str, int] = {}
    described: dict[str, Any] = {}
    for table in find_tables(connection):
        writer: _Csv | _Parquet = _Csv(folder / f"{table.name}.csv") if csv else _Parquet(folder / table.name, table)
        for reader in _readers(connection, table, wanted, ids, flat=csv):
            writer.begin(reader.schema)
            for batch in reader:
                writer.write(batch)
        counts[table.name], files = writer.close()
        described[table.name] = {
            "comment": table.comment,
            "n_rows": counts[table.name],
            "files": [str(file.relative_to(folder)) for file in files],
            "columns": [{"name": c.name, "type": c.type, "comment": c.comment} for c in table.columns],
        }
    write_json(folder / "tables.json", described)
    return counts


def _readers(connection: Any, table: Table, wanted: Wanted, ids: list[str], *, flat: bool) -> Iterator[Any]:
    """Arrow readers, one after the other, of all wanted rows of a table in order."""
    shown = ", ".join(_flat(column) if flat else f't."{column.name}"' for column in table.columns)
    join, owner = _owner(table)
    tests, params = _tests(table, wanted)
    order = ", ".join(dict.fromkeys([*([owner] if owner else []), *(f"t.{name}" for name in table.key)]))
    for of_videos, bound in _batches(table, owner, wanted, ids):
        where = " AND ".join([of_videos, *tests])
        query = f"SELECT {shown} FROM {table.name} t{join} WHERE {where} ORDER BY {order or 'ALL'}"  # noqa: S608 - names of our own tables
        yield connection.sql(query, params={**params, **bound}).to_arrow_reader(_BATCH_ROWS)


def _owner(table: Table) -> tuple[str, str]:
    """(JOIN that it takes, column) that say whose video a row is of; no column where rows are of no video."""
    if table.has("video_id"):
        return "", "t.video_id"
    if table.has("job_id"):
        return " JOIN jobs j USING (job_id)", "j.video_id"
    return "", ""


def _batches(table: Table, owner: str, wanted: Wanted, ids: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A condition and what it binds, for some videos at a time: a sort of them fits into memory."""
    some = "(SELECT unnest($videos))"
    if not owner:
        asked = f"t.ruleset_id IN (SELECT ruleset_id FROM findings WHERE video_id IN {some})"  # noqa: S608
        yield (asked, {"videos": ids}) if table.has("ruleset_id") else ("true", {})
        return
    for first in range(0, len(ids), _VIDEOS_AT_ONCE):
        yield f"{owner} IN {some}", {"videos": ids[first : first + _VIDEOS_AT_ONCE]}
    if wanted.video_ids is None and not wanted.job_id:
        yield f"{owner} IS NULL", {}  # jobs that failed before their video was known


def _tests(table: Table, wanted: Wanted) -> tuple[list[str], dict[str, Any]]:
    """Conditions on single rows, and what they bind."""
    tests: list[str] = []
    params: dict[str, Any] = {}
    if wanted.job_id and (of_job := _of_job(table)):
        tests, params = of_job, {"job_id": wanted.job_id}
    if wanted.model and table.has("model_id"):
        params["model"] = wanted.model
        digest = "t.model_digest, " if table.has("model_digest") else ""
        tests.append(f"$model IN ({digest}t.model_id, split_part(t.model_id, '/', 1))")
    if wanted.confidence is not None and table.name in SURE:
        params["confidence"] = wanted.confidence
        tests.append(f"t.{SURE[table.name]} >= $confidence::FLOAT")
    if wanted.classes and table.name in NAMED:
        params["classes"] = list(wanted.classes)
        tests.append("t.class_name IN (SELECT unnest($classes))")
    return tests, params


def _of_job(table: Table) -> list[str]:
    """Conditions that leave a job's rows: its own, or those of its models in the frames that it planned."""
    if table.has("video_id", "frame_offset") and not table.has("event_id"):
        planned = "t.frame_offset IN (SELECT frame_offset FROM job_frames WHERE job_id = $job_id)"
        used = "t.model_digest IN (SELECT model_digest FROM usage WHERE job_id = $job_id)"
        return [planned, used] if table.has("model_digest") else [planned]
    return ["t.job_id = $job_id"] if table.has("job_id") else []


def _flat(column: Column) -> str:
    """A column as CSV holds it."""
    if column.type.endswith("]") or column.type.startswith(("STRUCT", "MAP")):
        return f'to_json(t."{column.name}")::VARCHAR AS "{column.name}"'
    return f't."{column.name}"'


class _Csv:
    """One file; a header also where there are no rows."""

    def __init__(self, path: Path) -> None:
        self._path, self._n_rows = path, 0
        self._writer: Any = None

    def begin(self, schema: pa.Schema) -> None:
        if self._writer is None:
            self._writer = pcsv.CSVWriter(self._path, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)
        self._n_rows += batch.num_rows

    def close(self) -> tuple[int, list[Path]]:
        self._writer.close()
        return self._n_rows, [self._path]


class _Parquet:
    """Parts of `PART_ROWS` rows at most, in row groups that the way of reading has no part in."""

    def __init__(self, folder: Path, table: Table) -> None:
        self._folder, self._table, self._n_rows = folder, table, 0
        self._held: list[pa.RecordBatch] = []
        self._files: list[Path] = []
        self._schema: pa.Schema = None
        self._writer: Any = None
        folder.mkdir()

    def begin(self, schema: pa.Schema) -> None:
        if self._writer is None:
            comments = {column.name: {"comment": column.comment} for column in self._table.columns}
            documents = {column.name for column in self._table.columns if column.type == "JSON"}
            fields = [
                (field.with_type(pa.json_()) if field.name in documents else field).with_metadata(comments[field.name])
                for field in schema
            ]
            self._schema = pa.schema(fields, {"comment": self._table.comment})
            self._open()

    def write(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        held = sum(part.num_rows for part in self._held)
        if held < GROUP_ROWS:
            return
        table = pa.Table.from_batches([part.cast(self._schema) for part in self._held])
        whole = held - held % GROUP_ROWS
        for first in range(0, whole, GROUP_ROWS):
            self._write_group(table.slice(first, GROUP_ROWS))
        self._held = table.slice(whole).to_batches()

    def close(self) -> tuple[int, list[Path]]:
        if sum(part.num_rows for part in self._held):
            self._write_group(pa.Table.from_batches([part.cast(self._schema) for part in self._held]))
        self._writer.close()
        return self._n_rows, self._files

    def _write_group(self, group: pa.Table) -> None:
        if self._n_rows and self._n_rows % PART_ROWS == 0:
            self._writer.close()
            self._open()
        self._writer.write_table(group.combine_chunks(), row_group_size=GROUP_ROWS)
        self._n_rows += group.num_rows

    def _open(self) -> None:
        path = self._folder / f"part-{len(self._files):05d}.parquet"
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._files.append(path)
