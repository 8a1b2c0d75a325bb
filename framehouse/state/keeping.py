"""What the state database knows about the use of files, and rows of its own that have had their day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from framehouse.state.loads import append_load
from framehouse.state.opening import writing
from framehouse.state.records import FINAL
from framehouse.state.schema import deliveries, jobs, leases, load_log, metadata, uploads

Rows = Literal["deliveries", "leases", "loads"]
_LEASE_S = 24 * 3600.0
"""A lease that ended so long ago belongs to nobody who could still come back."""


@dataclass(frozen=True, slots=True)
class UploadUse:
    """An upload that nobody waits for. `last_used_at`: the end of its last job, else its arrival, else its expiry."""

    upload_id: str
    last_used_at: float
    arrived: bool


class Keeping:
    """Questions of housekeeping to a state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def is_video_needed(self, video_id: str) -> bool:
        """Whether a job on this video is not over."""
        query = sa.select(jobs.c.job_id).where(jobs.c.video_id == video_id, jobs.c.status.not_in(FINAL)).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).first() is not None

    def last_used(self) -> dict[str, float]:
        """Video -> when its last job ended, in seconds since the epoch."""
        query = sa.select(jobs.c.video_id, sa.func.max(jobs.c.finished_at)).where(
            jobs.c.video_id.is_not(None), jobs.c.finished_at.is_not(None)
        )
        with self._engine.connect() as connection:
            return {str(row[0]): float(row[1]) for row in connection.execute(query.group_by(jobs.c.video_id))}

    def forget_video(self, video_id: str) -> bool:
        """Drop the jobs of a video and all rows about them, and have the loader forget it; False while one is not over.

        One transaction. What a catalogue says about the place of the file stays: it is no reason to run it again.
        """
        mine = sa.select(jobs.c.job_id).where(jobs.c.video_id == video_id)
        busy = sa.select(jobs.c.job_id).where(jobs.c.video_id == video_id, jobs.c.status.not_in(FINAL))
        with writing(self._engine) as connection:
            if connection.execute(busy).first() is not None:
                return False
            names = [f"job/{row[0]}" for row in connection.execute(mine)]
            for table in metadata.tables.values():
                if "job_id" in table.c and table is not jobs:
                    connection.execute(table.delete().where(table.c.job_id.in_(mine)))
            connection.execute(load_log.delete().where(load_log.c.video_id == video_id))
            connection.execute(leases.delete().where(leases.c.name.in_(names)))
            connection.execute(jobs.delete().where(jobs.c.video_id == video_id))
            append_load(connection, "forget", video_id=video_id)
        return True

    def uses_of(self, video_id: str) -> list[tuple[str, str | None]]:
        """(job, upload) of every job on a video."""
        query = sa.select(jobs.c.job_id, jobs.c.upload_id).where(jobs.c.video_id == video_id)
        with self._engine.connect() as connection:
            return [(str(row[0]), row[1]) for row in connection.execute(query)]

    # ── uploads ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def upload_ids(self) -> set[str]:
        """Every upload with a row."""
        with self._engine.connect() as connection:
            return {str(row[0]) for row in connection.execute(sa.select(uploads.c.upload_id))}

    def idle_uploads(self, before: float) -> Iterator[UploadUse]:
        """Uploads whose last use was before this moment and that no unfinished job needs."""
        ended = (
            sa.select(jobs.c.upload_id, sa.func.max(jobs.c.finished_at).label("ended_at"))
            .where(jobs.c.upload_id.is_not(None))
            .group_by(jobs.c.upload_id)
            .subquery()
        )
        last = sa.func.coalesce(ended.c.ended_at, uploads.c.completed_at, uploads.c.expires_at)
        query = (
            sa.select(uploads.c.upload_id, last, uploads.c.completed_at)
            .outerjoin(ended, ended.c.upload_id == uploads.c.upload_id)
            .where(last < before, ~_needed().exists())
            .order_by(last, uploads.c.upload_id)
        )
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return (UploadUse(str(row[0]), float(row[1]), row[2] is not None) for row in rows)

    def retire_upload(self, upload_id: str) -> bool:
        """Forget an upload unless an unfinished job needs it; from here on no job can be made of it."""
        mine = uploads.delete().where(uploads.c.upload_id == upload_id, ~_needed().exists())
        with writing(self._engine) as connection:
            return connection.execute(mine).rowcount == 1

    # ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def waiting_loads(self, seq: int) -> list[float]:
        """When each load wish above a sequence number was made."""
        with self._engine.connect() as connection:
            query = sa.select(load_log.c.requested_at).where(load_log.c.seq > seq)
            return [float(row[0]) for row in connection.execute(query)]

    def count(self, rows: Rows, before: float) -> int:
        """How many rows have had their day; `before` as in `drop`."""
        table, old = _old(rows, before)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(table).where(old)).scalar_one()

    def drop(self, rows: Rows, before: float) -> int:
        """Drop rows that have had their day; returns how many.

        Args:
            before: deliveries made before this moment that are told or given up; leases of no unfinished job that ended
                a day before it; load wishes up to this sequence number, which every database file has seen.
        """
        table, old = _old(rows, before)
        with writing(self._engine) as connection:
            return connection.execute(table.delete().where(old)).rowcount


def _needed() -> sa.Select[Any]:
    return sa.select(jobs.c.job_id).where(jobs.c.upload_id == uploads.c.upload_id, jobs.c.status.not_in(FINAL))


def _old(rows: Rows, before: float) -> tuple[sa.Table, sa.ColumnElement[bool]]:
    if rows == "deliveries":
        return deliveries, sa.and_(deliveries.c.created_at < before, deliveries.c.status != "pending")
    if rows == "loads":
        return load_log, load_log.c.seq <= int(before)
    waiting = sa.select(sa.literal("job/").concat(jobs.c.job_id)).where(jobs.c.status.not_in(FINAL))
    return leases, sa.and_(leases.c.expires_at < min(before, time.time()) - _LEASE_S, leases.c.name.not_in(waiting))
