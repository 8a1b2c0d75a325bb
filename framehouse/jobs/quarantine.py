"""What becomes of a chunk that is given up, and how one in quarantine is run again, alone and by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import structlog

from framehouse.alone import Death, run_alone
from framehouse.cluster import GivenUp
from framehouse.errors import ConfigError
from framehouse.inference.run import ChunkReceipt, ChunkTask, give_up_chunk, infer_chunk
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.chunks import HeldChunk
from framehouse.results.lake import Lake
from framehouse.results.quarantine import (
    QUARANTINED,
    DeathNote,
    Quarantined,
    clear_suspect,
    note_suspect,
    put_in_quarantine,
    quarantined_chunks,
    suspects,
)
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks

log = structlog.get_logger(__name__)

_VERSIONS = ("framehouse", "av", "numpy", "tritonclient", "opencv-python-headless")


class Suspects:
    """What is held against the chunks of a video, over all runs of it: each run goes on from what others found out.

    A chunk that hangs needs three times `jobs.stall_s` to be found out; a run that is killed before would begin anew.
    """

    def __init__(self, attempt: Attempt, video_id: str) -> None:
        """Reads what is known; of a chunk in quarantine no death counts, for it may have been mended."""
        self._attempt, self._video_id = attempt, video_id
        self._known: dict[str, tuple[DeathNote, ...]] = {
            **dict.fromkeys(quarantined_chunks(attempt.lake, video_id), ()),
            **suspects(attempt.lake, video_id),
        }

    def against(self, held: HeldChunk) -> tuple[Death, ...] | None:
        """For `run_chunks`: deaths that count, or None: nothing is held against it."""
        notes = self._known.get(held.task.chunk.chunk_id)
        return None if notes is None else tuple(Death(**asdict(note)) for note in notes)

    def note(self, held: HeldChunk, deaths: Sequence[Death]) -> None:
        """Something more is held against a chunk. That is progress of the job: the next run begins there.

        Raises:
            LeaseLost: another run holds the job now.
            StoreError: `store.disk_full`.
        """
        chunk_id = held.task.chunk.chunk_id
        self._known[chunk_id] = _notes(deaths)
        note_suspect(self._attempt.lake, self._video_id, chunk_id, self._known[chunk_id])
        self._attempt.state.note(self._attempt.lease, self._attempt.job_id, stalled_attempts=0)

    def settled(self, held: HeldChunk) -> None:
        """A chunk is done, or in quarantine."""
        if self._known.pop(held.task.chunk.chunk_id, None) is not None:
            clear_suspect(self._attempt.lake, self._video_id, held.task.chunk.chunk_id)


def give_up(attempt: Attempt, task: ChunkTask, end: GivenUp) -> ChunkReceipt:
    """Make gaps of what a chunk still owes; one that killed its processes goes into quarantine first.

    Raises:
        LeaseLost: another run holds the job; it will find out for itself.
    """
    attempt.state.require(attempt.lease)
    if end.error is not None:
        return give_up_chunk(task, end.error.code, attempt.lake)
    path = put_in_quarantine(attempt.lake, describe(task, end.deaths))
    log.error("chunk in quarantine", job_id=task.job_id, chunk_id=task.chunk.chunk_id, path=str(path))
    return give_up_chunk(task, QUARANTINED, attempt.lake)


def describe(task: ChunkTask, deaths: Sequence[Death]) -> Quarantined:
    """All that is needed to see a chunk kill its process again."""
    start_s, end_s = (
        float((pts - task.first_pts) * task.stream.time_base) for pts in (task.chunk.start_pts, task.chunk.end_pts)
    )
    return Quarantined(
        video_id=task.video_id,
        chunk_id=task.chunk.chunk_id,
        job_id=task.job_id,
        path=task.path,
        start_s=round(start_s, 3),
        end_s=round(end_s, 3),
        frames=tuple(task.planned.tolist()),
        models={spec.model_id: spec.digest for spec in task.models},
        triton_url=task.triton.url,
        deaths=_notes(deaths),
        versions={name: version(name) for name in _VERSIONS},
        command=f"framehouse quarantine run {task.video_id}/{task.chunk.chunk_id}",
    )


def _notes(deaths: Sequence[Death]) -> tuple[DeathNote, ...]:
    return tuple(DeathNote(**asdict(death)) for death in deaths)


def run_again(
    chunk: Quarantined, models: Sequence[ModelSpec], target: TritonTarget, lake: Lake, stall_s: float
) -> ChunkReceipt | Death:
    """Run a quarantined chunk in a process of its own, as a worker would; parts go to the lake given.

    Args:
        models: those of the chunk, as they are installed now.

    Raises:
        ConfigError: the file has other chunks now than it had.
        FramehouseError: the file or the server.
    """
    index = probe(Path(chunk.path))
    cut = next((c for c in chunks(index) if c.chunk_id == chunk.chunk_id), None)
    if cut is None:
        raise ConfigError(f"{chunk.path} has no chunk {chunk.chunk_id}", code="config.quarantine")
    task = ChunkTask(
        job_id=chunk.job_id, video_id=chunk.video_id, path=chunk.path, stream=index.stream, chunk=cut,
        planned=np.array(chunk.frames, np.int64), first_pts=int(index.pts[0]), models=tuple(models),
        lake_root=str(lake.root), triton=replace(target, url=target.url or chunk.triton_url),
    )  # fmt: skip
    return run_alone(infer_chunk, task, stall_s)
