"""A number of places for dear work, so that it cannot take all threads of the server: polls must always get one."""

from __future__ import annotations

import threading

from framehouse.errors import TooMany


class Slots:
    """`with slots:` takes a place at once or refuses."""

    def __init__(self, n: int) -> None:
        self._free = threading.BoundedSemaphore(n)

    def __enter__(self) -> None:
        """Take a place.

        Raises:
            TooMany: code `api.busy`, all are taken.
        """
        if not self._free.acquire(blocking=False):
            raise TooMany("as many queries as the server runs at once are under way", code="api.busy",
                          hint="ask again in a moment")  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self._free.release()
