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

    AUTO = "auto"
    CLIP = "clip"
    TAGS = "tags"
    TEXT = "text"


def search(
    query: str = typer.Argument("", help="what to look for, in words"),
    top: int = typer.Option(10, "--top", min=1, max=1000, help="how many moments"),
    by: Way = typer.Option(
        Way.AUTO,
        "--by",
        help="clip: embeddings; tags: words that models gave; text: written in the picture; auto: all that there is",
    ),
    image: Path | None = typer.Option(None, "--image", help="a picture to look for instead of words, by CLIP"),
    model: str = typer.Option("clip", "--model", help="which CLIP"),
    video: list[str] = typer.Option([], "--video", metavar="VIDEO_OR_ID", help="only in this video; may be repeated"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """Find moments by a text, in embeddings, tags and written words together; says which of these there is not.

    It works with the stack down where onnxruntime is installed; else by tags and written words alone.

    Example: framehouse search "automobile" --top 5
    """
    from framehouse.cli.output import begin, emit_json, emit_text, say, table_text
    from framehouse.cli.videos import find_video_id
    from framehouse.store.search import Place

    settings = begin()
    place = Place(
        settings.store_dir, tuple(find_video_id(settings, name) for name in video) or None,
        timeout_s=settings.store.query_timeout_s, memory=settings.store.query_memory,
    )  # fmt: skip
    answer = _answer(settings, place, query, by, image, model, top)
    if as_json:
        emit_json({
            "way": answer.way, "words": dict(answer.words), "notes": list(answer.notes),
            "moments": [asdict(one) for one in answer.moments],
        })  # fmt: skip
        return
    for note in answer.notes:
        say(note)
    if answer.words:
        say(f"words alike: {', '.join(f'{word} {alike:.2f}' for word, alike in answer.words)}")
    columns = ["video", "from_s", "to_s", "best_s", "score", "word", "by"]
    rows = [
        [(one.uri or one.video_id).rsplit("/", 1)[-1], round(one.start_s, 2), round(one.end_s, 2), round(one.best_s, 2),
         round(one.score, 3), one.word or "-", " ".join(one.ways) or answer.way]
        for one in answer.moments
    ]  # fmt: skip
    emit_text(table_text(columns, rows) if rows else "")
    if not rows:
        say("nothing found")


def _answer(settings: Settings, place: Place, query: str, by: Way, image: Path | None, model: str, top: int) -> Answer:
    from framehouse.analytics.search import search_tags, search_written
    from framehouse.jobs.search import search_by_picture, search_by_text, search_every_way

    if image is not None:
        return search_by_picture(image.name, read_picture(image), model, place, top, settings)
    if by is Way.CLIP:
        return search_by_text(query, model, place, top, settings)
    if by is Way.TAGS:
        return search_tags(query, place, top)
    if by is Way.TEXT:
        return search_written(query, place, top)
    return search_every_way(query, model, place, top, settings)


def read_picture(path: Path) -> bytes:
    """The bytes of a picture file; raises SourceNotFound."""
    from framehouse.errors import SourceNotFound

    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise SourceNotFound(f"{path} cannot be read: {error.strerror}", hint="a picture file: JPEG, PNG") from error
