"""`python -m framehouse.stack`: be the supervisor."""

from __future__ import annotations

import signal
import sys

from framehouse.backups import restore_mark
from framehouse.config import load_settings, require_checkout
from framehouse.errors import FramehouseError
from framehouse.stack import plan_stack, single_instance
from framehouse.telemetry import configure_logging


def main() -> int:
    """Be the supervisor until SIGTERM or SIGINT."""
    configure_logging(json=True)
    settings = load_settings()
    root = require_checkout("the local stack")
    with single_instance(settings):
        if restore_mark(settings.home).exists():
            from framehouse.keep.backup import Installation, finish_restore  # noqa: PLC0415  heavy, and seldom needed

            finish_restore(Installation(settings.home, settings.state_url, settings.lake.url))
        supervisor = plan_stack(settings, root)

        def stop(_number: int, _frame: object) -> None:
            supervisor.stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        return supervisor.run()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FramehouseError as error:  # before there is a supervisor to tell it
        sys.exit(error.line())
