"""Chunks on real Dask processes, started and kept alive by the supervisor as `up` does."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
import pytest

import cluster_work as work
from framehouse.alone import Death
from framehouse.cluster import GivenUp, all_workers, run_chunks, worker_count
from framehouse.config import DaskSettings, Endpoints, Settings
from framehouse.errors import EngineUnavailable, InferenceError, TritonUnavailable
from framehouse.inference.worker import WORKER
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.plans import chunk_tasks, store_plan
from framehouse.readiness import ready_pids
from framehouse.results.lake import Lake
from framehouse.stack import Component, Supervisor
from framehouse.stack.components import _dask
from framehouse.state import JobRequest, open_state
from framehouse.storage.base import LocalVideo
from framehouse.video.probe import probe
from framehouse.video.sampling import plan_frames
from media import long_static

pytestmark = [pytest.mark.real("dask"), pytest.mark.timeout(180)]

N_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Cluster:
    address: str
    supervisor: Supervisor

    def component(self, name: str) -> Component:
        return next(c for c in self.supervisor.components if c.name == name)

    def worker_pids(self) -> set[int]:
        return ready_pids(self.supervisor.settings.state_dir / "ready", WORKER)

    def wait_ready(self, limit_s: float = 60.0) -> None:
        deadline = time.monotonic() + limit_s
        while any(c.state != "ready" for c in self.supervisor.components):
            assert time.monotonic() < deadline, {c.name: c.state for c in self.supervisor.components}
            time.sleep(0.1)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        tests = str(Path(work.__file__).parent)
        patch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
        patch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
        settings = Settings(home=tmp_path_factory.mktemp("dask"), dask=DaskSettings(n_workers=N_WORKERS))
        endpoints: dict[str, str] = {}
        supervisor = Supervisor(settings, _dask(settings, endpoints), endpoints)
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        try:
            running = Cluster(endpoints["dask_address"], supervisor)
            running.wait_ready()
            yield running
        finally:
            supervisor.stopping = True
            thread.join()


class Watched(Sequence[Any]):
    """Tasks that count how many of them were taken."""

    def __init__(self, tasks: Sequence[Any]) -> None:
        self._tasks = tasks
        self.n_taken = 0

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, i: Any) -> Any:
        return self._tasks[i]

    def __iter__(self) -> Iterator[Any]:
        for task in self._tasks:
            self.n_taken += 1
            yield task


def test_ready_means_that_the_scheduler_has_every_worker(cluster: Cluster) -> None:
    assert worker_count(cluster.address) == N_WORKERS


def test_no_task_and_one_and_many(cluster: Cluster) -> None:
    for tasks in ([], [7], list(range(40))):
        found = dict(run_chunks(cluster.address, work.double, tasks))
        assert found == {number: 2 * number for number in tasks}


@pytest.mark.parametrize(("window", "allowed"), [(1, 1), (3, 3), (0, 2 * N_WORKERS)])
def test_never_more_than_the_window_is_in_flight(cluster: Cluster, window: int, allowed: int) -> None:
    tasks, n_ended, ahead = Watched(range(20)), 0, []
    for _ in run_chunks(cluster.address, work.double, tasks, window=window):
        ahead.append(tasks.n_taken - n_ended)
        n_ended += 1
    assert n_ended == 20
    assert max(ahead) == allowed


def test_a_share_that_shrinks_and_grows_is_kept_to(cluster: Cluster) -> None:
    """Four slots of its own, then one while others want theirs, then four again; nothing is taken back."""
    asked: list[int] = []

    def share(n_slots: int) -> int:
        asked.append(n_slots)
        return 1 if 6 <= n_ended < 14 else n_slots

    tasks, n_ended, ahead = Watched(range(24)), 0, []
    for _ in run_chunks(cluster.address, work.double, tasks, window=4, share=share):
        ahead.append(tasks.n_taken - n_ended)
        n_ended += 1
    assert (n_ended, set(asked)) == (24, {4})
    assert max(ahead[:6]) == 4
    assert set(ahead[10:14]) == {1}
    assert max(ahead[15:]) == 4


def test_waiting_is_told_while_a_chunk_runs(cluster: Cluster) -> None:
    told: list[float] = []
    list(run_chunks(cluster.address, work.slow_double, [1], on_wait=lambda: told.append(time.monotonic())))
    assert told


@pytest.mark.parametrize(
    ("kind", "raised", "code"),
    [
        ("final", InferenceError, "inference.shape"),
        ("retryable", TritonUnavailable, "inference.triton_unavailable"),
        ("foreign", PermissionError, None),
    ],
)
def test_errors_of_the_work_come_back_as_they_were(
    cluster: Cluster, kind: str, raised: type[Exception], code: str | None
) -> None:
    with pytest.raises(raised) as caught:
        list(run_chunks(cluster.address, work.fail, [kind]))
    assert type(caught.value) is raised
    if isinstance(caught.value, InferenceError):
        assert caught.value.code == code
        assert kind != "final" or caught.value.facts == {"model": "detector/1", "second": 1.5}
        assert kind != "final" or caught.value.hint == "look"


def test_after_a_failure_what_is_in_flight_is_waited_for_and_no_more_begun(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [work.Deadly(i, str(tmp_path), deaths=1000 * (i == 0), by="fail") for i in range(20)]
    found = []
    with pytest.raises(TritonUnavailable):
        for task, receipt in run_chunks(cluster.address, work.fail_or_work, tasks, window=4):
            found.append((task.number, receipt))
    begun = {int(path.name) for path in tmp_path.iterdir()}
    assert begun == {0, *(number for number, _ in found)}, "a chunk went on unseen"
    assert len(begun) < 8


def test_the_caller_may_stop_listening(cluster: Cluster) -> None:
    chunks = run_chunks(cluster.address, work.slow_double, range(8), window=4)
    next(chunks)
    chunks.close()
    assert dict(run_chunks(cluster.address, work.double, [3])) == {3: 6}


def test_a_worker_killed_in_the_middle_loses_nothing(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [work.Deadly(i, str(tmp_path), deaths=i == 2) for i in range(6)]
    found = {task.number: receipt for task, receipt in run_chunks(cluster.address, work.maybe_die, tasks)}
    assert found == {i: i for i in range(6)}
    assert len(list((tmp_path / "2").iterdir())) >= 2


def test_a_poisonous_chunk_is_given_up_and_takes_no_other_along(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [work.Deadly(i, str(tmp_path), deaths=1000 * (i == 1)) for i in range(8)]
    found = {task.number: end for task, end in run_chunks(cluster.address, work.maybe_die, tasks)}
    guilty = found.pop(1)
    assert found == {i: i for i in range(8) if i != 1}
    assert isinstance(guilty, GivenUp)
    assert [death.cause for death in guilty.deaths] == ["SIGKILL", "SIGKILL"]
    assert len(list((tmp_path / "1").iterdir())) == 3  # beside others, and twice alone
    assert all(len(list((tmp_path / str(i)).iterdir())) <= 2 for i in found), "an innocent was run more than once again"


def test_a_chunk_that_has_killed_before_runs_alone_from_the_first(cluster: Cluster, tmp_path: Path) -> None:
    before, tasks = cluster.worker_pids(), [work.Deadly(i, str(tmp_path), deaths=1000 * (i == 1)) for i in range(4)]
    ends = run_chunks(cluster.address, work.maybe_die, tasks, suspicion=lambda task: () if task.number == 1 else None)
    found = {task.number: end for task, end in ends}
    assert isinstance(found.pop(1), GivenUp)
    assert found == {i: i for i in (0, 2, 3)}
    assert before <= cluster.worker_pids(), "a worker died"  # one of an earlier test may still be on its way


def test_what_is_held_against_a_chunk_is_told_and_counts_in_the_next_call(cluster: Cluster, tmp_path: Path) -> None:
    """A run that is killed in between begins where the one before was."""
    known: dict[int, tuple[Death, ...]] = {}
    told: list[tuple[int, int]] = []

    def note(task: work.Deadly, deaths: tuple[Death, ...]) -> None:
        known[task.number] = deaths
        told.append((task.number, len(deaths)))
        if deaths:
            raise KeyboardInterrupt

    tasks = [work.Deadly(1, str(tmp_path), deaths=1000)]
    with pytest.raises(KeyboardInterrupt):
        list(run_chunks(cluster.address, work.maybe_die, tasks, on_suspicion=note))
    assert told == [(1, 0), (1, 1)]
    ends = run_chunks(cluster.address, work.maybe_die, tasks, suspicion=lambda task: known.get(task.number))
    ((_, guilty),) = ends
    assert isinstance(guilty, GivenUp)
    assert [death.cause for death in guilty.deaths] == ["SIGKILL", "SIGKILL"]
    assert len(list((tmp_path / "1").iterdir())) == 3, "beside others, and twice alone, over both calls"


def test_a_chunk_that_nothing_answers_is_given_up_alone(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [work.Deadly(i, str(tmp_path), deaths=1000 * (i == 1), by="timeout") for i in range(5)]
    found = {task.number: end for task, end in run_chunks(cluster.address, work.maybe_die, tasks)}
    slow = found.pop(1)
    assert found == {i: i for i in (0, 2, 3, 4)}
    assert isinstance(slow, GivenUp)
    assert slow.error is not None
    assert slow.error.code == "inference.timeout"


def test_a_server_that_answers_nobody_is_an_error(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [work.Deadly(i, str(tmp_path), deaths=1000, by="timeout") for i in range(5)]
    with pytest.raises(InferenceError, match="3 chunks in a row") as caught:
        list(run_chunks(cluster.address, work.maybe_die, tasks))
    assert (caught.value.code, caught.value.retryable) == ("inference.timeout", False)


def test_a_chunk_that_stands_still_is_ended(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [work.Deadly(i, str(tmp_path), deaths=i == 0, by="sleep") for i in range(3)]
    began = time.monotonic()
    found = {task.number: receipt for task, receipt in run_chunks(cluster.address, work.maybe_die, tasks, stall_s=1.0)}
    assert found == {0: 0, 1: 1, 2: 2}
    assert time.monotonic() - began < 60


def test_a_chunk_that_beats_may_take_longer_than_the_limit(cluster: Cluster, tmp_path: Path) -> None:
    task = work.Deadly(4, str(tmp_path))
    assert list(run_chunks(cluster.address, work.steady, [task], stall_s=1.5)) == [(task, 4)]
    assert len(list((tmp_path / "4").iterdir())) == 1  # its worker was not ended


@pytest.fixture
def long_tasks(media_dir: Path, tmp_path: Path) -> list[Any]:
    """Chunks of a video of ten hours, planned as a job plans them; two frames of each, to be quick."""
    video = long_static(media_dir, hours=10)
    state = open_state(f"sqlite:///{tmp_path / 'state.db'}")
    job = state.job(state.submit(JobRequest(str(video), ("detector",))))
    lease = state.acquire(f"job/{job.job_id}", "me", 600.0)
    assert lease is not None
    settings = Settings(home=tmp_path)
    attempt = Attempt(job, lease, state, Lake(settings.lake_dir), settings, Endpoints("", "127.0.0.1:1", ""))
    index = probe(video)
    local = LocalVideo(video, str(video), video.stat().st_size, "0" * 64, None, None, 0)
    ref = store_plan(attempt, local, "v_long", index, plan_frames(index, Fraction(1, 10)))
    assert (index.n_frames, ref.n_frames) == (36_000, 3_600)
    return chunk_tasks(attempt, ref, ())


def test_ten_hours_need_no_more_memory_than_one(cluster: Cluster, long_tasks: list[Any]) -> None:
    tasks, me = Watched(long_tasks), psutil.Process()
    assert len(tasks) > 1500
    mine, theirs, ahead, n_decoded = [], [], [], 0
    began = time.monotonic()
    for n_ended, (_, receipt) in enumerate(run_chunks(cluster.address, work.decode_chunk, tasks)):
        assert not isinstance(receipt, GivenUp)
        assert receipt.n_gaps == 0
        n_decoded += receipt.n_decoded
        mine.append(me.memory_info().rss)
        theirs.append(receipt.rss_bytes)
        ahead.append(tasks.n_taken - n_ended)
    elapsed_s, tenth = time.monotonic() - began, len(tasks) // 10
    assert n_decoded == 3_600
    assert max(ahead) <= 2 * N_WORKERS
    assert max(mine) - max(mine[:tenth]) < 16e6, "the client grows with the number of chunks"
    assert max(theirs) - max(theirs[:tenth]) < 32e6, "a worker grows with the number of chunks"
    assert elapsed_s < 60, elapsed_s


def killed(cluster: Cluster, name: str) -> None:
    pid = cluster.component(name).process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_a_lost_scheduler_is_an_error_and_no_hang_and_all_works_again(cluster: Cluster) -> None:
    began, chunks = time.monotonic(), run_chunks(cluster.address, work.slow_double, range(40))
    next(chunks)
    killed(cluster, "dask-scheduler")
    with pytest.raises(EngineUnavailable):
        list(chunks)
    assert time.monotonic() - began < 30
    works_again(cluster)


def test_lost_workers_are_waited_for(cluster: Cluster) -> None:
    chunks = run_chunks(cluster.address, work.slow_double, range(6))
    found = [next(chunks)]
    killed(cluster, "dask-workers")
    found += list(chunks)
    assert sorted(found) == [(i, 2 * i) for i in range(6)]
    assert cluster.component("dask-workers").restarts >= 1
    works_again(cluster)


def works_again(cluster: Cluster) -> None:
    deadline = time.monotonic() + 60
    while count(cluster) != N_WORKERS:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    cluster.wait_ready()
    assert dict(run_chunks(cluster.address, work.double, range(5))) == {i: 2 * i for i in range(5)}


def count(cluster: Cluster) -> int:
    try:
        return worker_count(cluster.address)
    except EngineUnavailable:
        return 0


def test_every_way_in_which_dask_says_lost_is_known() -> None:
    from distributed.client import ClosedClientError, FutureCancelledError, FuturesCancelledError
    from distributed.comm.core import CommClosedError

    from framehouse import cluster as module

    for kind in (ClosedClientError, CommClosedError, FutureCancelledError, FuturesCancelledError, TimeoutError):
        assert issubclass(kind, module._LOST), kind


def test_no_scheduler_is_told_soon(free_port: Callable[[], int]) -> None:
    began = time.monotonic()
    with pytest.raises(EngineUnavailable, match="no Dask scheduler"):
        list(run_chunks(f"tcp://127.0.0.1:{free_port()}", work.double, [1]))
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "127.0.0.1", "tcp://127.0.0.1"])
def test_an_address_that_is_none_is_told_at_once(address: str) -> None:
    began = time.monotonic()
    with pytest.raises(EngineUnavailable):
        list(run_chunks(address, work.double, [1]))
    assert time.monotonic() - began < 15


def test_every_worker_is_asked_and_one_that_hangs_says_no(cluster: Cluster) -> None:
    cluster.wait_ready()
    smaller, larger = sorted(cluster.worker_pids())
    assert all_workers(cluster.address, work.is_at_most, larger)
    assert not all_workers(cluster.address, work.is_at_most, smaller)
    os.kill(larger, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        assert not all_workers(cluster.address, work.is_at_most, larger, timeout_s=1.0)
        assert time.monotonic() - began_s < 20, "it waits no longer than it has to"
    finally:
        os.kill(larger, signal.SIGCONT)
    with pytest.raises(EngineUnavailable):
        all_workers("tcp://127.0.0.1:1", work.is_at_most, 0)
