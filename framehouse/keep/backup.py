"""Whole backups: state, analytics database and lake of one moment, as a folder; and putting one back.

::

    backup-<release>-<time>/
      manifest.json        release, versions, checksums: written last
      state.db             the state database as one SQLite file, also where it lies on PostgreSQL
      signing.key          what signed URLs are verified with
      store/               the published snapshot, and the pointer to it
      lake/                parts, plans, records, findings; not of a lake in a bucket

The state is copied first, then the snapshot, then the lake: what is in the snapshot is in the lake, and what the state
calls unfinished is taken up again and finds its parts.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from framehouse.backups import restore_mark, stamp
from framehouse.errors import ConfigError, MigrationError, StoreError
from framehouse.keep.sweep import sized
from framehouse.release import release
from framehouse.results.contract import SCHEMA_VERSION
from framehouse.results.files import flush_folder, make_folder, no_room_named, write_whole
from framehouse.results.parts import refuse_later
from framehouse.state.copying import copied_version, copy_state, restore_state
from framehouse.state.opening import bare_engine, version_of
from framehouse.state.schema import leases
from framehouse.store.migrate import migrations
from framehouse.store.publish import read_facts
from framehouse.store.snapshots import copy_current, point_to

log = structlog.get_logger(__name__)

MANIFEST = "manifest.json"
_FORMAT = 1
_STATE, _KEY, _STORE, _LAKE = "state.db", "signing.key", "store", "lake"
_OWN_COPY = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP}


@dataclass(frozen=True, slots=True)
class Installation:
    """Where an installation keeps what a backup holds.

    Attributes:
        home: FRAMEHOUSE_HOME, with the folders `state`, `store` and `lake`.
        state_url: of the state database.
        lake_url: of a lake in a bucket, which is not copied; "" for the folder.
    """

    home: Path
    state_url: str
    lake_url: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup. `n_linked`: files of the lake that are hard links, because they lie on the same disk."""

    path: Path
    manifest: Mapping[str, Any]
    n_linked: int


def take_backup(here: Installation, folder: Path, *, with_lake: bool = True) -> Taken:
    """Copy an installation into a new folder below `folder`, also while the stack runs; whole or not there.

    No two at once, and none beside housekeeping, which removes files of the lake: the caller sees to it.

    Raises:
        StoreError: code `store.backup` or `store.disk_full`; nothing is left behind.
    """
    path = folder / f"backup-{release()}-{stamp()}"
    draft = folder / f".{path.name}.tmp"
    with _failures_named(), no_room_named(folder):
        make_folder(folder)
        _remove_leftovers(folder, ".backup-*.tmp")
        draft.mkdir(mode=0o700)
        try:
            manifest, n_linked = _fill(here, draft, with_lake and not here.lake_url)
            write_whole(draft / MANIFEST, json.dumps(manifest, indent=1).encode())
            os.sync()
            draft.rename(path)
            flush_folder(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    log.info("backup taken", path=str(path), n_linked=n_linked)
    return Taken(path, manifest, n_linked)


def restore_backup(here: Installation, backup: Path) -> Path:
    """Put a backup in the place of an installation that does not run; returns the folder of what was there before.

    Everything is staged beside it first; a death before that is done changes nothing, and one after it is gone on from
    by `finish_restore`.

    Raises:
        MigrationError: it is of a later release.
        StoreError: code `store.backup`, it is no whole backup; code `store.disk_full`. Nothing is changed.
    """
    finish_restore(here)
    _check(backup)
    name = stamp()
    staged = here.home / f".restore-{name}"
    with _failures_named(), no_room_named(here.home):
        make_folder(here.home)
        _remove_leftovers(here.home, ".restore-*")
        staged.mkdir(mode=0o700)
        for path in (backup / _STATE, backup / _KEY):
            if path.exists():
                shutil.copy2(path, staged / path.name)
        (staged / _STORE).mkdir()
        for path in sorted((backup / _STORE).glob("*")):
            shutil.copy2(path, staged / _STORE / path.name)
        if (backup / _LAKE).exists():
            link_files(backup / _LAKE, staged / _LAKE)
        os.sync()
        mark = {"staged": staged.name, "replaced": f"replaced-{release()}-{name}"}
        write_whole(restore_mark(here.home), json.dumps(mark).encode())
    replaced = finish_restore(here)
    assert replaced is not None
    return replaced


def refuse_while_held(here: Installation) -> None:
    """Stop where jobs are being worked on, perhaps by another host.

    Raises:
        ConfigError: code `config.stack_runs`.
    """
    engine, n_held = bare_engine(here.state_url), 0
    held = sa.select(sa.func.count()).select_from(leases).where(leases.c.expires_at > time.time())
    with contextlib.suppress(sqlite3.DatabaseError, sa.exc.DatabaseError), engine.connect() as connection:
        n_held = connection.execute(held).scalar_one()  # no tables, or damaged: nobody works
    engine.dispose()
    if n_held:
        raise ConfigError(
            f"{n_held} jobs or videos are being worked on", code="config.stack_runs",
            hint="stop the stack of every host: framehouse down; what a killed one held is free some seconds later",
        )  # fmt: skip


def finish_restore(here: Installation) -> Path | None:
    """Go on with a restore that was killed after it had staged everything; None when there is none.

    Each step can be done again: a thing that is still staged is not in its place yet.
    """
    mark = restore_mark(here.home)
    if not mark.exists():
        return None
    named = json.loads(mark.read_text())
    staged, replaced = here.home / str(named["staged"]), here.home / "backups" / str(named["replaced"])
    with _failures_named(), no_room_named(here.home):
        make_folder(replaced)
        replaced.chmod(0o700)
        if (staged / _STATE).exists():
            _replace_state(here, staged / _STATE, replaced)
        for live in (here.home / "state" / _KEY, here.home / _STORE, here.home / _LAKE):
            if (staged / live.name).exists():
                _replace(live, staged / live.name, replaced)
        flush_folder(here.home)
        mark.unlink()
        shutil.rmtree(staged, ignore_errors=True)
    log.info("restored", replaced=str(replaced))
    return replaced


def link_files(source: Path, target: Path) -> int:
    """The files of a folder of the lake, which nothing changes in place, under another name; returns how many are hard
    links. On another disk they are copied. Hidden ones, temporary or locks, are left out.
    """
    n_linked = 0
    target.mkdir()
    for folder, _, names in os.walk(source):
        into = target / Path(folder).relative_to(source)
        into.mkdir(parents=True, exist_ok=True)
        for name in (name for name in names if not name.startswith(".")):
            with contextlib.suppress(FileNotFoundError):  # a run record that was replaced, a part set aside
                n_linked += _link(Path(folder) / name, into / name)
    return n_linked


def _link(file: Path, name: Path) -> bool:
    try:
        os.link(file, name)
    except OSError as error:
        if error.errno not in _OWN_COPY:
            raise
        shutil.copy2(file, name)
        return False
    return True


def _fill(here: Installation, draft: Path, with_lake: bool) -> tuple[dict[str, Any], int]:
    engine = bare_engine(here.state_url)
    copy_state(engine, draft / _STATE)
    engine.dispose()
    key = here.home / "state" / _KEY
    if key.exists():
        shutil.copy2(key, draft / _KEY)
    manifest: dict[str, Any] = {
        "format": _FORMAT, "release": release(), "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "state": {"version": copied_version(draft / _STATE)}, "store": None, "lake": None, "lake_url": here.lake_url,
    }  # fmt: skip
    snapshot = copy_current(here.home / _STORE, draft / _STORE)
    if snapshot is not None:
        point_to(snapshot)
        facts = read_facts(draft / _STORE)
        for lock in (draft / _STORE).glob(".*"):
            lock.unlink()
        manifest["store"] = {"schema": facts.schema_version, "seq": facts.seq, "snapshot": snapshot.name}
    n_linked = 0
    if with_lake:
        n_linked = link_files(here.home / _LAKE, draft / _LAKE)
        n_files, n_bytes = sized([draft / _LAKE])
        manifest["lake"] = {"schema_version": SCHEMA_VERSION, "n_files": n_files, "n_bytes": n_bytes}
    manifest["sha256"] = {str(path.relative_to(draft)): _sha256(path) for path in _summed(draft)}
    return manifest, n_linked


def _check(backup: Path) -> None:
    """Refuse what is no whole backup, or of a later release; looks and touches nothing."""
    try:
        manifest = json.loads((backup / MANIFEST).read_bytes())
        found = {str(path.relative_to(backup)): _sha256(path) for path in _summed(backup)}
        is_whole = manifest["format"] == _FORMAT and manifest["sha256"] == found
        lake, store = manifest["lake"], manifest["store"]
        is_whole = is_whole and (lake is None or sized([backup / _LAKE]) == (lake["n_files"], lake["n_bytes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{backup} is no backup: {type(error).__name__}: {error}", code="store.backup",
            hint="give a folder that `framehouse db backup` made",
        ) from error  # fmt: skip
    if not is_whole:
        raise StoreError(
            f"{backup} is not as it was made", code="store.backup", hint="it is damaged; take an earlier one"
        )
    copied_version(backup / _STATE)
    if store is not None and store["schema"] > max(migrations()):
        raise MigrationError(
            f"the backup holds a database of schema {store['schema']}, this release knows {max(migrations())}",
            hint=f"update Framehouse: it was made by {manifest['release']}",
        )
    if lake is not None:
        refuse_later(lake["schema_version"], "the lake of the backup")


def _summed(backup: Path) -> Iterator[Path]:
    """Files whose checksum is in the manifest; those of the lake have their own."""
    yield from (path for path in (backup / _STATE, backup / _KEY) if path.exists())
    yield from sorted((backup / _STORE).glob("*"))


def _replace_state(here: Installation, staged: Path, replaced: Path) -> None:
    engine = bare_engine(here.state_url)
    try:
        if not (replaced / _STATE).exists() and version_of(engine):
            copy_state(engine, replaced / _STATE)
    except (StoreError, sqlite3.DatabaseError, sa.exc.DatabaseError) as error:
        database = Path(engine.url.database or "")
        if engine.dialect.name != "sqlite" or not database.exists():
            raise
        log.warning("the state database cannot be read, it is put aside", cause=str(error))
        engine.dispose()
        for suffix in ("-wal", "-shm", ""):
            with contextlib.suppress(FileNotFoundError):
                database.with_name(database.name + suffix).replace(replaced / f"damaged-{_STATE}{suffix}")
    restore_state(engine, staged)
    engine.dispose()
    staged.unlink()


def _replace(live: Path, staged: Path, replaced: Path) -> None:
    if live.exists():
        before = replaced / live.name
        live.rename(before if not before.exists() else before.with_name(f"{live.name}-{stamp()}"))
    live.parent.mkdir(parents=True, exist_ok=True)
    staged.rename(live)


def _remove_leftovers(folder: Path, pattern: str) -> None:
    for path in folder.glob(pattern):
        if path.is_dir():
            shutil.rmtree(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _failures_named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{error.strerror}: {error.filename}", code="store.backup", hint="see that both folders can be written"
        ) from error
