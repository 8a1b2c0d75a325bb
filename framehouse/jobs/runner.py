"""The runner: takes scheduled runs of our work pool and forks a warmed child for each; and the reconciler beside it.

`python -m framehouse.jobs.runner`, started by `up`. A fresh `prefect worker` process needs 9-11 s before a flow's first
line runs, nearly all of it imports; a fork of a process that has done them needs less than one. Each run is still a
Prefect run of its own in a process of its own, seen, cancelled and killed like any other, and a plain `prefect worker`
on the same pool does the same work.

The reconciler is the only one who makes runs of jobs: for a job just submitted, for one whose process died, for one
left over from before a reboot. Truth is the state database: a job that is not over and that no live lease holds is owed
a run.

The process stays single-threaded, because it forks.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import prefect.task_engine  # noqa: F401  a run's first task imports it
import pyarrow.pandas_compat  # noqa: F401  its first table imports this, and all of pandas with it
import structlog
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.engine import handle_engine_signals
from prefect.exceptions import Abort, ObjectNotFound, PrefectHTTPStatusError
from prefect.flow_engine import load_flow_and_flow_run, run_flow
from prefect.states import Cancelled, Cancelling, Crashed, Pending
from prefect.utilities.engine import propose_state_sync

from framehouse.config import Settings, find_endpoints, load_settings, require_checkout
from framehouse.errors import ConfigError, EngineUnavailable, JobError, SourceNotFound
from framehouse.inference.repository import load_specs
from framehouse.jobs.deploy import PROCESS_VIDEO, register_deployments
from framehouse.jobs.elsewhere import lies_elsewhere
from framehouse.jobs.failure import show_failure
from framehouse.jobs.heartbeats import register_automation, suits_server
from framehouse.jobs.outcome import conclude_early
from framehouse.jobs.pause import FREES_ROOM, make_room
from framehouse.jobs.schedules import Schedules
from framehouse.jobs.submit import connect, known_models
from framehouse.readiness import say_ready
from framehouse.release import release
from framehouse.results.opening import open_lake
from framehouse.state import Job
from framehouse.state.turns import owed_in_turn, take_seat
from framehouse.state.uploads import Uploads
from framehouse.telemetry import configure_logging, redact_uri
from framehouse.tracing import flush

log = structlog.get_logger(__name__)

_POLL_S = 0.2
_ASK_S = 1.5
"""How often Prefect is asked for runs that others made; each question costs its server 20 ms of CPU."""
_ASK_WHILE_FULL_S = 5.0
"""The same while every slot for videos is taken: only other runs can be begun."""
_LOOK_S = 2.0
_SIDE_LOOK_S = 30.0
_PENDING_LIMIT_S = 60.0
_FORGIVING = 4
"""Times `jobs.max_attempts`: so many attempts may end with their runners before that too counts as stalled."""
_MAKE_ROOM_S = 3600.0
_API_ERRORS = (httpx.HTTPError, PrefectHTTPStatusError, ObjectNotFound)


def main() -> None:
    """Serve until SIGTERM or SIGINT; children end with us."""
    configure_logging(json=True)
    settings = load_settings()
    root = require_checkout("the runner")
    os.environ["PREFECT_API_URL"] = find_endpoints(settings).prefect_api_url
    runner = Runner(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: runner.stop())
    runner.serve(root)


def _run_flow_run(flow_run_id: UUID) -> int:
    with handle_engine_signals(flow_run_id):
        flow_run, flow = load_flow_and_flow_run(flow_run_id)
        run_flow(flow, flow_run=flow_run)
    return 0


@dataclass(slots=True)
class _Child:
    pid: int
    flow_run_id: UUID
    is_side: bool = False
    cancelled: bool = False
    exit_code: int | None = None

    def look(self) -> bool:
        """Whether the process has ended; a process can be asked only once how."""
        found, status = os.waitpid(self.pid, os.WNOHANG)
        if found:
            self.exit_code = os.waitstatus_to_exitcode(status)
            log.info("run ended", flow_run_id=str(self.flow_run_id), pid=self.pid, exit_code=self.exit_code)
        return bool(found)


class Runner:
    """Forks, reaps, reconciles. One instance per process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = connect(settings)
        self._lake = open_lake(*settings.lake_place)
        self._children: dict[int, _Child] = {}
        self._stopping = False
        self._looked_at = 0.0
        self._asked_at = 0.0
        self._is_registered = False
        self._deployment_id: UUID | None = None
        self._schedules = Schedules(self._state)
        self._side_looked_at = self._dead_looked_at = 0.0
        self._shortage, self._made_room_at = "", -math.inf

    def stop(self) -> None:
        """Leave the loop after the present round."""
        self._stopping = True

    def serve(self, root: Path) -> None:
        """Register the deployments, then reap, reconcile, take runs; a Prefect server that is away means waiting."""
        while not self._stopping:
            try:
                with get_client(sync_client=True) as client:
                    if not self._is_registered:
                        self._register(client, root)
                    self._round(client)
            except _API_ERRORS as error:
                log.warning("the Prefect server does not answer", error=type(error).__name__)
                self._is_registered = False  # it may come back with an empty database
                self._deployment_id = None
                self._schedules.forget()
                time.sleep(1.0)
            time.sleep(_POLL_S)
        for child in self._children.values():
            os.kill(child.pid, signal.SIGKILL)

    def _register(self, client: SyncPrefectClient, root: Path) -> None:
        """The first time this imports the flows: the warming of the children to come."""
        registered = register_deployments(client, root, self._settings.prefect.work_pool)
        if not self._settings.prefect.api_url and suits_server():  # another's server is not ours to automate
            register_automation(client, self._settings.prefect.crashed_after_s)
        self._is_registered = True
        log.info("runner ready", deployments=registered, run_slots=self._settings.prefect.run_slots)
        say_ready("runner")

    def _round(self, client: SyncPrefectClient) -> None:
        """Many turns with one client: opening one costs 20 ms."""
        until = time.monotonic() + 60.0
        while not self._stopping and time.monotonic() < until:
            self._reap(client)
            self._end_cancelled(client)
            self._look_at_disk(client)
            self._reconcile(client)
            self._look_after_sides(client)
            self._take_runs(client)
            time.sleep(_POLL_S)

    # ── children ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_runs(self, client: SyncPrefectClient) -> None:
        """Videos and other flows have slots of their own: neither waits for the other."""
        n_side = sum(child.is_side for child in self._children.values())
        free = {
            False: self._settings.prefect.run_slots - (len(self._children) - n_side),
            True: min(self._settings.prefect.side_slots, self._settings.prefect.run_slots) - n_side,
        }
        pause_s = _ASK_S if free[False] > 0 else _ASK_WHILE_FULL_S
        if max(free.values()) <= 0 or time.monotonic() - self._asked_at < pause_s:
            return
        self._asked_at = time.monotonic()
        due = client.get_scheduled_flow_runs_for_work_pool(
            self._settings.prefect.work_pool, scheduled_before=datetime.now(UTC)
        )
        for flow_run, job in self._in_turn([response.flow_run for response in due]):
            if not self._is_ours(flow_run) or (self._shortage and FREES_ROOM not in flow_run.tags):
                continue
            is_side = self._is_side(client, flow_run)
            if free[is_side] > 0 and self._may_begin(flow_run, job) and self._claim(client, flow_run):
                free[is_side] -= 1
                self._fork(flow_run.id, is_side=is_side)

    def _in_turn(self, due: Sequence[FlowRun]) -> list[tuple[FlowRun, Job | None]]:
        """Runs that are due, each with its job where it has one: highest priority first, then as they are due."""
        known = {} if not due else self._state.jobs_of_flow_runs([str(flow_run.id) for flow_run in due])
        found = [(flow_run, known.get(str(flow_run.id))) for flow_run in due]
        return sorted(found, key=lambda pair: 0 if pair[1] is None else -pair[1].request.priority)

    def _may_begin(self, flow_run: FlowRun, job: Job | None) -> bool:
        """Whether the job's catalogue has a seat for it. One that is not claimed afterwards comes free by itself."""
        return job is None or take_seat(self._state, job, str(flow_run.id), _PENDING_LIMIT_S)

    def _is_side(self, client: SyncPrefectClient, flow_run: FlowRun) -> bool:
        """Whether a run is no video's: a scan, a backfill, maintenance."""
        return flow_run.deployment_id not in (None, self._process_video(client))

    def _look_after_sides(self, client: SyncPrefectClient) -> None:
        """Schedules and wished scans, as `Schedules`; and an end to runs of other flows whose process is gone."""
        if time.monotonic() - self._side_looked_at < _LOOK_S:
            return
        self._side_looked_at = time.monotonic()
        if self._schedules.round(client):
            self._asked_at = 0.0
        if time.monotonic() - self._dead_looked_at > _SIDE_LOOK_S:
            self._dead_looked_at = time.monotonic()
            ours = [child.flow_run_id for child in self._children.values()]
            for flow_run in self._schedules.dead_runs(client, ours, _PENDING_LIMIT_S):
                _crash(client, flow_run.id, "its process is gone: no live lease")

    def _look_at_disk(self, client: SyncPrefectClient) -> None:
        """Below the floor nothing begins but what frees room; runs that work go on and pause by themselves."""
        before, self._shortage = self._shortage, self._settings.room.shortage()
        if bool(before) == bool(self._shortage):
            return
        log.warning("paused" if self._shortage else "there is room again, going on", shortage=self._shortage)
        if self._shortage and time.monotonic() - self._made_room_at > _MAKE_ROOM_S:
            self._made_room_at = time.monotonic()
            make_room(client)

    def _is_ours(self, flow_run: FlowRun) -> bool:
        """Whether this host may take a run; only where several hosts share a lake may another be the better one."""
        if self._lake.bucket is None:
            return True
        return not lies_elsewhere(flow_run.parameters.get("source"), flow_run.expected_start_time)

    def _claim(self, client: SyncPrefectClient, flow_run: FlowRun) -> bool:
        """Move a run to Pending; the server lets only one of all runners and workers do so."""
        try:
            state = propose_state_sync(client, Pending(), flow_run_id=flow_run.id)
        except (Abort, ObjectNotFound):
            return False
        return state.is_pending()

    def _warm(self) -> None:
        """Remember, before a fork, what every child would read and work out for itself."""
        release()
        with suppress(ConfigError):  # the run says what is wrong
            load_specs(self._settings.model_repositories)

    def _fork(self, flow_run_id: UUID, *, is_side: bool = False) -> None:
        self._warm()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._children[pid] = _Child(pid, flow_run_id, is_side)
            log.info("run started", flow_run_id=str(flow_run_id), pid=pid)
            return
        code = 1
        try:
            _become_child(parent)
            code = _run_flow_run(flow_run_id)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            log.exception("run broke", flow_run_id=str(flow_run_id))
        finally:
            _flush_and_exit(code)

    def _reap(self, client: SyncPrefectClient) -> None:
        for pid, child in list(self._children.items()):
            if child.exit_code is None and not child.look():
                continue
            if child.exit_code and not child.cancelled:
                _crash(client, child.flow_run_id, f"process ended with exit code {child.exit_code}")
            if (job := self._state.job_of_flow_run(str(child.flow_run_id))) is not None:
                owner = str(child.flow_run_id)  # somebody else may work on the job or its video: leave them alone
                self._state.break_lease(f"job/{job.job_id}", owner=owner)
                self._state.break_lease(f"video/{job.video_id}", owner=owner)
            self._asked_at = 0.0
            del self._children[pid]  # last: an API error above means that we come back to it

    def _child_of(self, job: Job) -> _Child | None:
        return next((c for c in self._children.values() if str(c.flow_run_id) == job.flow_run_id), None)

    # ── cancelling ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _end_cancelled(self, client: SyncPrefectClient) -> None:
        for job in self._state.cancel_wanted():
            self._cancel(client, job)
        if time.monotonic() - self._looked_at > _LOOK_S and self._children:
            wanted = FlowRunFilter.model_validate(
                {
                    "id": {"any_": [str(child.flow_run_id) for child in self._children.values()]},
                    "state": {"type": {"any_": ["CANCELLING"]}},
                }
            )
            for flow_run in client.read_flow_runs(flow_run_filter=wanted):
                if (found := self._state.job_of_flow_run(str(flow_run.id))) is not None:
                    self._cancel(client, found)

    def _cancel(self, client: SyncPrefectClient, job: Job) -> None:
        child = self._child_of(job)
        if child is not None:
            child.cancelled = True
            os.kill(child.pid, signal.SIGKILL)
        if job.flow_run_id is not None:
            state: State[Any] = Cancelled() if child is not None or job.status == "queued" else Cancelling()
            try:
                client.set_flow_run_state(UUID(job.flow_run_id), state, force=True)
            except ObjectNotFound:
                log.info("cancelled job's run is gone", job_id=job.job_id)
        conclude_early(self._state, self._lake, job, "cancelled", None, known_models(job.request, self._settings))
        log.info("job cancelled", job_id=job.job_id)

    # ── reconciling ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _reconcile(self, client: SyncPrefectClient) -> None:
        look = time.monotonic() - self._looked_at > _LOOK_S
        if look:
            self._looked_at = time.monotonic()
            self._fail_without_upload()
        n_waiting, prefect = 0, self._settings.prefect
        owed = owed_in_turn(self._state, prefect.max_waiting_runs + len(self._children))
        doubtful = {job.job_id: job for job in owed if self._may_be_lost(job)} if look else {}
        runs = self._read_runs(client, list(doubtful.values()))
        for job in owed:
            if self._child_of(job) is not None:
                continue
            if job.stalled_attempts >= self._settings.jobs.max_attempts:
                self._give_up(client, job)
            elif n_waiting >= prefect.max_waiting_runs or self._shortage:
                return
            elif job.flow_run_id is None or (job.job_id in doubtful and self._is_lost(client, job, runs)):
                self._create_run(client, job)
            n_waiting += 1

    def _fail_without_upload(self) -> None:
        """End jobs that have waited long enough for their upload."""
        limit_s = self._settings.api.upload_wait_s
        for job_id in Uploads(self._state.engine).missing(limit_s):
            error = SourceNotFound(
                f"no upload arrived within {limit_s:g} s", code="source.upload_missing",
                hint="PUT the file to the signed URL, then start another job",
            )  # fmt: skip
            job = self._state.job(job_id)
            conclude_early(self._state, self._lake, job, "failed", error, known_models(job.request, self._settings))

    def _may_be_lost(self, job: Job) -> bool:
        """Whether a job has a run that had time to take its lease, and did not or has lost it."""
        is_young = time.time() - (job.flow_run_at or 0.0) < self._settings.state.lease_s / 2
        return job.flow_run_id is not None and not is_young and self._child_of(job) is None

    def _read_runs(self, client: SyncPrefectClient, jobs: Sequence[Job]) -> dict[str, FlowRun]:
        """Runs of jobs by their id, in one question: one for each would hold the loop up for seconds."""
        if not jobs:
            return {}
        wanted = FlowRunFilter.model_validate({"id": {"any_": [job.flow_run_id for job in jobs]}})
        return {str(flow_run.id): flow_run for flow_run in client.read_flow_runs(flow_run_filter=wanted)}

    def _is_lost(self, client: SyncPrefectClient, job: Job, runs: Mapping[str, FlowRun]) -> bool:
        """Whether the run that was to do a job will not: over, gone, or its process dead without a word.

        `runs` must have been asked for this job too: one that is not in it is gone.
        """
        flow_run = runs.get(str(job.flow_run_id))
        if flow_run is None:
            return True
        state = flow_run.state
        if state is None or state.is_final():
            return True
        since_s = time.time() - state.timestamp.timestamp()
        limit_s = self._settings.state.lease_s if state.is_running() else _PENDING_LIMIT_S
        if state.is_scheduled() or since_s <= limit_s:
            return False
        _crash(client, flow_run.id, "its process is gone: no live lease")
        if state.is_running():  # a child of ours that died was reaped: here its runner died, or its host
            self._state.forgive_attempt(job.job_id, _FORGIVING * self._settings.jobs.max_attempts)
        return True

    def _create_run(self, client: SyncPrefectClient, job: Job) -> None:
        request = job.request
        flow_run = client.create_flow_run_from_deployment(
            self._process_video(client),
            name=f"{redact_uri(request.uri).rsplit('/', 1)[-1]} · {job.job_id} · {job.attempt + 1}",
            parameters={
                "source": redact_uri(request.uri),
                "models": list(request.models),
                "infer_fps": request.infer_fps,
                "confidence": request.confidence,
                "job_id": job.job_id,
            },
            idempotency_key=f"{job.job_id} {job.attempt} {job.flow_run_id}",  # runners of several hosts make one
        )
        self._state.assign_run(job.job_id, str(flow_run.id), expected=job.flow_run_id)
        self._asked_at = 0.0  # a run of our own is taken at once

    def _process_video(self, client: SyncPrefectClient) -> UUID:
        if self._deployment_id is None:
            self._deployment_id = client.read_deployment_by_name(PROCESS_VIDEO).id
        return self._deployment_id

    def _give_up(self, client: SyncPrefectClient, job: Job) -> None:
        error = JobError(
            f"{job.stalled_attempts} attempts in a row ended without getting any further (last hop: {job.hop})",
            code="job.gave_up",
            hint=f"see the logs, then: framehouse jobs retry {job.job_id}",
        )
        show_failure(client, job.flow_run_id, job, error)
        conclude_early(self._state, self._lake, job, "failed", error, known_models(job.request, self._settings))


def _crash(client: SyncPrefectClient, flow_run_id: UUID, message: str) -> None:
    try:
        propose_state_sync(client, Crashed(message=message), flow_run_id=flow_run_id)
    except (Abort, ObjectNotFound):
        log.debug("run is over already", flow_run_id=str(flow_run_id))


def _become_child(parent: int) -> None:
    """Die with the parent; take signals like any process."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        raise EngineUnavailable("the runner is gone")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _flush_and_exit(code: int) -> None:
    """End the child without the parent's exit handlers; Prefect's own queues are drained first."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

    EventsWorker.drain_all(timeout=10)
    APILogWorker.drain_all(timeout=5)
    flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
