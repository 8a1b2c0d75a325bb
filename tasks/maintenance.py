"""Housekeeping: what each step found is left as a table in Prefect's page."""

from __future__ import annotations

from dataclasses import asdict

import structlog
from prefect import task
from prefect.artifacts import create_table_artifact

from framehouse.config import Settings
from framehouse.jobs.housekeeping import compact, prune, publish_lag
from framehouse.state import State
from tasks._policy import RETRY
from tasks._progress import no_page_no_matter

log = structlog.get_logger(__name__)


@task(name="publish check", **RETRY)
def check_published(settings: Settings, state: State) -> None:
    """Tell how far the published snapshot is behind what was asked for."""
    lag = publish_lag(settings, state)
    log.info("publish checked", n_waiting=lag.n_waiting, oldest_s=round(lag.oldest_s, 1))
    with no_page_no_matter():
        create_table_artifact(key="publish", table=[asdict(lag)], description=lag.line())


@task(name="prune", **RETRY)
def prune_files(settings: Settings, state: State, dry_run: bool, superseded: bool) -> None:
    """Remove what the settings no longer keep."""
    tallies = prune(settings, state, dry_run=dry_run, superseded=superseded)
    table = [{"kind": t.kind, "files": t.n_items, "bytes": t.n_bytes, "in use": t.n_kept} for t in tallies]
    with no_page_no_matter():
        create_table_artifact(key="prune", table=table, description="would go" if dry_run else "gone")


@task(name="compact", **RETRY)
def compact_parts(settings: Settings, state: State) -> None:
    """Merge small parts of videos that no job works on."""
    done = compact(settings, state)
    log.info("parts compacted", **asdict(done))
    with no_page_no_matter():
        create_table_artifact(key="compact", table=[asdict(done)], description="chunks whose parts were merged")
