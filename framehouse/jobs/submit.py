"""Jobs as people see them: submit, list, wait, retry, cancel.

Submitting writes one row. The reconciler (`framehouse.jobs.runner`) makes a Prefect run of it, now or after whatever
outage: to submit and to recover are the same act.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from framehouse.config import Settings, load_settings
from framehouse.errors import ConfigError
from framehouse.ids import new_job_id
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.specs import ModelSpec
from framehouse.state import Job, JobRequest, State, open_state
from framehouse.state.budgets import Budgets, Caps, job_budget
from framehouse.tracing import past_span, span
from framehouse.video.sampling import parse_infer_fps

NO_CAPS = Caps()


def connect(settings: Settings | None = None) -> State:
    """The state database of this installation."""
    settings = settings or load_settings()
    return open_state(settings.state_url, backups=settings.backups)


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


def set_budget(state: State, name: str, caps: Caps) -> list[str]:
    """Set a budget that jobs share, nothing of it spent, and let those that it paused go on; returns their ids."""
    Budgets(state.engine).put(name, caps)
    paused = [job.job_id for job in state.list_jobs(statuses=["paused"]) if job.request.budget == name]
    for job_id in paused:
        state.resume(job_id)
    return paused


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


def submit_job(
    state: State,
    request: JobRequest,
    settings: Settings,
    *,
    client_token: str | None = None,
    caps: Caps = NO_CAPS,
    estimate: Mapping[str, Any] | None = None,
) -> str:
    """Check and store a job; the engine takes it up by itself.

    Args:
        caps: most that it may spend before it pauses.
        estimate: what it is expected to cost, as `results.lake.Estimate` has it.

    Raises:
        ConfigError: see `check_request`.
    """
    check_request(request, settings)
    job_id = new_job_id()
    return store_job(state, request, caps, job_id=job_id, client_token=client_token, estimate=estimate)


def store_job(state: State, request: JobRequest, caps: Caps, *, job_id: str, **facts: Any) -> str:
    """Store a job whose request was checked, its caps first: it may be taken up at once. `facts` as `State.submit`."""
    budgets = Budgets(state.engine)
    if not caps.is_open:
        budgets.put(job_budget(job_id), caps)
    with span("submit", job_id, models=" ".join(request.models)):
        known = state.submit(request, job_id=job_id, **facts)
    if known != job_id:  # the same client token: that job has caps of its own
        budgets.put(job_budget(job_id), NO_CAPS)
    return known


def resume_job(state: State, job_id: str, caps: Caps) -> Job:
    """Let a paused job go on. Its caps are counted anew from now: the same ones again, or those that are given.

    Raises:
        JobNotFound: no such job.
    """
    budgets, name = Budgets(state.engine), job_budget(job_id)
    if state.job(job_id).status == "paused":
        before = next((budget.caps for budget in budgets.get([name])), NO_CAPS)
        budgets.put(name, before if caps.is_open else caps)
    return state.resume(job_id)


def submit_jobs(
    state: State, requests: Sequence[JobRequest], settings: Settings, *, client_token: str | None = None
) -> list[str]:
    """Check and store many jobs at once: all of them or none.

    Raises:
        ConfigError: see `check_request`.
    """
    for request in {(r.models, r.infer_fps, r.confidence): r for r in requests}.values():
        check_request(request, settings)
    began_s = time.time()
    job_ids = state.submit_many(requests, client_token=client_token or secrets.token_hex(8))
    for job_id, request in zip(job_ids, requests, strict=True):
        past_span("submit", job_id, began_s, time.time(), models=" ".join(request.models))
    return job_ids


def wait_for_jobs(
    state: State,
    job_ids: Sequence[str],
    *,
    on_progress: Callable[[list[Job]], None] = lambda _jobs: None,
    poll_s: float = 0.25,
    timeout_s: float | None = None,
) -> list[Job]:
    """Wait until all are done, failed, cancelled or paused; returns them in the order asked for.

    Raises:
        TimeoutError: `timeout_s` passed.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        found = {job.job_id: job for job in state.list_jobs(job_ids=job_ids)}
        jobs = [found[job_id] for job_id in job_ids if job_id in found]
        on_progress(jobs)
        if all(job.is_resting for job in jobs):
            return jobs
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"{sum(not job.is_final for job in jobs)} jobs are not over after {timeout_s} s")
        time.sleep(poll_s)
