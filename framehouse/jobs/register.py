"""Tie a Prefect run to its job."""

from __future__ import annotations

from framehouse.state import Job, JobRequest, State


def register_run(state: State, flow_run_id: str, request: JobRequest, job_id: str | None) -> Job:
    """The job that a run is to do.

    A run that Framehouse made names its job. A run started by hand in the Prefect page registers one from its
    parameters; the same run tried again takes its own job up again.

    Raises:
        JobNotFound: `job_id` names none.
    """
    if job_id is not None:
        job = state.job(job_id)
    elif (known := state.job_of_flow_run(flow_run_id)) is not None:
        job = known
    else:
        return state.job(state.submit(request, flow_run_id=flow_run_id))
    if job.flow_run_id == flow_run_id and job.status in ("failed", "cancelled"):
        return state.reopen(job.job_id, flow_run_id=flow_run_id)
    return job
