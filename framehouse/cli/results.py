"""`framehouse results`: the results JSON of a job."""

from __future__ import annotations

from pathlib import Path

import typer


def results(
    job_id: str = typer.Argument(..., metavar="JOB_ID"),
    confidence: float | None = typer.Option(None, "--confidence", min=0, max=1, help="default: what the job asked for"),
    out: Path | None = typer.Option(None, "--out", help="write a file instead of stdout"),
) -> None:
    """Print the results of a job as JSON, one list per model, aligned with the frames; works with the stack down.

    Example: framehouse results j_01k9x0c2ve3v7q8y6p5m > results.json
    """
    from framehouse.cli.output import begin, emit_json
    from framehouse.store.job_results import job_results

    settings = begin()
    found = job_results(settings.store_dir, job_id, confidence=confidence, memory=settings.store.query_memory)
    emit_json(found, out, long=True)
