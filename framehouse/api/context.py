"""What every route needs, made once per server process; and who is calling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from framehouse.api.signing import UrlSigner
from framehouse.config import Settings
from framehouse.errors import NotAllowed, Unauthorised
from framehouse.state import State
from framehouse.state.keys import Keys

_BEARER = HTTPBearer(auto_error=False, description="a key: `framehouse keys create`; or `api_key` in the query")
"""For the OpenAPI document and the page's Authorize button; `key_text` reads the key."""


@dataclass(frozen=True, slots=True)
class Api:
    """The server's own things. `is_loopback`: it listens where only this machine reaches it."""

    settings: Settings
    state: State
    keys: Keys
    signer: UrlSigner
    is_loopback: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. `owner` is the id of the key; empty for whoever calls a fresh local install."""

    owner: str
    scopes: tuple[str, ...]
    workspace: str
    max_waiting_jobs: int
    max_upload_bytes: int

    def may_see(self, owner: str) -> bool:
        """Whether a thing of this owner may be shown: one's own, or everything to an admin."""
        return owner == self.owner or "admin" in self.scopes


def the_api(request: Request) -> Api:
    """The context that `create_app` put there."""
    api: Api = request.app.state.api
    return api


def key_text(request: Request) -> str:
    """The key of a request: `Authorization: Bearer`, or `api_key` in the query where the official client sends it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.query_params.get("api_key", "")


def caller_of(api: Api, text: str) -> Caller:
    """Who has this key. A server on the loopback address where no key was ever made lets everybody in.

    Raises:
        Unauthorised: unknown or revoked.
    """
    if api.is_loopback and not api.keys.any_ever():
        limits = api.settings.api
        return Caller(
            "", ("submit", "read", "admin"), limits.workspace, limits.max_waiting_jobs, limits.max_upload_bytes
        )
    key = api.keys.find(text) if text else None
    if key is None:
        raise Unauthorised("no such key" if text else "a key is needed")
    return Caller(key.key_id, key.scopes, key.workspace, key.max_waiting_jobs, key.max_upload_bytes)


def scoped(scope: str) -> Callable[..., Caller]:
    """A dependency: the caller, who must have a scope; admins have every one."""

    def find(request: Request, _: Annotated[object, Security(_BEARER)]) -> Caller:
        caller = caller_of(the_api(request), key_text(request))
        if scope not in caller.scopes and "admin" not in caller.scopes:
            raise NotAllowed(f"this needs the scope {scope}")
        return caller

    return find


ApiContext = Annotated[Api, Depends(the_api)]
Submitter = Annotated[Caller, Depends(scoped("submit"))]
Reader = Annotated[Caller, Depends(scoped("read"))]
Admin = Annotated[Caller, Depends(scoped("admin"))]
