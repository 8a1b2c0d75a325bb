"""/v1/search: text to moments."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from framehouse.analytics.search import search_tags, search_written
from framehouse.api.context import Admin, ApiContext
from framehouse.jobs.search import search_by_text, search_every_way
from framehouse.store.search import Place

router = APIRouter(prefix="/v1/search", tags=["search"])


class SearchWish(BaseModel):
    """What to look for."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=1000, examples=["a red car"])
    by: Literal["auto", "tags", "clip", "text"] = Field(
        default="auto",
        description="clip: embeddings; tags: words that models gave; text: written in the picture; auto: all that "
        "there is, together",
    )
    model: str = Field(default="clip", min_length=1, max_length=100, description="which CLIP")
    top: int = Field(default=10, ge=1, le=1000, description="how many moments")
    video_ids: list[str] | None = Field(default=None, max_length=1000, description="only in these videos")


class SearchAnswer(BaseModel):
    """Moments, best first. `score` is comparable within one answer only."""

    way: Literal["tags", "clip", "text", "all"] = Field(
        description="all: several ways together, see each moment's ways"
    )
    words: dict[str, float] = Field(description="by tags: the words that were looked for, with their likeness")
    note: str = Field(description="which way could not be gone and why; words that CLIP was never trained on")
    moments: list[dict[str, Any]]


@router.post("", summary="Find moments by a text")
def search(wish: SearchWish, api: ApiContext, _: Admin) -> SearchAnswer:
    """Over all videos, so it needs the scope admin. By CLIP's embeddings, by words that some model gave and by what is
    written in the picture; `note` says which of these could not be asked."""
    settings = api.settings
    place = Place(
        settings.store_dir, None if wish.video_ids is None else tuple(wish.video_ids),
        timeout_s=settings.store.query_timeout_s, memory=settings.store.query_memory, resident=True,
    )  # fmt: skip
    with api.query_slots:
        if wish.by == "tags":
            answer = search_tags(wish.query, place, wish.top)
        elif wish.by == "text":
            answer = search_written(wish.query, place, wish.top)
        elif wish.by == "clip":
            answer = search_by_text(wish.query, wish.model, place, wish.top, settings)
        else:
            answer = search_every_way(wish.query, wish.model, place, wish.top, settings)
    return SearchAnswer(
        way=answer.way, words=dict(answer.words), note="; ".join(answer.notes),
        moments=[asdict(moment) for moment in answer.moments],
    )  # fmt: skip
