"""`framehouse serve`: the HTTP server alone."""

from __future__ import annotations

import os
import sys

import typer


def serve(
    host: str = typer.Option("", help="address to listen on; default FRAMEHOUSE_API__HOST, 127.0.0.1"),
    port: int = typer.Option(-1, help="port; default FRAMEHOUSE_API__PORT, 8800"),
) -> None:
    """Serve the API alone, in the foreground; `framehouse up` does so too, with everything else.

    On the loopback address it accepts any key until the first one is made with `framehouse keys create`; on any other
    address it wants one.

    Example: framehouse serve --port 9000
    """
    from framehouse.cli.output import begin, say
    from framehouse.jobs.submit import connect
    from framehouse.state.keys import Keys

    settings = begin()
    settings.api.host = host or settings.api.host
    settings.api.port = settings.api.port if port < 0 else port
    say(f"http://{settings.api.host}:{settings.api.port}, docs at /docs; stop with Ctrl-C")
    if not settings.api.is_loopback:
        say("this address is reached from elsewhere: every request needs a key (framehouse keys create)")
    elif not Keys(connect(settings).engine).any_ever():
        say("reached from this machine only; takes any key, or none, until the first `framehouse keys create`")
    os.environ["FRAMEHOUSE_API__HOST"] = settings.api.host
    os.execv(sys.executable, [sys.executable, "-m", "framehouse.api.server", str(settings.api.port)])  # noqa: S606
