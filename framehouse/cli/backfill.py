"""`framehouse backfill`: what is owed to the videos that were seen, and only that; and what it will cost."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.config import Settings
    from framehouse.jobs.backfill import Backlog, Owing
    from framehouse.results.lake import Estimate
    from framehouse.state import JobRequest, State

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def backfill(
    videos: list[str] = typer.Argument(None, metavar="[VIDEO...]", help="ids, files or places; none means all"),
    catalog: str = typer.Option("", "--catalog", metavar="NAME", help="the videos of a catalogue"),
    failed: bool = typer.Option(False, "--failed", help="only videos whose last job failed"),
    models: list[str] = typer.Option([], "--model", "-m", metavar="NAME[/VERSION]", help="this model; may be repeated"),
    fps: str = typer.Option("", "--fps", help="this rate, or `all`; else the rates of earlier jobs"),
    since: str = typer.Option("", "--since", help="first seen at or after this: 2026-11-01, or 7d, 12h ago"),
    from_s: float | None = typer.Option(None, "--from", min=0, help="only from this second of the video on"),
    to_s: float | None = typer.Option(None, "--to", min=0, help="only before this second"),
    frame: int | None = typer.Option(None, "--frame", min=0, help="only this frame_offset"),
    chunk: str = typer.Option("", "--chunk", metavar="CHUNK_ID", help="only this chunk: c000000375"),
    gaps: str = typer.Option("all", "--gaps", help="gaps tried again: all, model (inference.*), or none"),
    quarantined: bool = typer.Option(False, "--quarantined", help="also chunks that killed their workers"),
    max_frames: int | None = typer.Option(None, "--max-frames", min=1, help="a video pauses after so many inferences"),
    max_seconds: float | None = typer.Option(None, "--max-seconds", min=0.1, help="a video pauses after so long"),
    max_bytes: int | None = typer.Option(None, "--max-bytes", min=1, help="a video pauses before it fetches more"),
    dry_run: bool = typer.Option(False, "--dry-run", help="tell frames, time and bytes; submit nothing"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
    wait: bool = typer.Option(True, "--wait/--no-wait", help="wait for the end of every video"),
) -> None:
    """Infer what is owed to the videos that were seen, and only that: failed jobs, gaps, a new model, a finer rate.

    Example: framehouse backfill --model clip --dry-run
    """
    from framehouse.cli.output import begin, emit_json, emit_text
    from framehouse.cli.run import report, require_engine, wait_with_bar
    from framehouse.jobs.backfill import read_backlog, select, submit_backlog
    from framehouse.jobs.submit import connect
    from framehouse.state.budgets import Caps

    settings = begin()
    state = connect(settings)
    selection = select(
        settings, state, list(videos or []), catalog=catalog, only_failed=failed, models=models, infer_fps=fps,
        since=moment(since), gaps=gaps, quarantined=quarantined, seconds=_interval(from_s, to_s), frame=frame,
        chunk=chunk,
    )  # fmt: skip
    if not dry_run:
        require_engine(settings)
    backlog = read_backlog(settings, state, selection, ask_places=not dry_run)
    if dry_run:
        emit_json(backlog_facts(backlog)) if as_json else emit_text(backlog_text(backlog))
        return
    job_ids = submit_backlog(settings, state, backlog, caps=Caps(max_frames, max_seconds, max_bytes))
    _say_left_out(backlog)
    if not job_ids:
        emit_json([]) if as_json else emit_text("nothing is owed that is not under way\n")
        raise typer.Exit(1 if backlog.cannot else 0)
    jobs = wait_with_bar(state, job_ids, quiet=as_json) if wait else state.list_jobs(job_ids=job_ids)
    report(jobs, as_json)
    if backlog.cannot or (wait and any(job.status != "done" for job in jobs)):
        raise typer.Exit(1)


def moment(text: str, now: datetime | None = None) -> datetime | None:
    """A time as people write it: ISO 8601 (local time where it names no zone), or how long ago; None for nothing.

    Raises:
        ConfigError: code `config.since`.

    >>> moment("2026-11-01T00:00:00+00:00")
    datetime.datetime(2026, 11, 1, 0, 0, tzinfo=datetime.timezone.utc)
    >>> moment("12h", datetime(2026, 11, 1, 12, tzinfo=UTC))
    datetime.datetime(2026, 11, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    from framehouse.errors import ConfigError

    if not text:
        return None
    if found := _AGO.fullmatch(text):
        return (now or datetime.now(UTC)) - timedelta(seconds=float(found[1]) * _UNIT_S[found[2]])
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no time", code="config.since", hint="2026-11-01T08:00, 7d or 12h") from error
    return parsed.astimezone(UTC)


def _interval(from_s: float | None, to_s: float | None) -> tuple[float, float] | None:
    if from_s is None and to_s is None:
        return None
    return from_s or 0.0, float("inf") if to_s is None else to_s


def show_dry_run(settings: Settings, state: State, requests: list[JobRequest], as_json: bool) -> None:
    """What `run` would do, for `run --dry-run`."""
    from framehouse.cli.output import emit_json, emit_text
    from framehouse.jobs.backfill import backlog_of_requests

    backlog = backlog_of_requests(settings, state, requests)
    emit_json(backlog_facts(backlog)) if as_json else emit_text(backlog_text(backlog))


def backlog_text(backlog: Backlog) -> str:
    """A backlog for people: one line per video and model, the whole, and what is left out."""
    from framehouse.cli.output import table_text

    columns = ["video", "model", "new", "gaps", "job takes", "to read", "to fetch", "place"]
    rows = [row for item in backlog.owing for row in _rows(item)]
    lines = [table_text(columns, rows)] if rows else []
    n_jobs, total = sum(item.job_id is None for item in backlog.owing), backlog.total
    if n_jobs:
        lines.append(
            f"{n_jobs} job{'s' if n_jobs > 1 else ''}, {total.n_frames} frames x models, {_span(total)}; "
            f"{_size(total.read_bytes)} to read, {_size(total.fetch_bytes)} to fetch\n{_basis(total)}\n"
        )
    elif not backlog.unseen:
        lines.append("nothing is owed that is not under way\n")
    lines += [f"{run.job_id} failed before its video was read, {run.error_code}: {run.uri}\n" for run in backlog.unseen]
    lines += [f"left out: {left.what} {left.code}: {left.message}\n" for left in backlog.left_out]
    return "".join(lines)


def _rows(item: Owing) -> list[list[Any]]:
    from framehouse.telemetry import redact_uri

    debt, cost = item.debt, item.estimate
    at_it = f"{item.job_id} is at it" if item.job_id else _span(cost)
    first = [at_it, _size(cost.read_bytes), _size(cost.fetch_bytes), redact_uri(item.place.uri)]
    return [
        [debt.video.video_id, model.model_id, model.n_new, model.n_gaps, *(first if i == 0 else [None] * 4)]
        for i, model in enumerate(debt.models)
    ]


def _span(cost: Estimate) -> str:
    return f"about {_time(cost.seconds)} ({_time(cost.low_s)} to {_time(cost.high_s)})"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _size(n_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes} B"


def _basis(cost: Estimate) -> str:
    if cost.n_runs == 0:
        return "nothing was measured here yet: speeds are those of the model cards, so the times may be far off"
    return f"speeds measured on {cost.n_runs} earlier runs of this installation"


def backlog_facts(backlog: Backlog) -> dict[str, Any]:
    """A backlog for machines."""
    from dataclasses import asdict

    from framehouse.telemetry import redact_uri

    return {
        "videos": [
            {
                "video_id": item.debt.video.video_id,
                "uri": redact_uri(item.place.uri),
                "infer_fps": item.debt.ask.infer_fps,
                "frames": item.debt.ask.frames,
                "models": [asdict(model) for model in item.debt.models],
                "n_passed": item.debt.n_passed,
                "n_chunks": item.debt.n_chunks,
                "estimate": asdict(item.estimate),
                "retries_job": item.debt.ask.job_id,
                "job_id": item.job_id,
            }
            for item in backlog.owing
        ],
        "unseen": [{"job_id": run.job_id, "uri": run.uri, "code": run.error_code} for run in backlog.unseen],
        "left_out": [asdict(left) for left in backlog.left_out],
        "total": asdict(backlog.total),
    }


def _say_left_out(backlog: Backlog) -> None:
    from framehouse.cli.output import say

    for left in backlog.left_out:
        say(f"left out: {left.what} {left.code}: {left.message}")
    for item in backlog.owing:
        if item.job_id is not None:
            say(f"left alone: {item.debt.video.video_id}, {item.job_id} is at it")
