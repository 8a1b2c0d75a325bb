"""One read-only statement on the published snapshot, with everything outside it out of reach."""

from __future__ import annotations

import csv
import io
import json
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from framehouse.errors import QueryRejected, QueryTimeout
from framehouse.store.connection import DEFAULT_MEMORY, one_line, reading
from framehouse.store.functions import TextVectors, embedding_texts, names_embed_text
from framehouse.store.migrate import check_version
from framehouse.store.reach import check_reach

_ONLY_SELECT = "only SELECT: the snapshot is read-only"
_ALLOWED = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
_BATCH_ROWS = 2048
_NUDGE_S = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class QueryResult:
    """Rows of a query.

    Args:
        columns: names, in order; may repeat.
        types: DuckDB's types, one per column.
        table: the rows, as Arrow.
        truncated: whether `max_rows` cut rows off.
        elapsed_s: seconds it took.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    table: pa.Table
    truncated: bool
    elapsed_s: float

    @property
    def n_rows(self) -> int:
        """How many rows."""
        return int(self.table.num_rows)

    def rows(self) -> list[tuple[Any, ...]]:
        """Rows as tuples of Python values."""
        columns = [self.table.column(i).to_pylist() for i in range(self.table.num_columns)]
        return list(zip(*columns, strict=True))

    def records(self) -> list[dict[str, Any]]:
        """Rows as dicts of values that JSON knows: times as ISO 8601, no NaN; of equal names the last one stays."""
        return [{name: plain(value) for name, value in zip(self.columns, row, strict=True)} for row in self.rows()]

    def to_pandas(self) -> Any:
        """Rows as a pandas DataFrame."""
        return self.table.to_pandas()

    def to_json(self) -> str:
        """An array with one object per row."""
        return json.dumps(self.records(), ensure_ascii=False)

    def to_csv(self) -> str:
        """Comma-separated with a header line; lists and structs as JSON, null as nothing."""
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([_cell(plain(value)) for value in row] for row in self.rows())
        return sink.getvalue()

    def to_parquet(self) -> bytes:
        """A Parquet file."""
        sink = io.BytesIO()
        pq.write_table(self.table, sink, compression="zstd")
        return sink.getvalue()


def run_query(
    store_dir: Path,
    sql: str,
    *,
    params: Sequence[object] | Mapping[str, object] | None = None,
    confidence: float | None = None,
    timeout_s: float = 30.0,
    max_rows: int | None = 10_000,
    memory: str = DEFAULT_MEMORY,
    texts: TextVectors | None = None,
) -> QueryResult:
    """Run exactly one SELECT on the published snapshot; WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN count.

    Args:
        params: values of `?` or of `$name` in the query.
        confidence: threshold that the views apply, 0..1; None takes their default.
        timeout_s: limit of time.
        max_rows: limit of rows; None for all.
        memory: DuckDB's limit, shared by all readers of this process; equal for all.
        texts: what `embed_text(text)` in the query asks; None leaves the function out.

    Raises:
        FramehouseError: what `texts` raised.
        QueryRejected: another statement, wrong SQL, files or settings touched; code `store.query_memory`: too large.
        QueryTimeout: not done in time.
        StoreError: nothing to read, see `connection.reading`.
        MigrationError: the snapshot is of a later release.
    """
    started = time.monotonic()
    with reading(store_dir, memory=memory) as connection:
        check_version(connection)
        with _deadline(connection, timeout_s), _rejections_named(store_dir, timeout_s):
            statement = _only_statement(connection, sql)
            check_reach(connection, statement.query)
            if confidence is not None:
                connection.execute("SET VARIABLE confidence = ?::FLOAT", [confidence]).fetchall()
            with embedding_texts(connection, texts) if texts and names_embed_text(sql) else nullcontext():
                relation = connection.sql(statement, params=params)
                columns, types = tuple(relation.columns), tuple(str(name) for name in relation.types)
                table, truncated = _take(relation, max_rows)
    return QueryResult(columns, types, table, truncated, time.monotonic() - started)


def plain(value: Any) -> Any:  # noqa: PLR0911 - a table
    """A value of a result as one that JSON knows."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, datetime | date | time_of_day):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _only_statement(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryRejected(f"one statement is needed, {len(statements)} were given", hint="send one SELECT")
    kind = _kind(statements[0])
    if kind not in _ALLOWED:
        raise QueryRejected(f"{kind.name if kind else 'this'} is not allowed here", hint=_ONLY_SELECT)
    return statements[0]


def _kind(statement: duckdb.Statement) -> duckdb.StatementType | None:
    """What a statement is; None for a kind that DuckDB's Python module has no name for (UPDATE EXTENSIONS …)."""
    try:
        return statement.type
    except ValueError:
        return None


def _take(relation: duckdb.DuckDBPyRelation, max_rows: int | None) -> tuple[pa.Table, bool]:
    """Rows as they come; the query stops when there are enough."""
    reader: Any = relation.to_arrow_reader(_BATCH_ROWS)
    batches, n_rows = [], 0
    for batch in reader:
        batches.append(batch)
        n_rows += batch.num_rows
        if max_rows is not None and n_rows > max_rows:
            return pa.Table.from_batches(batches, reader.schema).slice(0, max_rows), True
    return pa.Table.from_batches(batches, reader.schema), False


@contextmanager
def _deadline(connection: duckdb.DuckDBPyConnection, timeout_s: float) -> Iterator[None]:
    """Interrupt the connection from the deadline on, again and again: an interrupt between statements is forgotten."""
    finished = threading.Event()

    def watch() -> None:
        wait_s = timeout_s
        while not finished.wait(wait_s):
            connection.interrupt()
            wait_s = _NUDGE_S

    watcher = threading.Thread(target=watch, name="query deadline", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()


@contextmanager
def _rejections_named(store_dir: Path, timeout_s: float) -> Iterator[None]:
    try:
        yield
    except duckdb.InterruptException as error:
        raise QueryTimeout(
            f"the query took longer than {timeout_s:g} s", hint="narrow it, or raise FRAMEHOUSE_STORE__QUERY_TIMEOUT_S"
        ) from error
    except duckdb.OutOfMemoryException as error:
        raise QueryRejected(
            "the query needs more memory than it may use",
            code="store.query_memory",
            hint="narrow it, or raise FRAMEHOUSE_STORE__QUERY_MEMORY",
        ) from error
    except (duckdb.Error, pa.ArrowException) as error:
        raise QueryRejected(
            one_line(error, store_dir), hint="tables: SHOW TABLES; columns: DESCRIBE detections"
        ) from error


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
