"""`framehouse usage`."""

from __future__ import annotations

from enum import StrEnum

import typer


class By(StrEnum):
    """What is added up."""

    JOB = "job"
    MODEL = "model"
    DAY = "day"


def usage(
    by: By = typer.Option(By.MODEL, "--by", help="a line for each job, model, or day of its end (UTC)"),
    since: str = typer.Option("", "--since", help="only jobs that ended at or after this: 2026-11-01, or 7d, 12h ago"),
    estimates: bool = typer.Option(False, "--estimates", help="jobs of backfills: what was expected beside what was"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """What work has cost: frames, CPU and GPU seconds, bytes, and money at the prices of the settings.

    Example: framehouse usage --by day --since 30d
    """
    from framehouse.cli.backfill import moment
    from framehouse.cli.output import Format, begin, emit_json, emit_rows
    from framehouse.jobs.costs import read_usage

    settings = begin()
    result = read_usage(settings, "estimate" if estimates else by.value, moment(since))
    if as_json:
        emit_json(result.records())
    else:
        emit_rows(result, Format.TABLE, None)
