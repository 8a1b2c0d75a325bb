"""Names in the store's folder: numbered snapshots, the pointer, and the locks that keep them apart.

::

    CURRENT                  name of the published snapshot
    snapshot-<n>.duckdb      published (n as in CURRENT) or resting (a lower n); a name never comes twice
    loading-<n>.duckdb       becomes snapshot-<n>
    .reader-<n>.lock         held shared by our readers of snapshot-<n>
    .writer.lock             held by the one writer, whose process id it holds
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from framehouse.errors import StoreError, StoreLocked
from framehouse.results.files import flush_folder, make_folder, no_room_named, write_whole

_COPY_TRIES = 40
_COPY_PAUSE_S = 0.025
_SNAPSHOT = re.compile(r"snapshot-(\d+)\.duckdb")


def current_snapshot(store_dir: Path | str) -> Path:
    """File of the published snapshot. It never changes; ask again for a newer one.

    Raises:
        StoreError: code `store.empty`, nothing was published yet; code `store.damaged`, the pointer is unreadable.
    """
    pointer = Path(store_dir) / "CURRENT"
    try:
        name = pointer.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        raise StoreError(
            "nothing has been published yet", code="store.empty", hint="run a video first: framehouse run FILE"
        ) from None
    except UnicodeDecodeError:
        name = ""
    if not _SNAPSHOT.fullmatch(name):
        raise StoreError(f"{pointer.name} names no snapshot", code="store.damaged", hint="run: framehouse db rebuild")
    return pointer.with_name(name)


def number_of(snapshot: Path) -> int:
    """The number in a snapshot's name; 0 for another file."""
    match = _SNAPSHOT.fullmatch(snapshot.name)
    return int(match.group(1)) if match else 0


def snapshot_path(store_dir: Path, number: int) -> Path:
    """File of a snapshot."""
    return store_dir / f"snapshot-{number}.duckdb"


def loading_path(store_dir: Path, number: int) -> Path:
    """File that becomes a snapshot."""
    return store_dir / f"loading-{number}.duckdb"


def snapshots(store_dir: Path) -> list[Path]:
    """All snapshot files, lowest number first."""
    return sorted((p for p in store_dir.glob("snapshot-*.duckdb") if number_of(p)), key=number_of)


def point_to(snapshot: Path) -> None:
    """Move the pointer: from here on, who asks gets this snapshot."""
    write_whole(snapshot.with_name("CURRENT"), f"{snapshot.name}\n".encode("ascii"))


def remove_database(path: Path) -> None:
    """Remove a database file with its log, if there."""
    path.unlink(missing_ok=True)
    path.with_name(path.name + ".wal").unlink(missing_ok=True)


def copy_database(closed: Path, copy: Path) -> None:
    """Copy a database file that nobody writes; the copy is whole or not there, and has the same time of change.

    Raises:
        StoreError: code `store.disk_full`.
    """
    draft = copy.with_name(f".{copy.name}.tmp")
    with no_room_named(copy.parent):
        make_folder(copy.parent)
        try:
            shutil.copy2(closed, draft)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(copy)
        finally:
            draft.unlink(missing_ok=True)
        flush_folder(copy.parent)


def copy_current(store_dir: Path, folder: Path) -> Path | None:
    """Copy the published snapshot into a folder, also while others are published; None when nothing was published.

    Raises:
        StoreError: code `store.damaged`, `store.open` or `store.disk_full`.
    """
    for _ in range(_COPY_TRIES):
        try:
            snapshot = current_snapshot(store_dir)
        except StoreError as error:
            if error.code == "store.empty":
                return None
            raise
        with reading_lock(snapshot) as is_ours:
            if is_ours and snapshot.exists():
                copy_database(snapshot, folder / snapshot.name)
                return folder / snapshot.name
        time.sleep(_COPY_PAUSE_S)  # it turned while we came: ask for the pointer again
    raise StoreError(
        f"{snapshot.name} cannot be copied", code="store.open", hint="if it stays so: framehouse db rebuild"
    )


@contextmanager
def reading_lock(snapshot: Path) -> Iterator[bool]:
    """Keep the writer off a snapshot while reading; False when the writer has it already.

    DuckDB's own lock keeps other processes apart, but belongs to the whole process and is lost when any part of it
    closes the file; this one belongs to one reader. Where the folder cannot be written, DuckDB's lock must do.
    """
    try:
        lock = _lock_path(snapshot).open("a")
    except OSError:
        yield True
        return
    with lock:
        yield _try_lock(lock.fileno(), fcntl.LOCK_SH)


@contextmanager
def claim(snapshot: Path) -> Iterator[bool]:
    """Hold a snapshot against new readers; False when somebody reads it, with or without our lock."""
    with _lock_path(snapshot).open("a") as lock:
        mine = _try_lock(lock.fileno(), fcntl.LOCK_EX) and not _is_open_elsewhere(snapshot)
        yield mine
        if mine:
            _lock_path(snapshot).unlink(missing_ok=True)


@contextmanager
def writer_lock(store_dir: Path) -> Iterator[None]:
    """Be the one writer; freed by any death of this process.

    Raises:
        StoreLocked: another process (or another Publisher of this one) is, naming its process id.
    """
    make_folder(store_dir)
    descriptor = os.open(store_dir / ".writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _try_lock(descriptor, fcntl.LOCK_EX):
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise StoreLocked(f"process {holder} is writing this database", pid=holder, folder=str(store_dir))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def _lock_path(snapshot: Path) -> Path:
    return snapshot.with_name(f".reader-{number_of(snapshot)}.lock")


def _try_lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_open_elsewhere(database: Path) -> bool:
    """Whether another process has the file open in DuckDB. Asks as DuckDB does, with a lock on the whole file."""
    with database.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def sweep(store_dir: Path, keep: set[Path]) -> None:
    """Remove what is not kept: snapshots that nobody reads, abandoned loading files and copies, stray locks."""
    for snapshot in snapshots(store_dir):
        if snapshot not in keep:
            with claim(snapshot) as mine:
                if mine:
                    remove_database(snapshot)
    for leftover in [*store_dir.glob("loading-*"), *store_dir.glob(".copy-*"), *store_dir.glob(".loading-*")]:
        if leftover.is_dir():
            shutil.rmtree(leftover)
        elif leftover not in keep and leftover.with_suffix("") not in keep:
            leftover.unlink()
    for lock in store_dir.glob(".reader-*.lock"):
        number = lock.name.removeprefix(".reader-").removesuffix(".lock")
        if not (store_dir / f"snapshot-{number}.duckdb").exists():
            with contextlib.suppress(FileNotFoundError):
                lock.unlink()
