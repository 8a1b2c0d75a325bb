"""A run of a job without Prefect, Dask and a server: its chunks are inferred here, one after the other, by a fake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import tasks.infer
from chunk_cases import SMALL, SPEC, FakeTriton, use_fake
from framehouse import ids
from framehouse.inference.run import ChunkReceipt, infer_chunk
from framehouse.jobs.attempt import hold_job
from framehouse.jobs.chunks import HeldChunk
from framehouse.jobs.outcome import conclude_run
from framehouse.jobs.plans import plan_of_request, store_plan
from framehouse.state import Job
from framehouse.storage.local import LocalSource
from framehouse.video.probe import probe
from jobs_in_hand import ENDPOINTS, new_attempt, new_state

MODELS = (SPEC, SMALL)


class Quiet:
    """Stands for the bar in Prefect's page."""

    def __init__(self, *_: object) -> None:
        pass

    def show(self, *_: object) -> None:
        pass

    def finish(self, *_: object) -> None:
        pass


def infer_here(
    monkeypatch: pytest.MonkeyPatch, infer: Callable[[HeldChunk], ChunkReceipt] = lambda held: infer_chunk(held.task)
) -> FakeTriton:
    """Let the infer task do its chunks by a function; returns the server that they ask."""

    def in_line(_address: str, _work: object, held: Sequence[HeldChunk], **_: Any) -> Iterator[tuple[HeldChunk, Any]]:
        for chunk in held:
            yield chunk, infer(chunk)

    monkeypatch.setattr(tasks.infer, "run_chunks", in_line)
    monkeypatch.setattr(tasks.infer, "lent", lambda *_: nullcontext())
    monkeypatch.setattr(tasks.infer, "Progress", Quiet)
    return use_fake(monkeypatch, FakeTriton())


def work(folder: Path, video: Path, job_id: str) -> Job:
    """What a run of the flow does, without Prefect."""
    state, settings = new_state(folder), new_attempt(folder / "other").settings
    settings.home = folder / "home"
    local = LocalSource(video).fetch(folder)
    identity = ids.video_id(local.sha256)
    with hold_job(state, job_id, "run", settings, ENDPOINTS) as attempt:
        state.note(attempt.lease, job_id, video_id=identity)
        index = probe(video)
        ref = store_plan(attempt, local, identity, index, plan_of_request(index, attempt.job.request))
        conclude_run(attempt, ref, tasks.infer.infer_video.fn(attempt, ref, MODELS))
    return state.job(job_id)
