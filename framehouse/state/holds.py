"""Whether somebody who works for a run may go on: one cheap question, asked from any process."""

from __future__ import annotations

import time

import sqlalchemy as sa

from framehouse.state.database import State
from framehouse.state.records import FINAL, Lease
from framehouse.state.schema import jobs, leases


def may_go_on(state: State, lease: Lease, job_id: str) -> bool:
    """Whether the lease is still the run's own and alive, and nobody wants the job ended."""
    same = (leases.c.name == lease.name, leases.c.owner == lease.owner, leases.c.fence == lease.fence)
    held = sa.select(leases.c.fence).where(*same, leases.c.expires_at > time.time())
    wanted = sa.select(jobs.c.job_id).where(
        jobs.c.job_id == job_id, jobs.c.cancel_requested.is_(False), jobs.c.status.not_in(FINAL)
    )
    with state.engine.connect() as connection:
        return bool(connection.execute(sa.select(held.exists() & wanted.exists())).scalar())
