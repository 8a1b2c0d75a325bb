"""Housekeeping beside the running stack: a disk that runs short and has room again, pruning, and fetching again."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from framehouse.room import free_bytes
from httpserver import serve
from local_stack import Stack, running_stack
from media import long_static

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(600)]
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def step_bytes(tmp_path_factory: pytest.TempPathFactory) -> int:
    """So far above the floor is the disk at first, and so far below it with the ballast; much more than its noise."""
    return min(4 * 1024**3, free_bytes(tmp_path_factory.getbasetemp()) // 8)


@pytest.fixture(scope="module")
def keep_stack(tmp_path_factory: pytest.TempPathFactory, step_bytes: int) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("keep")
    floor = str(free_bytes(folder) - step_bytes)
    with running_stack(folder / "home", FRAMEHOUSE_KEEP__FLOOR_BYTES=floor, FRAMEHOUSE_DASK__N_WORKERS="1") as stack:
        yield stack


@contextmanager
def full_disk(stack: Stack, step_bytes: int) -> Iterator[None]:
    """A file that takes the disk below its floor."""
    ballast = stack.home.parent / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 2 * step_bytes)
    try:
        yield
    finally:
        ballast.unlink(missing_ok=True)


def job(stack: Stack, job_id: str) -> dict[str, Any]:
    return dict(json.loads(stack.ok("jobs", "show", job_id)))


def until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    return found


def submitted(stack: Stack, source: str) -> str:
    (made,) = json.loads(stack.ok("run", source, "--no-wait", "--json"))
    return str(made["job_id"])


def test_work_waits_for_room_and_goes_on(keep_stack: Stack, step_bytes: int, sample_videos: dict[str, Path]) -> None:
    stack, api = keep_stack, keep_stack.facts()["endpoints"]["api_url"]
    assert "paused:" not in stack.ok("status")
    wish = httpx.post(f"{api}/video_upload_signed_url", json={"file_name": "a.mp4"}).json()
    with full_disk(stack, step_bytes):
        assert "the floor is" in stack.ok("status")
        assert "the floor is" in json.loads(stack.ok("status", "--json"))["paused"]
        assert "work is paused" in stack.run("doctor").stdout
        job_id = submitted(stack, str(sample_videos["bikes.mp4"]))
        refused = httpx.put(wish["signed_url"], content=b"video")
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "api.no_room")
        begun = httpx.post(f"{api}/v1/uploads", json={"file_name": "a.mp4", "size_bytes": 5})
        assert begun.status_code == 507
        time.sleep(6.0)
        assert (job(stack, job_id)["status"], job(stack, job_id)["attempt"]) == ("queued", 0)
    until(lambda: job(stack, job_id)["status"] == "done")
    assert job(stack, job_id)["attempt"] == 1
    assert httpx.put(wish["signed_url"], content=b"video").status_code == 200
    assert "paused:" not in stack.ok("status")


def test_a_pruned_video_is_fetched_again_by_a_retry(keep_stack: Stack, sample_videos: dict[str, Path]) -> None:
    stack = keep_stack
    with serve(sample_videos["carphone_pristine.mp4"].read_bytes()) as site:
        (made,) = json.loads(stack.ok("run", site.url(), "--json"))
        assert made["status"] == "done"
        (video,) = stack.home.glob("uploads/fetched/v_*")
        assert "fetched" not in stack.ok("prune"), "it was used a moment ago"
        aged(stack, video)
        assert "fetched" in stack.ok("prune", "--dry-run")
        assert video.exists()
        stack.ok("prune")
        assert not video.exists()
        assert stack.ok("prune") == "nothing to prune\n"
        stack.ok("jobs", "retry", made["job_id"])
        until(lambda: job(stack, made["job_id"])["status"] == "done")
        assert video.exists()


def aged(stack: Stack, video: Path) -> None:
    """As if it had been used 60 days ago."""
    then = time.time() - 60 * 86400
    os.utime(video, (then, then))
    with sqlite3.connect(stack.home / "state" / "state.db") as state:
        state.execute("UPDATE jobs SET finished_at = ? WHERE video_id = ?", (then, video.stem))


def test_the_deployment_does_the_same(keep_stack: Stack) -> None:
    """Prefect's own way: a run of the deployment, taken by the runner."""
    stack = keep_stack
    leftover = stack.home / "lake" / "runs" / ".j_1.json.abc.tmp"
    leftover.write_text("half")
    os.utime(leftover, (1.0, 1.0))
    api = stack.facts()["endpoints"]["prefect_api_url"]
    deployment = httpx.get(f"{api}/deployments/name/maintenance/maintenance").json()
    run = httpx.post(f"{api}/deployments/{deployment['id']}/create_flow_run", json={}).json()
    ended = until(lambda: (state := flow_run_state(api, run["id"])) in ("COMPLETED", "FAILED", "CRASHED") and state)
    assert ended == "COMPLETED", stack.logs()
    assert not leftover.exists()
    keys = {artifact["key"] for artifact in httpx.post(f"{api}/artifacts/filter", json={}).json()}
    assert {"publish", "prune", "compact"} <= keys


def flow_run_state(api: str, run_id: str) -> str:
    return str(httpx.get(f"{api}/flow_runs/{run_id}").json()["state"]["type"])


def test_a_running_job_begins_no_further_chunk_and_goes_on(keep_stack: Stack, step_bytes: int, media_dir: Path) -> None:
    stack = keep_stack
    (made,) = json.loads(stack.ok("run", str(long_static(media_dir, hours=0.1)), "--no-wait", "--json"))
    until(lambda: n_parts(stack, made["job_id"]))
    with full_disk(stack, step_bytes):
        stopped = steady_parts(stack, made["job_id"])
        assert job(stack, made["job_id"])["status"] == "running"
    until(lambda: job(stack, made["job_id"])["status"] == "done")
    assert n_parts(stack, made["job_id"]) > stopped
    assert job(stack, made["job_id"])["attempt"] == 1


def steady_parts(stack: Stack, job_id: str) -> int:
    """How many parts there are once none has come for 5 s."""
    count, since = n_parts(stack, job_id), time.monotonic()
    while time.monotonic() - since < 5.0:
        time.sleep(0.5)
        if (now := n_parts(stack, job_id)) != count:
            count, since = now, time.monotonic()
    return count


def n_parts(stack: Stack, job_id: str) -> int:
    video_id = job(stack, job_id)["video_id"]
    return len(list(stack.home.glob(f"lake/parts/{video_id}/*/*.parquet")))
