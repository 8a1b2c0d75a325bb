"""One run's hold on one job: a lease that is renewed while the run gets forward, and the notes it leaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from structlog.contextvars import bound_contextvars

from framehouse.config import Endpoints, Settings
from framehouse.errors import BudgetSpent, JobError, LeaseLost
from framehouse.results.lake import Lake
from framehouse.results.opening import open_lake
from framehouse.state import Job, Lease, State
from framehouse.state.measures import Tally, write_tally
from framehouse.tracing import span

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What every hop of a run needs: the job, where to read and write, and the lease that allows it."""

    job: Job
    lease: Lease
    state: State
    lake: Lake
    settings: Settings
    endpoints: Endpoints
    began_s: float = field(default_factory=time.monotonic)
    """On this process's monotonic clock."""

    @property
    def job_id(self) -> str:
        """The job's name."""
        return self.job.job_id

    def enter(self, hop: str, **facts: str | int) -> None:
        """Note that a hop begins.

        Raises:
            LeaseLost: another run holds the job now.
        """
        self.state.note(self.lease, self.job_id, hop=hop, **facts)
        log.info("hop begins", hop=hop, job_id=self.job_id, **facts)


@contextmanager
def hold_job(state: State, job_id: str, owner: str, settings: Settings, endpoints: Endpoints) -> Iterator[Attempt]:
    """Take the job's lease, renew it in the background, and give it back when the run has concluded.

    A job whose budget is spent pauses, and the block ends without an error.

    After an error that is not concluded yet the lease is left to expire: the failure is recorded by the flow's hook,
    and until then nobody else shall take the job up.

    Raises:
        JobNotFound: no such job.
        JobError: the job is over already.
        LeaseLost: another run holds it.
    """
    ttl_s = settings.state.lease_s
    state.job(job_id)  # an unknown name leaves no lease behind
    lease = state.acquire(f"job/{job_id}", owner, ttl_s)
    if lease is None:
        raise LeaseLost(f"another run works on {job_id}", job_id=job_id)
    job = state.job(job_id)
    if job.is_final or job.outcome:
        state.release(lease)
        raise JobError(f"job {job_id} is {job.status} already", code="job.is_over", job_id=job_id)
    job = state.begin_attempt(lease, job_id)
    if job.attempt > 1:
        tally = Tally()
        tally.count("framehouse_retries_total", what="job")
        write_tally(state.engine, tally)
    try:
        with (
            renewed(state, lease, ttl_s), bound_contextvars(job_id=job_id),
            span("run", job_id, attempt=job.attempt, flow_run_id=owner),
        ):  # fmt: skip
            yield Attempt(job, lease, state, open_lake(*settings.lake_place), settings, endpoints)
    except BudgetSpent as spent:
        state.pause(lease, job_id, [], (spent.code, spent.message, spent.hint))
    except BaseException:
        if state.job(job_id).outcome is not None:  # concluded already, as a failure: a retry need not wait
            state.release(lease)
        raise
    state.release(lease)


@contextmanager
def hold_run(state: State, flow_run_id: str, ttl_s: float) -> Iterator[None]:
    """Hold a lease on a run that is no job's (backfill, maintenance), so that its death can be known from its silence.

    Raises:
        LeaseLost: two processes began the same run in the same instant, and this is the later one.
    """
    lease = state.acquire(f"run/{flow_run_id}", flow_run_id, ttl_s)
    if lease is None:
        raise LeaseLost(f"another process has begun the run {flow_run_id}")
    try:
        with renewed(state, lease, ttl_s):
            yield
    finally:
        state.release(lease)


@contextmanager
def hold_video(attempt: Attempt, video_id: str, poll_s: float = 0.25) -> Iterator[None]:
    """Wait for and hold the right to infer a video: two jobs on the same content never do the same work twice."""
    ttl_s = attempt.settings.state.lease_s
    name = f"video/{video_id}"
    while (lease := attempt.state.acquire(name, attempt.lease.owner, ttl_s)) is None:
        attempt.state.require(attempt.lease)  # whoever has lost the job waits for nothing
        time.sleep(poll_s)
    try:
        with renewed(attempt.state, lease, ttl_s):
            yield
    finally:
        attempt.state.release(lease)


@contextmanager
def renewed(state: State, lease: Lease, ttl_s: float) -> Iterator[None]:
    """Renew a lease in the background for the length of a block."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(ttl_s / 4):
            if not state.renew(lease, ttl_s):
                log.error("lease lost", lease=lease.name, owner=lease.owner)
                return  # the next note of the run raises LeaseLost

    thread = threading.Thread(target=renew, name=f"renew {lease.name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
