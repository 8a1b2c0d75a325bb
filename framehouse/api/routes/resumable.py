"""/v1/uploads: large files in pieces, taken up again where they broke off."""

from __future__ import annotations

import fcntl
from pathlib import Path as FilePath
from typing import Annotated

from anyio import open_file, to_thread
from fastapi import APIRouter, Header, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect

from framehouse.api.context import Api, ApiContext, Caller, Submitter
from framehouse.api.routes.uploads import file_of, require_room, safe_name
from framehouse.api.urls import absolute
from framehouse.errors import BadRequest, NotFound, SourceError
from framehouse.state.uploads import Upload, Uploads

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])
UploadId = Annotated[str, Path(pattern=r"^u_[0-9a-f]{24}$")]


class UploadStart(BaseModel):
    """A file to come."""

    model_config = ConfigDict(extra="forbid")

    file_name: str = Field(min_length=1, max_length=255)
    size_bytes: int = Field(ge=1)


class UploadFacts(BaseModel):
    """How much of an upload is here."""

    upload_id: str
    file_name: str
    size_bytes: int | None
    offset: int = Field(description="bytes that are here: where the next piece begins")
    complete: bool
    source: str = Field(description="what to send as a source of a job; it may be sent before all bytes are here")


@router.post("", summary="Begin a resumable upload", status_code=201)
def begin(start: UploadStart, request: Request, api: ApiContext, caller: Submitter) -> UploadFacts:
    """Send the pieces with PATCH, each with the header `Upload-Offset`."""
    limit = min(caller.max_upload_bytes, api.settings.api.max_upload_bytes)
    if start.size_bytes > limit:
        raise SourceError(
            f"the file is larger than {limit} bytes", code="source.too_large", hint="ask for a higher limit"
        )
    require_room(api, start.size_bytes)
    upload = Uploads(api.state.engine).create(
        caller.owner, start.file_name, ttl_s=api.settings.api.upload_ttl_s, size_bytes=start.size_bytes
    )
    return _facts(api, request, upload)


@router.get("/{upload_id}", summary="How much of an upload is here")
def show(upload_id: UploadId, request: Request, api: ApiContext, caller: Submitter) -> UploadFacts:
    """Ask after a break, then go on at `offset`."""
    return _facts(api, request, own_upload(api, caller, upload_id))


@router.patch("/{upload_id}", summary="Send the next piece")
async def append(
    upload_id: UploadId, request: Request, api: ApiContext, caller: Submitter,
    upload_offset: Annotated[int, Header(ge=0, description="where this piece begins")],
) -> UploadFacts:  # fmt: skip
    """Appends the body at `Upload-Offset`, which must be what is here; what came of a piece that broke off stays."""
    upload = await to_thread.run_sync(own_upload, api, caller, upload_id)
    if upload.size_bytes is None or upload.completed_at is not None:
        raise BadRequest("this upload takes no pieces", code="source.upload_used", hint="begin another one")
    part = _part(api, upload)
    part.parent.mkdir(parents=True, exist_ok=True)
    async with await open_file(part, "ab") as file:
        _take(file.wrapped.fileno())
        here = part.stat().st_size
        if here != upload_offset:
            raise BadRequest(f"{here} bytes are here, not {upload_offset}", code="source.upload_offset",
                             hint="go on at the offset that GET shows")  # fmt: skip
        try:
            async for piece in request.stream():
                here += len(piece)
                if here > upload.size_bytes:
                    raise BadRequest(f"more than the {upload.size_bytes} bytes announced", code="source.too_large")
                require_room(api)
                await file.write(piece)
        except ClientDisconnect as error:
            raise BadRequest("the piece broke off", code="source.upload_short", hint="go on at the offset") from error
    if here == upload.size_bytes:
        part.replace(file_of(api, upload))
        upload = await to_thread.run_sync(Uploads(api.state.engine).complete, upload_id, here)
    return _facts(api, request, upload)


def _take(descriptor: int) -> None:
    """One writer at a time; the lock goes with the open file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BadRequest("another piece is being written", code="source.upload_busy", hint="one at a time") from error


def own_upload(api: Api, caller: Caller, upload_id: str) -> Upload:
    """An upload of the caller's own, or any for an admin.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    upload = Uploads(api.state.engine).get(upload_id)
    if not caller.may_see(upload.owner):
        raise NotFound(f"no upload {upload_id}")
    return upload


def _part(api: Api, upload: Upload) -> FilePath:
    path = file_of(api, upload)
    return path.with_name(f".{path.name}.part")


def _facts(api: Api, request: Request, upload: Upload) -> UploadFacts:
    complete = upload.completed_at is not None
    part = _part(api, upload)
    offset = (upload.size_bytes or 0) if complete else part.stat().st_size if part.exists() else 0
    path = f"/uploads/{upload.upload_id}/{safe_name(upload.file_name)}"
    signed = api.signer.sign("PUT", path, ttl_s=api.settings.api.upload_ttl_s)
    return UploadFacts(
        upload_id=upload.upload_id, file_name=upload.file_name, size_bytes=upload.size_bytes, offset=offset,
        complete=complete, source=absolute(api, request, signed),
    )  # fmt: skip
