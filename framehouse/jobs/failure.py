"""A job's failure where people look in Prefect: an artifact of the run, with all that `failed_videos` tells."""

from __future__ import annotations

from uuid import UUID

import httpx
import structlog
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from framehouse.errors import FramehouseError
from framehouse.state import Job
from framehouse.telemetry import redact_uri

log = structlog.get_logger(__name__)

KEY = "failure"


def failure_text(job: Job, error: FramehouseError) -> str:
    """Markdown: what failed, why, where, how often it was tried, and the command that tries again."""
    second = error.facts.get("second")
    rows = {
        "video": redact_uri(job.request.uri),
        "video id": job.video_id or "",
        "cause": f"`{error.code}`",
        "message": error.message,
        "what to try": error.hint,
        "stage": job.hop or "",
        "second": f"{second:.1f}" if isinstance(second, int | float) else "",
        "models": ", ".join(job.request.models),
        "attempts": str(job.attempt),
    }
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows.items() if value]
    retry = f"framehouse jobs retry {job.job_id}"
    return "\n".join([f"## {error.code}", "", "| | |", "|---|---|", *lines, "", "Try again:", "", "```", retry, "```"])


def show_failure(client: SyncPrefectClient, flow_run_id: str | None, job: Job, error: FramehouseError) -> None:
    """Leave the artifact with a run; a server that is away, or has forgotten the run, ends nothing."""
    if flow_run_id is None:
        return
    try:
        client.create_artifact(
            ArtifactCreate(
                key=KEY,
                type="markdown",
                description=f"job {job.job_id}: {error.code}",
                data=failure_text(job, error),
                flow_run_id=UUID(flow_run_id),
            )
        )
    except (httpx.HTTPError, PrefectHTTPStatusError, ObjectNotFound, ValueError) as problem:
        log.warning("failure not shown in Prefect", job_id=job.job_id, error=type(problem).__name__)


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")
