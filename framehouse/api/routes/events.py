"""/v1/events: follow all jobs that one may see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from framehouse.api.context import Api, ApiContext, Caller, Reader
from framehouse.api.routes.jobs import EVENT_S, KEEP_ALIVE_S, STREAM_HEADERS, job_event, job_facts

router = APIRouter(prefix="/v1/events", tags=["events"])
_UNFINISHED = ("queued", "running", "paused")
Seen = Annotated[
    list[Annotated[str, Query(max_length=64)]],
    Query(max_length=1000, description="jobs last seen unfinished: those that have ended since come first"),
]


@router.get("", summary="Follow all jobs: server-sent events without end",
            response_class=StreamingResponse, responses={200: {"content": {"text/event-stream": {}}}})  # fmt: skip
def events(api: ApiContext, caller: Reader, seen: Seen = []) -> StreamingResponse:  # noqa: B006  shown in /docs
    """An event `job` whenever one of the caller's jobs changed (an admin's: any), with the body of
    `GET /v1/jobs/{job_id}`; at first one for each unfinished job, and each of `seen`."""
    return StreamingResponse(_changes(api, caller, seen), media_type="text/event-stream", headers=STREAM_HEADERS)


async def _changes(api: Api, caller: Caller, seen: Sequence[str]) -> AsyncIterator[str]:
    told = dict.fromkeys(seen, "")
    quiet_s = 0.0
    yield ": following\n\n"
    while True:
        news, told = await to_thread.run_sync(_news, api, caller, told)
        for body in news:
            yield job_event(body)
        quiet_s = 0.0 if news else quiet_s + EVENT_S
        if quiet_s >= KEEP_ALIVE_S:
            quiet_s = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(EVENT_S)


def _news(api: Api, caller: Caller, told: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """What changed since `told`, and what is to be told from then on: unfinished jobs only."""
    owner = None if "admin" in caller.scopes else caller.owner
    alive = api.state.list_jobs(statuses=_UNFINISHED, owner=owner)
    gone = [job_id for job_id in told if job_id not in {job.job_id for job in alive}]
    ended = api.state.list_jobs(job_ids=gone, owner=owner) if gone else []
    now = {job.job_id: job_facts(job).model_dump_json() for job in [*reversed(ended), *reversed(alive)]}
    news = [body for job_id, body in now.items() if told.get(job_id) != body]
    return news, {job.job_id: now[job.job_id] for job in alive}
