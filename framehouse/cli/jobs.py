"""`framehouse jobs list | show | retry | cancel`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from framehouse.state import State

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    status: list[str] = typer.Option([], "--status", help="queued, running, done, failed or cancelled"),
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
    """Show one job as JSON.

    Example: framehouse jobs show j_01k9...
    """
    from framehouse.cli.run import job_facts

    typer.echo(json.dumps(job_facts(_state().job(job_id)), indent=1))


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
        typer.echo(f"{job.status:<9} {job_id}")


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
