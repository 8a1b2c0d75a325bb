"""Results by signed URL: made once from the published snapshot, kept compressed, sent as they are."""

from __future__ import annotations

import gzip
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from framehouse.api.context import Api, ApiContext
from framehouse.api.urls import absolute
from framehouse.errors import JobNotFound
from framehouse.jobs.wire import options_of
from framehouse.state import Job
from framehouse.store.job_results import job_results

router = APIRouter(tags=["results"])
_LEVEL = 5
_PIECE_BYTES = 1024 * 1024


def result_url(api: Api, job_id: str, request: Request) -> str:
    """A signed URL under which a job's results are read, made anew at each poll."""
    return absolute(
        api, request, api.signer.sign("GET", f"/results/{job_id}.json", ttl_s=api.settings.api.result_ttl_s)
    )


@router.head("/results/{job_id}.json", include_in_schema=False)
@router.get("/results/{job_id}.json", summary="Results of a job, by its signed URL")
def results(job_id: str, request: Request, api: ApiContext) -> Response:
    """One object of equally long lists; index i is the i-th sampled frame. Compressed where the client takes gzip."""
    api.signer.verify("GET", f"/results/{job_id}.json", dict(request.query_params))
    job = api.state.job(job_id)
    if job.status != "done":
        raise JobNotFound(f"job {job_id} is {job.status}, not done", code="job.not_done", hint="poll it")
    path = _made(api, job)
    vary = {"Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return FileResponse(path, media_type="application/json", headers={"Content-Encoding": "gzip", **vary})
    return StreamingResponse(_unpacked(path), media_type="application/json", headers=vary)


def _unpacked(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _made(api: Api, job: Job) -> Path:
    """The results file of a job, made at the first call; one for each time that the job was done."""
    finished = int((job.finished_at or 0.0) * 1000)
    path = api.settings.result_dir / f"{job.job_id}-{finished}.json.gz"
    try:
        os.utime(path)  # housekeeping takes what nobody has asked for lately
    except FileNotFoundError:
        settings = api.settings
        options = options_of(job)
        found = job_results(settings.store_dir, job.job_id, options=options, memory=settings.store.query_memory)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.parent / f".{path.name}.{secrets.token_hex(4)}"
        draft.write_bytes(gzip.compress(json.dumps(found, separators=(",", ":")).encode(), _LEVEL, mtime=0))
        draft.replace(path)
    return path
