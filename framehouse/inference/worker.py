"""What a Dask worker loads before its first task (`dask worker --preload framehouse.inference.worker`).

With the imports done, the first chunk of the first video starts at once; logs are events with a time, as everywhere.
When the scheduler has taken the worker in, the worker tells the supervisor that it is ready.
"""

from __future__ import annotations

import asyncio
from typing import Any

import cv2
import pandas  # noqa: F401  pyarrow imports it at its first array: 2 s that no chunk shall wait for

import framehouse.inference.run  # noqa: F401  the imports are the point
from framehouse.readiness import say_ready
from framehouse.telemetry import configure_logging

WORKER = "dask-worker"
"""Name under which each worker process says that it is ready."""
_LOOK_S = 0.1
_waiting: set[asyncio.Task[None]] = set()


async def dask_setup(worker: Any) -> None:
    """Called by Dask in each worker process, before it has spoken to the scheduler."""
    configure_logging(json=True)
    cv2.setNumThreads(1)
    task = asyncio.create_task(_say_ready_when_registered(worker))
    _waiting.add(task)  # the loop keeps no reference of its own
    task.add_done_callback(_waiting.discard)


async def _say_ready_when_registered(worker: Any) -> None:
    while worker.status.name != "running":
        await asyncio.sleep(_LOOK_S)
    say_ready(WORKER)
