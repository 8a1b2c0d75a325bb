"""/v1/key: whose key it is."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from framehouse.api.context import Reader

router = APIRouter(prefix="/v1/key", tags=["keys"])


class KeyFacts(BaseModel):
    """What a caller may know of its own key. Keys are made, listed and revoked by `framehouse keys`."""

    key_id: str = Field(description="what others name to share something; empty where no key was ever made")
    workspace: str
    scopes: list[str]
    max_waiting_jobs: int
    max_upload_bytes: int


@router.get("", summary="Whose key it is")
def show(caller: Reader) -> KeyFacts:
    """The id, scopes and limits of the key that asks."""
    return KeyFacts(
        key_id=caller.owner, workspace=caller.workspace, scopes=list(caller.scopes),
        max_waiting_jobs=caller.max_waiting_jobs, max_upload_bytes=caller.max_upload_bytes,
    )  # fmt: skip
