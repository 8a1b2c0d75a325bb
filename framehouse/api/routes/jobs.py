"""/v1/jobs: submit, list, show, retry, cancel, follow, read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from framehouse.api.context import Api, ApiContext, Caller, Reader, Submitter
from framehouse.api.jobs import own_job, submit, visible_job
from framehouse.api.routes.results import result_url
from framehouse.api.routes.uploads import upload_of_url
from framehouse.errors import BadRequest
from framehouse.jobs.partial import partial_results
from framehouse.jobs.sources import may_be_named
from framehouse.jobs.submit import NO_CAPS, known_models, resume_job
from framehouse.jobs.wire import options_of, progress_of
from framehouse.results.opening import open_lake
from framehouse.state import Job, JobRequest, Origin
from framehouse.state.budgets import Caps
from framehouse.telemetry import redact_uri

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
_MAX_SOURCES = 1000
EVENT_S = 0.5
KEEP_ALIVE_S = 15.0
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

JobId = Annotated[str, Path(pattern=r"^j_[0-9a-z]{20}$", description="id of a job")]
Status = Literal["queued", "running", "paused", "done", "failed", "cancelled"]


class JobWish(BaseModel):
    """One or many videos, and what to run over them."""

    model_config = ConfigDict(extra="forbid")

    sources: list[Annotated[str, Field(min_length=1, max_length=8192)]] = Field(
        min_length=1,
        max_length=_MAX_SOURCES,
        description="http(s) URLs, upload URLs of this server, or objects of stores that it reads",
    )
    models: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=["detector"], min_length=1, max_length=32, description="slug or slug/version"
    )
    infer_fps: str = Field(default="", max_length=40, description="frames a second, `all`, or empty for the default")
    confidence: float | None = Field(default=None, ge=0, le=1, description="threshold of the results")
    priority: int = Field(default=0, ge=-100, le=100, description="higher first")
    max_frames: int | None = Field(default=None, ge=1, description="each pauses after so many frames x models")
    max_seconds: float | None = Field(default=None, gt=0, description="each pauses after so many seconds of work")
    max_bytes: int | None = Field(default=None, ge=1, description="each pauses before it fetches more")
    client_token: str = Field(
        default="", max_length=150, description="the same token gives the same jobs: safe to send again"
    )


class JobFacts(BaseModel):
    """A job as it is now. Times are ISO 8601 in UTC."""

    job_id: str
    status: Status
    source: str
    models: list[str]
    infer_fps: str
    confidence: float
    priority: int
    video_id: str | None
    hop: str | None
    progress: float = Field(description="0..1; 1 when its rows can be read")
    n_planned: int = Field(description="frames x models")
    n_settled: int
    attempt: int
    submitted_at: str
    started_at: str | None
    finished_at: str | None
    error: dict[str, str] | None


class JobList(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobFacts]


@router.post("", summary="Submit one or many videos", status_code=201)
def create(wish: JobWish, api: ApiContext, caller: Submitter) -> JobList:
    """One job for each source, or none at all when one of them cannot be taken. With a client token, a source that was
    submitted with it before gives its first job."""
    wanted = [_wanted(api, caller, wish, source) for source in wish.sources]
    tokens = [f"{wish.client_token}/{number}" if wish.client_token else None for number in range(len(wanted))]
    caps = Caps(wish.max_frames, wish.max_seconds, wish.max_bytes)
    found = submit(api, caller, [(*one, token) for one, token in zip(wanted, tokens, strict=True)], caps)
    return JobList(jobs=[job_facts(api.state.job(job_id)) for job_id in found])


def _wanted(api: Api, caller: Caller, wish: JobWish, source: str) -> tuple[JobRequest, Origin]:
    upload = upload_of_url(api, caller, source)
    if upload is None and not may_be_named(source, api.settings):
        raise BadRequest(
            f"{redact_uri(source)} is no http(s) URL, no upload of this server, and in no store that it reads",
            code="api.input_url",
        )
    confidence = api.settings.jobs.confidence if wish.confidence is None else wish.confidence
    request = JobRequest(
        upload.uri if upload else source, tuple(wish.models), wish.infer_fps, confidence, wish.priority,
        allow_private=False,
    )  # fmt: skip
    return request, Origin(caller.owner, None, upload.upload_id if upload else None)


@router.get("", summary="List jobs, newest first")
def list_(
    api: ApiContext,
    caller: Reader,
    status: Annotated[list[Status] | None, Query(description="only these")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JobList:
    """The caller's own jobs (those that others share are found by their id); an admin sees all."""
    owner = None if "admin" in caller.scopes else caller.owner
    jobs = api.state.list_jobs(statuses=status or (), owner=owner, limit=limit)
    return JobList(jobs=[job_facts(job) for job in jobs])


@router.get("/{job_id}", summary="Show one job")
def show(job_id: JobId, api: ApiContext, caller: Reader) -> JobFacts:
    """How far it is, or how it ended."""
    return job_facts(visible_job(api, caller, job_id))


@router.post("/{job_id}/retry", summary="Queue a finished job again")
def retry(job_id: JobId, api: ApiContext, caller: Submitter) -> JobFacts:
    """Frames that are loaded are not inferred again. A job that is not over is left as it is."""
    own_job(api, caller, job_id)
    return job_facts(api.state.reopen(job_id))


@router.post("/{job_id}/resume", summary="Let a paused job go on")
def resume(job_id: JobId, api: ApiContext, caller: Submitter) -> JobFacts:
    """With the same caps once more, counted from now. A job that is not paused is left as it is."""
    own_job(api, caller, job_id)
    return job_facts(resume_job(api.state, job_id, NO_CAPS))


@router.post("/{job_id}/cancel", summary="End a job")
def cancel(job_id: JobId, api: ApiContext, caller: Submitter) -> JobFacts:
    """What it has inferred stays. A job that is over is left as it is."""
    own_job(api, caller, job_id)
    return job_facts(api.state.request_cancel(job_id))


@router.get("/{job_id}/results", summary="Results so far, or where the whole lies")
def results(job_id: JobId, request: Request, api: ApiContext, caller: Reader) -> dict[str, Any]:
    """`complete` and a signed `url` when the job is done; before that, `results` with what its parts hold."""
    job = visible_job(api, caller, job_id)
    if job.status == "done":
        return {"job_id": job_id, "complete": True, "url": result_url(api, job_id, request), "results": None}
    found = partial_results(
        open_lake(*api.settings.lake_place), job, known_models(job.request, api.settings), options_of(job)
    )
    return {"job_id": job_id, "complete": False, "url": None, "results": found}


@router.get("/{job_id}/events", summary="Follow a job: server-sent events until it is over",
            response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})  # fmt: skip
def events(job_id: JobId, api: ApiContext, caller: Reader) -> StreamingResponse:
    """An event `job` whenever something changed, with the same body as `GET /v1/jobs/{job_id}`; then the end."""
    visible_job(api, caller, job_id)
    return StreamingResponse(_changes(api, caller, job_id), media_type="text/event-stream", headers=STREAM_HEADERS)


async def _changes(api: Api, caller: Caller, job_id: str) -> AsyncIterator[str]:
    told, quiet_s = "", 0.0
    while True:
        job = await to_thread.run_sync(visible_job, api, caller, job_id)
        body = job_facts(job).model_dump_json()
        if body != told:
            told, quiet_s = body, 0.0
            yield job_event(body)
        elif quiet_s >= KEEP_ALIVE_S:
            quiet_s = 0.0
            yield ": still here\n\n"
        if job.is_final:
            return
        await asyncio.sleep(EVENT_S)
        quiet_s += EVENT_S


def job_event(body: str) -> str:
    """A server-sent event with a job's facts as JSON."""
    return f"event: job\ndata: {body}\n\n"


def job_facts(job: Job) -> JobFacts:
    """What is told of a job."""
    row, request = asdict(job), job.request
    error = None
    if job.error_code:
        error = {"code": job.error_code, "message": job.error_message or "", "hint": job.error_hint or ""}
    same = ("job_id", "status", "video_id", "hop", "n_planned", "n_settled", "attempt")
    return JobFacts.model_validate(
        {
            **{name: row[name] for name in same},
            **{name: _iso(row[name]) for name in ("submitted_at", "started_at", "finished_at")},
            "source": redact_uri(request.uri),
            "models": list(request.models),
            "infer_fps": request.infer_fps,
            "confidence": request.confidence,
            "priority": request.priority,
            "progress": progress_of(job),
            "error": error,
        }
    )


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
