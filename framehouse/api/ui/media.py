"""Bytes of videos that were seen, by their id alone: the file or its playable copy in pieces, pictures of frames."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response

from framehouse.api.context import ApiContext
from framehouse.api.ui.access import AdminViewer, Form
from framehouse.api.ui.video import VideoId
from framehouse.errors import BadRequest, NotFound
from framehouse.jobs.media import Player

router = APIRouter()

_KEPT_S = 86_400
_SIDES = (320, 640, 1280)
"""Sizes of pictures, so that not every width makes a file of its own."""


@router.get("/videos/{video_id}/player.json")
def player(video_id: VideoId, api: ApiContext, _: AdminViewer) -> dict[str, Any]:
    """What a browser may play now."""
    return _told(api.media.player(video_id))


@router.post("/videos/{video_id}/copy")
def copy(video_id: VideoId, api: ApiContext, _: AdminViewer, __: Form) -> dict[str, Any]:
    """Begin to make a copy that browsers play, where they do not play the file."""
    return _told(api.media.make(video_id))


@router.head("/videos/{video_id}/media")
@router.get("/videos/{video_id}/media")
def media(video_id: VideoId, api: ApiContext, _: AdminViewer) -> Response:
    """The file that browsers play, whole or the ranges that are asked for."""
    found = api.media.player(video_id)
    if found.path is None:
        raise NotFound(f"{video_id} has no copy that browsers play yet", hint="ask for one on its page")
    return FileResponse(found.path, media_type=found.media_type, headers={"Cache-Control": "private, no-cache"})


@router.get("/videos/{video_id}/still.jpg")
def still(
    video_id: VideoId,
    api: ApiContext,
    _: AdminViewer,
    frame: Annotated[int | None, Query(ge=0, le=2**40)] = None,
    second: Annotated[float | None, Query(alias="t", ge=0, allow_inf_nan=False, le=1e9)] = None,
    side: int = 640,
) -> Response:
    """The picture of one frame, or of the frame nearest to a second; the longer side has `side` pixels at most."""
    if side not in _SIDES or (frame is None) == (second is None):
        raise BadRequest(f"a frame or a second, and a side of {', '.join(map(str, _SIDES))}", code="api.invalid")
    wanted: int | float = frame if frame is not None else float(second or 0.0)
    path = api.media.still(video_id, wanted, side=side)
    return FileResponse(path, media_type="image/jpeg", headers={"Cache-Control": f"private, max-age={_KEPT_S}"})


def _told(found: Player) -> dict[str, Any]:
    return {"state": found.state, "reason": found.reason, "share": round(found.share, 4), "first_s": found.first_s,
            "media_type": found.media_type}  # fmt: skip
