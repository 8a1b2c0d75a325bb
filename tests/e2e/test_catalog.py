"""A catalogue of a real folder on the real stack: added, scanned, renamed, copied, changed, deleted, on a schedule."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from framehouse.state import Job, State, open_state
from local_stack import Stack
from media import Recipe, write

pytestmark = [pytest.mark.real("stack", "prefect"), pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 150.0
SCANS = "scan-catalog/scan-catalog"


def until(what: str, stack: Stack, ask: Callable[[], Any]) -> Any:
    """Ask until there is an answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := ask()):
        assert time.monotonic() < deadline, f"{what}\n{runs_of_scans(stack)}\n{stack.logs()}"
        time.sleep(0.5)
    return found


def video(folder: Path, name: str, first_number: int) -> Path:
    """A video that was written long ago, of content of its own."""
    path = write(folder, Recipe(name=name, n_frames=30, first_number=first_number))
    os.utime(path, (1.7e9, 1.7e9))
    return path


def scan(stack: Stack, name: str) -> dict[str, Any]:
    return dict(json.loads(stack.ok("catalog", "scan", name, "--json")))


def finished(stack: Stack, name: str) -> dict[str, Any] | None:
    """The catalogue once none of its jobs is open."""
    facts = next(c for c in json.loads(stack.ok("catalog", "list", "--json")) if c["name"] == name)
    return None if facts["queued"] + facts["running"] else dict(facts)


def rows(stack: Stack, query: str) -> list[dict[str, Any]]:
    return list(json.loads(stack.ok("sql", query, "--format", "json")))


def places(stack: Stack, folder: Path) -> dict[str, tuple[str, bool]]:
    """File name -> (video_id, whether it is there), by SQL."""
    found = rows(stack, f"SELECT uri, video_id, gone_at FROM video_locations WHERE uri LIKE '%{folder.name}/%'")
    return {row["uri"].rpartition("/")[2]: (row["video_id"], row["gone_at"] is None) for row in found}


def n_parts(stack: Stack) -> int:
    """Files that inference wrote: it grows whenever a frame is inferred."""
    return len(list((stack.home / "lake" / "parts").glob("*/*/*.parquet")))


def prefect(stack: Stack) -> httpx.Client:
    return httpx.Client(base_url=stack.facts()["endpoints"]["prefect_api_url"], timeout=30.0)


def runs_of_scans(stack: Stack) -> list[Any]:
    """(name, state, when it is due) of the first runs, for the message of a failed test."""
    with prefect(stack) as client:
        wanted = {"limit": 8, "sort": "EXPECTED_START_TIME_ASC", "deployments": {"name": {"any_": ["scan-catalog"]}}}
        found = client.post("/flow_runs/filter", json=wanted).raise_for_status().json()
    return [(run["name"], run["state"]["name"], run["state"]["message"], run["expected_start_time"]) for run in found]


def schedules(stack: Stack) -> list[dict[str, Any]]:
    with prefect(stack) as client:
        deployment = client.get(f"/deployments/name/{SCANS}").raise_for_status().json()
    return list(deployment["schedules"])


def schedules_of(stack: Stack, catalog: str) -> list[dict[str, Any]]:
    return [schedule for schedule in schedules(stack) if schedule["parameters"] == {"catalog": catalog}]


def test_a_folder_is_followed_through_every_change(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "watched ü"
    folder.mkdir()
    first, second = video(folder, "one.mp4", 700), video(folder, "two 2.mp4", 740)
    assert stack.ok("catalog", "add", str(folder), "--name", "watched", "--fps", "2") == "watched\n"
    assert scan(stack, "watched")["n_jobs"] == 2
    assert until("both done", stack, lambda: finished(stack, "watched"))["done"] == 2
    before = places(stack, folder)
    assert [here for _, here in before.values()] == [True, True]
    n = n_parts(stack)

    first.rename(folder / "renamed.mp4")
    shutil.copy2(second, folder / "copy.mp4")
    report = scan(stack, "watched")
    assert (report["n_new"], report["n_gone"], report["n_same"]) == (2, 1, 1)
    until("rename and copy done", stack, lambda: finished(stack, "watched"))
    now = until("the place moved", stack, lambda: (p := places(stack, folder)) and len(p) == 4 and p)
    assert now["one.mp4"] == (before["one.mp4"][0], False)
    assert now["renamed.mp4"] == (before["one.mp4"][0], True)
    assert now["copy.mp4"] == (before["two 2.mp4"][0], True)
    assert n_parts(stack) == n, "content that is known was inferred again"

    changed = video(tmp_path, "other.mp4", 780)
    os.utime(changed, (1.6e9, 1.6e9))  # an older file takes its place: the time goes back
    shutil.copy2(changed, folder / "two 2.mp4")
    (folder / "copy.mp4").unlink()
    report = scan(stack, "watched")
    assert (report["n_changed"], report["n_gone"], report["n_jobs"]) == (1, 1, 1)
    until("the changed one done", stack, lambda: finished(stack, "watched"))
    other = until("its new content", stack, lambda: places(stack, folder)["two 2.mp4"][0] != before["two 2.mp4"][0])
    assert other
    assert places(stack, folder)["copy.mp4"] == (before["two 2.mp4"][0], False)
    assert n_parts(stack) > n

    now = places(stack, folder)
    report = scan(stack, "watched")
    assert (report["n_same"], report["n_jobs"], report["n_gone"]) == (2, 0, 0)
    stack.ok("catalog", "remove", "watched")
    assert places(stack, folder) == now, "a catalogue that is removed takes nothing with it"


def test_prefect_scans_on_schedule_and_its_page_edits_the_schedule(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "scheduled"
    folder.mkdir()
    video(folder, "one.mp4", 820)
    stack.ok("catalog", "add", str(folder), "--name", "scheduled", "--fps", "1", "--schedule", "* * * * *")
    made = until("a schedule", stack, lambda: schedules_of(stack, "scheduled"))
    assert (made[0]["schedule"]["cron"], made[0]["active"]) == ("* * * * *", True)
    assert until("the video done", stack, lambda: (f := finished(stack, "scheduled")) and f["done"])
    with prefect(stack) as client:  # what the page does
        of_it = f"/deployments/{made[0]['deployment_id']}/schedules/{made[0]['id']}"
        wanted = {"cron": "30 4 * * *", "timezone": "Europe/Berlin"}
        client.patch(of_it, json={"schedule": wanted, "active": False}).raise_for_status()

    def listed() -> Any:
        found = next(c for c in json.loads(stack.ok("catalog", "list", "--json")) if c["name"] == "scheduled")
        return found["schedule"], found["schedule_active"]

    until("the page's schedule here", stack, lambda: listed() == ("30 4 * * * Europe/Berlin", False))
    until("its name put back", stack, lambda: schedules_of(stack, "scheduled"))
    former = stack.pid("runner")
    os.kill(former, 9)  # it comes back and registers the deployments again

    def is_back() -> bool:
        runner = stack.facts()["components"]["runner"]
        return runner["state"] == "ready" and runner["pid"] != former

    until("the runner is back", stack, is_back)
    kept = schedules_of(stack, "scheduled")
    assert [(s["schedule"]["cron"], s["active"]) for s in kept] == [("30 4 * * *", False)]
    deployed(stack)
    kept = until("the schedule after a deploy", stack, lambda: schedules_of(stack, "scheduled"))
    assert [(s["schedule"]["cron"], s["active"]) for s in kept] == [("30 4 * * *", False)]
    stack.ok("catalog", "remove", "scheduled")
    until("no schedule", stack, lambda: not schedules_of(stack, "scheduled"))


def deployed(stack: Stack) -> None:
    """`prefect deploy --all`, as on a server of one's own; every deployment of prefect.yaml is there afterwards."""
    env = stack.env | {"PREFECT_API_URL": stack.facts()["endpoints"]["prefect_api_url"]}
    env["PREFECT_HOME"] = str(stack.home / "deployer")
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    entries = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    with prefect(stack) as client:
        there = {found["name"] for found in client.post("/deployments/filter", json={}).raise_for_status().json()}
    assert {entry["name"] for entry in entries} <= there


def test_a_scan_is_asked_for_over_http_and_run_by_prefect(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "by http"
    folder.mkdir()
    video(folder, "one.mp4", 860)
    with httpx.Client(base_url=stack.facts()["endpoints"]["api_url"], timeout=60.0) as client:
        made = client.post("/v1/catalogs", json={"source": str(folder), "name": "by-http", "infer_fps": "1"})
        assert made.status_code == 201, made.text
        assert client.post("/v1/catalogs/by-http/scan").status_code == 202
        ask = lambda: client.get("/v1/catalogs/by-http").json()  # noqa: E731
        facts = until("scanned and done", stack, lambda: (f := ask())["counts"]["done"] and f)
        assert (facts["scan_report"]["n_new"], len(facts["entries"])) == (1, 1)
        assert client.delete("/v1/catalogs/by-http").status_code == 204


def test_a_catalogue_has_a_budget_and_a_backfill_of_its_own(stack: Stack, tmp_path: Path) -> None:
    folder, other = tmp_path / "capped", tmp_path / "not in it"
    for place in (folder, other):
        place.mkdir()
    video(folder, "one.mp4", 900), video(folder, "two.mp4", 940)
    stack.ok("run", str(video(other, "three.mp4", 980)), "--fps", "2")
    stack.ok("catalog", "add", str(folder), "--name", "capped", "--fps", "all", "--max-frames", "45")
    scan(stack, "capped")
    jobs = until("one at rest for its budget", stack, lambda: (j := jobs_in(stack, folder)) and at_rest(j) and j)
    assert sorted(job["status"] for job in jobs) in (["done", "paused"], ["paused", "paused"])
    ids = "', '".join(job["video_id"] for job in jobs)
    count = f"SELECT count(*) AS n FROM inferences WHERE video_id IN ('{ids}') AND status = 'loaded'"
    until("45 frames and no more", stack, lambda: rows(stack, count) == [{"n": 45}])
    stack.ok("jobs", "budget", "catalog/capped", "--max-frames", "100")
    assert until("both done", stack, lambda: finished(stack, "capped"))["done"] == 2
    until("all frames", stack, lambda: rows(stack, count) == [{"n": 60}])

    asked = ("backfill", "--catalog", "capped", "--model", "tags", "--fps", "2")
    dry = json.loads(stack.ok(*asked, "--dry-run", "--json"))
    assert {v["video_id"] for v in dry["videos"]} == {job["video_id"] for job in jobs}
    done = json.loads(stack.ok(*asked, "--json"))
    assert [(job["status"], job["models"]) for job in done] == [("done", ["tags/1"])] * 2
    assert json.loads(stack.ok(*asked, "--json")) == []
    stack.ok("catalog", "remove", "capped")


def test_of_a_limited_catalogue_one_job_runs_at_a_time(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "limited"
    folder.mkdir()
    for i in range(4):
        video(folder, f"{i}.mp4", 1200 + 40 * i)
    stack.ok("catalog", "add", str(folder), "--name", "limited", "--fps", "2", "--max-running", "3")
    changed = json.loads(stack.ok("catalog", "set", "limited", "--max-running", "1", "--json"))
    assert changed["max_running"] == 1
    scan(stack, "limited")
    ids = [job["job_id"] for job in jobs_in(stack, folder)]
    state, at_once = open_state(f"sqlite:///{stack.home / 'state' / 'state.db'}"), set()
    until("all are over", stack, lambda: all(job.is_final for job in held(state, ids, at_once)))
    assert at_once <= {0, 1}
    assert 1 in at_once
    assert {job.status for job in state.list_jobs(job_ids=ids)} == {"done"}
    stack.ok("catalog", "remove", "limited")


def held(state: State, ids: list[str], at_once: set[int]) -> list[Job]:
    """The jobs, once it was noted a few times how many of them runs hold at once."""
    for _ in range(20):
        owners = state.lease_owners("job/")
        at_once.add(sum(job.flow_run_id in owners for job in state.list_jobs(job_ids=ids)))
        time.sleep(0.02)
    return state.list_jobs(job_ids=ids)


def jobs_in(stack: Stack, folder: Path) -> list[dict[str, Any]]:
    found = json.loads(stack.ok("jobs", "list", "--json"))
    return [job for job in found if f"/{folder.name}/" in job["uri"]]


def at_rest(jobs: list[dict[str, Any]]) -> bool:
    return {job["status"] for job in jobs} <= {"done", "paused"} and "paused" in {job["status"] for job in jobs}
