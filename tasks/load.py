"""Hop 5: the run's record, and its rows asked for. The resident loader does the rest."""

from __future__ import annotations

from prefect import task

from framehouse.jobs.attempt import Attempt
from framehouse.jobs.measuring import in_hop
from framehouse.jobs.outcome import Totals, conclude_run
from framehouse.jobs.plans import PlanRef
from tasks._policy import RETRY


@task(name="load", **RETRY)
def request_load(attempt: Attempt, ref: PlanRef, totals: Totals) -> None:
    """Conclude the run: done when a published snapshot holds its rows, failed when too many frames are gaps."""
    with in_hop(attempt, "load", video_id=ref.video_id):
        conclude_run(attempt, ref, totals)
