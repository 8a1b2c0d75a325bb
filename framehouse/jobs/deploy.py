"""Register the deployments of prefect.yaml, as `prefect deploy --all` would, but in one second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog
import yaml
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

log = structlog.get_logger(__name__)

PROCESS_VIDEO = "process-video/process-video"
"""Flow name and deployment name of the main job."""


def register_deployments(client: SyncPrefectClient, root: Path, work_pool: str) -> list[str]:
    """Create the work pool and every deployment of `prefect.yaml`; what exists is brought up to date with the code.

    Args:
        work_pool: takes the place of the pool that the file names `framehouse`.

    Returns:
        Full names, `flow/deployment`.
    """
    document = yaml.safe_load((root / "prefect.yaml").read_text())
    try:
        client.create_work_pool(WorkPoolCreate(name=work_pool, type="process", base_job_template=_job_template(client)))
    except ObjectAlreadyExists:
        log.debug("work pool exists", work_pool=work_pool)
    return [_register(client, entry, work_pool) for entry in document["deployments"]]


def _register(client: SyncPrefectClient, entry: dict[str, Any], work_pool: str) -> str:
    """Make one deployment, or bring it up to date.

    Of one that is there already the code's side is written (entrypoint, schema of the parameters, description). What
    people edit in Prefect's page stays as they left it: schedules, default parameters, concurrency, pause.
    """
    flow: Flow[..., Any] = load_flow_from_entrypoint(entry["entrypoint"])
    full_name = f"{flow.name}/{entry['name']}"
    code: dict[str, Any] = {
        "entrypoint": entry["entrypoint"],
        "path": ".",
        "pull_steps": [],
        "description": entry.get("description"),
        "parameter_openapi_schema": parameter_schema(flow).model_dump(),
        "enforce_parameter_schema": True,
        "tags": entry.get("tags", []),
        "work_pool_name": work_pool,
    }
    try:
        known = client.read_deployment_by_name(full_name)
    except ObjectNotFound:
        client.create_deployment(
            flow_id=client.create_flow_from_name(flow.name),
            name=entry["name"],
            parameters=entry.get("parameters", {}),
            schedules=[_schedule(item) for item in entry.get("schedules", [])],
            **_concurrency(entry.get("concurrency_limit")),
            **code,
        )
    else:
        client.update_deployment(known.id, DeploymentUpdate.model_validate(code))
    return full_name


def _schedule(item: dict[str, Any]) -> DeploymentScheduleCreate:
    """A schedule as prefect.yaml writes it, in the form that the server takes."""
    about = {name: item[name] for name in ("active", "slug", "parameters", "max_scheduled_runs") if name in item}
    return DeploymentScheduleCreate.model_validate(
        {**about, "schedule": {name: value for name, value in item.items() if name not in about}}
    )


def _concurrency(limit: int | dict[str, Any] | None) -> dict[str, Any]:
    if isinstance(limit, dict):
        options = ConcurrencyOptions.model_validate({"collision_strategy": limit.get("collision_strategy", "ENQUEUE")})
        return {"concurrency_limit": limit["limit"], "concurrency_options": options}
    return {"concurrency_limit": limit}


def _job_template(client: SyncPrefectClient) -> dict[str, Any]:
    """The process worker's own template, so that a plain `prefect worker` can serve the pool."""
    from prefect.workers.process import ProcessWorker  # noqa: PLC0415  2 s of imports, needed once per server

    return dict(ProcessWorker.get_default_base_job_template())
