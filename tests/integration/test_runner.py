"""The runner's decisions, against a client that only remembers. tests/e2e makes the real server agree."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from prefect import states
from prefect.client.schemas import OrchestrationResult
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun, State
from prefect.client.schemas.responses import SetStateStatus, StateAcceptDetails
from prefect.exceptions import ObjectNotFound

from framehouse.config import JobSettings, PrefectSettings, Settings, StateSettings
from framehouse.jobs import runner as runner_module
from framehouse.jobs.runner import Runner, _Child
from framehouse.jobs.schedules import SCAN_CATALOG
from framehouse.results.lake import Lake
from framehouse.state import Job, JobRequest, Origin, open_state
from framehouse.state import State as Jobs
from framehouse.state.budgets import catalog_budget
from framehouse.state.catalogs import Catalogs, CatalogWish
from framehouse.state.uploads import Uploads

pytestmark = pytest.mark.real("prefect")
REQUEST = JobRequest("/videos/clip ü.mp4", ("detector",), "5", 0.4)
LONG_AGO = timedelta(hours=1)


@dataclass
class FakeClient:
    """What the runner asks of Prefect. `fail` lets the next calls of a name raise."""

    runs: dict[UUID, State[Any]] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=list)
    fail: dict[str, Exception] = field(default_factory=dict)
    scheduled: list[FlowRun] = field(default_factory=list)
    schedules: dict[UUID, DeploymentSchedule] = field(default_factory=dict)
    scans: list[dict[str, Any]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    automations: list[Any] = field(default_factory=list)

    def _called(self, name: str) -> None:
        if (error := self.fail.pop(name, None)) is not None:
            raise error

    def read_deployment_by_name(self, name: str) -> Any:
        self._called("read_deployment_by_name")
        known = {
            "process-video/process-video": 1,
            SCAN_CATALOG: 3,
            "backfill/backfill": 5,
            "maintenance/maintenance": 6,
        }
        return SimpleNamespace(id=UUID(int=known[name]))

    def read_deployment_schedules(self, deployment_id: UUID) -> list[Any]:
        assert deployment_id == UUID(int=3)
        return list(self.schedules.values())

    def create_deployment_schedules(self, deployment_id: UUID, made: list[Any]) -> None:
        assert deployment_id == UUID(int=3)
        for one in made:
            found = DeploymentSchedule(**one.model_dump(include={"schedule", "active", "parameters", "slug"}))
            self.schedules[found.id] = found

    def delete_deployment_schedule(self, deployment_id: UUID, schedule_id: UUID) -> None:
        assert deployment_id == UUID(int=3)
        del self.schedules[schedule_id]

    def request(self, method: str, path: str, **_values: Any) -> None:
        assert (method, path) == ("POST", "/deployments/{id}/schedule")

    def create_flow_run_from_deployment(self, deployment_id: UUID, **values: Any) -> Any:
        self._called("create_flow_run_from_deployment")
        if deployment_id == UUID(int=3):
            self.scans.append(values)
            return None
        assert deployment_id == UUID(int=1)
        flow_run_id = uuid4()
        self.runs[flow_run_id] = states.Scheduled()
        self.made.append(values)
        return SimpleNamespace(id=flow_run_id)

    def read_flow_runs(self, *, flow_run_filter: Any, deployment_filter: Any = None) -> list[Any]:
        self._called("read_flow_runs")
        if deployment_filter is not None:
            return []
        found = [(run, self.runs[run]) for run in flow_run_filter.id.any_ if run in self.runs]
        types = {str(t.value) for t in flow_run_filter.state.type.any_} if flow_run_filter.state else None
        return [SimpleNamespace(id=run, state=state) for run, state in found if not types or state.type.value in types]

    def get_scheduled_flow_runs_for_work_pool(self, work_pool: str, *, scheduled_before: datetime) -> list[Any]:
        self._called("get_scheduled_flow_runs_for_work_pool")
        assert scheduled_before <= datetime.now(UTC), "runs of the future would be begun at once"
        return [SimpleNamespace(flow_run=run) for run in self.scheduled]

    def create_artifact(self, artifact: Any) -> None:
        self._called("create_artifact")
        self.shown.append(str(artifact.data))

    def read_automations_by_name(self, name: str) -> list[Any]:
        return [SimpleNamespace(id=UUID(int=3), name=automation.name) for automation in self.automations]

    def create_automation(self, automation: Any) -> None:
        self.automations.append(automation)

    def update_automation(self, automation_id: UUID, automation: Any) -> None:
        assert automation_id == UUID(int=3)
        self.automations = [automation]

    def set_flow_run_state(self, flow_run_id: UUID, state: State[Any], force: bool = False) -> Any:
        self._called("set_flow_run_state")
        if flow_run_id not in self.runs:
            raise ObjectNotFound(Exception("no such run"))
        self.runs[flow_run_id] = state
        return OrchestrationResult(state=state, status=SetStateStatus.ACCEPT, details=StateAcceptDetails())


@dataclass
class Bench:
    """A runner, its state, and the client it talks to."""

    runner: Runner
    jobs: Jobs
    client: FakeClient
    lake: Lake

    def look(self) -> None:
        """One reconciling round in which Prefect is asked."""
        self.runner._looked_at = -1e9
        self.runner._reconcile(self.client)  # type: ignore[arg-type]

    def rounds(self, n: int = 1) -> None:
        for _ in range(n):
            self.runner._reap(self.client)  # type: ignore[arg-type]
            self.runner._end_cancelled(self.client)  # type: ignore[arg-type]
            self.look()

    def job(self, job_id: str) -> Job:
        return self.jobs.job(job_id)

    def run_of(self, job_id: str) -> UUID:
        return UUID(str(self.job(job_id).flow_run_id))

    def set(self, job_id: str, state: State[Any], age: timedelta = LONG_AGO) -> None:
        """The run of a job is in this state since `age`."""
        self.client.runs[self.run_of(job_id)] = state.model_copy(update={"timestamp": datetime.now(UTC) - age})

    def child(self, job_id: str, code: str = "import time; time.sleep(600)") -> int:
        """A process that does the job's run, as the runner's fork would."""
        import sys

        pid = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", code], os.environ)
        self.runner._children[pid] = _Child(pid, self.run_of(job_id))
        return pid


@pytest.fixture
def new_bench(tmp_path: Path) -> Any:
    def new(max_waiting_runs: int = 32, max_attempts: int = 8) -> Bench:
        settings = Settings(
            home=tmp_path / "home",
            prefect=PrefectSettings(max_waiting_runs=max_waiting_runs),
            jobs=JobSettings(max_attempts=max_attempts),
            state=StateSettings(lease_s=1.1),
        )
        runner = Runner(settings)
        return Bench(runner, open_state(settings.state_url), FakeClient(), Lake(settings.lake_dir))

    return new


@pytest.fixture
def bench(new_bench: Callable[..., Bench]) -> Bench:
    return new_bench()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs were made long ago: they had time to take their lease."""
    clock = SimpleNamespace(time=lambda: time.time() + 60.0, monotonic=time.monotonic, sleep=time.sleep)
    monkeypatch.setattr(runner_module, "time", clock)


# ---------------------------------------------------------------- reconciling


def test_nothing_owed_asks_nothing(bench: Bench) -> None:
    bench.rounds(3)
    assert (bench.client.made, bench.client.runs) == ([], {})


def test_a_queued_job_gets_one_run(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds(3)
    assert [made["parameters"] for made in bench.client.made] == [
        {"source": REQUEST.uri, "models": ["detector"], "infer_fps": "5", "confidence": 0.4, "job_id": job_id}
    ]
    assert "clip ü.mp4" in bench.client.made[0]["name"]
    assert bench.job(job_id).flow_run_id == str(next(iter(bench.client.runs)))


def test_a_signed_address_stays_in_the_state_database(bench: Bench) -> None:
    bench.jobs.submit(JobRequest("https://me:Pass-Word@h/v.mp4?sig=secret", ("detector",)))
    bench.rounds()
    assert "secret" not in str(bench.client.made)
    assert "Pass-Word" not in str(bench.client.made)


@pytest.mark.parametrize(
    ("state", "age", "is_lost"),
    [
        (states.Scheduled(), LONG_AGO, False),
        (states.AwaitingRetry(), LONG_AGO, False),
        (states.Pending(), timedelta(seconds=1), False),
        (states.Pending(), LONG_AGO, True),
        (states.Running(), timedelta(seconds=0), False),
        (states.Running(), LONG_AGO, True),  # running without a live lease: its process is gone
        (states.Cancelling(), LONG_AGO, True),
        (states.Completed(), timedelta(0), True),
        (states.Failed(), timedelta(0), True),
        (states.Crashed(), timedelta(0), True),
        (states.Cancelled(), timedelta(0), True),
    ],
)
def test_a_new_run_when_the_old_one_will_not_do_it(
    bench: Bench, state: State[Any], age: timedelta, is_lost: bool
) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    first = bench.run_of(job_id)
    bench.set(job_id, state, age)
    with bench.jobs._engine.begin() as connection:  # the run was made long ago
        connection.exec_driver_sql("UPDATE jobs SET flow_run_at = flow_run_at - 30")
    bench.rounds(2)
    assert len(bench.client.made) == 1 + is_lost
    assert (bench.run_of(job_id) != first) == is_lost
    if is_lost:
        assert bench.client.runs[first].is_final()


@pytest.mark.parametrize(("attempt", "is_forgiven"), [(1, True), (31, True), (32, False)])
def test_an_attempt_that_ended_with_its_runner_is_not_held_against_the_job(
    bench: Bench, attempt: int, is_forgiven: bool
) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    held(bench, job_id)
    bench.jobs.break_lease(f"job/{job_id}")
    bench.set(job_id, states.Running(), LONG_AGO)
    with bench.jobs._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE jobs SET flow_run_at = flow_run_at - 30, attempt = {attempt}")
    assert bench.job(job_id).stalled_attempts == 1
    bench.rounds(2)
    assert len(bench.client.made) == 2
    assert bench.job(job_id).stalled_attempts == (0 if is_forgiven else 1)


def test_runs_that_grow_old_while_prefect_is_asked_are_judged_next_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for were the old ones; the others are not in the answer, which does not mean that they are gone."""
    bench.jobs.submit(REQUEST)
    bench.rounds()

    now = time.time

    def read(_client: object, _jobs: object) -> dict[str, Any]:
        monkeypatch.setattr(time, "time", lambda: now() + 3600)  # an answer that takes long
        return {}

    monkeypatch.setattr(bench.runner, "_read_runs", read)
    monkeypatch.setattr(bench.runner, "_looked_at", 0.0)
    bench.rounds(1)
    assert len(bench.client.made) == 1


def test_a_run_that_prefect_has_forgotten_is_made_again(bench: Bench, later: None) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    bench.client.runs.clear()
    bench.rounds()
    assert len(bench.client.made) == 2
    assert bench.run_of(job_id) in bench.client.runs


def test_a_run_just_made_is_given_time_to_take_its_lease(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    bench.set(job_id, states.Completed(), timedelta(0))
    bench.look()
    assert len(bench.client.made) == 1


def test_a_job_in_work_is_left_alone(bench: Bench, later: None) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    bench.client.runs.clear()
    lease = bench.jobs.acquire(f"job/{job_id}", "somebody", 600.0)
    bench.rounds(3)
    assert len(bench.client.made) == 1
    assert lease is not None
    bench.jobs.release(lease)
    bench.rounds()
    assert len(bench.client.made) == 2


def test_attempts_that_get_nowhere_are_given_up(new_bench: Callable[..., Bench], later: None) -> None:
    bench = new_bench(max_attempts=3)
    job_id = bench.jobs.submit(REQUEST)
    for attempt in range(3):
        bench.rounds()
        assert len(bench.client.made) == attempt + 1
        lease = bench.jobs.acquire(f"job/{job_id}", f"run {attempt}", 600.0)
        assert lease is not None
        bench.jobs.begin_attempt(lease, job_id)
        bench.jobs.note(lease, job_id, hop="infer")
        bench.jobs.release(lease)
        bench.set(job_id, states.Crashed())
    bench.rounds(2)
    job, record = bench.job(job_id), bench.lake.read_run(job_id)
    assert len(bench.client.made) == 3
    assert (job.status, job.error_code) == ("failed", "job.gave_up")
    assert f"framehouse jobs retry {job_id}" in str(job.error_hint)
    assert record is not None
    assert (record.error_code, record.error_hop) == ("job.gave_up", "infer")
    assert f"framehouse jobs retry {job_id}" in bench.client.shown[0]
    assert [use.model_id for use in record.models] == ["detector/1"]


def test_only_so_many_runs_wait_and_the_highest_priority_first(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(max_waiting_runs=2)
    low = [bench.jobs.submit(JobRequest(f"{i}.mp4", ("detector",))) for i in range(4)]
    high = bench.jobs.submit(JobRequest("high.mp4", ("detector",), priority=9))
    bench.rounds(3)
    assert [made["parameters"]["job_id"] for made in bench.client.made] == [high, low[0]]
    bench.jobs.conclude(high, "done", [])
    bench.rounds(2)
    assert [made["parameters"]["job_id"] for made in bench.client.made] == [high, low[0], low[1]]


def test_runs_in_hand_do_not_count_as_waiting(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(max_waiting_runs=1)
    first, second = [bench.jobs.submit(JobRequest(f"{i}.mp4", ("detector",))) for i in range(2)]
    bench.rounds()
    pid = bench.child(first)
    bench.rounds()
    assert [made["parameters"]["job_id"] for made in bench.client.made] == [first, second]
    os.kill(pid, signal.SIGKILL)


# ---------------------------------------------------------------- children


def wait_dead(bench: Bench, job_pid: int) -> None:
    deadline = time.monotonic() + 10
    while job_pid in bench.runner._children:
        assert time.monotonic() < deadline
        bench.runner._reap(bench.client)  # type: ignore[arg-type]
        time.sleep(0.02)


def held(bench: Bench, job_id: str, *, video: str = "v_1") -> None:
    """The job's run holds the job and its video."""
    owner = str(bench.run_of(job_id))
    lease = bench.jobs.acquire(f"job/{job_id}", owner, 600.0)
    assert lease is not None
    bench.jobs.begin_attempt(lease, job_id)
    bench.jobs.note(lease, job_id, hop="infer", video_id=video)
    bench.jobs.acquire(f"video/{video}", owner, 600.0)


def test_a_child_that_died_frees_its_job_at_once(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    held(bench, job_id)
    pid = bench.child(job_id)
    bench.rounds()
    assert pid in bench.runner._children
    os.kill(pid, signal.SIGKILL)
    wait_dead(bench, pid)
    assert bench.client.runs[bench.run_of(job_id)].is_crashed()
    assert not bench.jobs.is_held(f"job/{job_id}")
    assert not bench.jobs.is_held("video/v_1")


def test_a_child_that_ended_well_is_not_called_crashed(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    wait_dead(bench, bench.child(job_id, "pass"))
    assert bench.client.runs[bench.run_of(job_id)].is_scheduled()


def test_a_dead_child_does_not_free_the_video_of_another_run(bench: Bench) -> None:
    first, second = [bench.jobs.submit(REQUEST) for _ in range(2)]
    bench.rounds()
    held(bench, first)
    lease = bench.jobs.acquire(f"job/{second}", str(bench.run_of(second)), 600.0)  # it waits for the same video
    assert lease is not None
    bench.jobs.note(lease, second, video_id="v_1")
    pid = bench.child(second)
    os.kill(pid, signal.SIGKILL)
    wait_dead(bench, pid)
    assert not bench.jobs.is_held(f"job/{second}")
    assert bench.jobs.is_held("video/v_1")
    assert bench.jobs.is_held(f"job/{first}")


def test_a_server_that_is_away_while_a_child_dies_is_told_later(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    held(bench, job_id)
    pid = bench.child(job_id, "raise SystemExit(7)")
    bench.client.fail["set_flow_run_state"] = httpx.ConnectError("refused")
    deadline = time.monotonic() + 10
    with pytest.raises(httpx.ConnectError):
        while time.monotonic() < deadline:
            bench.runner._reap(bench.client)  # type: ignore[arg-type]
            time.sleep(0.02)
    assert pid in bench.runner._children
    bench.runner._reap(bench.client)  # type: ignore[arg-type]
    assert bench.runner._children == {}
    assert bench.client.runs[bench.run_of(job_id)].is_crashed()
    assert not bench.jobs.is_held(f"job/{job_id}")


# ---------------------------------------------------------------- cancelling


def test_a_queued_job_is_cancelled_with_its_run(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    bench.jobs.request_cancel(job_id)
    bench.rounds(2)
    assert bench.job(job_id).status == "cancelled"
    assert bench.client.runs[bench.run_of(job_id)].is_cancelled()
    assert len(bench.client.made) == 1


def test_a_job_without_a_run_is_cancelled(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.jobs.request_cancel(job_id)
    bench.rounds(2)
    assert bench.job(job_id).status == "cancelled"
    assert bench.client.made == []


def test_a_run_that_is_gone_does_not_keep_its_job_from_being_cancelled(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    bench.client.runs.clear()
    bench.jobs.request_cancel(job_id)
    bench.rounds()
    assert bench.job(job_id).status == "cancelled"


def test_a_running_job_of_ours_is_ended_and_leaves_no_lease(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    held(bench, job_id)
    pid = bench.child(job_id)
    bench.jobs.request_cancel(job_id)
    bench.rounds()
    wait_dead(bench, pid)
    record = bench.lake.read_run(job_id)
    assert bench.job(job_id).status == "cancelled"
    assert bench.client.runs[bench.run_of(job_id)].is_cancelled()
    assert not bench.jobs.is_held(f"job/{job_id}")
    assert not bench.jobs.is_held("video/v_1"), "a retry would wait for a dead run"
    assert record is not None
    assert (record.status, record.error_code, record.models[0].model_id) == ("cancelled", None, "detector/1")


def test_a_running_job_of_another_worker_is_asked_to_end(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    held(bench, job_id)
    bench.jobs.request_cancel(job_id)
    bench.rounds()
    assert bench.client.runs[bench.run_of(job_id)].type.value == "CANCELLING"
    assert bench.job(job_id).status == "cancelled"


def test_a_run_cancelled_in_the_page_cancels_its_job(bench: Bench) -> None:
    job_id = bench.jobs.submit(REQUEST)
    bench.rounds()
    held(bench, job_id)
    pid = bench.child(job_id)
    bench.set(job_id, states.Cancelling())
    bench.runner._looked_at = -1e9
    bench.rounds()
    wait_dead(bench, pid)
    assert bench.job(job_id).status == "cancelled"


# ---------------------------------------------------------------- slots


def test_scans_have_slots_of_their_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nine videos and four scans that are due, so many of each begin as there are slots of each."""
    begun: list[tuple[UUID, bool]] = []

    def fork(_runner: Runner, flow_run_id: UUID, *, is_side: bool) -> None:
        begun.append((flow_run_id, is_side))
        bench.runner._children[len(begun)] = _Child(len(begun), flow_run_id, is_side)

    monkeypatch.setattr(Runner, "_fork", fork)
    monkeypatch.setattr(Runner, "_claim", lambda *_: True)
    videos, scans = [
        [FlowRun(id=uuid4(), flow_id=UUID(int=2), deployment_id=UUID(int=number)) for _ in range(n)]
        for number, n in ((1, 9), (3, 4))
    ]
    bench.client.scheduled = [*videos, *scans]
    bench.runner._take_runs(bench.client)  # type: ignore[arg-type]
    assert begun == [(run.id, False) for run in videos[:4]] + [(run.id, True) for run in scans[:2]]
    bench.runner._asked_at = -1e9
    bench.runner._take_runs(bench.client)  # type: ignore[arg-type]
    assert len(begun) == 6, "every slot is taken"
    del bench.runner._children[6]  # a scan ended
    bench.client.scheduled = [*videos[4:], *scans[2:]]
    bench.runner._take_runs(bench.client)  # type: ignore[arg-type]
    assert begun[6:] == [(scans[2].id, True)]
    bench.runner._children.clear()


@pytest.fixture
def begun(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The runs that the runner began, in order; no process is made for them."""
    found: list[UUID] = []

    def fork(_runner: Runner, flow_run_id: UUID, *, is_side: bool) -> None:
        found.append(flow_run_id)
        bench.runner._children[len(found)] = _Child(len(found), flow_run_id, is_side)

    monkeypatch.setattr(Runner, "_fork", fork)
    monkeypatch.setattr(Runner, "_claim", lambda *_: True)
    return found


def take(bench: Bench, job_ids: list[str]) -> None:
    """Have the runs of these jobs due, in this order, and one round of taking."""
    runs = [bench.run_of(job_id) for job_id in job_ids]
    bench.client.scheduled = [FlowRun(id=run, flow_id=UUID(int=2), deployment_id=UUID(int=1)) for run in runs]
    bench.runner._asked_at = -1e9
    bench.runner._take_runs(bench.client)  # type: ignore[arg-type]


def test_the_highest_priority_begins_first_whenever_it_came(bench: Bench, begun: list[UUID]) -> None:
    jobs = [bench.jobs.submit(replace(REQUEST, priority=priority)) for priority in (0, 0, -5, 7, 0, 9)]
    bench.rounds()
    take(bench, jobs)
    assert begun == [bench.run_of(jobs[i]) for i in (5, 3, 0, 1)]
    bench.runner._children.clear()


def test_no_more_of_a_catalogue_begin_than_it_allows(bench: Bench, begun: list[UUID]) -> None:
    """Even where runs were made before the limit was set. The rest of the slots goes to others."""
    catalogs = Catalogs(bench.jobs.engine)
    catalogs.add(CatalogWish("long", "/videos", ("detector",)))
    long = [bench.jobs.submit(replace(REQUEST, budget=catalog_budget("long"), priority=1)) for _ in range(6)]
    short = [bench.jobs.submit(REQUEST) for _ in range(2)]
    bench.rounds()
    catalogs.change(catalogs.get("long").catalog_id, max_running=2)
    take(bench, long + short)
    assert begun == [bench.run_of(job_id) for job_id in (*long[:2], *short)]
    bench.runner._children.clear()
    take(bench, long[2:])
    assert len(begun) == 4, "its two seats are taken"
    bench.jobs.break_lease(f"job/{long[0]}", owner=str(bench.run_of(long[0])))
    take(bench, long[2:])
    assert begun[4:] == [bench.run_of(long[2])]
    bench.runner._children.clear()


def test_runs_are_made_of_a_limited_catalogue_only_as_it_has_room(new_bench: Callable[..., Bench]) -> None:
    bench = new_bench(max_waiting_runs=4)
    Catalogs(bench.jobs.engine).add(CatalogWish("long", "/videos", ("detector",), max_running=1))
    long = [bench.jobs.submit(replace(REQUEST, budget=catalog_budget("long"), priority=1)) for _ in range(9)]
    short = [bench.jobs.submit(REQUEST) for _ in range(3)]
    bench.rounds(3)
    assert [made["parameters"]["job_id"] for made in bench.client.made] == [long[0], *short]


# ---------------------------------------------------------------- the loop


@pytest.mark.parametrize("on_postgresql", [False, True])
def test_errors_of_the_server_do_not_end_the_loop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on_postgresql: bool
) -> None:
    """Away, then back with an empty database: the deployments are registered again and the job gets its run.

    The automation that calls silent runs crashed is for a server on PostgreSQL alone.
    """
    registered: list[str] = []
    job_id = bench.jobs.submit(REQUEST)
    request = httpx.Request("POST", "http://prefect/api")
    refused = httpx.HTTPStatusError("500", request=request, response=httpx.Response(500, request=request))
    troubles: list[dict[str, Exception]] = [
        {"read_deployment_by_name": httpx.ConnectError("refused")},
        {"create_flow_run_from_deployment": refused},
        {"get_scheduled_flow_runs_for_work_pool": httpx.ReadTimeout("slow")},
        {"read_deployment_by_name": ObjectNotFound(Exception("no deployment"))},
    ]

    class Opened:
        def __enter__(self) -> FakeClient:
            bench.client.fail = troubles.pop(0) if troubles else {}
            return bench.client

        def __exit__(self, *_: object) -> None:
            return

    def sleep(_seconds: float) -> None:
        if not troubles and bench.job(job_id).flow_run_id:
            bench.runner.stop()

    def register(*_: object) -> list[str]:
        registered.append("process-video/process-video")
        return registered

    monkeypatch.setattr(runner_module, "get_client", lambda sync_client: Opened())
    monkeypatch.setattr(runner_module, "register_deployments", register)
    monkeypatch.setattr(runner_module, "suits_server", lambda: on_postgresql)
    clock = SimpleNamespace(time=time.time, monotonic=lambda: time.monotonic() * 1000, sleep=sleep)
    monkeypatch.setattr(runner_module, "time", clock)
    bench.runner.serve(tmp_path)
    assert bench.job(job_id).flow_run_id is not None
    assert troubles == []
    assert len(registered) >= 3
    within = [automation.trigger.within for automation in bench.client.automations]
    assert within == [timedelta(seconds=600)] * on_postgresql


# ---------------------------------------------------------------- uploads that never come


def test_a_job_whose_upload_never_came_fails_and_may_be_tried_again(bench: Bench) -> None:
    """Until then it waits and no run is made; one whose upload is here is left alone."""
    uploads = Uploads(bench.jobs.engine)
    missing, here = (uploads.create("", name, ttl_s=60) for name in ("a.mp4", "b.mp4"))
    uploads.complete(here.upload_id, 5)
    lost, found = (bench.jobs.submit(REQUEST, origin=Origin("", None, one.upload_id)) for one in (missing, here))
    bench.look()
    assert (bench.job(lost).flow_run_id, bench.job(lost).status) == (None, "queued")
    assert bench.job(found).flow_run_id is not None
    bench.runner._settings.api.upload_wait_s = 0.01
    time.sleep(0.05)
    bench.look()
    job = bench.job(lost)
    assert (job.status, job.error_code) == ("failed", "source.upload_missing")
    assert job.error_message == "no upload arrived within 0.01 s"
    assert bench.job(found).status == "queued"
    uploads.complete(missing.upload_id, 5)  # it came at last
    bench.jobs.reopen(lost)
    bench.look()
    assert bench.job(lost).flow_run_id is not None


# ---------------------------------------------------------------- the disk floor


def test_below_the_floor_no_run_is_made_and_room_is_asked_for_once(bench: Bench) -> None:
    asked: list[str] = []

    class Cramped(FakeClient):
        def read_deployment_by_name(self, name: str) -> Any:
            if name != "maintenance/maintenance":
                return super().read_deployment_by_name(name)
            asked.append(name)
            return SimpleNamespace(id=UUID(int=1))

    bench.client, keep = Cramped(), bench.runner._settings.keep
    keep.floor_bytes, floor_bytes = 1024**5, keep.floor_bytes
    job_id = bench.jobs.submit(REQUEST)
    for _ in range(3):
        bench.runner._look_at_disk(bench.client)  # type: ignore[arg-type]
        bench.rounds()
    assert (asked, [made["name"] for made in bench.client.made]) == (
        ["maintenance/maintenance"], ["the disk is below its floor"],
    )  # fmt: skip
    assert bench.job(job_id).flow_run_id is None
    keep.floor_bytes = min(floor_bytes, 1)
    bench.runner._look_at_disk(bench.client)  # type: ignore[arg-type]
    bench.rounds()
    assert bench.client.made[-1]["parameters"]["job_id"] == job_id
    keep.floor_bytes = 1024**5
    bench.runner._look_at_disk(bench.client)  # type: ignore[arg-type]
    assert len(asked) == 1, "not again within the hour"
