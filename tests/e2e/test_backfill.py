"""Backfill, delta inference and budgets as their user meets them: counted in frames that models were really given."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_stack import Stack

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(900)]


def copy_of(original: Path, path: Path) -> Path:
    """The same pictures as content of their own: an mp4 with one more box that players pass over."""
    note = path.name.encode()
    path.write_bytes(original.read_bytes() + (8 + len(note)).to_bytes(4, "big") + b"free" + note)
    return path


def sql(stack: Stack, query: str) -> list[dict[str, Any]]:
    return list(json.loads(stack.ok("sql", query, "--format", "json")))


def jobs_of(stack: Stack, *words: str, code: int = 0) -> list[dict[str, Any]]:
    done = stack.run(*words, "--json")
    assert done.returncode == code, f"framehouse {words}\n{done.stdout}\n{done.stderr}\n{stack.logs()}"
    return list(json.loads(done.stdout))


def inferred(stack: Stack, job: dict[str, Any]) -> dict[str, int]:
    """Model -> frames that the job itself inferred."""
    found = sql(stack, f"SELECT model_id, n_inferred FROM usage WHERE job_id = '{job['job_id']}'")
    return {row["model_id"]: row["n_inferred"] for row in found}


def dry_run(stack: Stack, *words: str) -> dict[str, Any]:
    return dict(json.loads(stack.ok("backfill", *words, "--dry-run", "--json")))


@pytest.fixture(scope="module")
def video(stack: Stack, sample_videos: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds at 25 frames a second, run by the detector at one frame a second."""
    path = copy_of(sample_videos["bikes.mp4"], tmp_path_factory.mktemp("backfill") / "back fill é.mp4")
    (job,) = jobs_of(stack, "run", str(path), "--fps", "1")
    assert job["status"] == "done"
    assert inferred(stack, job) == {"detector/1": 10}
    return path


def test_what_is_done_is_not_owed(stack: Stack, video: Path, tmp_path: Path) -> None:
    assert dry_run(stack, str(video))["videos"] == []
    assert jobs_of(stack, "backfill", str(video)) == []
    (threshold,) = jobs_of(stack, "run", str(video), "--fps", "1", "--confidence", "0.6")
    assert inferred(stack, threshold) == {"detector/1": 0}
    renamed = Path(shutil.copy(video, tmp_path / "renamed.mp4"))
    (other_name,) = jobs_of(stack, "run", str(renamed), "--fps", "1")
    assert inferred(stack, other_name) == {"detector/1": 0}


def test_a_finer_rate_and_a_new_model_infer_only_what_is_new(stack: Stack, video: Path) -> None:
    planned = dry_run(stack, str(video), "--fps", "5")
    assert [(m["n_new"], m["n_gaps"]) for v in planned["videos"] for m in v["models"]] == [(40, 0)]
    assert planned["total"]["n_frames"] == 40
    assert 0 < planned["total"]["low_s"] < planned["total"]["seconds"] < planned["total"]["high_s"]
    assert 0 < planned["total"]["read_bytes"] <= video.stat().st_size
    (finer,) = jobs_of(stack, "backfill", str(video), "--fps", "5")
    assert (finer["status"], inferred(stack, finer)) == ("done", {"detector/1": 40})

    (clip,) = jobs_of(stack, "backfill", str(video), "--model", "clip")
    assert inferred(stack, clip) == {"clip/1": 50}, "one job: the plan at 5 frames a second holds that at 1"
    assert jobs_of(stack, "backfill", str(video), "--model", "clip") == []

    found = sql(stack, f"SELECT * FROM estimates WHERE job_id IN ('{finer['job_id']}', '{clip['job_id']}')")
    assert [row["expected_frames"] - row["n_frames"] for row in found] == [0, 0]
    assert all(row["worked_s"] > 0 and row["expected_s"] > 0 for row in found)
    shown = json.loads(stack.ok("jobs", "show", clip["job_id"]))["estimate"]
    assert shown["actual"]["n_frames"] == shown["expected"]["n_frames"] == 50


def test_a_part_of_a_video_alone(stack: Stack, video: Path) -> None:
    (job,) = jobs_of(stack, "backfill", str(video), "--model", "tags", "--fps", "5", "--from", "2", "--to", "3")
    assert inferred(stack, job) == {"tags/1": 5}
    frames = sql(stack, f"SELECT frame_offset FROM job_frames WHERE job_id = '{job['job_id']}' ORDER BY 1")
    assert [row["frame_offset"] for row in frames] == [50, 55, 60, 65, 70]
    assert jobs_of(stack, "backfill", str(video), "--model", "tags", "--fps", "5", "--frame", "60") == []


def test_a_cap_pauses_and_a_resume_goes_on(stack: Stack, sample_videos: dict[str, Path], tmp_path: Path) -> None:
    path = copy_of(sample_videos["bikes.mp4"], tmp_path / "capped.mp4")
    (job,) = jobs_of(stack, "run", str(path), "--fps", "5", "--max-frames", "17", code=1)
    assert (job["status"], job["error"]["code"]) == ("paused", "budget.frames")
    resume = shlex.split(job["error"]["try"].replace("N", "20"))
    count = f"SELECT count(*) AS n FROM inferences WHERE video_id = '{job['video_id']}'"
    until(lambda: sql(stack, count)[0]["n"] == 17)
    until(lambda: sql(stack, f"SELECT status FROM jobs WHERE job_id = '{job['job_id']}'") == [{"status": "paused"}])
    assert jobs_of(stack, "backfill", str(path)) == [], "the paused job is at it"

    stack.ok(*resume[1:])
    until(lambda: json.loads(stack.ok("jobs", "show", job["job_id"]))["status"] == "paused")
    until(lambda: sql(stack, count)[0]["n"] == 37)
    budget = json.loads(stack.ok("jobs", "show", job["job_id"]))["budget"]
    assert budget[f"job/{job['job_id']}"]["spent"]["frames"] == 20
    stack.ok("jobs", "resume", job["job_id"])
    until(lambda: json.loads(stack.ok("jobs", "show", job["job_id"]))["status"] == "done")
    until(lambda: sql(stack, count)[0]["n"] == 50)


def test_seconds_are_a_cap_too(stack: Stack, sample_videos: dict[str, Path], tmp_path: Path) -> None:
    path = copy_of(sample_videos["bikes.mp4"], tmp_path / "slow.mp4")
    (job,) = jobs_of(stack, "run", str(path), "--fps", "all", "--max-seconds", "1.5", code=1)
    assert (job["status"], job["error"]["code"]) == ("paused", "budget.seconds")
    assert 0 <= job["n_settled"] < 250


def test_the_retry_command_of_a_failed_video_works_as_it_is(
    stack: Stack, sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "comes later.mp4"
    (job,) = jobs_of(stack, "run", str(path), "--fps", "1", code=1)
    failed = f"SELECT retry_command FROM failed_videos WHERE job_id = '{job['job_id']}'"
    until(lambda: bool(sql(stack, failed)))
    assert any(unseen["job_id"] == job["job_id"] for unseen in dry_run(stack, "--failed")["unseen"])
    copy_of(sample_videos["bikes.mp4"], path)
    command = shlex.split(sql(stack, failed)[0]["retry_command"])
    assert command[0] == "framehouse"
    stack.ok(*command[1:])
    until(lambda: json.loads(stack.ok("jobs", "show", job["job_id"]))["status"] == "done")
    until(lambda: sql(stack, failed) == [])


def test_a_video_that_is_gone_is_told(stack: Stack, sample_videos: dict[str, Path], tmp_path: Path) -> None:
    path = copy_of(sample_videos["bikes.mp4"], tmp_path / "goes.mp4")
    (job,) = jobs_of(stack, "run", str(path), "--fps", "1")
    path.unlink()
    told = stack.run("backfill", job["video_id"], "--fps", "2")
    assert told.returncode == 1
    assert "source.not_found" in told.stderr
    assert [left["what"] for left in dry_run(stack, job["video_id"], "--fps", "2")["left_out"]] == [job["video_id"]]


def test_the_deployment_does_the_same(stack: Stack, video: Path) -> None:
    (video_id,) = {job["video_id"] for job in jobs_of(stack, "run", str(video), "--fps", "1")}
    api = stack.facts()["endpoints"]["prefect_api_url"]
    with httpx.Client(base_url=api, timeout=30.0) as client:
        deployment = client.get("/deployments/name/backfill/backfill").raise_for_status().json()
        wish = {"parameters": {"videos": [video_id], "models": ["keypoints"], "infer_fps": "1"}}
        created = client.post(f"/deployments/{deployment['id']}/create_flow_run", json=wish).raise_for_status().json()
        until(lambda: client.get(f"/flow_runs/{created['id']}").json()["state"]["type"] == "COMPLETED")
    mine = f"WHERE model_id = 'keypoints/1' AND video_id = '{video_id}'"
    query = f"SELECT n_inferred FROM usage JOIN jobs USING (job_id) {mine}"
    until(lambda: sql(stack, query) == [{"n_inferred": 10}])


def until(holds: Any, timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.5)
