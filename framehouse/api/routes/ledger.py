"""/v1/jobs/…/gaps and …/usage: every planned frame accounted for, and what it cost."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from framehouse.api.context import ApiContext, Reader
from framehouse.api.jobs import visible_job
from framehouse.api.routes.jobs import JobId
from framehouse.store.query import run_query

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_GAPS = """
SELECT i.model_id, i.frame_offset, f.time_offset_s, i.gap_reason AS reason
FROM jobs j
JOIN usage u USING (job_id)
JOIN job_frames p USING (job_id)
JOIN inferences i ON i.video_id = j.video_id AND i.frame_offset = p.frame_offset AND i.model_digest = u.model_digest
LEFT JOIN frames f ON f.video_id = j.video_id AND f.frame_offset = p.frame_offset
WHERE j.job_id = ? AND i.status = 'gap'
ORDER BY i.model_id, i.frame_offset
"""
_USAGE = """
SELECT u.model_id, u.model_digest, u.n_planned, u.n_frames, u.n_gaps, u.infer_s, u.decode_s, u.bytes, c.n_paid, c.cpu_s,
    c.gpu_s, c.fetch_bytes, c.money, c.currency
FROM usage u JOIN costs c USING (job_id, model_digest)
WHERE job_id = ? ORDER BY u.model_id
"""


class Gap(BaseModel):
    """A planned frame that a model has no answer for: `null` in the results."""

    model_id: str
    frame_offset: int
    time_offset_s: float | None
    reason: str


class GapList(BaseModel):
    """Gaps by model and frame."""

    gaps: list[Gap]
    truncated: bool


class Usage(BaseModel):
    """What was asked of one model in a job, and what it cost. Sums over models are right: decoding is shared out."""

    model_id: str
    model_digest: str
    n_planned: int
    n_frames: int = Field(description="planned frames with an answer")
    n_gaps: int
    infer_s: float
    decode_s: float
    bytes: int = Field(description="bytes that the last attempt fetched")
    n_paid: int = Field(description="frames that all attempts inferred")
    cpu_s: float = Field(description="of all attempts")
    gpu_s: float = Field(description="of all attempts")
    fetch_bytes: int = Field(description="of all attempts")
    money: float = Field(description="at the prices of the settings")
    currency: str


class UsageList(BaseModel):
    """By model."""

    usage: list[Usage]


@router.get("/{job_id}/gaps", summary="Frames without an answer, and why")
def gaps(
    job_id: JobId, api: ApiContext, caller: Reader, limit: Annotated[int, Query(ge=1, le=100_000)] = 1000
) -> GapList:
    """As the published tables have them: empty until the job is over."""
    visible_job(api, caller, job_id)
    rows, truncated = _rows(api, _GAPS, job_id, limit)
    return GapList(gaps=[Gap.model_validate(row) for row in rows], truncated=truncated)


@router.get("/{job_id}/usage", summary="What a job cost, by model")
def usage(job_id: JobId, api: ApiContext, caller: Reader) -> UsageList:
    """As the published tables have it: empty until the job is over."""
    visible_job(api, caller, job_id)
    return UsageList(usage=[Usage.model_validate(row) for row in _rows(api, _USAGE, job_id, 1000)[0]])


def _rows(api: ApiContext, sql: str, job_id: str, limit: int) -> tuple[list[dict[str, Any]], bool]:
    settings = api.settings
    found = run_query(
        settings.store_dir, sql, params=[job_id], max_rows=limit, memory=settings.store.query_memory,
        timeout_s=settings.store.query_timeout_s,
    )  # fmt: skip
    return found.records(), found.truncated
