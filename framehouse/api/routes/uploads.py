"""Uploads by signed URL: streamed to disk, whole or absent."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from anyio import open_file, to_thread
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect

from framehouse.api.context import Api, ApiContext, Caller
from framehouse.api.urls import absolute
from framehouse.errors import BadRequest, NoRoom, NotFound, SourceError
from framehouse.state.shares import Shares
from framehouse.state.uploads import Upload, Uploads

router = APIRouter(tags=["uploads"])
_PATH = re.compile(r"/uploads/(u_[0-9a-f]{24})/([^/]+)")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class UploadPlace:
    """An upload that a job may be made of."""

    upload_id: str
    uri: str


def safe_name(file_name: str) -> str:
    """The last part of a name with plain characters only, so that it can be a file's and a URL's.

    >>> safe_name("../../my käse video.mp4")
    'my_k_se_video.mp4'
    """
    last = re.split(r"[/\\]", file_name)[-1]
    return _UNSAFE.sub("_", last).lstrip(".")[-120:] or "video"


def file_of(api: Api, upload: Upload) -> Path:
    """Where the bytes of an upload lie."""
    return api.settings.home / "uploads" / upload.upload_id / safe_name(upload.file_name)


def promised_upload(api: Api, caller: Caller, file_name: str, request: Request) -> str:
    """A signed URL to which the caller may PUT a file."""
    upload = Uploads(api.state.engine).create(caller.owner, file_name, ttl_s=api.settings.api.upload_ttl_s)
    path = f"/uploads/{upload.upload_id}/{quote(safe_name(file_name))}"
    return absolute(api, request, api.signer.sign("PUT", path, ttl_s=api.settings.api.upload_ttl_s))


def upload_of_url(api: Api, caller: Caller, url: str) -> UploadPlace | None:
    """The upload that an upload URL of ours means; None for any other URL. It may not have arrived yet.

    Raises:
        SourceForbidden: the signature is wrong or has expired.
        NotFound: it is not the caller's, and nobody shares it.
    """
    parts = urlsplit(url)
    match = _PATH.fullmatch(unquote(parts.path))
    query = dict(parse_qsl(parts.query))
    if match is None or "X-Goog-Signature" not in query:
        return None
    api.signer.verify("PUT", unquote(parts.path), query)
    upload = Uploads(api.state.engine).get(match[1])
    if not caller.may_see(upload.owner) and not Shares(api.state.engine).has(upload.upload_id, caller.owner):
        raise NotFound(f"no upload {upload.upload_id}")
    return UploadPlace(upload.upload_id, str(file_of(api, upload)))


@router.put("/uploads/{upload_id}/{name}", summary="Upload a video to its signed URL")
async def put(upload_id: str, name: str, request: Request, api: ApiContext) -> dict[str, int | str]:
    """The signature is the authority; the body is the file. A second PUT replaces the first while no job uses it."""
    api.signer.verify("PUT", f"/uploads/{upload_id}/{name}", dict(request.query_params))
    uploads = Uploads(api.state.engine)
    upload = await to_thread.run_sync(uploads.get, upload_id)
    if upload.completed_at is not None and await to_thread.run_sync(uploads.is_used, upload_id):
        raise BadRequest("a job uses this upload already", code="source.upload_used", hint="ask for a new upload URL")
    limit = await to_thread.run_sync(_limit, api, upload)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    require_room(api, int(declared) if declared.isdigit() else 0)
    size_bytes = await _store(
        api, request.stream(), file_of(api, upload), limit, int(declared) if declared.isdigit() else None
    )
    await to_thread.run_sync(uploads.complete, upload_id, size_bytes)
    return {"upload_id": upload_id, "size_bytes": size_bytes}


def _limit(api: Api, upload: Upload) -> int:
    for key in api.keys.list():
        if key.key_id == upload.owner:
            return min(key.max_upload_bytes, api.settings.api.max_upload_bytes)
    return api.settings.api.max_upload_bytes


def require_room(api: Api, need_bytes: int = 0) -> None:
    """Take nothing large while the disk is below its floor.

    Raises:
        NoRoom: it is, or would be with `need_bytes` more.
    """
    if short := api.settings.room.shortage(need_bytes):
        raise NoRoom(f"uploads are not taken for now: {short}")


async def _store(api: Api, body: AsyncIterator[bytes], path: Path, limit: int, declared: int | None) -> int:
    """Write a body beside its place, then rename it; nothing stays of one that breaks off or is too large."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.parent / f".{path.name}.{secrets.token_hex(4)}"
    n_bytes = 0
    try:
        async with await open_file(draft, "wb") as file:
            async for piece in body:
                n_bytes += len(piece)
                if n_bytes > limit:
                    raise _too_large(limit)
                require_room(api)
                await file.write(piece)
        if declared is not None and n_bytes != declared:
            raise BadRequest(f"{n_bytes} bytes came of {declared}", code="source.upload_short", hint="PUT it again")
        draft.replace(path)
    except ClientDisconnect as error:
        raise BadRequest("the upload broke off", code="source.upload_short", hint="PUT it again") from error
    finally:
        draft.unlink(missing_ok=True)
    return n_bytes


def _too_large(limit: int) -> SourceError:
    return SourceError(
        f"the file is larger than {limit} bytes", code="source.too_large", hint="FRAMEHOUSE_API__MAX_UPLOAD_BYTES"
    )
