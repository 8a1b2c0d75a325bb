"""Who may begin, and who shares the workers: limits of catalogues, and the jobs that infer now."""

from __future__ import annotations

import time

import sqlalchemy as sa

from framehouse.state.budgets import catalog_budget
from framehouse.state.catalog_tables import catalogs
from framehouse.state.database import State, take_lease
from framehouse.state.opening import writing
from framehouse.state.records import Job
from framehouse.state.schema import jobs, leases


def owed_in_turn(state: State, limit: int) -> list[Job]:
    """Owed jobs as `State.owed_jobs`, of a limited catalogue only as many as may begin now.

    The others of such a catalogue are not looked at, so that however many there are they keep nobody else waiting.
    """
    rooms = _rooms(state)
    found = state.owed_jobs(limit, without=list(rooms))
    for budget, room in rooms.items():
        if room > 0:
            found += state.owed_jobs(min(room, limit), budget=budget)
    return sorted(found, key=lambda job: (-job.request.priority, job.submitted_at, job.job_id))[:limit]


def take_seat(state: State, job: Job, owner: str, ttl_s: float) -> bool:
    """Whether a run may begin a job now; of a limited catalogue it then holds the job's lease, and that is counted.

    One transaction under the catalogue's row: of two runners on two hosts that ask for the last seat one gets it.

    Args:
        owner: the flow run that is to do the job; its process takes the same lease over.
        ttl_s: how long the seat is kept for a process that does not come up.
    """
    budget = job.request.budget
    mine = sa.literal(catalog_budget("")).concat(catalogs.c.name) == budget
    limit = sa.select(catalogs.c.max_running).where(mine, catalogs.c.max_running.is_not(None)).with_for_update()
    with writing(state.engine) as connection:
        max_running = connection.execute(limit).scalar()
        if max_running is None:
            return True
        others = connection.execute(_running(budget).where(jobs.c.job_id != job.job_id)).scalar_one()
        return others < max_running and take_lease(connection, f"job/{job.job_id}", owner, ttl_s) is not None


def inferring(state: State) -> dict[str, int]:
    """Priorities, by job_id, of the jobs whose chunks are on the workers now: those that hold a video's lease."""
    held = leases.c.name.startswith("video/", autoescape=True) & (leases.c.expires_at > time.time())
    query = sa.select(jobs.c.job_id, jobs.c.priority).join(leases, leases.c.owner == jobs.c.flow_run_id).where(held)
    with state.engine.connect() as connection:
        return {str(job_id): int(priority) for job_id, priority in connection.execute(query)}


def _rooms(state: State) -> dict[str, int]:
    """How many more jobs may run of each limited catalogue, by the name of its budget."""
    limited = sa.select(catalogs.c.name, catalogs.c.max_running).where(catalogs.c.max_running.is_not(None))
    with state.engine.connect() as connection:
        found = {catalog_budget(name): max_running for name, max_running in connection.execute(limited)}
        return {
            budget: max_running - connection.execute(_running(budget)).scalar_one()
            for budget, max_running in found.items()
        }


def _running(budget: str) -> sa.Select[tuple[int]]:
    """Counts the jobs of a catalogue that a run holds."""
    name = sa.literal("job/").concat(jobs.c.job_id)
    held = (leases.c.name == name) & (leases.c.expires_at > time.time())
    return sa.select(sa.func.count()).select_from(jobs.join(leases, held)).where(jobs.c.budget == budget)
