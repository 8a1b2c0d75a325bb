"""Register the deployments of prefect.yaml, as `prefect deploy --all` would, but in one second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import structlog
import yaml
from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

log = structlog.get_logger(__name__)

PROCESS_VIDEO = "process-video/process-video"
"""Flow name and deployment name of the main job."""


def register_deployments(client: SyncPrefectClient, root: Path, work_pool: str) -> list[str]:
    """Create the work pool and every deployment of `prefect.yaml`; what exists is brought up to date.

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
    flow: Flow[..., Any] = load_flow_from_entrypoint(entry["entrypoint"])
    client.create_deployment(
        flow_id=client.create_flow_from_name(flow.name),
        name=entry["name"],
        entrypoint=entry["entrypoint"],
        path=".",
        pull_steps=[],
        description=entry.get("description"),
        parameters=entry.get("parameters", {}),
        parameter_openapi_schema=parameter_schema(flow).model_dump(),
        enforce_parameter_schema=True,
        tags=entry.get("tags", []),
        work_pool_name=work_pool,
    )
    return f"{flow.name}/{entry['name']}"


def _job_template(client: SyncPrefectClient) -> dict[str, Any]:
    """The process worker's own template, so that a plain `prefect worker` can serve the pool."""
    from prefect.workers.process import ProcessWorker  # noqa: PLC0415  2 s of imports, needed once per server

    return dict(ProcessWorker.get_default_base_job_template())
