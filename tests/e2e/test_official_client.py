"""A user's scripts, with the published client, against our server: one environment variable changed, nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import supervision as sv

from api_client import web_server
from local_stack import Stack
from official_client import NEWEST, OLDEST, ClientMissing, client_python, run_script
from real_parts import cache_folder, require

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(600)]

KEY = "fh_anything"
VERSION_MODEL = f"""
import roboflow
model = roboflow.Roboflow(api_key="{KEY}").workspace().project("PROJECT").version(1).model
"""
PREDICT = """
job_id, signed_url, expires = model.predict_video(VIDEO, fps=FPS, prediction_type="batch-video", additional_models=MORE)
give({"job_id": job_id, "first": model.poll_for_video_results(job_id), "expires": expires})
give(model.poll_until_video_results(job_id))
"""


@pytest.fixture(scope="module")
def api_url(stack: Stack) -> str:
    return str(stack.facts()["endpoints"]["api_url"])


@pytest.fixture(scope="module", params=[NEWEST, OLDEST])
def python(request: pytest.FixtureRequest) -> Path:
    try:
        return client_python(request.param, cache_folder())
    except ClientMissing as missing:
        require("official client", str(missing))


@pytest.fixture(scope="module")
def newest() -> Path:
    try:
        return client_python(NEWEST, cache_folder())
    except ClientMissing as missing:
        require("official client", str(missing))


def predict(python: Path, api_url: str, folder: Path, model: str, video: str, fps: float, more: list[str]) -> list[Any]:
    code = PREDICT.replace("VIDEO", repr(video)).replace("FPS", repr(fps)).replace("MORE", repr(more))
    return run_script(python, api_url, model + code, folder)


def test_a_local_file_with_clip_and_gaze(
    python: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    model = VERSION_MODEL.replace("PROJECT", "detector")
    video = str(sample_videos["carphone_pristine.mp4"])
    started, results = predict(python, api_url, tmp_path, model, video, 5, ["clip", "gaze"])
    assert started["first"] == {} and started["expires"]
    assert set(results) == {"frame_offset", "time_offset", "detector", "clip", "gaze"}
    n = len(results["frame_offset"])
    assert n == 20 and {len(values) for values in results.values()} == {n}
    assert results["frame_offset"][:3] == [0, 6, 12]
    assert all(isinstance(value, float) for value in results["clip"][0])
    assert sum(len(frame["predictions"]) for frame in results["gaze"]) >= n // 2
    boxes = [sv.Detections.from_inference(frame) for frame in results["detector"]]
    assert sum(len(found) for found in boxes) >= n


@pytest.mark.parametrize("project", ["tags", "keypoints", "persons"])
def test_projects_of_every_type(
    newest: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path, project: str
) -> None:
    video = str(sample_videos["carphone_pristine.mp4"])
    _, results = predict(newest, api_url, tmp_path, VERSION_MODEL.replace("PROJECT", project), video, 1, [])
    assert set(results) == {"frame_offset", "time_offset", project}
    frames = results[project]
    assert len(frames) == 4
    if project == "tags":
        assert {"predictions", "top", "confidence", "image", "time"} <= set(frames[0])
    elif project == "keypoints":
        assert all(len(one["keypoints"]) > 0 for frame in frames for one in frame["predictions"])
        sv.KeyPoints.from_inference(frames[0])
    else:
        masks = [sv.Detections.from_inference(frame) for frame in frames if frame["predictions"]]
        assert masks and all(found.mask is not None for found in masks)


def test_a_url_instead_of_a_file(newest: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path) -> None:
    """Nothing is uploaded; the result is that of the file."""
    model, name = VERSION_MODEL.replace("PROJECT", "detector"), "carphone_pristine.mp4"
    _, of_file = predict(newest, api_url, tmp_path, model, str(sample_videos[name]), 1, [])
    with web_server(sample_videos[name].parent) as web:
        started, of_url = predict(newest, api_url, tmp_path, model, f"{web}/{name}", 1, [])
    assert started["expires"] is None
    assert of_url == of_file


def test_a_private_address_is_refused_with_the_reason(
    newest: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    """The server never asks a private address for a stranger; the client gets the status body as its result."""
    with web_server(sample_videos["bikes.mp4"].parent, "127.0.0.1") as web:
        model = VERSION_MODEL.replace("PROJECT", "detector")
        _, results = predict(newest, api_url, tmp_path, model, f"{web}/bikes.mp4?key=secret", 1, [])
    assert results["status"] == results["success"] == 2
    assert results["error"]["code"] == "source.private_address"
    assert "secret" not in json.dumps(results)


@pytest.mark.parametrize("code", [
    f'from roboflow.models.clip import CLIPModel\nmodel = CLIPModel(api_key="{KEY}")\n',
    f'from roboflow.models.gaze import GazeModel\nmodel = GazeModel("{KEY}", "BASE_MODEL")\n',
])  # fmt: skip
def test_clip_and_gaze_alone(
    newest: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path, code: str
) -> None:
    video = str(sample_videos["carphone_pristine.mp4"])
    _, results = predict(newest, api_url, tmp_path, code, video, 1, [])
    assert len(set(results) - {"frame_offset", "time_offset"}) == 1


def test_the_replacement_of_version_model(
    newest: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    code = f"""
import roboflow
model = roboflow.Roboflow(api_key="{KEY}").workspace().project("detector").version(1).models()[0]
"""
    video = str(sample_videos["carphone_pristine.mp4"])
    _, results = predict(newest, api_url, tmp_path, code, video, 1, [])
    assert len(results["detector"]) == 4


def status_command(python: Path, api_url: str, job_id: str, folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FRAMEHOUSE_", "ROBOFLOW_", "PYTHON"))}
    env = kept | {
        "API_URL": api_url, "ROBOFLOW_API_KEY": KEY, "NO_PROXY": "127.0.0.1", "HOME": str(folder), "NO_COLOR": "1",
        "MPLCONFIGDIR": str(folder), "ROBOFLOW_CONFIG_DIR": str(folder / "config.json"),
    }  # fmt: skip
    command = [str(python.parent / "roboflow"), "--json", "video", "status", job_id]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


def test_the_client_s_own_command_shows_a_job(
    newest: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    """`roboflow video status`: the spelling without a slash, which wants exactly 200."""
    model = VERSION_MODEL.replace("PROJECT", "detector")
    video = str(sample_videos["carphone_pristine.mp4"])
    started, _ = predict(newest, api_url, tmp_path, model, video, 1, [])
    done = status_command(newest, api_url, started["job_id"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"status": 0' in done.stdout and '"progress": 1.0' in done.stdout
    unknown = status_command(newest, api_url, "j_none", tmp_path)
    assert unknown.returncode != 0
    assert "not found" in (unknown.stdout + unknown.stderr).lower()


def test_video_inference_model_as_far_as_it_goes(
    newest: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    """The class never uploads and lacks two fields; with these set, its slash endpoints and `success` work."""
    code = f"""
import requests
from roboflow.models.video import VideoInferenceModel
model = VideoInferenceModel("{KEY}")
model.dataset_id, model.version = "detector", "1"
job_id, signed_url = model.predict({str(sample_videos["carphone_pristine.mp4"])!r}, "object-detection", fps=1)
give(model.poll_for_results())
requests.put(signed_url, data=open({str(sample_videos["carphone_pristine.mp4"])!r}, "rb"))
while not (results := model.poll_for_results()):
    time.sleep(0.3)
give(results)
"""
    first, results = run_script(newest, api_url, code, tmp_path)
    assert first == {}, "it waits for the upload"
    assert len(results["detector"]) == 4


def test_two_jobs_of_one_script_are_not_mixed(
    newest: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    videos = [str(sample_videos[name]) for name in ("carphone_pristine.mp4", "bikes.mp4")]
    code = VERSION_MODEL.replace("PROJECT", "detector") + f"""
jobs = [model.predict_video(video, fps=1, prediction_type="batch-video")[0] for video in {videos!r}]
for job_id in jobs:
    give(model.poll_until_video_results(job_id))
"""  # fmt: skip
    first, second = run_script(newest, api_url, code, tmp_path)
    sizes = [{one["image"]["width"] for one in results["detector"]} for results in (first, second)]
    assert sizes == [{176}, {640}]
    assert [len(results["frame_offset"]) for results in (first, second)] == [4, 10]


def test_fps_above_the_source_fails_naming_both_rates(
    newest: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    video = str(sample_videos["bikes.mp4"])
    model = VERSION_MODEL.replace("PROJECT", "detector")
    _, results = predict(newest, api_url, tmp_path, model, video, 30, [])
    assert results["status"] == 2
    assert results["error"]["code"] == "media.fps_exceeds_source"
    assert "30" in results["message"] and "25" in results["message"]


@pytest.mark.parametrize("fps", [0, -1])
def test_fps_of_nothing_is_refused_at_once(
    newest: Path, api_url: str, sample_videos: dict[str, Path], tmp_path: Path, fps: int
) -> None:
    code = (
        VERSION_MODEL.replace("PROJECT", "detector")
        + f"""
try:
    model.predict_video({str(sample_videos["carphone_pristine.mp4"])!r}, fps={fps}, prediction_type="batch-video")
except Exception as error:
    give(str(error))
"""
    )
    (said,) = run_script(newest, api_url, code, tmp_path)
    assert "infer_fps must be a number above 0" in said


def test_the_key_is_in_no_log(stack: Stack, api_url: str) -> None:
    assert httpx.get(f"{api_url}/videoinfer", params={"api_key": KEY, "job_id": "j_none"}).status_code == 404
    assert (stack.home / "logs" / "api.log").stat().st_size > 0
    for log in (stack.home / "logs").glob("*.log"):
        assert KEY not in log.read_text(errors="replace"), log
