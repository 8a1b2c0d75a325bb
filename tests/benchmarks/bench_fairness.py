"""How long shorts wait beside a long video, with turns and without: `python tests/benchmarks/bench_fairness.py`.

Real parts: a Dask cluster, `run_chunks`, the state database, `Turns`. A chunk sleeps in its worker instead of decoding,
so that the figures say how the workers are shared and not how busy the machine is.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import distributed

from cluster_work import Beat
from framehouse.cluster import run_chunks
from framehouse.jobs.turns import Turns
from framehouse.state import JobRequest, State, open_state

CHUNK_S = 2.0
LANES = 3
"""Shorts that run beside the long one, as `FRAMEHOUSE_PREFECT__RUN_SLOTS=4` has it."""


def nap(number: int, beat: Beat) -> int:
    """A chunk."""
    until_s = time.monotonic() + CHUNK_S
    while time.monotonic() < until_s:
        time.sleep(0.05)
        beat()
    return number


def job(state: State, name: str, address: str, n_chunks: int, turns: bool, over: Callable[[], bool]) -> int:
    """Run a job's chunks until they or it are over; returns how many ended."""
    job_id = state.submit(JobRequest(f"{name}.mp4", ("detector",)))
    state.assign_run(job_id, f"run of {job_id}", expected=None)
    lease = state.acquire(f"video/{name}", f"run of {job_id}", 3600.0)
    assert lease is not None
    share = Turns(state, job_id, 0).share if turns else lambda n_slots: n_slots
    n_ended = 0
    for _ in run_chunks(address, nap, range(n_chunks), share=share):
        n_ended += 1
        if over():
            break
    state.release(lease)
    return n_ended


def measure(address: str, turns: bool, n_shorts: int, n_chunks: int) -> dict[str, float]:
    """Shorts one after the other in each lane while a long one runs."""
    with tempfile.TemporaryDirectory() as folder:
        state, over, waits, n_long = open_state(f"sqlite:///{folder}/state.db"), threading.Event(), [], []
        lock = threading.Lock()
        left = list(range(n_shorts))

        def lane() -> None:
            while True:
                with lock:
                    if not left:
                        return
                    number = left.pop(0)
                began_s = time.monotonic()
                job(state, f"short{number}", address, n_chunks, turns, lambda: False)
                waits.append(time.monotonic() - began_s)

        def long() -> None:
            n_long.append(job(state, "long", address, 10_000, turns, over.is_set))

        first = threading.Thread(target=long)
        first.start()
        time.sleep(2.5 * CHUNK_S)
        began_s = time.monotonic()
        lanes = [threading.Thread(target=lane) for _ in range(LANES)]
        for thread in lanes:
            thread.start()
        for thread in lanes:
            thread.join()
        elapsed_s = time.monotonic() - began_s
        over.set()
        first.join()
        return {
            "median_s": round(statistics.median(waits), 2), "worst_s": round(max(waits), 2),
            "all_shorts_s": round(elapsed_s, 1), "long_chunks": n_long[0],
        }  # fmt: skip


def main() -> None:
    """Print one JSON line a setting."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--shorts", type=int, default=24)
    wanted = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    with distributed.LocalCluster(
        n_workers=wanted.workers, threads_per_worker=1, dashboard_address=None, memory_limit=0
    ) as cluster:
        for n_chunks in (1, 4):
            for turns in (False, True):
                found = measure(cluster.scheduler_address, turns, wanted.shorts, n_chunks)
                settled = {"workers": wanted.workers, "chunks_of_a_short": n_chunks, "turns": turns}
                print(json.dumps(settled | found), flush=True)


if __name__ == "__main__":
    main()
