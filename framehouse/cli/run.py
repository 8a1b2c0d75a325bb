"""`framehouse run`: submit videos and wait for them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.config import Settings
    from framehouse.state import Job, State


def run(
    sources: list[str] = typer.Argument(
        ...,
        metavar="SOURCE...",
        help="files, folders, http(s) URLs, s3:// gs:// az:// objects or prefixes, list+FILE_OR_URL",
    ),
    models: list[str] = typer.Option(["detector"], "--model", "-m", metavar="NAME[/VERSION]", help="may be repeated"),
    fps: str = typer.Option("", "--fps", help="frames a second, or `all`; default 5"),
    confidence: float | None = typer.Option(None, "--confidence", help="threshold of the results; default 0.4"),
    priority: int = typer.Option(0, "--priority", min=-100, max=100, help="higher first, and more of the workers"),
    max_frames: int | None = typer.Option(None, "--max-frames", min=1, help="a video pauses after so many inferences"),
    max_seconds: float | None = typer.Option(None, "--max-seconds", min=0.1, help="a video pauses after so long"),
    max_bytes: int | None = typer.Option(None, "--max-bytes", min=1, help="a video pauses before it fetches more"),
    dry_run: bool = typer.Option(False, "--dry-run", help="tell frames, time and bytes; submit nothing"),
    wait: bool = typer.Option(True, "--wait/--no-wait", help="wait for the end of every video"),
    as_json: bool = typer.Option(False, "--json", help="one JSON list on stdout at the end"),
) -> None:
    """Run models over videos; exit code 0 when all are done, 1 when any failed or paused at a cap.

    Example: framehouse run videos/ --model detector --fps 2
    """
    from framehouse.cli.backfill import show_dry_run
    from framehouse.cli.output import begin
    from framehouse.jobs.submit import connect, submit_job, submit_jobs
    from framehouse.state import JobRequest
    from framehouse.state.budgets import Caps

    settings = begin()
    uris, n_refused = _expanded(sources, settings)
    threshold = settings.jobs.confidence if confidence is None else confidence
    private = settings.source.allow_private_hosts
    requests = [JobRequest(uri, tuple(models), fps, threshold, priority, private) for uri in uris]
    if dry_run:
        show_dry_run(settings, connect(settings), requests, as_json)
        return
    require_engine(settings)
    state, caps = connect(settings), Caps(max_frames, max_seconds, max_bytes)
    if caps.is_open:
        job_ids = submit_jobs(state, requests, settings)
    else:
        job_ids = [submit_job(state, request, settings, caps=caps) for request in requests]
    if not wait:
        report(state.list_jobs(job_ids=job_ids), as_json)
        return
    finished = wait_with_bar(state, job_ids, quiet=as_json)
    report(finished, as_json)
    if n_refused or any(job.status != "done" for job in finished):
        raise typer.Exit(1)


def _expanded(sources: list[str], settings: Settings) -> tuple[list[str], int]:
    """The videos that the arguments name, each once; a folder or prefix without one is said, and the others go on.

    Raises:
        FramehouseError: of the only argument.
    """
    from framehouse.errors import FramehouseError
    from framehouse.jobs.sources import expand

    uris: list[str] = []
    n_refused = 0
    for source in sources:
        try:
            uris += expand(source, settings)
        except FramehouseError as error:
            if len(sources) == 1:
                raise
            n_refused += 1
            typer.echo(error.line(), err=True)
    return list(dict.fromkeys(uris)), n_refused


def wait_with_bar(state: State, job_ids: list[str], *, quiet: bool) -> list[Job]:
    """Wait until every job is over or paused, with a bar on stderr."""
    from framehouse.jobs.submit import wait_for_jobs

    with _Bar(quiet=quiet) as bar:
        return wait_for_jobs(state, job_ids, on_progress=bar.show)


def require_engine(settings: Settings) -> None:
    """Fail at once where nobody would ever take the jobs up."""
    from framehouse.cli.stack import running_stack
    from framehouse.errors import EngineUnavailable

    if running_stack(settings) is None and not settings.prefect.api_url:
        raise EngineUnavailable("the local stack is not running")


class _Bar:
    """Frames, videos and the time that is left, on stderr."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("frames x models"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=quiet,
            transient=True,
        )
        self._task = self._progress.add_task("submitted", total=None)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, jobs: list[Job]) -> None:
        """Draw the present state of all jobs as one bar."""
        over = sum(job.is_resting for job in jobs)
        hops = sorted({job.hop or job.status for job in jobs if not job.is_resting})
        planned, settled = sum(job.n_planned for job in jobs), sum(job.n_settled for job in jobs)
        self._progress.update(
            self._task,
            description=f"{over} of {len(jobs)} videos, {', '.join(hops) or 'done'}",
            total=planned or None,
            completed=min(settled, planned),
        )


def report(jobs: list[Job], as_json: bool) -> None:
    """Every job on stdout: a line each, or one JSON list."""
    if as_json:
        typer.echo(json.dumps([job_facts(job) for job in jobs], indent=1))
        return
    for job in jobs:
        typer.echo(job_line(job))


def job_facts(job: Job) -> dict[str, Any]:
    """A job for machines; the source without its query, which may be a signature."""
    from framehouse.telemetry import redact_uri

    return {
        "job_id": job.job_id,
        "video_id": job.video_id,
        "uri": redact_uri(job.request.uri),
        "status": job.status,
        "models": list(job.request.models),
        "infer_fps": job.request.infer_fps or "5",
        "confidence": job.request.confidence,
        "priority": job.request.priority,
        "attempt": job.attempt,
        "hop": job.hop,
        "n_planned": job.n_planned,
        "n_settled": job.n_settled,
        "error": None
        if job.error_code is None
        else {"code": job.error_code, "message": job.error_message, "try": job.error_hint},
        "elapsed_s": _elapsed_s(job),
    }


def job_line(job: Job) -> str:
    """A job for people: one line, and for a failure the cause and how to try again."""
    from framehouse.telemetry import redact_uri

    name = redact_uri(job.request.uri).rsplit("/", 1)[-1]
    line = f"{job.status:<9} {job.job_id}  {name}"
    if job.status == "done":
        line += f"  {job.n_settled} frames x models in {_elapsed_s(job):.1f} s"
    if job.error_code is not None:
        hint = f" ({job.error_hint})" if job.error_hint else ""
        line += f"\n  {job.error_code}: {job.error_message}{hint}"
        line += "" if job.status == "paused" else f"\n  retry: framehouse jobs retry {job.job_id}"
    return line


def _elapsed_s(job: Job) -> float | None:
    if job.started_at is None:
        return None
    return round((job.finished_at or time.time()) - job.started_at, 2)
