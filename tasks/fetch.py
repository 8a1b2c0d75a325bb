"""Hop 1: the bytes of the video, on this machine."""

from __future__ import annotations

from prefect import task

from framehouse.jobs.allowance import fetch_within
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.uploads import lost_upload_named
from framehouse.room import wait_while_fetching
from framehouse.storage.base import LocalVideo, SourceLimits
from framehouse.storage.registry import open_source
from tasks._policy import RETRY


@task(name="fetch", **RETRY)
def fetch_video(attempt: Attempt) -> LocalVideo:
    """Fetch the job's source; a local file is used where it lies."""
    attempt.enter("fetch")
    request, settings = attempt.job.request, attempt.settings
    limits = SourceLimits(
        allow_private=request.allow_private,
        max_bytes=settings.source.max_bytes,
        stall_timeout_s=settings.source.stall_timeout_s,
        max_redirects=settings.source.max_redirects,
        total_timeout_s=None if request.allow_private else settings.source.total_timeout_s,
        private_networks=tuple(settings.source.private_networks),
    )
    waiting = wait_while_fetching(settings.room, settings.keep.floor_wait_s)
    with lost_upload_named(attempt.job):
        return fetch_within(attempt, open_source(request.uri, limits), waiting)
