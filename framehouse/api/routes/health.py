"""Whether the server is well."""

from __future__ import annotations

from typing import Literal

import structlog
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError

from framehouse.api.context import Api, ApiContext
from framehouse.config import Settings
from framehouse.errors import StoreError
from framehouse.jobs.parts import parts_of
from framehouse.release import release
from framehouse.store.snapshots import current_snapshot

log = structlog.get_logger(__name__)
router = APIRouter(tags=["health"])


class Health(BaseModel):
    """What `/health` tells anybody."""

    status: Literal["ok", "degraded", "failing"] = Field(
        description="degraded: jobs are taken but wait for a part; failing: the state database does not answer"
    )
    version: str
    engine: Literal["up", "partly", "remote", "away"] = Field(
        description="remote: by the settings its parts run elsewhere and are not asked; away: nothing runs here"
    )
    state: Literal["ok", "failing"]
    store: Literal["ok", "empty"] = Field(description="empty: nothing was published yet")
    parts: dict[str, str] = Field(description="parts of the local stack, each ready, starting, restarting or dead")


@router.get(
    "/health", summary="Whether the server is well, and whether the engine runs", responses={503: {"model": Health}}
)
def health(api: ApiContext, response: Response) -> Health:
    """Answers 200 as long as jobs can be taken and read, 503 when the state database does not answer."""
    parts = parts_of(api.settings)
    engine = engine_of(api.settings)
    state = _state(api)
    response.status_code = 200 if state == "ok" else 503
    return Health(
        status="failing" if state != "ok" else "ok" if engine in ("up", "remote") else "degraded",
        version=release(), engine=engine, state=state, store=_store(api), parts=parts,
    )  # fmt: skip


def engine_of(settings: Settings) -> Literal["up", "partly", "remote", "away"]:
    """Whether the engine runs, as in `Health`."""
    parts = parts_of(settings)
    if not parts:
        return "remote" if settings.prefect.api_url else "away"
    return "up" if set(parts.values()) == {"ready"} else "partly"


def _state(api: Api) -> Literal["ok", "failing"]:
    try:
        api.keys.any_ever()
    except SQLAlchemyError as error:
        log.error("the state database does not answer", error=type(error).__name__)
        return "failing"
    return "ok"


def _store(api: Api) -> Literal["ok", "empty"]:
    try:
        current_snapshot(api.settings.store_dir)
    except StoreError:
        return "empty"
    return "ok"
