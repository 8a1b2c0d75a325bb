"""Numbers for whoever watches an installation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from framehouse.state.schema import deliveries, jobs, leases, load_log, uploads

_STATUSES = ("queued", "running", "paused", "done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Tallies:
    """How much of what there is, now.

    Attributes:
        jobs: by status, every status.
        n_planned, n_settled: frames x models of unfinished jobs.
        n_loads: wishes that the loader's log still holds.
        n_uploads_awaited: uploads that were promised and did not arrive.
        n_deliveries_pending: webhook deliveries to be tried.
        oldest_queued_at: when the oldest queued job was submitted, seconds since the epoch; None for none.
    """

    jobs: dict[str, int]
    n_planned: int
    n_settled: int
    n_loads: int
    n_leases: int
    n_uploads_awaited: int
    n_deliveries_pending: int
    oldest_queued_at: float | None


def take_tallies(engine: sa.Engine, now: float) -> Tallies:
    """Count, in one transaction that reads."""
    count = sa.func.count()
    unfinished = jobs.c.status.in_(["queued", "running"])
    awaited = (uploads.c.completed_at.is_(None), uploads.c.expires_at > now)
    total = (sa.func.coalesce(sa.func.sum(column), 0) for column in (jobs.c.n_planned, jobs.c.n_settled))
    with engine.connect() as connection:

        def one(query: sa.Select[Any]) -> int:
            return int(connection.execute(query).scalar_one())

        rows = connection.execute(sa.select(jobs.c.status, count).group_by(jobs.c.status)).all()
        by_status = {str(row[0]): int(row[1]) for row in rows}
        planned, settled = connection.execute(sa.select(*total).where(unfinished)).one()
        queued = sa.select(sa.func.min(jobs.c.submitted_at)).where(jobs.c.status == "queued")
        return Tallies(
            {name: by_status.get(name, 0) for name in _STATUSES},
            int(planned),
            int(settled),
            one(sa.select(count).select_from(load_log)),
            one(sa.select(count).select_from(leases).where(leases.c.expires_at > now)),
            one(sa.select(count).select_from(uploads).where(*awaited)),
            one(sa.select(count).select_from(deliveries).where(deliveries.c.status == "pending")),
            connection.execute(queued).scalar(),
        )
