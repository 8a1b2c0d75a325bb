"""Hops 2 and 3: the container's index, and the plan of frames that are owed."""

from __future__ import annotations

from prefect import task

from framehouse.ids import video_id
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.measuring import in_hop
from framehouse.jobs.plans import PlanRef, plan_of_request, store_plan
from framehouse.storage.base import LocalVideo
from framehouse.video.probe import probe
from tasks._policy import RETRY


@task(name="plan", **RETRY)
def plan_video(attempt: Attempt, local: LocalVideo) -> PlanRef:
    """Probe the video, plan its frames, and store both before anything is decoded."""
    identity = video_id(local.sha256)
    with in_hop(attempt, "probe", video_id=identity):
        index = probe(local.path, max_pixels=attempt.settings.source.max_pixels)
    with in_hop(attempt, "plan", video_id=identity):
        plan = plan_of_request(index, attempt.job.request)
        return store_plan(attempt, local, identity, index, plan)
