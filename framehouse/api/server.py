"""Run the HTTP server: one process, access logged as events without queries, because keys travel in them."""

from __future__ import annotations

import sys
import time
from socket import socket

import structlog
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from framehouse.api.app import create_app
from framehouse.api.counting import Teller
from framehouse.api.deliver import Deliverer
from framehouse.config import Settings, load_settings
from framehouse.errors import FramehouseError
from framehouse.readiness import say_ready
from framehouse.state.webhooks import Webhooks
from framehouse.telemetry import configure_logging

log = structlog.get_logger(__name__)

NAME = "api"
_KEEP_ALIVE_S = 65
_STOP_S = 5


class AccessLog:
    """Logs every answered request: method, path, status, seconds. Never the query."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and log its answer."""
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
        finally:
            elapsed_s = round(time.perf_counter() - began_s, 4)
            log.info("request", method=scope["method"], path=scope["path"], status=status, elapsed_s=elapsed_s)


class _Server(uvicorn.Server):
    """Tells the supervisor when it listens."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            say_ready(NAME)


def serve(settings: Settings, *, host: str | None = None, port: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        FramehouseError: the state database cannot be opened.
    """
    settings.api.host = host or settings.api.host
    settings.api.port = settings.api.port if port is None else port
    app = create_app(settings)
    config = uvicorn.Config(
        AccessLog(app),
        host=settings.api.host, port=settings.api.port, log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S, timeout_graceful_shutdown=_STOP_S, lifespan="off",
    )  # fmt: skip
    log.info("serving", host=settings.api.host, port=settings.api.port)
    deliverer = Deliverer(Webhooks(app.state.api.state.engine), settings)
    teller = Teller(app.state.api.state.engine, app.state.api.tally)
    deliverer.start()
    teller.start()
    try:
        _Server(config).run()
    finally:
        teller.stop()
        deliverer.stop()
        app.state.api.servers.close()
        app.state.api.media.close()


def main() -> int:
    """`python -m framehouse.api.server [PORT]`: what `up` starts."""
    configure_logging(json=True)
    try:
        serve(load_settings(), port=int(sys.argv[1]) if len(sys.argv) > 1 else None)
    except FramehouseError as error:
        log.error("server not started", code=error.code, cause=error.message)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
