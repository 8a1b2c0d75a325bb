"""Text to moments, each with its picture and the way there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from framehouse.api.context import ApiContext
from framehouse.api.routes.search import SearchAnswer, SearchWish, search
from framehouse.api.ui.access import AdminViewer
from framehouse.api.ui.templates_in import page
from framehouse.errors import FramehouseError

router = APIRouter()
_TOP = 24
Way = Literal["auto", "tags", "clip", "text"]


@router.get("/search")
def find(
    request: Request,
    api: ApiContext,
    viewer: AdminViewer,
    q: Annotated[str, Query(max_length=1000)] = "",
    by: Way = "auto",
) -> Response:
    """The best moments for `q`, or the empty page. What cannot be searched is said on the page, with what to try."""
    answer, problem = None, None
    if q.strip():
        try:
            answer = search(SearchWish(query=q, by=by, top=_TOP), api, viewer.caller)
        except FramehouseError as error:
            problem = error
    return page(request, "search.html", viewer=viewer, q=q, by=by, found=_told(answer), problem=problem)


def _told(answer: SearchAnswer | None) -> dict[str, Any] | None:
    return None if answer is None else answer.model_dump()
