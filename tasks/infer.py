"""Hop 4: decode and infer, chunk by chunk, on the Dask workers."""

from __future__ import annotations

from prefect import task

from framehouse.cluster import run_chunks
from framehouse.inference.run import give_up_chunk, infer_chunk
from framehouse.inference.specs import ModelSpec
from framehouse.jobs.attempt import Attempt, hold_video
from framehouse.jobs.outcome import Totals
from framehouse.jobs.plans import PlanRef, chunk_tasks
from framehouse.room import WhenRoom
from tasks._policy import RETRY
from tasks._progress import Progress


@task(name="infer", **RETRY)
def infer_video(attempt: Attempt, ref: PlanRef, models: tuple[ModelSpec, ...]) -> Totals:
    """Infer what the plan owes for every model; a try again does only what no part holds yet."""
    attempt.enter("infer", n_planned=ref.n_frames * len(models))
    totals = Totals(models, ref.n_frames)
    progress = Progress(attempt, ref.n_frames * len(models))
    dask = attempt.settings.dask
    with hold_video(attempt, ref.video_id):
        tasks = WhenRoom(chunk_tasks(attempt, ref, models), attempt.settings.room)
        for chunk_task, receipt in run_chunks(attempt.endpoints.dask_address, infer_chunk, tasks, window=dask.window):
            totals.add(receipt or give_up_chunk(chunk_task, "decode.worker_died"))
            progress.show(totals.n_settled)
    progress.finish(totals.uses())
    return totals
