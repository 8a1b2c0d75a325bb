"""The first page: every video that was seen."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from framehouse.api.context import Api, ApiContext
from framehouse.api.ui.access import AdminViewer, ReadViewer
from framehouse.api.ui.asking import rows
from framehouse.api.ui.templates_in import page
from framehouse.state.tallies import take_tallies

router = APIRouter()
_PAGE = 24
_NO_TIME = 0.0


@router.get("/")
def first(request: Request, viewer: ReadViewer) -> Response:
    """Videos belong to no key, so their list is for admins; others begin with their jobs."""
    return RedirectResponse("/ui/videos" if viewer.may("admin") else "/ui/jobs", 303)


@router.get("/videos")
def list_(
    request: Request,
    api: ApiContext,
    viewer: AdminViewer,
    words: Annotated[str, Query(max_length=300)] = "",
    number: Annotated[int, Query(alias="page", ge=1, le=100_000)] = 1,
) -> Response:
    """A page of them, newest first; `words` is a part of where they lie."""
    wanted = words.strip().lower()
    totals = rows(api, "videos_total", words=wanted) or [{"n_videos": 0, "duration_s": 0.0}]
    found = rows(api, "videos", words=wanted, top=_PAGE, skip=(number - 1) * _PAGE)
    n_pages = max(1, -(-totals[0]["n_videos"] // _PAGE))
    return page(
        request, "videos.html", viewer=viewer, videos=found, total=totals[0], words=words, number=number,
        n_pages=n_pages, work=work_in_words(api),
    )  # fmt: skip


def work_in_words(api: Api) -> dict[str, int]:
    """Jobs of everybody by status, for the line over the list."""
    return take_tallies(api.state.engine, _NO_TIME).jobs
