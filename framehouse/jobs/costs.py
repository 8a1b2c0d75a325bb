"""What a job may cost, was expected to cost, and did cost, for people and machines."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from framehouse.config import Settings
from framehouse.errors import ResultsError
from framehouse.results.lake import Lake
from framehouse.state import Job, State
from framehouse.state.budgets import Budget, Budgets, job_budget
from framehouse.store.connection import script
from framehouse.store.query import QueryResult, run_query


def budget_facts(state: State, job: Job) -> dict[str, Any] | None:
    """The job's own caps and the shared ones, with what is spent of them; None where nothing limits it."""
    names = [job_budget(job.job_id), *([job.request.budget] if job.request.budget else [])]
    found = Budgets(state.engine).get(names)
    return {budget.name: _budget(budget) for budget in found} or None


def shared_budget_facts(state: State, name: str) -> dict[str, Any]:
    """One budget by name; without caps where there is none."""
    found = Budgets(state.engine).get([name])
    return {"name": name, **(_budget(found[0]) if found else {"caps": None})}


def estimate_facts(lake: Lake, job: Job) -> dict[str, Any] | None:
    """What the job was expected to cost, and beside it what its last attempt did; None where nothing was expected."""
    if job.estimate is None:
        return None
    try:
        run = lake.read_run(job.job_id)
    except ResultsError:
        run = None
    actual = None
    if run is not None and run.estimate is not None:
        n_frames = sum(use.n_inferred for use in run.models)
        actual = {"n_frames": n_frames, "seconds": round(run.worked_s, 2), "fetch_bytes": run.n_bytes}
    return {"expected": job.estimate, "actual": actual}


def _budget(budget: Budget) -> dict[str, Any]:
    spent = {"frames": budget.spent_frames, "seconds": round(budget.spent_seconds, 2), "bytes": budget.spent_bytes}
    return {"caps": asdict(budget.caps), "spent": spent}


def read_usage(
    settings: Settings, by: str, since: datetime | None = None, *, max_rows: int | None = None
) -> QueryResult:
    """What work has cost, as the published snapshot has it.

    Args:
        by: job, model, day; or estimate, what jobs of backfills were expected to cost beside what they did.
        since: only of jobs that ended at or after this, with its zone.

    Raises:
        StoreError: nothing was published yet.
    """
    moment = since.astimezone(UTC).replace(tzinfo=None) if since else None
    return run_query(
        settings.store_dir, script(f"reads/usage_by_{by}.sql"), params=[moment], max_rows=max_rows,
        memory=settings.store.query_memory, timeout_s=settings.store.query_timeout_s,
    )  # fmt: skip
