"""/v1/query: one read-only SELECT on the published snapshot."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from framehouse.api.context import Admin, ApiContext
from framehouse.jobs.texts import SearchTexts
from framehouse.store.query import run_query

router = APIRouter(prefix="/v1/query", tags=["query"])


class QueryWish(BaseModel):
    """A query and its limits."""

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(
        min_length=1, max_length=100_000, description="one SELECT", examples=["SELECT * FROM objects_per_video"]
    )
    params: list[Any] = Field(default=[], max_length=100, description="values of `?` in the query")
    confidence: float | None = Field(default=None, ge=0, le=1, description="threshold that the views apply")
    max_rows: int = Field(default=1000, ge=1, le=100_000)


class QueryRows(BaseModel):
    """What a query gave."""

    columns: list[str]
    types: list[str]
    rows: list[dict[str, Any]]
    truncated: bool = Field(description="whether max_rows cut rows off")
    elapsed_s: float


@router.post("", summary="Ask in SQL")
def query(wish: QueryWish, api: ApiContext, _: Admin) -> QueryRows:
    """Tables and views of all jobs, so it needs the scope admin. Files, settings and anything but a SELECT are out of
    reach; time and memory are limited by the server's settings. `embed_text('a red car')` gives CLIP's vector of a
    text, for `moments(vector, top)` and `frames_like(vector)`."""
    settings = api.settings
    with api.query_slots:
        found = run_query(
            settings.store_dir, wish.sql, params=wish.params or None, confidence=wish.confidence,
            timeout_s=settings.store.query_timeout_s, max_rows=wish.max_rows, memory=settings.store.query_memory,
            texts=SearchTexts(settings),
        )  # fmt: skip
    return QueryRows(
        columns=list(found.columns), types=list(found.types), rows=found.records(), truncated=found.truncated,
        elapsed_s=found.elapsed_s,
    )  # fmt: skip
