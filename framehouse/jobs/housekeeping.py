"""Housekeeping of this installation: what the settings keep, and for how long."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from framehouse.config import Settings
from framehouse.errors import ConfigError, StoreError
from framehouse.inference.repository import load_specs
from framehouse.jobs.submit import connect
from framehouse.keep.backup import Installation, Taken, refuse_while_held, restore_backup, take_backup
from framehouse.keep.compact import Compacted, compact_lake
from framehouse.keep.files import Aged, Logs, OldBackups, OldSnapshots, Results
from framehouse.keep.forget import Forgotten, OldVideos, Places, forget_video
from framehouse.keep.media import MediaCopies
from framehouse.keep.rows import OldRows
from framehouse.keep.superseded import Superseded
from framehouse.keep.sweep import Found, Keeper, Tally, sweep
from framehouse.keep.videos import Downloads, Fetched, Uploads
from framehouse.results.opening import open_lake
from framehouse.state import State
from framehouse.state.keeping import Keeping
from framehouse.store.publish import read_facts
from framehouse.store.snapshots import writer_lock

_DAY_S = 86400.0
_YOUNG_S = 3600.0
"""Files of runs and requests that touched them so lately are left alone."""


def keepers(settings: Settings, state: State, *, superseded: bool = False) -> list[Keeper]:
    """Every kind of thing that is kept for a while, with the limits of the settings.

    Args:
        superseded: also parts by model versions that do not exist any more.
    """
    keep, home, rows, now = settings.keep, settings.home, Keeping(state.engine), time.time()
    fetched_s, lake = keep.fetched_days * _DAY_S, settings.lake_dir
    found: list[Keeper] = [
        Uploads(settings.upload_dir, rows, keep.uploads_days * _DAY_S, _YOUNG_S),
        Fetched(settings.fetch_dir, rows, fetched_s, keep.fetched_bytes, _YOUNG_S, settings.room),
        Downloads(settings.fetch_dir, max(_YOUNG_S, fetched_s)),
        MediaCopies(settings.media_dir, keep.media_days * _DAY_S, keep.media_bytes, _YOUNG_S),
        Results(settings.result_dir, keep.results_days * _DAY_S, _YOUNG_S),
        Aged("bad-parts", lake / "parts", ("*/*/*.bad",), keep.bad_parts_days * _DAY_S, "damaged, set aside"),
        Logs((settings.log_dir, settings.triton_dir), keep.logs_days * _DAY_S, keep.log_bytes),
        Aged("leftovers", home, _LEFTOVERS, keep.leftovers_s, "left by an interrupted write"),
        OldSnapshots(settings.store_dir),
        OldBackups(settings.backups, keep.backups),
        Aged("lake-copies", home / "cache" / "lake", ("**/*.parquet",), fetched_s, "copies of a bucket's parts"),
    ]
    if keep.videos_days and not settings.lake.url:
        found.insert(0, OldVideos(_places(settings), state, keep.videos_days * _DAY_S))
    if superseded:
        if settings.lake.url:
            raise ConfigError(
                "parts of superseded models are removed from a lake in a folder only",
                code="config.lake", hint="this lake lies in a bucket: remove the digest's folders there",
            )  # fmt: skip
        digests = frozenset(spec.digest for spec in load_specs(settings.model_repositories).values())
        found.append(Superseded(open_lake(*settings.lake_place), state, digests))
    return [
        *found,
        OldRows("deliveries", rows, now - keep.deliveries_days * _DAY_S, f"older than {keep.deliveries_days:g} days"),
        OldRows("leases", rows, now, "of nobody any more"),
        OldRows("loads", rows, _published_seq(settings), "published"),
    ]


_LEFTOVERS = (
    "lake/**/.*.tmp",
    "results/.*.json.gz.*",
    f"uploads/u_*/.*.{'[0-9a-f]' * 8}",  # not `.part`: a resumable upload may go on as long as its URL lives
    "uploads/fetched/*.json.tmp",
    "cache/media/v_*/**/.*",
    "logs/.*.tmp",
    "triton/.*.tmp",
    "backups/.*.tmp",
)


def prune(
    settings: Settings,
    state: State,
    *,
    dry_run: bool = False,
    superseded: bool = False,
    on_found: Callable[[Found], None] = lambda _found: None,
) -> list[Tally]:
    """Remove what the settings no longer keep; safe beside running jobs, and safe to kill."""
    with _one_at_a_time(settings):
        return sweep(keepers(settings, state, superseded=superseded), dry_run=dry_run, on_found=on_found)


def compact(settings: Settings, state: State) -> Compacted:
    """Merge small parts of videos that no job works on; the tables stay as they are."""
    with _one_at_a_time(settings):
        return compact_lake(open_lake(*settings.lake_place), state, min_parts=settings.keep.compact_parts)


def forget(settings: Settings, state: State, video_id: str) -> Forgotten:
    """Remove one video from everything. Raises as `forget_video`."""
    with _one_at_a_time(settings):
        return forget_video(_places(settings), state, video_id)


def backup(settings: Settings, folder: Path | None = None, *, with_lake: bool = True) -> Taken:
    """Take a whole backup, also while the stack runs; into FRAMEHOUSE_HOME/backups unless told. As `take_backup`."""
    connect(settings).close()
    with _one_at_a_time(settings):
        return take_backup(_installation(settings), folder or settings.backups.folder, with_lake=with_lake)


def restore(settings: Settings, backup: Path) -> Path:
    """Put a backup in the place of what is here; the caller holds the lock of the stack. As `restore_backup`.

    Raises:
        ConfigError: code `config.stack_runs`, jobs are being worked on.
        StoreLocked: a loader runs.
    """
    here = _installation(settings)
    with _one_at_a_time(settings), writer_lock(settings.store_dir):
        refuse_while_held(here)
        return restore_backup(here, backup)


def _installation(settings: Settings) -> Installation:
    return Installation(settings.home, settings.state_url, settings.lake.url)


def _places(settings: Settings) -> Places:
    lake = open_lake(*settings.lake_place)
    return Places(lake, settings.fetch_dir, settings.upload_dir, settings.result_dir, settings.media_dir)


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the published snapshot is behind: loads that wait, and for how long the oldest of them has."""

    n_waiting: int
    oldest_s: float

    def line(self) -> str:
        """For people."""
        if not self.n_waiting:
            return "the published snapshot holds every load that was asked for"
        return f"{self.n_waiting} loads wait, the oldest for {self.oldest_s:.0f} s"


def publish_lag(settings: Settings, state: State) -> Lag:
    """What the loader has not published yet."""
    waiting = Keeping(state.engine).waiting_loads(_published_seq(settings))
    return Lag(len(waiting), time.time() - min(waiting) if waiting else 0.0)


def _published_seq(settings: Settings) -> int:
    """Wishes up to here are in every database file; 0 where nothing was published, or it cannot be read now."""
    try:
        return read_facts(settings.store_dir).seq
    except StoreError:
        return 0


@contextmanager
def _one_at_a_time(settings: Settings) -> Iterator[None]:
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with (settings.state_dir / ".prune.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
