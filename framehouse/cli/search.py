"""`framehouse search`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from framehouse.analytics.search import Answer
    from framehouse.config import Settings
    from framehouse.store.search import Place


class Way(StrEnum):
    """How to search."""

    TAGS = "tags"
    CLIP = "clip"


def search(
    query: str = typer.Argument("", help="what to look for, in words"),
    top: int = typer.Option(10, "--top", min=1, max=1000, help="how many moments"),
    by: Way = typer.Option(Way.TAGS, "--by", help="tags: words that models gave; clip: embeddings, needs the stack"),
    image: Path | None = typer.Option(None, "--image", help="a picture to look for instead of words, by CLIP"),
    model: str = typer.Option("clip", "--model", help="which CLIP, with --by clip or --image"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """Find moments by a text. Tag search works with the stack down; it knows only what some model has a word for.

    Example: framehouse search "automobile" --top 5
    """
    from framehouse.analytics.search import search_tags
    from framehouse.cli.output import begin, emit_json, emit_text, say, table_text
    from framehouse.store.search import Place

    settings = begin()
    place = Place(settings.store_dir, timeout_s=settings.store.query_timeout_s, memory=settings.store.query_memory)
    if image is not None or by is Way.CLIP:
        answer = _by_clip(settings, place, query, image, model, top)
    else:
        answer = search_tags(query, place, top)
    if as_json:
        emit_json({"way": answer.way, "words": dict(answer.words), "moments": [asdict(one) for one in answer.moments]})
        return
    if answer.way == "tags":
        say(f"tag search, not CLIP; words: {', '.join(f'{w} {s:.2f}' for w, s in answer.words) or 'none like it'}")
    columns = ["video", "from_s", "to_s", "best_s", "score", "word", "by"]
    rows = [
        [(one.uri or one.video_id).rsplit("/", 1)[-1], round(one.start_s, 2), round(one.end_s, 2), round(one.best_s, 2),
         round(one.score, 3), one.word or "-", one.model_id]
        for one in answer.moments
    ]  # fmt: skip
    emit_text(table_text(columns, rows) if rows else "")
    if not rows:
        say("nothing found")


def _by_clip(settings: Settings, place: Place, query: str, image: Path | None, model: str, top: int) -> Answer:
    from framehouse.cli.output import say
    from framehouse.jobs.clip_search import search_by_clip
    from framehouse.jobs.prompts import Asked

    asked = (
        Asked("labels", (query,), (query,))
        if image is None
        else Asked("list", (image.name,), pictures=(read_picture(image),))
    )
    answer, told = search_by_clip(asked, model, place, top, settings)
    if told:
        say(told)
    return answer


def read_picture(path: Path) -> bytes:
    """The bytes of a picture file; raises SourceNotFound."""
    from framehouse.errors import SourceNotFound

    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise SourceNotFound(f"{path} cannot be read: {error.strerror}", hint="a picture file: JPEG, PNG") from error
