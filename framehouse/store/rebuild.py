"""Make the database again from parts, plans, run records, video records and findings alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import structlog

from framehouse.results.finding_files import finding_keys
from framehouse.results.lake import Lake
from framehouse.store.connection import transaction
from framehouse.store.load import SetAside, load_job, load_parts, load_video
from framehouse.store.load_finding import load_finding
from framehouse.store.publish import DEFAULT_CONFIDENCE, NO_PRICES, Publisher
from framehouse.store.snapshots import remove_database, snapshots

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild read, and what it could not use."""

    snapshot: Path
    n_videos: int
    n_jobs: int
    n_loads: int
    n_findings: int
    set_aside: tuple[SetAside, ...]


def rebuild(store_dir: Path, lake: Lake, *, confidence: float = DEFAULT_CONFIDENCE, prices: str = NO_PRICES) -> Rebuilt:
    """Build a new database from the lake and publish it; the old files go, readers that hold one keep it.

    The old database may be damaged, of a later release, or not there.

    Raises:
        StoreLocked: a loader is running; stop it first (`framehouse down`).
        StoreError: code `store.disk_full` or `store.write`; the old database stays.
    """
    with Publisher(store_dir, lake, confidence=confidence, prices=prices, mend=True) as publisher:
        filling = _Filling(lake)
        snapshot = publisher.replace(filling.fill, secrets.token_hex(8))
        for older in snapshots(store_dir):
            if older != snapshot:
                remove_database(older)
    aside = tuple(dict.fromkeys(filling.set_aside))
    log.info("rebuilt", snapshot=snapshot.name, n_videos=filling.n_videos, n_jobs=filling.n_jobs)
    return Rebuilt(snapshot, filling.n_videos, filling.n_jobs, filling.n_loads, filling.n_findings, aside)


@dataclass(slots=True)
class _Filling:
    lake: Lake
    n_videos: int = 0
    n_jobs: int = 0
    n_loads: int = 0
    n_findings: int = 0
    set_aside: list[SetAside] = field(default_factory=list)

    def fill(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Everything in the lake: videos, then jobs, then parts, then findings; a transaction each."""
        for video_id in self.lake.video_ids():
            with transaction(connection):
                self.set_aside += load_video(connection, self.lake, video_id)
            self.n_videos += 1
        for job_id in self.lake.job_ids():
            with transaction(connection):
                self.set_aside += load_job(connection, self.lake, job_id).set_aside
            self.n_jobs += 1
        for video_id, model_digest in self.lake.part_keys():
            with transaction(connection):
                self.set_aside += load_parts(connection, self.lake, video_id, model_digest).set_aside
            self.n_loads += 1
        for ruleset_id, video_id in finding_keys(self.lake):
            with transaction(connection):
                self.set_aside += load_finding(connection, self.lake, ruleset_id, video_id).set_aside
            self.n_findings += 1
