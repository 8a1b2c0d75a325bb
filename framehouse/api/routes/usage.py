"""/v1/usage: what all work has cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from framehouse.api.context import Admin, ApiContext
from framehouse.errors import BadRequest
from framehouse.jobs.costs import read_usage

_MOMENT = r"^(\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?)?$"
"""A day, or a time of ISO 8601; a bare number is no time."""

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
    since: Annotated[
        str, Query(pattern=_MOMENT, description="of jobs that ended from then on; UTC without a zone")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=100_000)] = 1000,
) -> UsageRows:
    """As the published tables have it; `estimate`: what backfills were expected to cost beside what they did."""
    found = read_usage(api.settings, by, _moment(since) if since else None, max_rows=limit)
    return UsageRows(usage=found.records(), truncated=found.truncated)


def _moment(text: str) -> datetime:
    """A time with its zone. Raises BadRequest: there is no such day or hour, or it lies beyond all years."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"query.since: {error}", code="api.invalid") from error
