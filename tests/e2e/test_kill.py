"""Kill any process at any moment, and the tables come out as if nothing had happened.

SIGKILL at random moments over the flow child, the Dask workers, Triton, the loader, the runner, the Dask scheduler, the
HTTP server and the Prefect server, while real videos run; only what was killed is restarted, by the supervisor. The
reference is an undisturbed pass over the same videos through the same core and the same Triton server, into tables of
its own.
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

from framehouse.ids import content_sha256, video_id
from framehouse.state import Job, open_state
from local_stack import Stack
from reference import reference_tables, stack_tables

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(1500)]

PATIENCE_S = 300.0
KINDS = ["flow", "worker", "triton", "loader", "runner", "prefect", "dask-scheduler", "api"]


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
    queue = [KINDS[i % len(KINDS)] for i in range(kills)]
    rng.shuffle(queue)
    originals = sorted(sample_videos.values())
    work = Work(stack, originals, tmp_path)
    deadline = time.monotonic() + PATIENCE_S + 60 * kills

    def message() -> str:
        return f"seed {seed}, killed {killer.log}, left {queue}\n{stack.logs()}"

    while queue:
        assert time.monotonic() < deadline, message()
        hops = work.hops()
        if len(hops) < len(originals):
            work.submit_copies()
        if "infer" in hops:  # a kill counts only while frames are being inferred
            time.sleep(rng.uniform(0.0, 2.5))
            if killer.kill(queue[-1]):
                queue.pop()
        else:
            time.sleep(0.1)
    while work.hops():
        assert time.monotonic() < deadline, message()
        time.sleep(0.3)
    outcomes = {(job.status, job.error_code) for job in work.jobs()}
    assert outcomes == {("done", None)}, f"{[job for job in work.jobs() if job.status != 'done']}\n{message()}"

    expected = reference_tables(originals, "all", stack.facts()["endpoints"]["triton_url"], tmp_path)
    assert expected.rows["detections"], "the reference saw nothing"
    for original_id, copy_id in work.copies:
        undisturbed, found = expected.of(original_id), stack_tables(stack, copy_id).renamed(copy_id, original_id)
        assert not (differences := undisturbed.differences(found)), f"{differences}\n{message()}"
    unexplained = json.loads(
        stack.ok("sql", "SELECT count(*) AS n FROM completeness WHERE n_unexplained + n_open <> 0", "--format", "json")
    )
    assert unexplained == [{"n": 0}]


class Work:
    """Copies of the sample videos, every frame of them; each copy is a video of its own, with the same pictures."""

    def __init__(self, stack: Stack, originals: list[Path], folder: Path) -> None:
        self._stack, self._originals, self._folder = stack, originals, folder
        self._state = open_state(f"sqlite:///{stack.home / 'state' / 'state.db'}")
        self._n_rounds = 0
        self.job_ids: list[str] = []
        self.copies: list[tuple[str, str]] = []

    def submit_copies(self) -> None:
        """Submit one more copy of each video."""
        self._n_rounds += 1
        made = []
        for original in self._originals:
            copy = self._folder / f"{self._n_rounds} {original.name}"
            note = f"copy {self._n_rounds}".encode()
            box = (8 + len(note)).to_bytes(4, "big") + b"free" + note  # an mp4 box that players pass over
            copy.write_bytes(original.read_bytes() + box)
            made.append(copy)
            self.copies.append((video_id(content_sha256(original)), video_id(content_sha256(copy))))
        out = self._stack.ok("run", *map(str, made), "--fps", "all", "--no-wait", "--json")
        self.job_ids += [job["job_id"] for job in json.loads(out)]

    def jobs(self) -> list[Job]:
        """All that was submitted. From the state database itself: a command costs a process, and moments count."""
        return self._state.list_jobs(job_ids=self.job_ids) if self.job_ids else []

    def hops(self) -> list[str | None]:
        """Where the unfinished jobs are."""
        return [job.hop for job in self.jobs() if not job.is_final]
