"""Jobs on behalf of a caller: submitted within its limits, seen only by those who may."""

from __future__ import annotations

from collections.abc import Sequence

from framehouse.api.context import Api, Caller
from framehouse.errors import JobNotFound, TooMany
from framehouse.ids import new_job_id
from framehouse.jobs.submit import NO_CAPS, check_request, store_job
from framehouse.state import Job, JobRequest, Origin
from framehouse.state.budgets import Caps
from framehouse.state.shares import Shares


def submit(
    api: Api, caller: Caller, wanted: Sequence[tuple[JobRequest, Origin, str | None]], caps: Caps = NO_CAPS
) -> list[str]:
    """Check all jobs, then store them: all or none.

    Args:
        wanted: request, origin and client token (or None) of each job.
        caps: most that each may spend before it pauses.

    Raises:
        ConfigError: see `check_request`.
        TooMany: with these the caller would have more unfinished jobs than its key allows.
    """
    for request, _, _ in wanted:
        check_request(request, api.settings)
    n_waiting = api.state.count_unfinished(caller.owner)
    if n_waiting + len(wanted) > caller.max_waiting_jobs:
        raise TooMany(f"{n_waiting} jobs are not over yet, and {caller.max_waiting_jobs} is the limit of this key",
                      hint="wait for some of them, or ask for a higher limit")  # fmt: skip
    return [
        store_job(api.state, request, caps, job_id=new_job_id(), client_token=token, origin=origin)
        for request, origin, token in wanted
    ]


def visible_job(api: Api, caller: Caller, job_id: str) -> Job:
    """A job that the caller may read: its own, one that its owner shares, any for an admin.

    Raises:
        JobNotFound: there is none, or it is somebody else's: the two look the same.
    """
    job = _job(api, job_id)
    if caller.may_see(job.origin.owner) or Shares(api.state.engine).has(job_id, caller.owner):
        return job
    raise _not_found(job_id)


def own_job(api: Api, caller: Caller, job_id: str) -> Job:
    """A job that the caller may change: its own, any for an admin.

    Raises:
        JobNotFound: as `visible_job`.
    """
    job = _job(api, job_id)
    if not caller.may_see(job.origin.owner):
        raise _not_found(job_id)
    return job


def _job(api: Api, job_id: str) -> Job:
    try:
        return api.state.job(job_id)
    except JobNotFound as error:
        raise _not_found(job_id) from error


def _not_found(job_id: str) -> JobNotFound:
    """In the words by which the official client's command knows it."""
    return JobNotFound(f"job {job_id} not found", job_id=job_id)
