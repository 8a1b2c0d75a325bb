"""In with a key, and out again."""

from __future__ import annotations

from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response

from framehouse.api.context import the_api
from framehouse.api.ui.access import COOKIE, COOKIE_PATH, SESSION_S, Form, form_of, inner_path, new_session
from framehouse.api.ui.templates_in import page
from framehouse.errors import Unauthorised

router = APIRouter()


@router.get("/login")
def ask_for_key(request: Request, next_path: Annotated[str, Query(alias="next", max_length=2000)] = "/ui/") -> Response:
    """The page that asks for a key."""
    return page(
        request, "login.html", next_path=inner_path(next_path), problem="", any_key=the_api(request).keys.any_ever()
    )


@router.post("/login")
async def log_in(request: Request, form: Annotated[dict[str, str], Depends(form_of)]) -> Response:
    """A right key gives a session; a wrong one the same page, and says so."""
    api, next_path = the_api(request), inner_path(form.get("next", ""))
    try:
        session = await to_thread.run_sync(new_session, api, form.get("key", "").strip())
    except Unauthorised as error:
        return page(request, "login.html", status=401, next_path=next_path, problem=error.message, any_key=True)
    answer = RedirectResponse(next_path, 303)
    is_secure = request.url.scheme == "https" or api.settings.api.public_url.startswith("https://")
    answer.set_cookie(
        COOKIE, session, max_age=SESSION_S, path=COOKIE_PATH, httponly=True, samesite="lax", secure=is_secure
    )
    return answer


@router.post("/logout")
def log_out(_: Form) -> Response:
    """Forget the session in this browser."""
    answer = RedirectResponse("/ui/login", 303)
    answer.delete_cookie(COOKIE, path=COOKIE_PATH, httponly=True, samesite="lax")
    return answer
