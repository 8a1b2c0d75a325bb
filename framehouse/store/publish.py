"""The one writer: two files take turns, so that publishing costs what was loaded and not a copy of the database.

The resting file (the snapshot before the current one) becomes the loading file. It takes in what the current snapshot
has more than itself and what is new, each load in a transaction together with its number; then it is checkpointed,
closed and renamed, and the pointer moves. The former current rests. A reader that still holds the resting file, or a
damaged one, costs one copy of the current file. A death at any point leaves the pointer at a whole snapshot, and the
next start goes on with the loading file as it was committed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import duckdb
import structlog

from framehouse.backups import Backups
from framehouse.errors import MigrationError, StoreError
from framehouse.results.files import flush_folder
from framehouse.results.lake import Lake
from framehouse.store.connection import fetch, reading, transaction, writing
from framehouse.store.forget import forget_video
from framehouse.store.load import Loaded, SetAside, load_job, load_parts, load_video
from framehouse.store.load_finding import load_finding
from framehouse.store.migrate import is_current, migrate, migrations, schema_version
from framehouse.store.snapshots import (
    claim,
    copy_database,
    current_snapshot,
    loading_path,
    number_of,
    point_to,
    remove_database,
    snapshot_path,
    snapshots,
    sweep,
    writer_lock,
)

__all__ = ["LoadEntry", "Publisher", "current_snapshot"]

log = structlog.get_logger(__name__)

DEFAULT_CONFIDENCE = 0.4
NO_PRICES = "0 0 0 EUR"


@dataclass(frozen=True, slots=True)
class LoadEntry:
    """One row of the load log: load the parts of a video by a model digest, a job, where a video lies, a finding (its
    ruleset_id is in `model_digest`); or forget a video."""

    seq: int
    kind: Literal["parts", "job", "video", "forget", "finding"]
    video_id: str | None = None
    model_digest: str | None = None
    job_id: str | None = None

    @property
    def key(self) -> tuple[str | None, ...]:
        """What is loaded; a later entry of the same key makes an earlier one needless."""
        return self.kind, self.video_id, self.model_digest, self.job_id


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish did. `n_loads` counts also what the resting file had to catch up on."""

    seq: int
    snapshot: Path
    n_loads: int
    set_aside: tuple[SetAside, ...]
    elapsed_s: float


class Publisher:
    """The writer of a store; holds `.writer.lock` until closed or dead.

    Args:
        store_dir: folder of the database files; made when missing.
        lake: where the loads are read from.
        confidence: default threshold of the views, 0..1.
        prices: of a CPU hour, a GPU hour and a fetched GB, and the currency, by spaces.
        mend: accept a current snapshot that cannot be read; only `replace` makes sense then.
        backups: where a copy goes before tables of an earlier release are changed; None never changes any.

    Raises:
        StoreLocked: another process is the writer.
        MigrationError: the database is of a later release.
        StoreError: code `store.open`, the current snapshot is damaged; `framehouse db rebuild` mends it.
    """

    def __init__(
        self,
        store_dir: Path,
        lake: Lake,
        *,
        confidence: float = DEFAULT_CONFIDENCE,
        prices: str = NO_PRICES,
        mend: bool = False,
        backups: Backups | None = None,
    ) -> None:
        self._store_dir, self._lake, self._backups = store_dir, lake, backups
        self._views = ViewSettings(str(confidence), prices)
        self._stack = ExitStack()
        self._stack.enter_context(writer_lock(store_dir))
        try:
            self._current = recover(store_dir)
            self._facts = read_facts(store_dir) if self._current else None
        except StoreError:
            if not mend:
                self.close()
                raise
            self._facts = None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let another process write."""
        self._stack.close()

    @property
    def published_seq(self) -> int:
        """Largest number that the published snapshot holds; 0 without one."""
        return self._facts.seq if self._facts else 0

    @property
    def min_applied_seq(self) -> int:
        """Entries up to here may be pruned from the load log: the files hand each other what they lack."""
        return self.published_seq

    @property
    def is_current(self) -> bool:
        """Whether nothing is published yet, or with this release's tables and views."""
        return self._facts is None or self._facts.is_current(self._views)

    def need_bytes(self) -> int:
        """Bytes that the next publish takes besides what is new: a copy of the current file where none rests, and one
        before its tables are changed."""
        if self._current is None:
            return 0
        n_copies = int(len(snapshots(self._store_dir)) < 2) + int(self._is_earlier() and self._backups is not None)
        return n_copies * self._current.stat().st_size

    def apply_and_publish(self, entries: Sequence[LoadEntry]) -> int:
        """Load and publish; return the largest number in the published snapshot. See `publish`."""
        self.publish(entries)
        return self.published_seq

    def publish(self, entries: Sequence[LoadEntry]) -> Published | None:
        """Load what is newer than the published snapshot, and publish.

        Args:
            entries: every entry of the log above `published_seq`, up to some number, in any order; older ones are
                ignored, and so may be one that a later of the same key is given for.

        Returns:
            None when there was nothing to do: no newer entry, and schema and views are this release's.

        Raises:
            StoreError: code `store.disk_full` or `store.write`; the published snapshot stays, the next call goes on.
            MigrationError: the tables are of an earlier release, and there are no `backups`.
        """
        fresh = [entry for entry in entries if entry.seq > self.published_seq]
        if self._facts and self._facts.is_current(self._views) and not fresh:
            return None
        started = time.monotonic()
        self._copy_first()
        loading, receipts = self._load_into_some_file(fresh)
        # The former current rests now, and lacks exactly what is fresh.
        seq = max([self.published_seq, *(entry.seq for entry in fresh)])
        generation = self._facts.generation if self._facts else ""
        self._turn(loading, Facts(seq, tuple(fresh), generation, self._views, True, max(migrations())))
        aside = tuple(item for receipt in receipts for item in receipt.set_aside)
        assert self._current is not None
        done = Published(self.published_seq, self._current, len(receipts), aside, time.monotonic() - started)
        log.info("published", seq=done.seq, snapshot=done.snapshot.name, n_loads=done.n_loads, elapsed_s=done.elapsed_s)
        return done

    def replace(self, fill: Callable[[duckdb.DuckDBPyConnection], None], generation: str) -> Path:
        """Publish a database that `fill` makes in an empty file; no older file is taken up again.

        For a Publisher that has not published anything else.
        """
        path = loading_path(self._store_dir, self._next_number())
        remove_database(path)
        with writing(path) as connection:
            migrate(connection)
            set_fact(connection, "generation", generation)
            self._views.write(connection)
            known = self._facts.log if self._facts else ()
            with transaction(connection):
                for entry in known:
                    note(connection, entry)
            fill(connection)
            connection.execute("CHECKPOINT")
        self._turn(path, Facts(self.published_seq, known, generation, self._views, True, max(migrations())))
        assert self._current is not None
        return self._current

    def _is_earlier(self) -> bool:
        return self._facts is not None and self._facts.schema_version < max(migrations())

    def _copy_first(self) -> None:
        """Before tables are changed; once for a snapshot, however often its migration is tried."""
        if not self._is_earlier() or self._current is None or self._facts is None:
            return
        version = self._facts.schema_version
        if self._backups is None:
            raise MigrationError(
                f"the database has schema {version}, this release works with {max(migrations())}",
                hint="bring it forward, with a backup first: framehouse db migrate",
            )
        if self._backups.wanted and mark_of(self._current) not in map(mark_of, self._backups.of("store")):
            copy = self._backups.new_path("store", version)
            try:
                copy_database(self._current, copy)
            except OSError as error:
                raise StoreError(
                    f"no copy before the migration: {error.strerror}: {copy.parent}", code="store.backup"
                ) from error
            log.info("copied before the migration", before=version, now=max(migrations()), copy=str(copy))

    def _load_into_some_file(self, fresh: Sequence[LoadEntry]) -> tuple[Path, list[Loaded]]:
        loading = loading_path(self._store_dir, self._next_number())
        for reuse in (self._take_abandoned, self._take_resting):
            if not reuse(loading):
                continue
            try:
                return loading, self._load_into(loading, fresh)
            except StoreError as error:
                if error.code == "store.disk_full":
                    raise
                log.warning(
                    "a resting file is of no use, copying the current one", code=error.code, cause=error.message
                )
        remove_database(loading)
        self._copy_current(loading)
        return loading, self._load_into(loading, fresh)

    def _take_abandoned(self, loading: Path) -> bool:
        """What an earlier process, or an earlier failure, left behind."""
        return loading.exists()

    def _take_resting(self, loading: Path) -> bool:
        resting = [path for path in snapshots(self._store_dir) if path != self._current]
        if not resting:
            return False
        remove_database(loading)
        with claim(resting[-1]) as mine:
            if mine:
                resting[-1].rename(loading)
        return mine

    def _copy_current(self, loading: Path) -> None:
        if self._current is None:
            return
        copy_database(self._current, loading)

    def _load_into(self, loading: Path, fresh: Sequence[LoadEntry]) -> list[Loaded]:
        with writing(loading) as connection:
            migrate(connection)
            self._check_generation(connection)
            self._views.write(connection)
            own_seq = read_seq(connection)
            known = self._facts.log if self._facts else ()
            todo = newest([entry for entry in (*known, *fresh) if entry.seq > own_seq])
            receipts = [self._apply(connection, entry) for entry in todo]
            connection.execute("CHECKPOINT")
        return receipts

    def _apply(self, connection: duckdb.DuckDBPyConnection, entry: LoadEntry) -> Loaded:
        with transaction(connection):
            if entry.kind == "job":
                receipt = load_job(connection, self._lake, entry.job_id or "")
            elif entry.kind == "video":
                receipt = Loaded(0, load_video(connection, self._lake, entry.video_id or ""))
            elif entry.kind == "forget":
                receipt = forget_video(connection, entry.video_id or "")
            elif entry.kind == "finding":
                receipt = load_finding(connection, self._lake, entry.model_digest or "", entry.video_id or "")
            else:
                receipt = load_parts(connection, self._lake, entry.video_id or "", entry.model_digest or "")
            note(connection, entry)
        return receipt

    def _check_generation(self, connection: duckdb.DuckDBPyConnection) -> None:
        if self._facts and read_fact(connection, "generation") != self._facts.generation:
            raise StoreError("the file is from before the last rebuild", code="store.generation")

    def _turn(self, loading: Path, facts: Facts) -> None:
        """The loading file, closed and checkpointed, becomes the published snapshot."""
        snapshot = snapshot_path(self._store_dir, self._next_number())
        loading.rename(snapshot)
        flush_folder(self._store_dir)
        point_to(snapshot)
        former, self._current = self._current, snapshot
        self._facts = facts
        sweep(self._store_dir, {snapshot} | ({former} if former else set()))

    def _next_number(self) -> int:
        return number_of(self._current) + 1 if self._current else 1


@dataclass(frozen=True, slots=True)
class ViewSettings:
    """Settings that views read: rows of the table `settings`."""

    confidence: str
    prices: str

    def write(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Write what says something else."""
        set_fact(connection, "confidence", self.confidence)
        set_fact(connection, "prices", self.prices)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the published snapshot says about itself. `log`: entries that it holds and the resting file may lack."""

    seq: int
    log: tuple[LoadEntry, ...]
    generation: str
    views: ViewSettings
    has_current_schema: bool
    schema_version: int

    def is_current(self, views: ViewSettings) -> bool:
        """Whether it needs no publish by itself."""
        return self.has_current_schema and self.views == views


def recover(store_dir: Path) -> Path | None:
    """The published snapshot, after mending what a death between rename and pointer left; None when there is none.

    A file named snapshot is always whole, so the newest one is the published one.
    """
    whole = snapshots(store_dir)
    if not whole:
        return None
    newest_whole = whole[-1]
    try:
        pointed = current_snapshot(store_dir)
    except StoreError:
        pointed = None
    if pointed != newest_whole:
        log.warning("pointer moved to the newest snapshot", snapshot=newest_whole.name)
        point_to(newest_whole)
    return newest_whole


def read_facts(store_dir: Path) -> Facts:
    """Facts of the published snapshot. Raises as `reading`."""
    with reading(store_dir) as connection:
        schema = is_current(connection)
        rows = fetch(connection, "SELECT seq, kind, video_id, model_digest, job_id FROM loads ORDER BY seq")
        entries = tuple(LoadEntry(*row) for row in rows)
        generation = read_fact(connection, "generation")
        views = ViewSettings(read_fact(connection, "confidence"), read_fact(connection, "prices"))
        version = schema_version(connection)
    return Facts(entries[-1].seq if entries else 0, entries, generation, views, schema, version)


def newest(entries: Iterable[LoadEntry]) -> list[LoadEntry]:
    """The newest entry of each key, in order of number."""
    by_key = {entry.key: entry for entry in sorted(entries, key=lambda entry: entry.seq)}
    return sorted(by_key.values(), key=lambda entry: entry.seq)


def mark_of(database: Path) -> tuple[int, int]:
    """What tells a closed file from another: time of change in ns, bytes. A copy has those of what it copies."""
    facts = database.stat()
    return facts.st_mtime_ns, facts.st_size


def note(connection: duckdb.DuckDBPyConnection, entry: LoadEntry) -> None:
    """Write down that an entry was applied; belongs into its transaction."""
    connection.execute(
        "DELETE FROM loads WHERE kind = ? AND video_id IS NOT DISTINCT FROM ? AND model_digest IS NOT DISTINCT FROM ?"
        " AND job_id IS NOT DISTINCT FROM ?",
        entry.key,
    )
    connection.execute("INSERT INTO loads VALUES (?, ?, ?, ?, ?)", [entry.seq, *entry.key])


def read_seq(connection: duckdb.DuckDBPyConnection) -> int:
    """Largest number that was applied; 0 for none."""
    return int(fetch(connection, "SELECT coalesce(max(seq), 0) FROM loads")[0][0])


def read_fact(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """A row of `settings`; "" when there is none."""
    rows = fetch(connection, "SELECT value FROM settings WHERE name = ?", [name])
    return str(rows[0][0]) if rows else ""


def set_fact(connection: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
    """Write a row of `settings` when it says something else."""
    if read_fact(connection, name) != value:
        connection.execute("UPDATE settings SET value = ? WHERE name = ?", [value, name])
