"""`framehouse sql`: one question to the published snapshot."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from framehouse.cli.output import Format

if TYPE_CHECKING:
    from framehouse.config import Settings
    from framehouse.store.functions import TextVectors

_SHOWN_ROWS = 1000


def sql(
    query: str = typer.Argument(..., metavar="QUERY", help="one SELECT, or - to read it from stdin"),
    format_: Format | None = typer.Option(None, "--format", help="default: by the file's name, else a table"),
    out: Path | None = typer.Option(None, "--out", help="write a file instead of stdout"),
    confidence: float | None = typer.Option(None, "--confidence", min=0, max=1, help="threshold that the views apply"),
    model: str = typer.Option("clip", "--model", help="which CLIP embed_text asks"),
    limit: int | None = typer.Option(
        None, "--limit", min=0, help=f"rows; default all, for a printed table {_SHOWN_ROWS}"
    ),
) -> None:
    """Ask the published snapshot, read-only; works with the stack down. `embed_text('a red car')` is CLIP's vector of a
    text, for moments(vector, top).

    Example: framehouse sql "SELECT class_name, count(*) AS n FROM detections GROUP BY ALL ORDER BY n DESC"
    """
    from framehouse.cli.output import begin, emit_rows, say
    from framehouse.store.functions import names_embed_text
    from framehouse.store.query import run_query

    settings = begin()
    asked = sys.stdin.read() if query == "-" else query
    printed = out is None and format_ in (None, Format.TABLE)
    result = run_query(
        settings.store_dir,
        asked,
        confidence=confidence,
        timeout_s=settings.store.query_timeout_s,
        max_rows=_SHOWN_ROWS if printed and limit is None else limit,
        memory=settings.store.query_memory,
        texts=_texts(settings, model) if names_embed_text(asked) else None,
    )
    emit_rows(result, format_, out)
    if result.truncated and limit is None:
        say(f"the first {result.n_rows} rows; for more: --limit N, or --format csv")


def _texts(settings: Settings, model: str) -> TextVectors:
    from framehouse.jobs.texts import SearchTexts

    return SearchTexts(settings, model)
