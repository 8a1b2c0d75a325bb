"""The topology of docker/compose.yaml as processes, with its own commands and settings.

PostgreSQL, Prefect on it, a bucket, two Triton servers, Dask, two Prefect workers, loader, runner, API. A worker and a
Triton are killed while a catalogue of videos goes through; the tables are those of one process.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from test_several_hosts import reference

from compose_as_processes import SECRETS, Topology, start_all, topology
from framehouse.inference.server_env import ensure_server_env
from framehouse.store.checksum import snapshot_checksum
from media import Recipe, write
from real_parts import require

if TYPE_CHECKING:
    from cloud import Cloud

pytestmark = [pytest.mark.real("stack", "triton", "postgres", "moto"), pytest.mark.timeout(900)]

FPS = "2"
TRITONS = ("triton-1", "triton-2")


@pytest.fixture(scope="module")
def made(s3_cloud: Cloud, new_postgres_database: Callable[[], str], checkout: Path) -> Iterator[Topology]:
    from framehouse.errors import ConfigError

    try:
        ensure_server_env(checkout)
    except ConfigError as error:
        require("triton", error.line())
    given = {f"postgres:5432/{name}": new_postgres_database().rpartition("@")[2] for name in ("framehouse", "prefect")}
    given["bucket:8333"] = s3_cloud.gate.url.removeprefix("http://")
    with topology(given, RUN_SLOTS="0", BUCKET="topology") as running:
        start_all(running, dask_worker=2, prefect_worker=2)
        yield running


@pytest.fixture(scope="module")
def videos(made: Topology, s3_cloud: Cloud, sample_videos: dict[str, Path], media_dir: Path) -> list[Path]:
    """Videos of a catalogue: in the bucket, under videos/."""
    recipes = [Recipe(name=f"topology_{n}.mp4", n_frames=90 + n, first_number=9000 + n, gop=30) for n in range(3)]
    files = [sample_videos["bikes.mp4"], *(write(media_dir, recipe) for recipe in recipes)]
    store = s3_cloud.connect()
    for path in files:
        store.upload_file(str(path), "topology", f"videos/{path.name}")
    return files


def jobs(made: Topology) -> list[dict[str, Any]]:
    done = made.command("jobs", "list", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def wait_until(made: Topology, holds: Callable[[], bool], what: str, limit_s: float = 240.0) -> None:
    until = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < until, f"{what}\n{jobs(made)}\n{made.logs()}"
        made.tend()
        time.sleep(0.3)


def test_a_catalogue_goes_through_while_a_worker_and_a_triton_die(
    made: Topology, videos: list[Path], tmp_path: Path
) -> None:
    submitted = made.command("run", "s3://topology/videos/", "--fps", FPS, "--no-wait", "--json")
    assert submitted.returncode == 0, submitted.stderr

    wait_until(made, lambda: any("chunk inferred" in log_of(made, f"dask-worker-{n}") for n in (1, 2)), "a first chunk")
    made.running["triton-1", 0].kill()
    busy = max((0, 1), key=lambda n: log_of(made, f"prefect-worker-{n + 1}").count("submitted to infrastructure"))
    made.running["prefect-worker", busy].kill()
    time.sleep(2)  # as long as a container engine waits before it starts them again
    made.start("triton-1")
    made.start("prefect-worker", busy)

    wait_until(made, lambda: all(job["status"] in ("done", "failed") for job in jobs(made)), "the end of all jobs")
    assert [job["status"] for job in jobs(made)] == ["done"] * len(videos), made.logs()

    reference(videos, made.address("triton-2", 8001), tmp_path / "reference")
    assert snapshot_checksum(made.volume("data") / "store") == snapshot_checksum(tmp_path / "reference" / "store")
    assert re.search(r"triton left out", log_of(made, "dask-worker-1") + log_of(made, "dask-worker-2"))
    made.wait_healthy(*TRITONS, "prefect-worker")


def log_of(made: Topology, name: str) -> str:
    return (made.folder / "logs" / f"{name}.log").read_text(errors="replace")


def test_the_api_answers_those_who_have_a_key(made: Topology) -> None:
    url = f"http://{made.address('api', 8800)}"
    assert httpx.get(f"{url}/health").json()["engine"] == "remote"
    key = made.command("keys", "create", "topology")
    assert key.returncode == 0, key.stderr
    (token,) = re.findall(r"^\S{20,}$", key.stdout, re.MULTILINE)
    assert httpx.get(f"{url}/v1/jobs").status_code == 401
    listed = httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {token}"})
    assert listed.status_code == 200 and listed.json()["models"]
    assert not [secret for secret in SECRETS.values() if secret != "key" and f"={secret}" in made.logs()]


@pytest.mark.slow
def test_a_rolling_restart_loses_no_job(made: Topology, videos: list[Path]) -> None:
    """Each service is stopped and started once while jobs run; each ends in its own time."""
    before = {job["job_id"] for job in jobs(made)}
    submitted = made.command("run", "s3://topology/videos/", "--fps", "5", "--no-wait", "--json")
    assert submitted.returncode == 0, submitted.stderr
    for service in ("triton-1", "loader", "dask-worker", "runner", "dask-scheduler", "api", "prefect-worker"):
        made.restart(service)
        if service == "triton-1":
            made.wait_healthy(service)
    made.restart("triton-2")
    made.wait_healthy("dask-scheduler", "dask-worker", "triton-2")

    def rest() -> list[dict[str, Any]]:
        return [job for job in jobs(made) if job["job_id"] not in before]

    wait_until(made, lambda: all(job["status"] in ("done", "failed") for job in rest()), "the end of all jobs")
    assert [job["status"] for job in rest()] == ["done"] * len(videos), f"{rest()}\n{made.logs()}"
    amiss = made.command("sql", "SELECT * FROM completeness WHERE n_planned <> n_loaded", "--format", "json")
    assert (amiss.returncode, json.loads(amiss.stdout)) == (0, []), amiss.stderr
    made.wait_healthy(*(service for service, _ in made.running if service != "prepare"))


def test_a_triton_that_lost_a_helper_is_unwell(made: Topology) -> None:
    """Its container is started again; Triton itself goes on calling itself ready."""
    server = psutil.Process(made.running["triton-2", 0].process.pid)
    helper = next(child for child in server.children() if "detector_nms" in " ".join(child.cmdline()))
    os.kill(helper.pid, signal.SIGKILL)
    assert httpx.get(f"http://{made.address('triton-2', 8000)}/v2/health/ready").status_code == 200
    assert "dead helpers" in made.health("triton-2")
    made.running["triton-2", 0].kill()
    made.start("triton-2")
    made.wait_healthy("triton-2")
