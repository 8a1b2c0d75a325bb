"""/v1/search: text to moments."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from framehouse.analytics.search import search_tags
from framehouse.api.context import Admin, ApiContext
from framehouse.jobs.clip_search import search_by_clip
from framehouse.jobs.prompts import Asked
from framehouse.store.search import Place

router = APIRouter(prefix="/v1/search", tags=["search"])


class SearchWish(BaseModel):
    """What to look for."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=1000, examples=["a red car"])
    by: Literal["tags", "clip"] = Field(
        default="tags", description="tags: words that models gave; clip: embeddings, needs the engine"
    )
    model: str = Field(default="clip", min_length=1, max_length=100, description="which CLIP, with by = clip")
    top: int = Field(default=10, ge=1, le=1000, description="how many moments")
    video_ids: list[str] | None = Field(default=None, max_length=1000, description="only in these videos")


class SearchAnswer(BaseModel):
    """Moments, best first. `score` is comparable within one answer only."""

    way: Literal["tags", "clip"]
    words: dict[str, float] = Field(description="by tags: the words that were looked for, with their likeness")
    note: str = Field(description="by clip: what to know of the model, such as words that it was never trained on")
    moments: list[dict[str, Any]]


@router.post("", summary="Find moments by a text")
def search(wish: SearchWish, api: ApiContext, _: Admin) -> SearchAnswer:
    """Over all videos, so it needs the scope admin. Tag search knows only what some model has a word for."""
    settings = api.settings
    place = Place(
        settings.store_dir, None if wish.video_ids is None else tuple(wish.video_ids),
        timeout_s=settings.store.query_timeout_s, memory=settings.store.query_memory,
    )  # fmt: skip
    note = ""
    with api.query_slots:
        if wish.by == "tags":
            answer = search_tags(wish.query, place, wish.top)
        else:
            asked = Asked("labels", (wish.query,), (wish.query,))
            answer, note = search_by_clip(asked, wish.model, place, wish.top, settings)
    return SearchAnswer(
        way=answer.way, words=dict(answer.words), note=note,
        moments=[asdict(moment) for moment in answer.moments],
    )  # fmt: skip
