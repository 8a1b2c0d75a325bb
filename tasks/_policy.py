"""The one retry policy: try again what the error's class calls retryable, with growing pauses that nobody shares."""

from __future__ import annotations

from typing import Any

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun

from framehouse.errors import FramehouseError

DELAYS_S = [1.0, 2.0, 4.0, 8.0, 15.0, 30.0]
JITTER = 0.5
"""Share by which a pause may be longer, by chance: what failed together does not come back together."""


def is_retryable(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether the failed state's error is one that may pass by itself."""
    error = state.data if isinstance(state.data, BaseException) else getattr(state.data, "result", None)
    return isinstance(error, FramehouseError) and error.retryable


RETRY: dict[str, Any] = {
    "retries": len(DELAYS_S),
    "retry_delay_seconds": DELAYS_S,
    "retry_jitter_factor": JITTER,
    "retry_condition_fn": is_retryable,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
