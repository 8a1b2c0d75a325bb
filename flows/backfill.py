"""The backlog: what is owed → a job for each debt. The jobs are done by `process-video`, one run each."""

from __future__ import annotations

from datetime import datetime

from prefect import flow, runtime

from framehouse.config import load_settings
from framehouse.jobs.attempt import hold_run
from framehouse.jobs.submit import connect
from tasks.backfill import plan_backfill, submit_backfill


@flow(name="backfill", persist_result=False)
def backfill(
    videos: list[str] = [],  # noqa: B006  Prefect shows the default in its page
    catalog: str = "",
    failed: bool = False,
    models: list[str] = [],  # noqa: B006
    infer_fps: str = "",
    since: datetime | None = None,
    gaps: str = "all",
    quarantined: bool = False,
    dry_run: bool = False,
) -> None:
    """Submit what is owed to the videos that were seen, and only that.

    Args:
        videos: ids or places; none means all.
        catalog: only the videos of this catalogue.
        failed: only videos whose last job failed.
        models: `slug` or `slug/version` of these models; none takes those of each video's jobs.
        infer_fps: this rate, or "all"; empty takes those of each video's jobs.
        since: only videos first seen at or after this time.
        gaps: gaps that are tried again: "all", "model" (not those of damaged pictures), or "none".
        quarantined: also chunks that killed their workers.
        dry_run: leave the table of what is owed and what it would take; submit nothing.
    """
    settings, state = load_settings(), connect()
    selection = {
        "catalog": catalog, "only_failed": failed, "models": models, "infer_fps": infer_fps, "since": since,
        "gaps": gaps, "quarantined": quarantined,
    }  # fmt: skip
    with hold_run(state, str(runtime.flow_run.id), settings.state.lease_s):
        backlog = plan_backfill(settings, state, videos, selection, ask_places=not dry_run)
        if not dry_run:
            submit_backfill(settings, state, backlog)
