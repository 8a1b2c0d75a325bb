"""`framehouse search`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
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
    query: str = typer.Argument(..., help="what to look for, in words"),
    top: int = typer.Option(10, "--top", min=1, max=1000, help="how many moments"),
    by: Way = typer.Option(Way.TAGS, "--by", help="tags: words that models gave; clip: embeddings, needs the stack"),
    model: str = typer.Option("clip", "--model", help="which CLIP, with --by clip"),
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
    answer = search_tags(query, place, top) if by is Way.TAGS else _by_clip(settings, place, query, model, top)
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


def _by_clip(settings: Settings, place: Place, query: str, model: str, top: int) -> Answer:
    from framehouse.analytics.search import search_vectors
    from framehouse.cli.output import say
    from framehouse.config import find_endpoints
    from framehouse.inference.balance import connect_all
    from framehouse.inference.clip import embed_texts, prompts, text_model_of, unknown_words
    from framehouse.inference.repository import load_specs, resolve
    from framehouse.inference.specs import TritonTarget

    roots = settings.model_repositories
    spec = resolve(load_specs(roots), model)
    texts = text_model_of(spec, roots)
    if unknown := unknown_words(texts, [query]):
        say(f"{spec.model_id} was not trained on: {', '.join(unknown)}; what it says of them means nothing")
    client = connect_all(TritonTarget(find_endpoints(settings).triton_url, False, settings.triton.request_timeout_s, 1))
    vector = embed_texts(client, texts, prompts(texts, [query]))[0]
    return search_vectors(query, vector, spec.digest, place, top)
