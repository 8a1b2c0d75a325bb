"""Every request is logged (method, path, status, seconds) and counted by route, method and status.

Never logged with its query, for keys travel in it; never counted by path, for names stand in it.
"""

from __future__ import annotations

import threading
import time

import sqlalchemy as sa
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from framehouse.state.measures import Tally, write_tally

log = structlog.get_logger(__name__)

_TELL_S = 5.0
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Counted:
    """Logs every answered request, and counts it into a tally; status 0 when the client left before an answer began."""

    def __init__(self, app: ASGIApp, tally: Tally) -> None:
        self._app, self._tally = app, tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception:  # the outermost layer answers it
            status = status or 500
            raise
        finally:
            elapsed_s, route = time.perf_counter() - began_s, _route(scope)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._tally.count("framehouse_api_requests_total", route=route, method=method, status=str(status))
            self._tally.observe("framehouse_api_request_seconds", elapsed_s, route=route)
            log.info(
                "request", method=scope["method"], path=scope["path"], status=status, elapsed_s=round(elapsed_s, 4)
            )


def _route(scope: Scope) -> str:
    """The template that the path fitted; `none` for a path that is nothing's."""
    found = str(getattr(scope.get("route"), "path", "none"))
    prefix = str(scope.get("root_path", ""))
    return found if found.startswith(prefix) else prefix + found


class Teller:
    """Writes a tally every few seconds, from a thread."""

    def __init__(self, engine: sa.Engine, tally: Tally) -> None:
        self._engine, self._tally = engine, tally
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="measures", daemon=True)

    def start(self) -> None:
        """Begin in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End, with what is left written."""
        self._over.set()
        self._thread.join()
        write_tally(self._engine, self._tally)

    def _run(self) -> None:
        while not self._over.wait(_TELL_S):
            write_tally(self._engine, self._tally)
