"""Run the HTTP server: one process; `framehouse.api.counting` logs who asked for what."""

from __future__ import annotations

import sys
from socket import socket

import structlog
import uvicorn

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
        app,
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
