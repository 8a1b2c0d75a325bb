"""A chunk as a Dask worker does it for a run: it is left when the run has lost its job, or somebody wants it ended.

A run that is killed leaves its chunks behind on the workers. Each looks about once a second whether the lease it works
under is still good; when it is not, it writes what it has, asks for that to be loaded, and frees its worker.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa
import structlog
from structlog.contextvars import bound_contextvars

from framehouse.alone import Beat
from framehouse.config import load_settings
from framehouse.errors import ConfigError, LeaseLost
from framehouse.inference.run import ChunkReceipt, ChunkTask, infer_chunk
from framehouse.jobs.at_hand import VideoBytes, at_hand
from framehouse.state import Lease, State, open_state
from framehouse.state.holds import may_go_on
from framehouse.tracing import span

log = structlog.get_logger(__name__)

LEFT_EXIT_CODE = 87
_ASK_S = 1.0
_LEAVE_S = 10.0
"""A chunk that is to be left and hangs takes its process down after so long."""


@dataclass(frozen=True, slots=True)
class HeldChunk:
    """A chunk, and the lease of the run that wants it done.

    `video`: how a worker comes by its video and its lake; without it they are where the task says. `trace_parent`: the
    span that it belongs to.
    """

    task: ChunkTask
    lease: Lease
    state_url: str = field(repr=False)
    video: VideoBytes | None = None
    trace_parent: str = ""

    def __str__(self) -> str:
        """Short: it stands in log lines."""
        return f"{self.task.video_id}/{self.task.chunk.chunk_id} of {self.task.job_id}"


def infer_held(held: HeldChunk, beat: Beat) -> ChunkReceipt:
    """Infer a chunk for as long as its run holds the job.

    Raises:
        LeaseLost: it no longer does; what was finished is written, and its load is asked for.
        FramehouseError: as `infer_chunk`.
    """
    task, chunk_id = held.task, held.task.chunk.chunk_id
    with (
        bound_contextvars(job_id=task.job_id, video_id=task.video_id, chunk_id=chunk_id),
        span("chunk", task.job_id, held.trace_parent, video_id=task.video_id, chunk_id=chunk_id,
             models=" ".join(spec.model_id for spec in task.models)),
    ):  # fmt: skip
        return _infer_while_held(held, beat)


def _infer_while_held(held: HeldChunk, beat: Beat) -> ChunkReceipt:
    state = _state(held.state_url)
    if state is None:
        return _infer(held, beat, lambda: None)
    try:
        with _looking(state, held) as check:
            return _infer(held, beat, check)
    except LeaseLost:
        log.info("chunk left", job_id=held.task.job_id, chunk_id=held.task.chunk.chunk_id)
        state.request_load((held.task.video_id, spec.digest) for spec in held.task.models)
        raise


def _infer(held: HeldChunk, beat: Beat, check: Callable[[], None]) -> ChunkReceipt:
    if held.video is None:
        return infer_chunk(held.task, beat, check)
    task, lake = at_hand(held.task, held.video, load_settings(), beat, check)
    return infer_chunk(task, beat, check, lake)


@contextmanager
def _looking(state: State, held: HeldChunk) -> Iterator[Callable[[], None]]:
    """Look after the lease from a thread; gives the check that raises once it is lost."""
    over, lost = threading.Event(), threading.Event()

    def look() -> None:
        while not lost.is_set():
            if not _is_good(state, held):
                lost.set()
            elif over.wait(_ASK_S):
                return
        if not over.wait(_LEAVE_S):
            log.error("chunk is to be left and hangs, ending its process", chunk_id=held.task.chunk.chunk_id)
            os._exit(LEFT_EXIT_CODE)

    def check() -> None:
        if lost.is_set():
            raise LeaseLost(f"the run no longer holds {held.task.job_id}", job_id=held.task.job_id)

    thread = threading.Thread(target=look, name=f"look after {held.lease.name}", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        over.set()
        thread.join()


def _is_good(state: State, held: HeldChunk) -> bool:
    try:
        return may_go_on(state, held.lease, held.task.job_id)
    except sa.exc.OperationalError as error:  # busy or away: no reason to drop work
        log.warning("cannot ask whether the chunk is still wanted", error=type(error).__name__)
        return True


@lru_cache(maxsize=4)
def _state(url: str) -> State | None:
    """The state database; None where it cannot be had from here: then nobody is asked."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        log.warning("no state database here, chunks run to their end", path=parsed.database)
        return None
    try:
        return open_state(url)
    except ConfigError as error:
        log.warning("no state database here, chunks run to their end", cause=error.message)
        return None
