"""What every route needs, made once per server process; and who is calling."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from framehouse.api.signing import UrlSigner
from framehouse.api.slots import Slots
from framehouse.config import Settings
from framehouse.errors import NotAllowed, Unauthorised
from framehouse.inference.servers import Servers
from framehouse.jobs.media import Media
from framehouse.state import State
from framehouse.state.keys import ApiKey, Keys
from framehouse.state.measures import Tally

_BEARER = HTTPBearer(auto_error=False, description="a key: `framehouse keys create`; or `api_key` in the query")
"""For the OpenAPI document and the page's Authorize button; `key_text` reads the key."""


@dataclass(frozen=True, slots=True)
class Api:
    """The server's own things.

    Attributes:
        is_loopback: it listens where only this machine reaches it.
        query_slots: places for queries and searches.
        media: stills and players, for the page.
        tally: what this server did since it last told.
        servers: connections to Triton, to ask for its figures.
    """

    settings: Settings
    state: State
    keys: Keys
    signer: UrlSigner
    is_loopback: bool
    query_slots: Slots
    media: Media
    tally: Tally = field(default_factory=Tally)
    servers: Servers = field(default_factory=Servers)


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


def is_local_name(host: str) -> bool:
    """Whether a Host header can only mean this machine or its own network's name for it.

    Against DNS rebinding: a web page's own name may be made to mean 127.0.0.1, and its scripts then reach this server.
    A stranger's name has a dot.

    >>> [is_local_name(host) for host in ("127.0.0.1:8800", "localhost", "[::1]:80", "evil.example:8800", "10.0.0.5")]
    [True, True, True, False, False]
    """
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return "." not in name or name.endswith(".localhost")


def caller_of(api: Api, text: str, host: str, origin: str) -> Caller:
    """Who has this key. A server on the loopback address where no key was ever made lets this machine's people in.

    Args:
        text: the key, may be empty.
        host, origin: headers of the request.

    Raises:
        Unauthorised: unknown or revoked; no key where one is needed.
        NotAllowed: code `api.origin`, a page of another site asks in a browser of this machine.
    """
    if api.is_loopback and not api.keys.any_ever():
        limits = api.settings.api
        if not is_local_name(host):
            raise Unauthorised("a key is needed where this server is reached under a name of the network")
        if origin and urlsplit(origin).netloc != host and origin not in limits.cors_origins:
            raise NotAllowed(f"a page of {origin} may not ask here without a key", code="api.origin",
                             hint="make a key, or name the page in FRAMEHOUSE_API__CORS_ORIGINS")  # fmt: skip
        return Caller(
            "", ("submit", "read", "admin"), limits.workspace, limits.max_waiting_jobs, limits.max_upload_bytes
        )
    key = api.keys.find(text) if text else None
    if key is None:
        raise Unauthorised("no such key" if text else "a key is needed")
    return caller_with(key)


def caller_with(key: ApiKey) -> Caller:
    """Who has a key that is known to be alive."""
    return Caller(key.key_id, key.scopes, key.workspace, key.max_waiting_jobs, key.max_upload_bytes)


def scoped(scope: str) -> Callable[..., Caller]:
    """A dependency: the caller, who must have a scope; admins have every one."""

    def find(request: Request, _: Annotated[object, Security(_BEARER)]) -> Caller:
        headers = request.headers
        caller = caller_of(the_api(request), key_text(request), headers.get("host", ""), headers.get("origin", ""))
        if scope not in caller.scopes and "admin" not in caller.scopes:
            raise NotAllowed(f"this needs the scope {scope}")
        return caller

    return find


ApiContext = Annotated[Api, Depends(the_api)]
Submitter = Annotated[Caller, Depends(scoped("submit"))]
Reader = Annotated[Caller, Depends(scoped("read"))]
Admin = Annotated[Caller, Depends(scoped("admin"))]
