"""What the Triton servers of an installation count themselves, for whoever watches."""

from __future__ import annotations

import threading

from framehouse.errors import InferenceError
from framehouse.inference.specs import TritonTarget
from framehouse.inference.statistics import Statistics
from framehouse.inference.triton import TritonClient

_TIMEOUT_S = 2.0


class Servers:
    """Connections to servers that are asked again and again; for a process that does not fork. Safe for threads."""

    def __init__(self) -> None:
        self._clients: dict[str, TritonClient] = {}
        self._lock = threading.Lock()

    def ask(self, url: str) -> dict[str, dict[tuple[str, str], Statistics] | None]:
        """Each endpoint's statistics by (model, version); None for one that does not answer.

        Args:
            url: host:port, several by comma; empty asks nobody.
        """
        urls = _target(url).urls if url else ()
        return {one: self._ask(one) for one in urls}

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _ask(self, url: str) -> dict[tuple[str, str], Statistics] | None:
        with self._lock:
            if url not in self._clients:
                self._clients[url] = TritonClient(_target(url))
            client = self._clients[url]
        try:
            return client.statistics(timeout_s=_TIMEOUT_S)
        except InferenceError:
            return None


def _target(url: str) -> TritonTarget:
    return TritonTarget(url, shared_memory=False, request_timeout_s=_TIMEOUT_S, in_flight=1)
