"""What is owed, as a table in Prefect's page, and as jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact

from framehouse.config import Settings
from framehouse.jobs.backfill import Backlog, backlog_rows, read_backlog, select, submit_backlog
from framehouse.state import State
from tasks._policy import RETRY
from tasks._progress import no_page_no_matter


@task(name="plan-backfill", **RETRY)
def plan_backfill(
    settings: Settings, state: State, videos: Sequence[str], selection: Mapping[str, Any], *, ask_places: bool
) -> Backlog:
    """Read the backlog from the lake, and show it."""
    backlog = read_backlog(settings, state, select(settings, state, videos, **selection), ask_places=ask_places)
    with no_page_no_matter():
        create_table_artifact(key="backlog", table=backlog_rows(backlog), description=backlog.in_words)
    return backlog


@task(name="submit-backfill", **RETRY)
def submit_backfill(settings: Settings, state: State, backlog: Backlog) -> list[str]:
    """One job for each debt that no unfinished job is at; tried again, what was submitted is under way."""
    return submit_backlog(settings, state, backlog)
