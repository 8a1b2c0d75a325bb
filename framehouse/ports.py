"""Ports for servers of this machine."""

from __future__ import annotations

import random
import socket

_HOST = "127.0.0.1"
_RANGE = range(20_000, 32_000)
"""Below those that Linux gives to outgoing connections (from 32768 on): a server that starts again finds its own port
free, and no client of the dead one has it."""


def free_ports(n: int) -> list[int]:
    """Ports of 127.0.0.1 that are free now; another process may take them before they are used.

    Raises:
        OSError: there are none.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
        if len(found) == n:
            return found
        if is_free(port):
            found.append(port)
    raise OSError(f"fewer than {n} free ports in {_RANGE.start}..{_RANGE.stop - 1}")


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of 127.0.0.1, or holds it."""
    try:
        socket.create_server((_HOST, port)).close()
    except OSError:
        return False
    return True
