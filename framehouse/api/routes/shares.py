"""/v1/jobs/…/shares and /v1/uploads/…/shares: what others may read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from framehouse.api.context import Api, ApiContext, Reader, Submitter
from framehouse.api.jobs import own_job
from framehouse.api.routes.jobs import JobId
from framehouse.api.routes.resumable import UploadId, own_upload
from framehouse.errors import NotFound
from framehouse.state.shares import Shares

router = APIRouter(prefix="/v1", tags=["shares"])
KeyId = Annotated[str, Path(pattern=r"^k_[0-9a-f]{16}$", description="id of a key, as its holder sees it at /v1/key")]


class ShareList(BaseModel):
    """Who else may read a thing."""

    key_ids: list[str]


@router.get("/jobs/{job_id}/shares", summary="Who else may read a job")
def of_job(job_id: JobId, api: ApiContext, caller: Reader) -> ShareList:
    """Ids of keys; only the owner and admins see them."""
    own_job(api, caller, job_id)
    return ShareList(key_ids=Shares(api.state.engine).of_thing(job_id))


@router.put("/jobs/{job_id}/shares/{key_id}", summary="Let another key read a job", status_code=204)
def share_job(job_id: JobId, key_id: KeyId, api: ApiContext, caller: Submitter) -> None:
    """It may poll, follow and read results; retry and cancel stay with the owner."""
    own_job(api, caller, job_id)
    _add(api, job_id, key_id)


@router.delete("/jobs/{job_id}/shares/{key_id}", summary="Let it no longer", status_code=204)
def unshare_job(job_id: JobId, key_id: KeyId, api: ApiContext, caller: Submitter) -> None:
    """Result URLs that were handed out work until they expire."""
    own_job(api, caller, job_id)
    Shares(api.state.engine).remove(job_id, key_id)


@router.put("/uploads/{upload_id}/shares/{key_id}", summary="Let another key use an upload", status_code=204)
def share_upload(upload_id: UploadId, key_id: KeyId, api: ApiContext, caller: Submitter) -> None:
    """It may submit jobs on it, with the `source` that the owner gives it."""
    own_upload(api, caller, upload_id)
    _add(api, upload_id, key_id)


@router.delete("/uploads/{upload_id}/shares/{key_id}", summary="Let it no longer", status_code=204)
def unshare_upload(upload_id: UploadId, key_id: KeyId, api: ApiContext, caller: Submitter) -> None:
    """Jobs that it submitted go on."""
    own_upload(api, caller, upload_id)
    Shares(api.state.engine).remove(upload_id, key_id)


def _add(api: Api, thing_id: str, key_id: str) -> None:
    if all(key.key_id != key_id for key in api.keys.list()):
        raise NotFound(f"no key {key_id}", hint="its holder sees its id at GET /v1/key")
    Shares(api.state.engine).add(thing_id, key_id)
