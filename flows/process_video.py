"""One video: fetch → plan → infer → load."""

from __future__ import annotations

from prefect import flow, runtime

from flows._hooks import record_failure
from framehouse.config import find_endpoints, load_settings
from framehouse.jobs.attempt import hold_job
from framehouse.jobs.register import register_run
from framehouse.jobs.submit import check_request, connect
from framehouse.state import JobRequest
from tasks.fetch import fetch_video
from tasks.frames import plan_video
from tasks.infer import infer_video
from tasks.load import request_load


@flow(name="process-video", on_failure=[record_failure], persist_result=False)
def process_video(
    source: str,
    models: list[str] = ["detector"],  # noqa: B006  Prefect shows the default in its page
    infer_fps: str = "",
    confidence: float = 0.4,
    job_id: str | None = None,
) -> None:
    """Run models over the sampled frames of one video and load what they saw.

    Args:
        source: path or http(s) URL of the video.
        models: `slug` or `slug/version` of each model.
        infer_fps: frames a second, "all" for every frame; empty takes 5, or every frame of a slower video.
        confidence: threshold that results apply; nothing is inferred again when it changes.
        job_id: set by Framehouse for jobs it submitted; a run started by hand registers its own.
    """
    settings, state = load_settings(), connect()
    request = JobRequest(source, tuple(models), infer_fps, confidence)
    job = register_run(state, str(runtime.flow_run.id), request, job_id)
    specs = tuple(check_request(job.request, settings))
    with hold_job(state, job.job_id, str(runtime.flow_run.id), settings, find_endpoints(settings)) as attempt:
        local = fetch_video(attempt)
        plan = plan_video(attempt, local)
        totals = infer_video(attempt, plan, specs)
        request_load(attempt, plan, totals)
