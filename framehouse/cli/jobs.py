"""`framehouse jobs list | show | retry | resume | budget | cancel`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from framehouse.state import State

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    status: list[str] = typer.Option([], "--status", help="queued, running, paused, done, failed or cancelled"),
    limit: int = typer.Option(50, "--limit", min=1),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """List jobs, newest first.

    Example: framehouse jobs list --status failed
    """
    from framehouse.cli.run import job_facts, job_line

    jobs = _state().list_jobs(statuses=status, limit=limit)
    if as_json:
        typer.echo(json.dumps([job_facts(job) for job in jobs], indent=1))
        return
    for job in jobs:
        typer.echo(job_line(job))


@app.command()
def show(job_id: str) -> None:
    """Show one job as JSON: with its budget, and what it was estimated to cost beside what it did.

    Example: framehouse jobs show j_01k9...
    """
    from framehouse.cli.output import begin
    from framehouse.cli.run import job_facts
    from framehouse.jobs.costs import budget_facts, estimate_facts
    from framehouse.jobs.submit import connect
    from framehouse.results.opening import open_lake

    settings = begin()
    state = connect(settings)
    job = state.job(job_id)
    facts = job_facts(job) | {
        "budget": budget_facts(state, job),
        "estimate": estimate_facts(open_lake(*settings.lake_place), job),
    }
    typer.echo(json.dumps(facts, indent=1))


@app.command()
def retry(
    job_ids: list[str] = typer.Argument(None, metavar="JOB_ID..."),
    failed: bool = typer.Option(False, "--failed", help="every failed job"),
) -> None:
    """Queue finished jobs again; frames that are loaded are not inferred again.

    Example: framehouse jobs retry --failed
    """
    state = _state()
    wanted = [*(job_ids or []), *([job.job_id for job in state.list_jobs(statuses=["failed"])] if failed else [])]
    for job_id in dict.fromkeys(wanted):
        job = state.reopen(job_id)
        if job.status == "paused":
            typer.echo(f"{job_id} is paused; it goes on with: framehouse jobs resume {job_id}", err=True)
        typer.echo(f"{job.status:<9} {job_id}")


@app.command()
def resume(
    job_ids: list[str] = typer.Argument(..., metavar="JOB_ID..."),
    max_frames: int | None = typer.Option(None, "--max-frames", min=1, help="most frames x models from now on"),
    max_seconds: float | None = typer.Option(None, "--max-seconds", min=0.1, help="most seconds of work from now on"),
    max_bytes: int | None = typer.Option(None, "--max-bytes", min=1, help="most bytes fetched from now on"),
) -> None:
    """Let paused jobs go on: with the same caps once more, or with the ones given, counted from now.

    Example: framehouse jobs resume j_01k9... --max-frames 5000
    """
    from framehouse.jobs.submit import resume_job
    from framehouse.state.budgets import Caps

    state = _state()
    for job_id in job_ids:
        job = resume_job(state, job_id, Caps(max_frames, max_seconds, max_bytes))
        typer.echo(f"{job.status:<9} {job_id}")


@app.command()
def budget(
    name: str = typer.Argument(..., help="catalog/NAME, or any name that jobs share"),
    max_frames: int | None = typer.Option(None, "--max-frames", min=1, help="most frames x models, from now on"),
    max_seconds: float | None = typer.Option(None, "--max-seconds", min=0.1, help="most seconds of work, from now on"),
    max_bytes: int | None = typer.Option(None, "--max-bytes", min=1, help="most bytes fetched, from now on"),
    remove: bool = typer.Option(False, "--remove", help="no cap any more"),
) -> None:
    """Show a budget that jobs share; set it, and the jobs that it paused go on.

    Example: framehouse jobs budget catalog/doors --max-frames 100000
    """
    from framehouse.cli.output import emit_json
    from framehouse.jobs.costs import shared_budget_facts
    from framehouse.jobs.submit import set_budget
    from framehouse.state.budgets import Caps

    state, caps = _state(), Caps(max_frames, max_seconds, max_bytes)
    if remove or not caps.is_open:
        for job_id in set_budget(state, name, Caps() if remove else caps):
            typer.echo(f"resumed  {job_id}", err=True)
    emit_json(shared_budget_facts(state, name))


@app.command()
def cancel(job_ids: list[str] = typer.Argument(..., metavar="JOB_ID...")) -> None:
    """End jobs; what they have inferred stays.

    Example: framehouse jobs cancel j_01k9...
    """
    state = _state()
    for job_id in job_ids:
        job = state.request_cancel(job_id)
        typer.echo(f"{'cancelling' if not job.is_final else job.status}  {job_id}")


def _state() -> State:
    from framehouse.cli.output import begin
    from framehouse.jobs.submit import connect

    return connect(begin())
