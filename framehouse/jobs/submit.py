"""Jobs as people see them: submit, list, wait, retry, cancel.

Submitting writes one row. The reconciler (`framehouse.jobs.runner`) makes a Prefect run of it, now or after whatever
outage: to submit and to recover are the same act.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from framehouse.config import Settings, load_settings
from framehouse.errors import ConfigError
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.specs import ModelSpec
from framehouse.state import Job, JobRequest, State, open_state
from framehouse.video.sampling import parse_infer_fps


def connect(settings: Settings | None = None) -> State:
    """The state database of this installation."""
    return open_state((settings or load_settings()).state_url)


def check_request(request: JobRequest, settings: Settings) -> list[ModelSpec]:
    """Refuse at once what can be known to fail without the video; returns the models meant.

    Raises:
        ConfigError: unknown model, rate of zero or less, threshold outside 0..1 or below what is stored.
    """
    if request.infer_fps:
        parse_infer_fps(request.infer_fps)
    if not request.models:
        raise ConfigError("no model was named", code="config.unknown_model", hint="framehouse models list")
    specs = load_specs(settings.model_repositories)
    models = {spec.model_id: spec for spec in (resolve(specs, name) for name in request.models)}
    for spec in models.values():
        if not spec.confidence_floor <= request.confidence <= 1:
            raise ConfigError(
                f"confidence {request.confidence:g} is not between {spec.confidence_floor:g} (what {spec.model_id} "
                "stores) and 1",
                code="config.confidence",
                hint="the floor is the parameter confidence_floor in the config.pbtxt of the model",
            )
    return list(models.values())


def known_models(request: JobRequest, settings: Settings) -> tuple[ModelSpec, ...]:
    """The models of a request that this installation knows; the others are left out.

    For the record of a job that ends early: by then a model may be gone, or never have been there.
    """
    try:
        specs = load_specs(settings.model_repositories)
    except ConfigError:
        return ()
    found: dict[str, ModelSpec] = {}
    for name in request.models:
        with suppress(ConfigError):
            spec = resolve(specs, name)
            found[spec.model_id] = spec
    return tuple(found.values())


def submit_job(state: State, request: JobRequest, settings: Settings, *, client_token: str | None = None) -> str:
    """Check and store a job; the engine takes it up by itself.

    Raises:
        ConfigError: see `check_request`.
    """
    check_request(request, settings)
    return state.submit(request, client_token=client_token)


def submit_jobs(
    state: State, requests: Sequence[JobRequest], settings: Settings, *, client_token: str | None = None
) -> list[str]:
    """Check and store many jobs at once: all of them or none.

    Raises:
        ConfigError: see `check_request`.
    """
    for request in {(r.models, r.infer_fps, r.confidence): r for r in requests}.values():
        check_request(request, settings)
    return state.submit_many(requests, client_token=client_token or secrets.token_hex(8))


def wait_for_jobs(
    state: State,
    job_ids: Sequence[str],
    *,
    on_progress: Callable[[list[Job]], None] = lambda _jobs: None,
    poll_s: float = 0.25,
    timeout_s: float | None = None,
) -> list[Job]:
    """Wait until all are done, failed or cancelled; returns them in the order asked for.

    Raises:
        TimeoutError: `timeout_s` passed.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        found = {job.job_id: job for job in state.list_jobs(job_ids=job_ids)}
        jobs = [found[job_id] for job_id in job_ids if job_id in found]
        on_progress(jobs)
        if all(job.is_final for job in jobs):
            return jobs
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"{sum(not job.is_final for job in jobs)} jobs are not over after {timeout_s} s")
        time.sleep(poll_s)
