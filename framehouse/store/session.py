"""A connection for people: the published snapshot beside tables and DataFrames of their own, always the newest one."""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from framehouse.errors import QueryRejected, StoreError
from framehouse.store.connection import DEFAULT_MEMORY, one_line
from framehouse.store.functions import TextVectors, embedding_texts
from framehouse.store.migrate import check_version
from framehouse.store.snapshots import current_snapshot, reading_lock

SNAPSHOT = "framehouse"
"""Name under which the snapshot is attached."""
_TRIES = 40


class Session:
    """DuckDB in memory with the published snapshot attached, read-only.

    Not for queries of strangers: as in DuckDB itself, SQL here may read files and DataFrames (`store.query.run_query`
    may not). Before each statement the pointer is asked for a newer snapshot; temporary tables stay.

    Args:
        store_dir: folder of the snapshots.
        memory: DuckDB's limit.
        texts: what `embed_text(text)` asks; None leaves the function out.

    Raises:
        StoreError: as `store.connection.reading`.
        MigrationError: the snapshot is of a later release.
    """

    def __init__(self, store_dir: Path, *, memory: str = DEFAULT_MEMORY, texts: TextVectors | None = None) -> None:
        self._store_dir, self._texts = store_dir, texts
        self._snapshot: Path | None = None
        self._held, self._stack = ExitStack(), ExitStack()
        self._duckdb = self._stack.enter_context(
            duckdb.connect(
                ":memory:",
                config={"memory_limit": memory, "python_scan_all_frames": True, "autoinstall_known_extensions": False},
            )
        )
        try:
            self.refresh()
            if texts is not None:
                self._stack.enter_context(embedding_texts(self._duckdb, texts))
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection itself, on the newest snapshot."""
        self.refresh()
        return self._duckdb

    @property
    def snapshot(self) -> Path:
        """File of the snapshot that the last statement saw."""
        assert self._snapshot is not None
        return self._snapshot

    def sql(
        self,
        query: str,
        params: Sequence[object] | Mapping[str, object] | None = None,
        *,
        confidence: float | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """A question to the newest snapshot: a DuckDB relation, with `.df()`, `.fetchall()`, `.to_arrow_table()`.

        Args:
            params: values of `?` or of `$name`.
            confidence: threshold that the views apply from now on, 0..1; None leaves it as it is.

        Raises:
            QueryRejected: wrong SQL, or a write to the snapshot.
            FramehouseError: what `embed_text` raised where it was asked at once.
        """
        connection = self.connection
        if confidence is not None:
            connection.execute("SET VARIABLE confidence = ?::FLOAT", [confidence]).fetchall()
        try:
            relation = connection.sql(query, params=params)
        except duckdb.Error as error:
            raise QueryRejected(
                one_line(error, self._store_dir), hint="tables: SHOW TABLES; columns: DESCRIBE detections"
            ) from error
        return connection.sql("SELECT 'done' AS answer") if relation is None else relation

    def refresh(self) -> bool:
        """Take the newest snapshot, if there is a newer one than ours; whether there was."""
        for _ in range(_TRIES):
            wanted = current_snapshot(self._store_dir)
            if wanted == self._snapshot:
                return False
            if self._attach(wanted):
                return True
        raise StoreError(
            "the published snapshot cannot be opened", code="store.open", hint="if it stays so: framehouse db rebuild"
        )

    def close(self) -> None:
        """Let the snapshot go."""
        self._stack.close()
        self._held.close()
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attach(self, snapshot: Path) -> bool:
        """Put a snapshot in the place of ours; False when it was replaced before we had it."""
        with ExitStack() as taken:
            if not taken.enter_context(reading_lock(snapshot)):
                return False
            self._detach()
            try:
                quoted = str(snapshot).replace("'", "''")
                self._duckdb.execute(f"ATTACH '{quoted}' AS {SNAPSHOT} (READ_ONLY)")
            except duckdb.Error:
                return False
            self._duckdb.execute(f"USE {SNAPSHOT}")
            check_version(self._duckdb)
            self._snapshot, self._held = snapshot, taken.pop_all()
        return True

    def _detach(self) -> None:
        if self._snapshot is not None:
            self._duckdb.execute("USE memory")
            self._duckdb.execute(f"DETACH {SNAPSHOT}")
            self._held.close()
            self._snapshot = None
