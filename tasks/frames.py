"""Hops 2 and 3: the container's index, and the plan of frames that are owed."""

from __future__ import annotations

from prefect import task

from framehouse.ids import video_id
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.plans import PlanRef, store_plan
from framehouse.storage.base import LocalVideo
from framehouse.video.probe import probe
from framehouse.video.sampling import parse_infer_fps, plan_frames
from tasks._policy import RETRY


@task(name="plan", **RETRY)
def plan_video(attempt: Attempt, local: LocalVideo) -> PlanRef:
    """Probe the video, plan its frames, and store both before anything is decoded."""
    identity = video_id(local.sha256)
    attempt.enter("probe", video_id=identity)
    index = probe(local.path, max_pixels=attempt.settings.source.max_pixels)
    attempt.enter("plan", video_id=identity)
    asked = attempt.job.request.infer_fps
    plan = plan_frames(index, parse_infer_fps(asked) if asked else None)
    return store_plan(attempt, local, identity, index, plan)
