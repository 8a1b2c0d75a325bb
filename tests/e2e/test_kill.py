"""Kill any process at any moment, and the tables come out as if nothing had happened.

SIGKILL at random moments over the flow child, the Dask workers, Triton, the loader, the runner, the Dask scheduler and
the Prefect server, while real videos run; only what was killed is restarted, by the supervisor. The reference is an
undisturbed pass over the same videos through the same core and the same Triton server, into tables of its own.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from framehouse.state import open_state
from local_stack import Stack
from reference import reference_tables, stack_tables

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(1500)]

PATIENCE_S = 600.0


def processes(pattern: Callable[[psutil.Process], bool], root: int) -> list[int]:
    """Descendants of a process; none when it has just died."""
    try:
        return [child.pid for child in psutil.Process(root).children(recursive=True) if pattern(child)]
    except psutil.NoSuchProcess:
        return []


class Killer:
    """Picks victims among the processes of one stack, by what they are."""

    def __init__(self, stack: Stack, rng: random.Random) -> None:
        self.stack, self.rng = stack, rng
        self.log: list[str] = []

    def victims(self, kind: str) -> list[int]:
        facts = self.stack.facts()
        pids = {name: component["pid"] for name, component in facts["components"].items() if component["pid"]}
        if kind == "flow":
            return processes(lambda _: True, pids["runner"]) if "runner" in pids else []
        if kind == "worker":
            return processes(lambda p: "spawn_main" in " ".join(p.cmdline()), pids.get("dask-workers", os.getpid()))
        return [pids[kind]] if kind in pids else []

    def kill(self, kind: str) -> bool:
        victims = [pid for pid in self.victims(kind) if psutil.pid_exists(pid)]
        if not victims:
            return False
        pid = self.rng.choice(victims)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.log.append(f"{kind} {pid}")
        return True


def test_kill_anything_and_lose_nothing(
    stack: Stack, sample_videos: dict[str, Path], kills: int, tmp_path: Path
) -> None:
    seed = int(os.environ.get("FRAMEHOUSE_TEST_SEED", time.time_ns() % 2**32))
    rng = random.Random(seed)
    killer = Killer(stack, rng)
    kinds = ["flow", "worker", "triton", "loader", "runner", "prefect", "dask-scheduler"]
    queue = [kinds[i % len(kinds)] for i in range(kills)]
    rng.shuffle(queue)
    videos = sorted(sample_videos.values())
    rates = iter(["1", "2", "3", "5", "6", "8", "10", "12", "15", "20", "24", "all"])
    job_ids = submit(stack, videos, next(rates))
    deadline = time.monotonic() + PATIENCE_S + 30 * kills
    while queue:
        assert time.monotonic() < deadline, f"seed {seed}: {killer.log}, left {queue}\n{stack.logs()}"
        if not unfinished(stack, job_ids):  # faster than the killer: more work, only the new instants of it
            job_ids += submit(stack, videos, next(rates, "all"))
        time.sleep(rng.uniform(0.2, 3.0))
        if killer.kill(queue[-1]):
            queue.pop()
    job_ids += submit(stack, videos, "all")
    while unfinished(stack, job_ids):
        assert time.monotonic() < deadline, f"seed {seed}: {killer.log}\n{stack.logs()}"
        time.sleep(0.5)
    jobs = {job["job_id"]: job for job in json.loads(stack.ok("jobs", "list", "--json", "--limit", "500"))}
    statuses = {job_id: (jobs[job_id]["status"], jobs[job_id]["error"]) for job_id in job_ids}
    assert set(statuses.values()) == {("done", None)}, f"seed {seed}: {killer.log}: {statuses}"
    assert len(killer.log) == kills

    expected = reference_tables(videos, "all", stack.facts()["endpoints"]["triton_url"], tmp_path)
    found = stack_tables(stack, sorted(expected.video_ids))
    assert expected.rows["detections"], "the reference saw nothing"
    assert not (differences := expected.differences(found)), f"seed {seed}: {killer.log}: {differences}"
    unexplained = json.loads(
        stack.ok("sql", "SELECT count(*) AS n FROM completeness WHERE n_unexplained + n_open <> 0", "--format", "json")
    )
    assert unexplained == [{"n": 0}]


def submit(stack: Stack, videos: list[Path], fps: str) -> list[str]:
    out = stack.ok("run", *map(str, videos), "--fps", fps, "--no-wait", "--json")
    return [job["job_id"] for job in json.loads(out)]


def unfinished(stack: Stack, job_ids: list[str]) -> list[str]:
    """Read from the state database itself: the command line costs a process, and here the moment counts."""
    state = open_state(f"sqlite:///{stack.home / 'state' / 'state.db'}")
    return [job.job_id for job in state.list_jobs(job_ids=job_ids) if not job.is_final]
