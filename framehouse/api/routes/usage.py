"""/v1/usage: what all work has cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from framehouse.api.context import Admin, ApiContext
from framehouse.errors import BadRequest
from framehouse.jobs.costs import read_usage

router = APIRouter(prefix="/v1/usage", tags=["jobs"])


class UsageRows(BaseModel):
    """A row for each of what was asked for: frames, `cpu_s`, `gpu_s`, bytes, money."""

    usage: list[dict[str, Any]] = Field(description="columns as in the view `costs`, or `estimates`")
    truncated: bool


@router.get("", summary="What work has cost")
def usage(
    api: ApiContext,
    _: Admin,
    by: Annotated[Literal["job", "model", "day", "estimate"], Query(description="a row for each")] = "model",
    since: Annotated[datetime | None, Query(description="of jobs that ended from then on, UTC")] = None,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
) -> UsageRows:
    """As the published tables have it; `estimate`: what backfills were expected to cost beside what they did."""
    try:
        moment = since and (since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC))
    except OverflowError as error:
        raise BadRequest("query.since: beyond the years that there are", code="api.invalid") from error
    found = read_usage(api.settings, by, moment, max_rows=limit)
    return UsageRows(usage=found.records(), truncated=found.truncated)
