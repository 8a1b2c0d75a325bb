"""/v1/videos: what was seen of which video."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from framehouse.api.context import Admin, ApiContext
from framehouse.errors import NotFound
from framehouse.store.query import run_query

router = APIRouter(prefix="/v1/videos", tags=["videos"])

_LIST = "SELECT * EXCLUDE (labels) FROM videos ORDER BY first_seen_at DESC, video_id"
_MODELS = "SELECT model_id, model_digest, n_planned, n_loaded, n_gaps FROM completeness WHERE video_id = ? ORDER BY ALL"
_PLACES = "SELECT uri, size_bytes, modified_at, gone_at FROM video_locations WHERE video_id = ? ORDER BY uri"


@router.get("", summary="List the videos that were seen, newest first")
def list_(api: ApiContext, _: Admin, limit: Annotated[int, Query(ge=1, le=10_000)] = 100) -> dict[str, Any]:
    """Needs the scope admin: videos belong to no key."""
    return {"videos": _rows(api, _LIST, None, limit)}


@router.get("/{video_id}", summary="Show one video")
def show(video_id: Annotated[str, Path(pattern=r"^v_[0-9a-f]{24}$")], api: ApiContext, _: Admin) -> dict[str, Any]:
    """Its facts, the places where it lies, and what each model did with it."""
    found = _rows(api, "SELECT * EXCLUDE (labels) FROM videos WHERE video_id = ?", [video_id], 1)
    if not found:
        raise NotFound(f"no video {video_id}", hint="GET /v1/videos")
    models, places = _rows(api, _MODELS, [video_id], 1000), _rows(api, _PLACES, [video_id], 1000)
    return {**found[0], "locations": places, "models": models}


def _rows(api: ApiContext, sql: str, params: list[object] | None, limit: int) -> list[dict[str, Any]]:
    settings = api.settings
    return run_query(
        settings.store_dir, sql, params=params, max_rows=limit, memory=settings.store.query_memory
    ).records()
