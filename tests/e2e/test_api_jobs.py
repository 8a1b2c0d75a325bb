"""Jobs over HTTP alone: where videos come from, which frames, several models, comparing, following, cancelling."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from api_client import ApiClient, copy_of, web_server
from framehouse.errors import SourceUnavailable
from local_stack import Stack
from media import Recipe, write
from pulled import fetched
from real_parts import require

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(900)]

DRAWN = ("time", "detection_id")
"""Facts of an answer that are of the run and of the video's name, not of the pictures."""


@pytest.fixture(scope="module")
def api(stack: Stack) -> ApiClient:
    return ApiClient(str(stack.facts()["endpoints"]["api_url"]))


@pytest.fixture(scope="module")
def film(media_dir: Path) -> Path:
    """One second at 24 frames a second."""
    return write(media_dir, Recipe("film.mp4", n_frames=24, rate=Fraction(24), first_number=3000))


def drawn(value: Any) -> Any:
    """An answer without what differs between two runs on the same pictures."""
    if isinstance(value, dict):
        return {key: drawn(item) for key, item in value.items() if key not in DRAWN}
    return [drawn(item) for item in value] if isinstance(value, list) else value


def test_a_url_and_an_upload_give_the_same(api: ApiClient, film: Path, tmp_path: Path) -> None:
    """An upload is PUT; a URL is fetched, with its long query, which nobody logs."""
    uploaded = api.results(api.infer(api.upload(film), ["detector"], 6))
    copy_of(film, tmp_path / "again.mp4", "url")
    with web_server(tmp_path) as web:
        signed = f"{web}/again.mp4?X-Amz-Signature={'secret' * 40}&X-Amz-Expires=60"
        fetched = api.results(api.infer(signed, ["detector"], 6))
    assert drawn(fetched) == drawn(uploaded)


def test_a_signature_that_the_store_refuses_is_told_by_its_host(api: ApiClient, stack: Stack, tmp_path: Path) -> None:
    with web_server(tmp_path) as web:
        body = api.wait(api.infer(f"{web}/none.mp4?sig=hiddenword", ["detector"], 1))
    assert body["error"]["code"] == "source.not_found"
    assert web.removeprefix("http://") in body["error"]["message"]
    assert "hiddenword" not in json.dumps(body)
    assert not [log for log in (stack.home / "logs").glob("*.log") if "hiddenword" in log.read_text(errors="replace")]


@pytest.mark.parametrize("fps", [1, 3, 4, 6, 24])
def test_the_rate_asked_for_is_the_rate_given(api: ApiClient, film: Path, fps: int) -> None:
    results = api.results(api.infer(api.upload(film), ["detector"], fps))
    assert results["frame_offset"] == list(range(0, 24, 24 // fps))
    assert results["time_offset"] == [round(frame / 24, 4) for frame in results["frame_offset"]]
    assert len(results["detector"]) == len(results["frame_offset"])


def test_a_rate_that_does_not_divide_takes_the_nearest_frame(api: ApiClient, media_dir: Path) -> None:
    video = write(media_dir, Recipe("pal.mp4", n_frames=50, rate=Fraction(25), first_number=3100))
    results = api.results(api.infer(api.upload(video), ["detector"], 4))
    wanted = np.arange(8) / 4
    assert np.abs(np.array(results["time_offset"]) - wanted).max() <= 0.5 / 25 + 1e-9
    assert results["time_offset"] == [round(frame / 25, 4) for frame in results["frame_offset"]]


def test_several_models_give_what_each_gives_alone(
    api: ApiClient, sample_videos: dict[str, Path], tmp_path: Path
) -> None:
    """Each alone on a copy, which is a video of its own, so that nothing is taken from the first job's rows."""
    original, models = sample_videos["carphone_pristine.mp4"], ["detector", "clip", "gaze"]
    together = api.results(api.infer(api.upload(original), models, 1))
    assert set(together) == {"frame_offset", "time_offset", *models}
    jobs = {
        model: api.infer(api.upload(copy_of(original, tmp_path / f"{model}.mp4", model)), [model], 1)
        for model in models
    }
    for model, job_id in jobs.items():
        alone = api.results(job_id)
        assert alone["frame_offset"] == together["frame_offset"]
        assert len(alone[model]) == len(together[model]) == 4
        if model == "clip":
            np.testing.assert_allclose(alone[model], together[model], rtol=1e-3, atol=1e-4)
        else:
            for one, other in zip(drawn(alone[model]), drawn(together[model]), strict=True):
                assert len(one["predictions"]) == len(other["predictions"])


def test_frames_are_compared_with_texts(api: ApiClient, film: Path) -> None:
    def clip(**params: Any) -> dict[str, Any]:
        return {"model_id": "clip", "inference_type": "clip-embed-image", "inference_params": params}

    url = api.upload(film)
    listed = api.results(api.infer(url, [clip(prompt=["a red circle", "a blue square"])], 2))["clip"]
    named = api.results(api.infer(url, [clip(prompt={"red": "a red circle", "blue": "a blue square"})], 2))["clip"]
    dicts = api.results(api.infer(url, [clip(embedding_format="dict")], 2))["clip"]
    for one, other, vector in zip(listed, named, dicts, strict=True):
        assert set(one) == {"similarity", "time"} and len(one["similarity"]) == 2
        assert all(-1 <= value <= 1 for value in one["similarity"])
        assert list(other["similarity"].values()) == one["similarity"] and list(other["similarity"]) == ["red", "blue"]
        assert set(vector) == {"embeddings", "time"}
    refused = httpx.post(
        f"{api.url}/videoinfer",
        json={"input_url": url, "models": [{"model_id": "gaze", "inference_params": {"prompt": ["a"]}}]},
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "api.models")


def saying(text: str, path: Path) -> Path:
    """One second that shows a line of text."""
    page = Image.new("RGB", (480, 160), (228, 228, 220))
    ImageDraw.Draw(page).text((40, 50), text, fill=(20, 20, 60), font=ImageFont.load_default(48))
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=4)
        stream.width, stream.height, stream.pix_fmt = *page.size, "yuv420p"
        for _ in range(4):
            out.mux(stream.encode(av.VideoFrame.from_image(page)))
        out.mux(stream.encode(None))
    return path


def test_a_pulled_model_is_asked_for_by_its_slug(stack: Stack, api: ApiClient, tmp_path: Path) -> None:
    """OCR, which the official client cannot ask for: REST can, with its inference type."""
    try:
        mirror = fetched("ocr")
    except SourceUnavailable as error:
        require("samples", error.line())
    replace(stack, env=stack.env | {"FRAMEHOUSE_MODELS__MIRROR": str(mirror)}).ok("models", "pull", "ocr")
    try:
        ocr = {"model_id": "ocr", "model_version": "1", "inference_type": "ocr"}
        results = api.results(api.infer(api.upload(saying("NO ENTRY", tmp_path / "sign.mp4")), [ocr], 1))
        (frame,) = results["ocr"]
        assert "ENTRY" in frame["result"] and frame["predictions"]
    finally:
        stack.ok("models", "remove", "ocr")


def test_a_job_is_followed_cancelled_and_goes_on(api: ApiClient, media_dir: Path) -> None:
    """Partial results while it runs, chunk by chunk; a cancel keeps them; a retry infers only the rest."""
    slow = Recipe("long.mp4", n_frames=240, rate=Fraction(2), gop=4, first_number=3400)  # two minutes: several chunks
    wish = {"sources": [api.upload(write(media_dir, slow))], "infer_fps": "all", "client_token": "follow"}
    (job,) = api.post("/v1/jobs", wish)["jobs"]
    assert api.post("/v1/jobs", wish)["jobs"][0]["job_id"] == job["job_id"], "the same token, the same job"
    here, progress = f"/v1/jobs/{job['job_id']}", []
    with httpx.stream("GET", f"{api.url}{here}/events", timeout=240) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                progress.append(json.loads(line[6:])["progress"])
                if progress[-1] > 0:
                    break
    assert progress == sorted(progress) and 0 < progress[-1] < 1
    so_far = api.get(f"{here}/results")
    assert so_far["complete"] is False and so_far["url"] is None
    n_before = sum(one is not None for one in so_far["results"]["detector"])
    assert 0 < n_before < len(so_far["results"]["frame_offset"]) == 240
    api.post(f"{here}/cancel")
    body = api.wait(job["job_id"])
    assert (body["status"], body["error"]["code"]) == (2, "job.cancelled")
    kept = api.get(f"{here}/results")["results"]["detector"]
    assert sum(one is not None for one in kept) >= n_before
    api.post(f"{here}/retry")
    results = api.results(job["job_id"])
    assert all(one is not None for one in results["detector"])
    usage = {}
    deadline = time.monotonic() + 30
    while not usage and time.monotonic() < deadline:
        usage = {one["model_id"]: one["n_frames"] for one in api.get(f"{here}/usage")["usage"]}
    assert usage["detector/1"] == 240
    assert api.get(f"{here}/gaps") == {"gaps": [], "truncated": False}


def test_search_by_text_finds_moments_over_http(api: ApiClient, film: Path) -> None:
    api.results(api.infer(api.upload(film), ["clip"], 2))
    found = api.post("/v1/search", {"query": "a red circle", "by": "clip", "top": 5})
    assert found["way"] == "clip" and found["moments"]
    assert all(moment["start_s"] <= moment["best_s"] <= moment["end_s"] for moment in found["moments"])


def test_health_and_metrics_know_the_stack(api: ApiClient) -> None:
    health = api.get("/health")
    assert (health["status"], health["engine"], health["store"]) == ("ok", "up", "ok"), health
    assert {"prefect", "triton", "runner", "loader", "api"} <= set(health["parts"])
    text = httpx.get(f"{api.url}/metrics").text
    assert 'framehouse_part_up{part="triton"} 1' in text
    assert 'framehouse_frames{model="detector/1",status="loaded"}' in text
