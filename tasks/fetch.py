"""Hop 1: the bytes of the video, on this machine."""

from __future__ import annotations

from prefect import task

from framehouse.jobs.allowance import fetch_within
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.measuring import in_hop
from framehouse.jobs.sources import open_video
from framehouse.jobs.uploads import lost_upload_named
from framehouse.room import wait_while_fetching
from framehouse.storage.base import LocalVideo
from tasks._policy import RETRY


@task(name="fetch", **RETRY)
def fetch_video(attempt: Attempt) -> LocalVideo:
    """Fetch the job's source; a local file is used where it lies."""
    request, settings = attempt.job.request, attempt.settings
    with in_hop(attempt, "fetch") as hop:
        waiting = wait_while_fetching(settings.room, settings.keep.floor_wait_s)
        source = open_video(request.uri, settings, allow_private=request.allow_private)
        with lost_upload_named(attempt.job):
            local = fetch_within(attempt, source, waiting)
        hop.fetched(local.n_fetched_bytes)
        return local
