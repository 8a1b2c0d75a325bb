"""Templates filled in: everything escaped, data for scripts as JSON in a block that no browser runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from framehouse.api.context import the_api
from framehouse.api.ui.access import Viewer, is_told_local, viewer_of
from framehouse.api.ui.words import FILTERS
from framehouse.config import read_stack_file
from framehouse.errors import FramehouseError
from framehouse.release import release
from framehouse.room import free_bytes

_FOLDER = Path(__file__).parent / "templates"


@cache
def _environment() -> Environment:
    made = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                       lstrip_blocks=True)  # fmt: skip
    made.filters.update(FILTERS)
    made.globals.update(version=release(), query=urlencode)
    return made


def page(
    request: Request, template: str, *, viewer: Viewer | None = None, status: int = 200, **facts: Any
) -> HTMLResponse:
    """A template as an answer. Where no viewer is given, whoever is there is told by the cookie, if anybody."""
    who = viewer or _anybody(request)
    text = _environment().get_template(template).render(
        viewer=who, path=request.url.path, prefect=prefect_page(request) if who else "", **facts
    )  # fmt: skip
    return HTMLResponse(text, status)


def to_login(request: Request) -> RedirectResponse:
    """On to the page that asks for a key, and back from there."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/ui/login?next={quote(asked)}", 303)


def prefect_page(request: Request) -> str:
    """Address of the Prefect UI that this viewer can reach; empty where there is none, or it is on another machine."""
    settings = the_api(request).settings
    local = read_stack_file(settings).get("endpoints", {})
    url = str(settings.prefect.api_url or local.get("prefect_api_url", "")).removesuffix("/api")
    is_local = any(name in url for name in ("//127.", "//localhost", "//[::1]"))
    return "" if is_local and not is_told_local(request) else url


def low_room(request: Request) -> str:
    """What is wrong with the room on the disk, in words; empty when there is enough."""
    return the_api(request).settings.room.shortage()


def free_room(request: Request) -> int:
    """Bytes free on the disk of FRAMEHOUSE_HOME."""
    return free_bytes(the_api(request).settings.home)


def _anybody(request: Request) -> Viewer | None:
    try:
        return viewer_of(request)
    except FramehouseError:
        return None
