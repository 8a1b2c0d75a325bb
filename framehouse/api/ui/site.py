"""The page as an application of its own: its routes, its headers, its errors as pages, its files."""

from __future__ import annotations

from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from framehouse import errors
from framehouse.api.context import Api
from framehouse.api.errors import body_of, status_of
from framehouse.api.ui import catalogs, jobs, login, marks, media, models, search, sql, stored, video, videos
from framehouse.api.ui.templates_in import page, to_login
from framehouse.errors import FramehouseError, Unauthorised

log = structlog.get_logger(__name__)

STATIC = Path(__file__).parent / "static"
POLICY = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; "
    "require-trusted-types-for 'script'"
)
"""Nothing but our own files; no inline script or style; no script makes HTML out of text."""
_HEADERS = {
    b"content-security-policy": POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
_HEADINGS = {401: "A key is needed", 403: "Not with this key", 404: "Not found", 429: "Too much at once"}
_PAGES = (login, videos, video, marks, media, jobs, catalogs, search, sql, models, stored)


def create_page(api: Api) -> FastAPI:
    """The application that is mounted under /ui."""
    app = FastAPI(title="Framehouse page", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.api = api
    _install_errors(app)
    for part in _PAGES:
        app.include_router(part.router)
    app.mount("/static", _Files(directory=STATIC))
    app.add_middleware(PageHeaders)
    return app


class _Files(StaticFiles):
    """Our own files, asked for again each time, answered with 304 while they are the same."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


class PageHeaders:
    """Puts the headers of the page on every answer; what may be kept says so itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                if all(name != b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*headers, *_HEADERS.items()]}
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def _install_errors(app: FastAPI) -> None:
    """Every failure becomes a page that says what to try; for scripts the JSON shape of the API."""

    @app.exception_handler(FramehouseError)
    async def _named(request: Request, error: FramehouseError) -> Response:
        return failure(request, error, status_of(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return failure(request, errors.BadRequest(f"{where}: {first['msg']}", code="api.invalid"), 422)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        words = "there is no such page" if error.status_code == 404 else str(error.detail)
        named = FramehouseError(words, code="api.not_found" if error.status_code == 404 else "api.http")
        return failure(request, named, error.status_code)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> Response:
        log.error("page failed", method=request.method, path=request.url.path, error=error)
        named = FramehouseError("something went wrong here", code="api.internal", hint="the server's log says more")
        return failure(request, named, 500)


def failure(request: Request, error: FramehouseError, status: int) -> Response:
    """An error for whoever asked: a person gets a page, or the one to log in on; a script gets JSON."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse(body_of(error), status)
    if isinstance(error, Unauthorised) and request.method == "GET":
        return to_login(request)
    return page(request, "error.html", status=status, error=error, heading=_HEADINGS.get(status, "That did not work"))


async def to_first_page(_request: Request) -> Response:
    """`/ui` without its slash."""
    return RedirectResponse("/ui/", 307)
