"""Whether the server is well."""

from __future__ import annotations

from importlib import metadata

from fastapi import APIRouter
from pydantic import BaseModel

from framehouse.api.context import ApiContext
from framehouse.config import read_stack_file

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """What `/health` tells anybody."""

    status: str
    version: str
    engine: str


@router.get("/health", summary="Whether the server is well, and whether the engine runs")
def health(api: ApiContext) -> Health:
    """Answers 200 as long as the server itself works; `engine` is `up` when the local stack runs, else `away`."""
    engine = "up" if read_stack_file(api.settings).get("endpoints") else "away"
    return Health(status="ok", version=metadata.version("framehouse"), engine=engine)
