"""Turns: the workers' slots for chunks are shared between the jobs that infer at the same time.

Each job keeps at most its share of chunks on the workers, and asks about once a second how large that is. A long video
alone takes every slot; once others come it hands out no more until it is down to its share, so that nobody waits for
more than the chunks that are there already. Nothing is taken back, and nobody's share is less than one chunk.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable

import sqlalchemy as sa
import structlog

from framehouse.state import State
from framehouse.state.turns import inferring

log = structlog.get_logger(__name__)

_ASK_S = 1.0
_DOUBLES = 10
"""So much more priority doubles a share."""
_ROUNDING = 1e-9


class Turns:
    """How many chunks one job may have on the workers, by what its neighbours are."""

    def __init__(self, state: State, job_id: str, priority: int) -> None:
        self._state, self._job_id, self._priority = state, job_id, priority
        self._others: tuple[int, ...] = ()
        self._asked_at = -math.inf

    def share(self, n_slots: int) -> int:
        """Chunks that the job may have in flight now, of so many slots in all; 1 at least."""
        if time.monotonic() - self._asked_at >= _ASK_S:
            self._asked_at = time.monotonic()
            self._ask()
        return share_of(n_slots, self._priority, self._others)

    def _ask(self) -> None:
        try:
            found = inferring(self._state)
        except sa.exc.OperationalError as error:  # busy or away: as it was before
            log.warning("cannot ask who else infers", error=type(error).__name__)
            return
        self._others = tuple(priority for job_id, priority in found.items() if job_id != self._job_id)


def share_of(n_slots: int, priority: int, others: Iterable[int]) -> int:
    """A job's share of the slots, rounded up: equal between equals, and doubled by ten more of priority.

    >>> share_of(4, 0, []), share_of(4, 0, [0]), share_of(4, 0, [0, 0]), share_of(4, 0, [0] * 99)
    (4, 2, 2, 1)
    >>> share_of(16, 10, [0]), share_of(16, 0, [10])
    (11, 6)
    """
    weights = sum(math.pow(2.0, (other - priority) / _DOUBLES) for other in others)
    return max(1, math.ceil(n_slots / (1.0 + weights) - _ROUNDING))
