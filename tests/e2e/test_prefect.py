"""Prefect as a person uses it: a run started by hand with only a source, taken by our runner or by a plain worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient

from framehouse.config import PrefectSettings
from framehouse.jobs.heartbeats import AUTOMATION, register_automation
from local_stack import Stack
from media import Recipe, write

pytestmark = [pytest.mark.real("stack", "prefect"), pytest.mark.timeout(600)]

DEPLOYMENT = "process-video/process-video"
PATIENCE_S = 240.0


def start_by_hand(stack: Stack, source: Path) -> str:
    """What the page's Quick run does: create a run of the deployment with one parameter."""
    api = stack.facts()["endpoints"]["prefect_api_url"]
    with httpx.Client(base_url=api, timeout=30.0) as client:
        deployment = client.get(f"/deployments/name/{DEPLOYMENT}").raise_for_status().json()
        body = {"parameters": {"source": str(source)}}
        created = client.post(f"/deployments/{deployment['id']}/create_flow_run", json=body).raise_for_status()
        return str(created.json()["id"])


def wait_for_run(stack: Stack, flow_run_id: str) -> str:
    api = stack.facts()["endpoints"]["prefect_api_url"]
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        state = httpx.get(f"{api}/flow_runs/{flow_run_id}", timeout=30.0).json()["state"]
        if state["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return str(state["type"])
        time.sleep(0.5)
    pytest.fail(f"the run is still {state['type']}\n{stack.logs()}")


def artifact_of(stack: Stack, flow_run_id: str, key: str) -> str:
    """Text of an artifact of a run, as soon as it is there."""
    api, deadline = stack.facts()["endpoints"]["prefect_api_url"], time.monotonic() + 30.0
    query = {"artifacts": {"flow_run_id": {"any_": [flow_run_id]}, "key": {"any_": [key]}}}
    while not (found := httpx.post(f"{api}/artifacts/filter", json=query, timeout=30.0).json()):
        assert time.monotonic() < deadline, "no artifact"
        time.sleep(0.5)
    return str(found[0]["data"])


def rows_of(stack: Stack, path: Path) -> int:
    query = f"SELECT count(*) AS n FROM inferences JOIN videos USING (video_id) WHERE uri LIKE '%{path.name}'"
    deadline = time.monotonic() + 30.0
    while True:
        found = json.loads(stack.ok("sql", query, "--format", "json"))[0]["n"]
        if found or time.monotonic() > deadline:
            return int(found)
        time.sleep(0.5)


def tiny_video(folder: Path, name: str, first_number: int) -> Path:
    """Content of its own, so that no other test's rows answer for it."""
    return write(folder, Recipe(name=name, n_frames=30, first_number=first_number))


@contextmanager
def runner_paused(stack: Stack) -> Iterator[None]:
    """Our runner looks away, so that another worker must take the run."""
    pid = stack.pid("runner")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def plain_worker(stack: Stack) -> Iterator[None]:
    """`prefect worker start`, as on any other host, told only where the Prefect server is."""
    env = stack.env | {
        "PREFECT_API_URL": stack.facts()["endpoints"]["prefect_api_url"],
        "PREFECT_HOME": str(stack.home / "worker"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "framehouse", "--type", "process"]
    with (stack.home / "logs" / "worker.log").open("wb") as log:
        worker = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=stack.home)
    try:
        yield
    finally:
        for child in psutil.Process(worker.pid).children(recursive=True):
            child.kill()
        worker.kill()
        worker.wait()


def test_a_run_started_by_hand_gives_rows(stack: Stack, media_dir: Path) -> None:
    video = tiny_video(media_dir, "by_hand.mp4", 500)
    assert wait_for_run(stack, start_by_hand(stack, video)) == "COMPLETED", stack.logs()
    assert rows_of(stack, video) > 0


def test_a_plain_prefect_worker_runs_the_same_deployment(stack: Stack, media_dir: Path) -> None:
    video = tiny_video(media_dir, "by_worker.mp4", 600)
    with runner_paused(stack), plain_worker(stack):
        assert wait_for_run(stack, start_by_hand(stack, video)) == "COMPLETED", stack.logs()
    assert rows_of(stack, video) > 0


def test_a_failed_run_tells_its_cause_in_sql(stack: Stack, tmp_path: Path) -> None:
    missing = tmp_path / "missing by hand.mp4"
    flow_run_id = start_by_hand(stack, missing)
    assert wait_for_run(stack, flow_run_id) == "FAILED"
    shown = artifact_of(stack, flow_run_id, "failure")
    for text in ("source.not_found", "| fetch |", "missing by hand.mp4", "framehouse jobs retry"):
        assert text in shown
    query = "SELECT error_code, error_hop FROM jobs WHERE uri LIKE '%missing by hand.mp4'"
    deadline = time.monotonic() + 30.0
    while not (found := json.loads(stack.ok("sql", query, "--format", "json"))) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert found == [{"error_code": "source.not_found", "error_hop": "fetch"}]


def test_a_server_calls_silent_runs_crashed_and_no_sooner_than_any_worker_may_speak(stack: Stack) -> None:
    """The local server is on SQLite and has no such automation by itself (`heartbeats.suits_server`)."""
    api = stack.facts()["endpoints"]["prefect_api_url"]

    def ours() -> list[dict[str, Any]]:
        found = httpx.post(f"{api}/automations/filter", json={}, timeout=30.0).raise_for_status().json()
        return [automation for automation in found if automation["name"] == AUTOMATION]

    assert ours() == []
    within_s = PrefectSettings().crashed_after_s
    assert within_s >= 3 * 180  # a plain worker's default is a heartbeat in 180 s
    with SyncPrefectClient(api) as client:
        register_automation(client, within_s)
        register_automation(client, within_s)
        (made,) = ours()
    httpx.delete(f"{api}/automations/{made['id']}", timeout=30.0).raise_for_status()
    assert made["enabled"]
    assert made["trigger"]["within"] == within_s
    assert made["actions"][0]["state"] == "CRASHED"
