"""The few acts on the state database that must be atomic.

Every public method is one transaction. Compare-and-set is an UPDATE whose WHERE names what must still be true; the row
count tells whether it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from framehouse.backups import Backups
from framehouse.errors import JobNotFound, LeaseLost
from framehouse.state.loads import append_load
from framehouse.state.measures import Tally, add_counts
from framehouse.state.opening import open_engine, writing
from framehouse.state.records import FINAL, NOBODY, Job, JobRequest, JobStatus, Lease, LoadRow, Origin
from framehouse.state.schema import counters, jobs, leases, load_log, uploads
from framehouse.state.submitting import insert_rows, new_row


def open_state(url: str, *, pooled: bool = False, backups: Backups | None = None) -> State:
    """Open the state database, making or upgrading its tables where needed; arguments as `opening.open_engine`."""
    return State(open_engine(url, pooled=pooled, backups=backups))


class State:
    """The state database. Safe to share between threads, and (unless pooled) across a fork: no connection outlives its
    transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    @property
    def engine(self) -> sa.Engine:
        """For the tables that other modules keep here: keys, uploads, webhooks."""
        return self._engine

    def _write(self) -> AbstractContextManager[sa.Connection]:
        return writing(self._engine)

    # ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def submit(
        self,
        request: JobRequest,
        *,
        client_token: str | None = None,
        flow_run_id: str | None = None,
        job_id: str | None = None,
        origin: Origin = NOBODY,
        estimate: Mapping[str, Any] | None = None,
    ) -> str:
        """Store a new job as queued and return its id; the same client token of the same owner gives the same job.

        `flow_run_id` names the Prefect run that already works on it (a run started by hand in the Prefect UI).
        """
        row = new_row(request, origin, client_token=client_token, flow_run_id=flow_run_id, job_id=job_id)
        row["estimate"] = None if estimate is None else dict(estimate)
        try:
            with self._write() as connection:
                connection.execute(jobs.insert().values(row))
        except IntegrityError:
            with self._engine.connect() as connection:
                same_token = sa.select(jobs.c.job_id).where(jobs.c.client_token == row["client_token"])
                known = connection.execute(same_token).scalar() if client_token else None
            if known is None:
                raise
            return str(known)
        return str(row["job_id"])

    def submit_many(self, requests: Sequence[JobRequest], *, client_token: str, origin: Origin = NOBODY) -> list[str]:
        """Store many new jobs in one transaction: on SQLite each transaction waits for the disk.

        Args:
            client_token: of all of them; the same one with the same requests gives the same jobs.
        """
        rows = [new_row(request, origin, client_token=f"{client_token}/{i}") for i, request in enumerate(requests)]
        with self._write() as connection:
            return insert_rows(connection, rows)

    def job(self, job_id: str) -> Job:
        """One job.

        Raises:
            JobNotFound: no such job.
        """
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id)).mappings().first()
        if row is None:
            raise JobNotFound(f"no job {job_id}", job_id=job_id)
        return _job(row)

    def job_of_flow_run(self, flow_run_id: str) -> Job | None:
        """The job that a Prefect run works on, if any."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.flow_run_id == flow_run_id)).mappings().first()
        return None if row is None else _job(row)

    def jobs_of_flow_runs(self, flow_run_ids: Sequence[str]) -> dict[str, Job]:
        """The jobs that these Prefect runs work on, by run; runs of no job are left out."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(jobs).where(jobs.c.flow_run_id.in_(flow_run_ids))).mappings()
            return {row["flow_run_id"]: _job(row) for row in rows}

    def list_jobs(
        self,
        *,
        statuses: Sequence[str] = (),
        job_ids: Sequence[str] = (),
        video_ids: Sequence[str] = (),
        owner: str | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """Jobs, newest first; of everybody, or of one owner."""
        query = sa.select(jobs).order_by(jobs.c.submitted_at.desc(), jobs.c.job_id.desc()).limit(limit)
        if statuses:
            query = query.where(jobs.c.status.in_(statuses))
        if job_ids:
            query = query.where(jobs.c.job_id.in_(job_ids))
        if video_ids:
            query = query.where(jobs.c.video_id.in_(video_ids))
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        with self._engine.connect() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def count_unfinished(self, owner: str) -> int:
        """How many jobs of an owner are queued or running."""
        mine = (jobs.c.status.in_(["queued", "running"]), jobs.c.owner == owner)
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(jobs).where(*mine)).scalar_one()

    def owed_jobs(
        self, limit: int | None = None, *, budget: str | None = None, without: Sequence[str] = ()
    ) -> list[Job]:
        """Unfinished jobs that no live lease holds, whose upload is here, and whose outcome is not on its way.

        Highest priority first, then oldest; the first `limit` of them. Only those of a `budget`, or of none of those in
        `without`.
        """
        wanted = jobs.c.budget.not_in(without) if budget is None else jobs.c.budget == budget
        held = sa.select(leases.c.name).where(leases.c.expires_at > time.time())
        on_their_way = sa.select(uploads.c.upload_id).where(uploads.c.completed_at.is_(None))
        query = (
            sa.select(jobs)
            .where(jobs.c.status.in_(["queued", "running"]), jobs.c.outcome.is_(None))
            .where(sa.literal("job/").concat(jobs.c.job_id).not_in(held))
            .where(sa.or_(jobs.c.upload_id.is_(None), jobs.c.upload_id.not_in(on_their_way)))
            .where(wanted)
            .order_by(jobs.c.priority.desc(), jobs.c.submitted_at, jobs.c.job_id)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def assign_run(self, job_id: str, flow_run_id: str, *, expected: str | None) -> bool:
        """Note which Prefect run is to do a job, unless somebody else did meanwhile.

        Args:
            expected: the run that the caller saw there before; None for none.
        """
        same = jobs.c.flow_run_id.is_(None) if expected is None else jobs.c.flow_run_id == expected
        with self._write() as connection:
            result = connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, same, jobs.c.status.not_in(FINAL))
                .values(flow_run_id=flow_run_id, flow_run_at=time.time())
            )
            return result.rowcount == 1

    def begin_attempt(self, lease: Lease, job_id: str) -> Job:
        """A run takes the job up: status running, one more attempt, stalled until it settles something new."""
        with self._write() as connection:
            self._require(connection, lease)
            connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id)
                .values(
                    status="running",
                    attempt=jobs.c.attempt + 1,
                    stalled_attempts=jobs.c.stalled_attempts + 1,
                    started_at=sa.func.coalesce(jobs.c.started_at, time.time()),
                )
            )
        return self.job(job_id)

    def note(self, lease: Lease, job_id: str, **values: str | int | None) -> None:
        """The run that holds the lease tells where it is: hop, video_id, n_planned; or that it does not stall.

        Raises:
            LeaseLost: another run holds the job now.
        """
        with self._write() as connection:
            self._require(connection, lease)
            connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(**values))

    def note_settled(self, lease: Lease, job_id: str, n_settled: int) -> None:
        """Frames × models that parts hold; more than ever before clears the count of stalled attempts.

        Raises:
            LeaseLost: another run holds the job now.
        """
        with self._write() as connection:
            self._require(connection, lease)
            connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, jobs.c.n_settled < n_settled)
                .values(n_settled=n_settled, stalled_attempts=0)
            )

    def forgive_attempt(self, job_id: str, most_attempts: int) -> None:
        """The last attempt ended with the runner that it ran under: it stalled by no fault of the job.

        Args:
            most_attempts: none is forgiven beyond so many: the job may be what ends its runners.
        """
        with self._write() as connection:
            connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, jobs.c.stalled_attempts > 0, jobs.c.attempt < most_attempts)
                .values(stalled_attempts=jobs.c.stalled_attempts - 1)
            )

    def conclude(
        self,
        job_id: str,
        outcome: JobStatus,
        loads: Iterable[tuple[str, str]],
        *,
        lease: Lease | None = None,
        error: tuple[str, str, str] | None = None,
    ) -> int:
        """The work is over: note the outcome and ask the loader for its rows, in one transaction.

        The job's status becomes the outcome when a published snapshot holds its rows (`settle_published`); a failure
        without rows shows at once.

        Args:
            loads: (video_id, model_digest) of every model whose parts are to be loaded.
            error: (code, message, hint) of a failure.

        Returns:
            Sequence number of the job's load entry.
        """
        with self._write() as connection:
            if lease is not None:
                self._require(connection, lease)
            for video_id, digest in loads:
                append_load(connection, "parts", video_id=video_id, model_digest=digest)
            seq = append_load(connection, "job", job_id=job_id)
            code, message, hint = error or (None, None, None)
            values: dict[str, Any] = {
                "outcome": outcome,
                "load_seq": seq,
                "error_code": code,
                "error_message": message,
                "error_hint": hint,
            }
            if outcome != "done":
                values |= {"status": outcome, "finished_at": time.time()}
            connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(**values))
            tally = Tally()
            tally.count("framehouse_jobs_ended_total", outcome=outcome)
            add_counts(connection, tally.counts)
            return seq

    def pause(self, lease: Lease, job_id: str, loads: Iterable[tuple[str, str]], reason: tuple[str, str, str]) -> None:
        """Let a job rest until somebody resumes it; the rows that it has are loaded.

        Args:
            loads: (video_id, model_digest) of every model whose parts are to be loaded.
            reason: (code, message, hint) of why, and how it goes on.

        Raises:
            LeaseLost: another run holds the job now.
        """
        code, message, hint = reason
        with self._write() as connection:
            self._require(connection, lease)
            for video_id, digest in loads:
                append_load(connection, "parts", video_id=video_id, model_digest=digest)
            append_load(connection, "job", job_id=job_id)
            values = {"status": "paused", "error_code": code, "error_message": message, "error_hint": hint}
            connection.execute(jobs.update().where(jobs.c.job_id == job_id).values(**values, stalled_attempts=0))

    def resume(self, job_id: str) -> Job:
        """Queue a paused job again; any other is left as it is.

        Raises:
            JobNotFound: no such job.
        """
        self.job(job_id)
        values = dict.fromkeys(("error_code", "error_message", "error_hint", "flow_run_id", "flow_run_at"))
        with self._write() as connection:
            paused = jobs.update().where(jobs.c.job_id == job_id, jobs.c.status == "paused")
            connection.execute(paused.values(status="queued", **values))
        return self.job(job_id)

    def reopen(
        self,
        job_id: str,
        *,
        flow_run_id: str | None = None,
        gaps: str | None = None,
        estimate: Mapping[str, Any] | None = None,
    ) -> Job:
        """Queue a finished job again (`jobs retry`); what its parts hold is not done twice.

        Args:
            flow_run_id: the Prefect run that takes it up; None leaves that to the reconciler.
            gaps: which gaps are tried again; None leaves what it was submitted with.
            estimate: what it is expected to cost now.

        Raises:
            JobNotFound: no such job.
        """
        self.job(job_id)
        with self._write() as connection:
            connection.execute(
                jobs.update()
                .where(jobs.c.job_id == job_id, jobs.c.status.in_(FINAL))
                .values(
                    status="queued",
                    outcome=None,
                    load_seq=None,
                    error_code=None,
                    error_message=None,
                    error_hint=None,
                    finished_at=None,
                    flow_run_id=flow_run_id,
                    flow_run_at=time.time() if flow_run_id else None,
                    cancel_requested=False,
                    stalled_attempts=0,
                    gaps=jobs.c.gaps if gaps is None else gaps,
                    estimate=None if estimate is None else dict(estimate),
                )
            )
        return self.job(job_id)

    def request_cancel(self, job_id: str) -> Job:
        """Ask for the end of a job; the reconciler ends its run.

        Raises:
            JobNotFound: no such job.
        """
        self.job(job_id)
        with self._write() as connection:
            connection.execute(
                jobs.update().where(jobs.c.job_id == job_id, jobs.c.status.not_in(FINAL)).values(cancel_requested=True)
            )
        return self.job(job_id)

    def cancel_wanted(self) -> list[Job]:
        """Unfinished jobs that somebody wants ended."""
        query = sa.select(jobs).where(jobs.c.cancel_requested, jobs.c.status.not_in(FINAL), jobs.c.outcome.is_(None))
        with self._engine.connect() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    # ── leases ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        """Take a lease if it is free, expired, or already ours; None when somebody else holds it."""
        if not self._has_lease_row(name):
            with suppress(IntegrityError), self._write() as connection:  # somebody else's insert is as good
                connection.execute(leases.insert().values(_new_lease(name)))
        with self._write() as connection:
            return take_lease(connection, name, owner, ttl_s)

    def lease_owners(self, prefix: str) -> set[str]:
        """Who holds live leases whose name begins so."""
        live = (leases.c.name.startswith(prefix, autoescape=True), leases.c.expires_at > time.time())
        with self._engine.connect() as connection:
            return {str(owner) for owner in connection.execute(sa.select(leases.c.owner).where(*live)).scalars()}

    def _has_lease_row(self, name: str) -> bool:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(leases.c.fence).where(leases.c.name == name)).first() is not None

    def renew(self, lease: Lease, ttl_s: float) -> bool:
        """Hold on to a lease; False when it has gone to somebody else."""
        with self._write() as connection:
            result = connection.execute(leases.update().where(*_same(lease)).values(expires_at=time.time() + ttl_s))
            return result.rowcount == 1

    def release(self, lease: Lease) -> None:
        """Give a lease back; nothing happens when it is no longer ours."""
        with self._write() as connection:
            connection.execute(leases.update().where(*_same(lease)).values(expires_at=0.0))

    def is_held(self, name: str) -> bool:
        """Whether a live lease of this name exists."""
        with self._engine.connect() as connection:
            expires = connection.execute(sa.select(leases.c.expires_at).where(leases.c.name == name)).scalar()
        return expires is not None and expires > time.time()

    def break_lease(self, name: str, *, owner: str | None = None) -> None:
        """End a lease whose owner is known to be dead; a late sign of life of the owner no longer counts.

        Args:
            owner: leave the lease alone when somebody else has it; None ends anybody's.
        """
        mine = sa.true() if owner is None else leases.c.owner == owner
        with self._write() as connection:
            connection.execute(leases.update().where(leases.c.name == name, mine).values(expires_at=0.0, owner=""))

    def require(self, lease: Lease) -> None:
        """Make sure that a lease is still ours.

        Raises:
            LeaseLost: it has gone to another run, or was ended.
        """
        with self._engine.connect() as connection:
            self._require(connection, lease)

    def _require(self, connection: sa.Connection, lease: Lease) -> None:
        found = connection.execute(sa.select(leases.c.fence).where(*_same(lease))).first()
        if found is None:
            raise LeaseLost(f"lease {lease.name} has gone to another run", lease=lease.name)

    # ── load log ────────────────────────────────────────────────────────────────────────────────────────────────────

    def request_load(self, pairs: Iterable[tuple[str, str]], job_ids: Iterable[str] = ()) -> int:
        """Ask the loader for these video × model pairs and jobs; returns the last sequence number."""
        seq = 0
        with self._write() as connection:
            for video_id, digest in pairs:
                seq = append_load(connection, "parts", video_id=video_id, model_digest=digest)
            for job_id in job_ids:
                seq = append_load(connection, "job", job_id=job_id)
        return seq

    def request_videos(self, video_ids: Iterable[str]) -> int:
        """Ask the loader for the records of these videos; returns the last sequence number."""
        seq = 0
        with self._write() as connection:
            for video_id in video_ids:
                seq = append_load(connection, "video", video_id=video_id)
        return seq

    def request_findings(self, keys: Iterable[tuple[str, str]]) -> int:
        """Ask the loader for these (ruleset_id, video_id), new or gone; returns the last sequence number."""
        seq = 0
        with self._write() as connection:
            for ruleset_id, video_id in keys:
                seq = append_load(connection, "finding", video_id=video_id, model_digest=ruleset_id)
        return seq

    def loads_after(self, seq: int, most: int | None = None) -> list[LoadRow]:
        """Load wishes with a higher number, in order; of these, or of the first so many, an earlier wish for the same
        thing is left out."""
        query = sa.select(load_log).where(load_log.c.seq > seq).order_by(load_log.c.seq).limit(most)
        newest: dict[tuple[Any, ...], LoadRow] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query).mappings():
                newest[row["kind"], row["video_id"], row["model_digest"], row["job_id"]] = LoadRow(
                    row["seq"], row["kind"], row["video_id"], row["model_digest"], row["job_id"]
                )
        return sorted(newest.values(), key=lambda load: load.seq)

    def last_load_seq(self) -> int:
        """The highest number given out so far; 0 when there is none."""
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(counters.c.value).where(counters.c.name == "load")).scalar_one())

    def skip_loads(self, up_to_seq: int) -> None:
        """Give out only higher numbers from now on (a new state database beside an older store).

        What this database has asked for before is asked for again, with higher numbers: the store has never heard of
        it.
        """
        younger = (counters.c.name == "load", counters.c.value < up_to_seq)
        with self._write() as connection:
            raised = counters.update().where(*younger).values(value=counters.c.value + up_to_seq)
            if connection.execute(raised).rowcount:
                connection.execute(load_log.update().values(seq=load_log.c.seq + up_to_seq))
                connection.execute(jobs.update().values(load_seq=jobs.c.load_seq + up_to_seq))

    def forget_loads(self, up_to_seq: int) -> None:
        """Drop wishes that every database file has seen."""
        with self._write() as connection:
            connection.execute(load_log.delete().where(load_log.c.seq <= up_to_seq))

    def settle_published(self, seq: int) -> list[str]:
        """Jobs whose rows a published snapshot now holds get their outcome as status; returns their ids."""
        with self._write() as connection:
            ready = sa.and_(jobs.c.load_seq <= seq, jobs.c.outcome.is_not(None), jobs.c.status.not_in(FINAL))
            found = [str(row) for row in connection.execute(sa.select(jobs.c.job_id).where(ready)).scalars()]
            if found:
                connection.execute(jobs.update().where(ready).values(status=jobs.c.outcome, finished_at=time.time()))
        return found


def take_lease(connection: sa.Connection, name: str, owner: str, ttl_s: float) -> Lease | None:
    """Take a lease inside the caller's transaction, as `State.acquire`."""
    now = time.time()
    row = connection.execute(sa.select(leases).where(leases.c.name == name)).mappings().first()
    if row is None:
        connection.execute(leases.insert().values(_new_lease(name)))
        return take_lease(connection, name, owner, ttl_s)
    is_ours = row["owner"] == owner and row["expires_at"] > now
    if row["expires_at"] > now and not is_ours:
        return None
    fence = row["fence"] + (0 if is_ours else 1)
    taken = connection.execute(
        leases.update()
        .where(leases.c.name == name, leases.c.fence == row["fence"], leases.c.owner == row["owner"])
        .values(owner=owner, fence=fence, expires_at=now + ttl_s)
    )
    return Lease(name, owner, fence) if taken.rowcount == 1 else None


def _new_lease(name: str) -> dict[str, Any]:
    return {"name": name, "owner": "", "fence": 0, "expires_at": 0.0}


def _same(lease: Lease) -> tuple[sa.ColumnElement[bool], ...]:
    return leases.c.name == lease.name, leases.c.owner == lease.owner, leases.c.fence == lease.fence


def _job(row: sa.RowMapping) -> Job:
    request = JobRequest(
        uri=row["uri"],
        models=tuple(row["models"]),
        infer_fps=row["infer_fps"],
        confidence=row["confidence"],
        priority=row["priority"],
        allow_private=bool(row["allow_private"]),
        gaps=row["gaps"],
        frames=None if row["first_frame"] is None else (row["first_frame"], row["end_frame"]),
        budget=row["budget"],
    )
    origin = Origin(row["owner"], None if row["wire"] is None else tuple(row["wire"]), row["upload_id"])
    same = {name: row[name] for name in Job.__dataclass_fields__ if name not in ("request", "origin")}
    same["cancel_requested"] = bool(same["cancel_requested"])
    return Job(request=request, origin=origin, **same)
