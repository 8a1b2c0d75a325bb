"""A new job's row, and many of them in one transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from framehouse.ids import new_job_id
from framehouse.state.records import NOBODY, JobRequest, Origin
from framehouse.state.schema import jobs

_AT_ONCE = 500
"""Rows of one statement: SQLite and PostgreSQL both bound the parameters of one."""


def new_row(
    request: JobRequest,
    origin: Origin = NOBODY,
    *,
    client_token: str | None = None,
    flow_run_id: str | None = None,
    job_id: str | None = None,
) -> dict[str, Any]:
    """The row of a job that is queued now. A client token counts for its owner alone."""
    return {
        "job_id": job_id or new_job_id(),
        "client_token": f"{origin.owner}/{client_token}" if client_token and origin.owner else client_token,
        "owner": origin.owner,
        "wire": None if origin.wire is None else list(origin.wire),
        "upload_id": origin.upload_id,
        "uri": request.uri,
        "models": list(request.models),
        "infer_fps": request.infer_fps,
        "confidence": request.confidence,
        "priority": request.priority,
        "allow_private": request.allow_private,
        "gaps": request.gaps,
        "first_frame": None if request.frames is None else request.frames[0],
        "end_frame": None if request.frames is None else request.frames[1],
        "budget": request.budget,
        "status": "queued",
        "submitted_at": time.time(),
        "flow_run_id": flow_run_id,
        "flow_run_at": time.time() if flow_run_id else None,
    }


def insert_rows(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Store new jobs inside the caller's transaction; a token that is known already gives its first job.

    Args:
        rows: of `new_row`, each with a client token; a token that comes twice gives one job.

    Returns:
        Their ids, in the order of `rows`.
    """
    known: dict[str, str] = {}
    build = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    for start in range(0, len(rows), _AT_ONCE):
        piece = rows[start : start + _AT_ONCE]
        connection.execute(build(jobs).on_conflict_do_nothing(index_elements=["client_token"]), list(piece))
        tokens = [row["client_token"] for row in piece]
        query = sa.select(jobs.c.client_token, jobs.c.job_id).where(jobs.c.client_token.in_(tokens))
        known.update((token, job_id) for token, job_id in connection.execute(query))
    return [known[row["client_token"]] for row in rows]
