"""Hop 4: decode and infer, chunk by chunk, on the Dask workers."""

from __future__ import annotations

from pathlib import Path

from prefect import task

from framehouse.cluster import GivenUp, run_chunks
from framehouse.inference.specs import ModelSpec
from framehouse.jobs.allowance import hold_allowance
from framehouse.jobs.at_hand import describe_video, lent
from framehouse.jobs.attempt import Attempt, hold_video
from framehouse.jobs.chunks import infer_held
from framehouse.jobs.measuring import in_hop
from framehouse.jobs.outcome import Totals
from framehouse.jobs.plans import PlanRef, held_chunks
from framehouse.jobs.quarantine import Suspects, give_up
from framehouse.jobs.turns import Turns
from framehouse.room import WhenRoom
from tasks._policy import RETRY
from tasks._progress import Progress


@task(name="infer", **RETRY)
def infer_video(attempt: Attempt, ref: PlanRef, models: tuple[ModelSpec, ...]) -> Totals:
    """Infer what the plan owes for every model; a try again does only what no part holds yet."""
    totals = Totals(models, ref.n_frames)
    progress = Progress(attempt, ref.n_frames * len(models))
    settings, address = attempt.settings, attempt.endpoints.dask_address
    turns = Turns(attempt.state, attempt.job_id, attempt.job.request.priority)
    with (
        in_hop(attempt, "infer", video_id=ref.video_id, n_planned=ref.n_frames * len(models)) as hop,
        hold_video(attempt, ref.video_id),
        lent(attempt, video := describe_video(attempt, ref.video_id, Path(ref.path))),
        hold_allowance(attempt) as allowance,
    ):
        held = WhenRoom(allowance.cut(held_chunks(attempt, ref, models, video)), settings.room)
        suspects = Suspects(attempt, ref.video_id)
        ends = run_chunks(
            address, infer_held, held, window=settings.dask.window, share=turns.share,
            stall_s=settings.jobs.stall_s, suspicion=suspects.against, on_suspicion=suspects.note,
            on_retry=hop.chunk_again,
        )  # fmt: skip
        for chunk, end in ends:
            receipt = give_up(attempt, chunk.task, end) if isinstance(end, GivenUp) else end
            suspects.settled(chunk)
            hop.chunk_ended(models, receipt, given_up=isinstance(end, GivenUp))
            totals.add(receipt)
            allowance.note(receipt)
            progress.show(totals.n_settled)
            if allowance.is_over:
                break
        totals.spent = allowance.spent
    progress.finish(totals.uses())
    return totals
