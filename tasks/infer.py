"""Hop 4: decode and infer, chunk by chunk, on the Dask workers."""

from __future__ import annotations

from prefect import task

from framehouse.cluster import run_chunks
from framehouse.inference.run import give_up_chunk, infer_chunk
from framehouse.inference.specs import ModelSpec
from framehouse.jobs.allowance import hold_allowance
from framehouse.jobs.attempt import Attempt, hold_video
from framehouse.jobs.outcome import Totals
from framehouse.jobs.plans import PlanRef, chunk_tasks
from tasks._policy import RETRY
from tasks._progress import Progress


@task(name="infer", **RETRY)
def infer_video(attempt: Attempt, ref: PlanRef, models: tuple[ModelSpec, ...]) -> Totals:
    """Infer what the plan owes for every model; a try again does only what no part holds yet."""
    attempt.enter("infer", n_planned=ref.n_frames * len(models))
    totals = Totals(models, ref.n_frames)
    progress = Progress(attempt, ref.n_frames * len(models))
    dask = attempt.settings.dask
    with hold_video(attempt, ref.video_id), hold_allowance(attempt) as allowance:
        tasks = allowance.cut(chunk_tasks(attempt, ref, models))
        for chunk_task, receipt in run_chunks(attempt.endpoints.dask_address, infer_chunk, tasks, window=dask.window):
            receipt = receipt or give_up_chunk(chunk_task, "decode.worker_died")  # noqa: PLW2901
            totals.add(receipt)
            allowance.note(receipt)
            progress.show(totals.n_settled)
            if allowance.is_over:
                break
        totals.spent = allowance.spent
    progress.finish(totals.uses())
    return totals
