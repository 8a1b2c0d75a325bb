"""What happens when a run fails: the failure is written down where people look for it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx
import structlog
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State

from framehouse.config import load_settings
from framehouse.errors import LeaseLost
from framehouse.jobs.failure import show_failure
from framehouse.jobs.outcome import conclude_early, facts_of, is_for_another_run
from framehouse.jobs.pause import is_pause
from framehouse.jobs.submit import connect, known_models
from framehouse.results.opening import open_lake

log = structlog.get_logger(__name__)


def record_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Write the run record (hop, code, message, what to try) and conclude the job as failed."""
    try:
        state.result(raise_on_failure=True)
    except LeaseLost:
        return  # another run has the job; it will tell
    except httpx.HTTPError as error:  # the Prefect server went away under the run; nothing is wrong with the job
        log.warning("run lost its Prefect server, the reconciler makes another", error=type(error).__name__)
    except BaseException as error:  # noqa: BLE001  the outermost edge: whatever it was is recorded
        log.warning("run failed", flow=flow.name, flow_run_id=str(flow_run.id), code=facts_of(error).code)
        settings = load_settings()
        if is_pause(facts_of(error), settings.room):
            log.warning("the disk is full: the job waits for room", shortage=settings.room.shortage())
            return  # owed still: the reconciler makes another run when there is room
        jobs = connect(settings)
        if (job := jobs.job_of_flow_run(str(flow_run.id))) is not None:
            if is_for_another_run(error, job, settings.jobs.max_attempts):
                return  # once the lease has run out
            models = known_models(job.request, settings)
            conclude_early(jobs, open_lake(*settings.lake_place), job, "failed", facts_of(error), models)
            with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
                show_failure(client, str(flow_run.id), job, facts_of(error))
