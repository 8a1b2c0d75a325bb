"""Jobs on behalf of a caller: submitted within its limits, seen only by those who may."""

from __future__ import annotations

from framehouse.api.context import Api, Caller
from framehouse.errors import JobNotFound, TooMany
from framehouse.jobs.submit import check_request
from framehouse.state import Job, JobRequest, Origin


def submit(api: Api, caller: Caller, request: JobRequest, origin: Origin, *, client_token: str | None = None) -> str:
    """Check and store a job.

    Raises:
        ConfigError: see `check_request`.
        TooMany: the caller has as many unfinished jobs as its key allows.
    """
    check_request(request, api.settings)
    n_waiting = api.state.count_unfinished(caller.owner)
    if n_waiting >= caller.max_waiting_jobs:
        raise TooMany(f"{n_waiting} jobs are not over yet, which is the limit of this key",
                      hint="wait for some of them, or ask for a higher limit")  # fmt: skip
    return api.state.submit(request, client_token=client_token, origin=origin)


def visible_job(api: Api, caller: Caller, job_id: str) -> Job:
    """A job that the caller may see.

    Raises:
        JobNotFound: there is none, or it is somebody else's: the two look the same.
    """
    job = api.state.job(job_id)
    if not caller.may_see(job.origin.owner):
        raise JobNotFound(f"no job {job_id}", job_id=job_id)
    return job
