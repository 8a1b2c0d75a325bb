"""Who looks at the page: a signed cookie names the key, and forms prove that they were ours.

The cookie holds the id of a key and a time of expiry, never the key. It is http-only, same-site, and goes to /ui/
alone: the API never takes it, so no other page can make a browser ask the API with it. The key is looked up at each
request: a revoked one is out at once.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from fastapi import Depends, Request

from framehouse.api.context import Api, Caller, caller_of, caller_with, is_local_name, the_api
from framehouse.errors import BadRequest, NotAllowed, Unauthorised

COOKIE = "framehouse"
COOKIE_PATH = "/ui"
SESSION_S = 7 * 24 * 3600
_FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks, and the token that the forms shown to them carry. `has_key` is False on a fresh local install."""

    caller: Caller
    token: str
    has_key: bool

    def may(self, scope: str) -> bool:
        """Whether they have a scope; admins have every one."""
        return scope in self.caller.scopes or "admin" in self.caller.scopes


def new_session(api: Api, key_text: str, *, now_s: float | None = None) -> str:
    """The cookie of whoever has this key.

    Raises:
        Unauthorised: unknown or revoked.
    """
    key = api.keys.find(key_text) if key_text else None
    if key is None:
        raise Unauthorised(
            "no such key" if key_text else "a key is needed", hint="framehouse keys create --scope admin"
        )
    expires = int(time.time() if now_s is None else now_s) + SESSION_S
    named = f"{key.key_id}.{expires}"
    return f"{named}.{_signature(api, 'session', named)}"


def session_key(api: Api, cookie: str, *, now_s: float | None = None) -> str | None:
    """The id of the key that a cookie of ours names; None for a wrong or an old one."""
    named, _, signature = cookie.rpartition(".")
    key_id, _, expires = named.rpartition(".")
    if not key_id or not hmac.compare_digest(signature.encode(), _signature(api, "session", named).encode()):
        return None
    return key_id if int(expires) > (time.time() if now_s is None else now_s) else None


def viewer_of(request: Request) -> Viewer:
    """Who asks for a page.

    Raises:
        Unauthorised: no session; the page to log in on comes instead.
        NotAllowed: see `caller_of`.
    """
    api, cookie = the_api(request), request.cookies.get(COOKIE, "")
    if api.is_loopback and not api.keys.any_ever():
        headers = request.headers
        caller = caller_of(api, "", headers.get("host", ""), headers.get("origin", ""))
        return Viewer(caller, _signature(api, "form", "local"), has_key=False)
    key_id = session_key(api, cookie) if cookie else None
    key = api.keys.alive(key_id) if key_id else None
    if key is None:
        raise Unauthorised("a key is needed to look at this page", hint="framehouse keys create --scope admin")
    return Viewer(caller_with(key), _signature(api, "form", cookie), has_key=True)


def viewing(scope: str) -> Callable[..., Viewer]:
    """A dependency: the viewer, who must have a scope."""

    def find(request: Request) -> Viewer:
        viewer = viewer_of(request)
        if not viewer.may(scope):
            raise NotAllowed(
                f"this page needs a key with the scope {scope}", hint=f"framehouse keys create --scope {scope}"
            )
        return viewer

    return find


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form that one of our pages sent; of equal names the values by comma.

    Raises:
        NotAllowed: code `api.origin`, it came from a page of another site.
        BadRequest: it is no form.
    """
    check_same_site(request)
    if not request.headers.get("content-type", "").startswith(_FORM_TYPE):
        raise BadRequest("a form is needed here")
    found: dict[str, str] = {}
    for name, value in parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True):
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


async def signed_form(request: Request) -> dict[str, str]:
    """`form_of` a page that was shown to this viewer.

    Raises:
        NotAllowed: code `api.form`, its token is missing or of another session.
        Unauthorised: no session.
    """
    form = await form_of(request)
    if not hmac.compare_digest(form.get("token", "").encode(), viewer_of(request).token.encode()):
        raise NotAllowed("this form is not of your session", code="api.form", hint="load the page again")
    return form


def check_same_site(request: Request) -> None:
    """Refuse what a browser was made to send by a page of another site.

    Raises:
        NotAllowed: code `api.origin`.
    """
    headers, api = request.headers, the_api(request)
    fetched_from, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
    ours = {headers.get("host", ""), urlsplit(api.settings.api.public_url).netloc}
    if fetched_from not in ("", "same-origin", "none") or (
        origin and not fetched_from and urlsplit(origin).netloc not in ours
    ):
        raise NotAllowed(
            f"a page of {origin or 'another site'} may not ask here", code="api.origin", hint="use our own page"
        )


def inner_path(path: str) -> str:
    """A path of the page to go on to; the first page where it is none of ours.

    >>> inner_path("/ui/jobs?status=failed"), inner_path("//evil.example/ui/"), inner_path("/ui/../v1/jobs")
    ('/ui/jobs?status=failed', '/ui/', '/ui/')
    """
    is_ours = path.startswith("/ui/") and "\\" not in path and ".." not in path and path.isprintable()
    return path if is_ours else "/ui/"


def is_told_local(request: Request) -> bool:
    """Whether the browser reached this server as a server of its own machine."""
    return is_local_name(request.headers.get("host", ""))


def _signature(api: Api, what: str, text: str) -> str:
    return hmac.new(api.signer.key, f"ui-{what}\n{text}".encode(), hashlib.sha256).hexdigest()


Form = Annotated[dict[str, str], Depends(signed_form)]
ReadViewer = Annotated[Viewer, Depends(viewing("read"))]
SubmitViewer = Annotated[Viewer, Depends(viewing("submit"))]
AdminViewer = Annotated[Viewer, Depends(viewing("admin"))]
