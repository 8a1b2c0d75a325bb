"""Cancelling ends the work itself within seconds: chunks on the Dask workers too, and the next job has their place."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from distributed import Client

from framehouse.results.lake import Lake
from framehouse.results.parts import settled
from framehouse.state import open_state
from local_stack import Stack
from media import Recipe, write

pytestmark = [pytest.mark.real("stack"), pytest.mark.timeout(600)]

PATIENCE_S = 180.0
SOON_S = 15.0
"""Far above what is measured (about 2 s), far below what the cancelled chunks would take."""


def wait_for(what: Callable[[], object], limit_s: float, told: str) -> float:
    """Seconds until something is so."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < limit_s, told
        time.sleep(0.1)
    return time.monotonic() - began


def test_a_cancelled_job_leaves_the_workers_and_keeps_its_parts(stack: Stack, tmp_path: Path) -> None:
    # one key frame: a single chunk, parts every 256 frames, minutes of work
    long = write(tmp_path, Recipe("long job.mp4", n_frames=3000, rate=Fraction(30), gop=10_000, first_number=9000))
    short = write(tmp_path, Recipe("next job.mp4", n_frames=20, first_number=12_500))
    state = open_state(f"sqlite:///{stack.home / 'state' / 'state.db'}")
    job_id = json.loads(stack.ok("run", str(long), "--fps", "all", "--no-wait", "--json"))[0]["job_id"]
    lake = Lake(stack.home / "lake")

    def n_stored() -> int:
        video_id = state.job(job_id).video_id
        folders = (lake.root / "parts" / video_id).glob("*") if video_id else ()
        return sum(settled(folder)[0].size for folder in folders)

    wait_for(n_stored, PATIENCE_S, "no part was written")
    with Client(stack.facts()["endpoints"]["dask_address"], set_as_default=False) as dask:

        def running_chunks() -> int:  # in each worker; nested, so that it travels by value
            import sys

            n_found = 0
            for top in sys._current_frames().values():
                frame, names = top, set()
                while frame is not None:
                    names.add(frame.f_code.co_name)
                    frame = frame.f_back
                n_found += "infer_chunk" in names
            return n_found

        def n_running() -> int:
            return sum(dask.run(running_chunks).values())

        assert n_running() == 1
        stack.ok("jobs", "cancel", job_id)
        idle_s = wait_for(lambda: n_running() == 0, SOON_S, "the chunk goes on")
    # the chunk may see the wish before the runner has carried it out
    wait_for(lambda: state.job(job_id).status == "cancelled", SOON_S, "the job is not called cancelled")
    kept = n_stored()
    assert 0 < kept < 3000
    began = time.monotonic()
    stack.ok("run", str(short), "--fps", "10")
    next_s = time.monotonic() - began
    print(f"workers idle {idle_s:.1f} s after the command, {kept} frames kept, next job done in {next_s:.1f} s")
    video_id = state.job(job_id).video_id
    shown = f"SELECT count(*) AS n FROM inferences WHERE video_id = '{video_id}' AND status = 'loaded'"
    told = "what the cancelled job had is not in the tables"
    wait_for(lambda: json.loads(stack.ok("sql", shown, "--format", "json")) == [{"n": kept}], 60.0, told)
