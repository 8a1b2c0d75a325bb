"""`framehouse prune`: remove what the settings no longer keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from framehouse.keep.sweep import Tally


def prune(
    dry_run: bool = typer.Option(False, "--dry-run", help="only say what would go, and why"),
    superseded: bool = typer.Option(
        False, "--superseded", help="also parts and rows of model versions that are not installed any more"
    ),
    as_json: bool = typer.Option(False, "--json", help="machine-readable, with every file"),
) -> None:
    """Remove uploads, fetched videos, results files, logs and leftovers that are old; the settings KEEP__… say how old.

    Safe beside running jobs: what a job that is not over needs stays. What was learned of a video stays too, unless
    KEEP__VIDEOS_DAYS says for how long, or --superseded asks for the parts of model versions that are gone.

    Example: framehouse prune --dry-run
    """
    from framehouse.cli.output import begin, emit_json, emit_text, say
    from framehouse.jobs.housekeeping import prune as prune_home
    from framehouse.jobs.submit import connect

    settings = begin()
    state = connect(settings)
    show = (lambda _found: None) if as_json else lambda found: say(f"{found.kind}  {found.name}  ({found.reason})")
    tallies = prune_home(settings, state, dry_run=dry_run, superseded=superseded, on_found=show)
    state.close()
    if as_json:
        emit_json({"dry_run": dry_run, "kinds": [asdict(tally) for tally in tallies]})
    else:
        emit_text(prune_table(tallies, dry_run))


def prune_table(tallies: Sequence[Tally], dry_run: bool) -> str:
    """What went of each kind, and in all."""
    from framehouse.cli.output import table_text

    rows = [[tally.kind, tally.n_items, f"{tally.n_bytes / 1e6:.1f} MB", tally.n_kept or None] for tally in tallies]
    shown = [row for row in rows if row[1] or row[3]]
    n_items, n_bytes = sum(tally.n_items for tally in tallies), sum(tally.n_bytes for tally in tallies)
    said = "would go" if dry_run else "gone"
    line = f"{said}: {n_items} files and rows, {n_bytes / 1e6:.1f} MB" if n_items else "nothing to prune"
    return (table_text(["kind", "files", "size", "in use"], shown) if shown else "") + line + "\n"
