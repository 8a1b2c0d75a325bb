"""A server that stands still: it is found out, ended and started again, and the job goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from framehouse.state import open_state
from local_stack import Stack
from media import Recipe, write

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(600)]

PATIENCE_S = 240.0


def test_a_triton_server_that_hangs_costs_no_frame(stack: Stack, tmp_path: Path) -> None:
    video = write(tmp_path, Recipe("hang.mp4", n_frames=400, first_number=20_000))
    state = open_state(f"sqlite:///{stack.home / 'state' / 'state.db'}")
    job_id = json.loads(stack.ok("run", str(video), "--fps", "all", "--no-wait", "--json"))[0]["job_id"]
    deadline = time.monotonic() + PATIENCE_S
    while state.job(job_id).hop != "infer":
        assert time.monotonic() < deadline, stack.logs()
        time.sleep(0.1)
    frozen = stack.pid("triton")
    os.kill(frozen, signal.SIGSTOP)
    began = time.monotonic()
    while not state.job(job_id).is_final:
        assert time.monotonic() < deadline, stack.logs()
        time.sleep(0.3)
    job = state.job(job_id)
    print(f"done {time.monotonic() - began:.1f} s after the server stood still")
    assert (job.status, job.n_settled) == ("done", 400), stack.logs()
    assert stack.pid("triton") != frozen
