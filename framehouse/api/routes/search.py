"""/v1/search: text to moments."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from framehouse.analytics.search import search_tags
from framehouse.analytics.text_search import search_by_clip
from framehouse.api.context import Admin, Api, ApiContext
from framehouse.config import find_endpoints
from framehouse.inference.specs import TritonTarget
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
    unknown_words: list[str] = Field(
        description="by clip: words the model was not trained on; what it says means little"
    )
    moments: list[dict[str, Any]]


@router.post("", summary="Find moments by a text")
def search(wish: SearchWish, api: ApiContext, _: Admin) -> SearchAnswer:
    """Over all videos, so it needs the scope admin. Tag search knows only what some model has a word for."""
    settings = api.settings
    place = Place(
        settings.store_dir, None if wish.video_ids is None else tuple(wish.video_ids),
        timeout_s=settings.store.query_timeout_s, memory=settings.store.query_memory,
    )  # fmt: skip
    unknown: tuple[str, ...] = ()
    with api.query_slots:
        if wish.by == "tags":
            answer = search_tags(wish.query, place, wish.top)
        else:
            answer, unknown = search_by_clip(
                wish.query, wish.model, settings.model_repositories, _triton(api), place, wish.top
            )
    return SearchAnswer(
        way=answer.way, words=dict(answer.words), unknown_words=list(unknown),
        moments=[asdict(moment) for moment in answer.moments],
    )  # fmt: skip


def _triton(api: Api) -> TritonTarget:
    url = find_endpoints(api.settings).triton_url
    return TritonTarget(url, False, api.settings.triton.request_timeout_s, 1)
