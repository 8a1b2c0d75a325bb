"""Tells a Triton server that hangs from one that works or has nothing to do: by its answers, not by its being there."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WAITING = re.compile(r"^nv_inference_pending_request_count\{[^}]*\} ([0-9.e+]+)$", re.M)
_DONE = re.compile(r"^nv_inference_request_success\{[^}]*\} ([0-9.e+]+)$", re.M)


@dataclass(frozen=True, slots=True)
class ServerProgress:
    """Requests that wait for a model, and requests that were answered since the start; over all models."""

    n_waiting: int
    n_done: int


def read_progress(metrics: str) -> ServerProgress:
    """The figures in the text of Triton's metrics page.

    >>> read_progress('nv_inference_request_success{model="a",version="1"} 7')
    ServerProgress(n_waiting=0, n_done=7)
    """
    waiting, done = (sum(int(float(n)) for n in pattern.findall(metrics)) for pattern in (_WAITING, _DONE))
    return ServerProgress(waiting, done)


class HangWatch:
    """Remembers since when a server has given no sign.

    Args:
        silent_s: a server that answers no question at all for so long hangs.
        stuck_s: so does one in which requests wait and none was answered for so long.
    """

    def __init__(self, silent_s: float, stuck_s: float) -> None:
        self._silent_s, self._stuck_s = silent_s, stuck_s
        self.forget()

    def forget(self) -> None:
        """The server is a new one, or not ready yet."""
        self._heard_at: float | None = None
        self._stuck_since: float | None = None
        self._n_done = -1

    def fault(self, now_s: float, seen: ServerProgress | None) -> str | None:
        """What is wrong with the server; None while nothing is.

        Args:
            now_s: of a clock that only goes forward.
            seen: its figures; None when it did not answer.
        """
        if self._heard_at is None or seen is not None:
            self._heard_at = now_s
        if seen is None:
            silent_s = now_s - self._heard_at
            return f"no answer for {silent_s:.0f} s" if silent_s >= self._silent_s else None
        if seen.n_done != self._n_done:
            self._n_done, self._stuck_since = seen.n_done, None
        if seen.n_waiting and self._stuck_since is None:
            self._stuck_since = now_s
        if not seen.n_waiting or self._stuck_since is None:
            return None
        stuck_s = now_s - self._stuck_since
        return f"requests wait and none was answered for {stuck_s:.0f} s" if stuck_s >= self._stuck_s else None
