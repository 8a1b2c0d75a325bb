"""Frames against texts and pictures, as people reach it: over HTTP, by `compare`, by `search`."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import av
import cv2
import httpx
import numpy as np
import pytest

from local_stack import Stack

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(600)]

TEXTS = ("a red circle", "a blue square")


def picture(number: int) -> np.ndarray:
    """A red circle in the first five frames, a blue square in the next."""
    canvas = np.full((180, 320, 3), 200, np.uint8)
    x = 100 + 20 * (number % 5)
    if number < 5:
        cv2.circle(canvas, (x, 90), 50, (230, 20, 20), cv2.FILLED, cv2.LINE_AA)
    else:
        cv2.rectangle(canvas, (x - 45, 45), (x + 45, 135), (40, 70, 230), cv2.FILLED)
    return canvas


@pytest.fixture(scope="module")
def video(media_dir: Path) -> Path:
    path = media_dir / "compare-shapes.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=5, options={"crf": "18", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number in range(10):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")))
        out.mux(stream.encode(None))
    return path


def results_over_http(stack: Stack, video: Path, params: dict[str, Any]) -> tuple[str, list[Any]]:
    """What POST said, and the elements of clip."""
    with httpx.Client(base_url=str(stack.facts()["endpoints"]["api_url"]), timeout=60) as client:
        url = client.post("/video_upload_signed_url", json={"file_name": video.name}).json()["signed_url"]
        client.put(url, content=video.read_bytes()).raise_for_status()
        wish = {"input_url": url, "infer_fps": 5, "models": [{"model_id": "clip", "inference_params": params}]}
        started = client.post("/videoinfer", json=wish).raise_for_status().json()
        deadline = time.monotonic() + 120
        while (told := client.get("/videoinfer", params={"job_id": started["job_id"]}).json())["status"] == 1:
            assert time.monotonic() < deadline
            time.sleep(0.3)
        assert told["status"] == 0, told
        return started["message"], client.get(told["output_signed_url"]).json()["clip"]


def test_frames_against_texts_by_name(stack: Stack, video: Path) -> None:
    wish = {"prompt": {"circle": TEXTS[0], "square": TEXTS[1], "other": "a zebra"}}
    message, found = results_over_http(stack, video, wish)
    assert "was not trained on: zebra" in message
    best = [max(("circle", "square"), key=frame["similarity"].get) for frame in found]
    assert best == ["circle"] * 5 + ["square"] * 5


def test_frames_against_a_picture(stack: Stack, video: Path) -> None:
    data = cv2.imencode(".png", picture(7)[:, :, ::-1])[1].tobytes()
    still = {"type": "base64", "value": base64.b64encode(data).decode()}
    _, found = results_over_http(stack, video, {"prompt": still, "prompt_type": "image"})
    scores = [frame["similarity"][0] for frame in found]
    assert int(np.argmax(scores)) == 7
    assert min(scores[5:]) > max(scores[:5])


def test_tags_that_nobody_trained(stack: Stack, video: Path) -> None:
    _, found = results_over_http(stack, video, {"labels": ["red circle", "blue square", "green star"]})
    assert [frame["top"] for frame in found] == ["red circle"] * 5 + ["blue square"] * 5


def test_a_wrong_prompt_is_named_and_no_job_is_made(stack: Stack, video: Path) -> None:
    models = [{"model_id": "detector", "inference_params": {"prompt": "a dog"}}]
    url = str(stack.facts()["endpoints"]["api_url"])
    wish = {"input_url": "http://example.org/a.mp4", "models": models}
    answer = httpx.post(f"{url}/videoinfer", json=wish)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "api.prompt")


def test_from_the_command_line(stack: Stack, video: Path, tmp_path: Path) -> None:
    stack.ok("run", str(video), "--model", "clip", "--fps", "all")
    told = json.loads(stack.ok("compare", str(video), *TEXTS, "--json"))
    assert [int(np.argmax(frame["scores"])) for frame in told["frames"]] == [0] * 5 + [1] * 5
    tagged = json.loads(stack.ok("compare", str(video), "red circle", "blue square", "--labels", "--json"))
    assert all(sum(frame["scores"]) == pytest.approx(1) for frame in tagged["frames"])
    still = tmp_path / "still.png"
    cv2.imwrite(str(still), picture(7)[:, :, ::-1])
    assert "still.png" in stack.ok("compare", str(video), "--image", str(still))
    (first, *_) = json.loads(stack.ok("search", "--image", str(still), "--json"))["moments"]
    assert (first["best_frame_offset"], first["model_id"]) == (7, "clip/1")
    (first, *_) = json.loads(stack.ok("search", "red circle", "--by", "clip", "--json"))["moments"]
    assert first["best_frame_offset"] < 5


def test_what_was_never_embedded_says_what_to_run(stack: Stack, sample_videos: dict[str, Path]) -> None:
    done = stack.run("compare", str(sample_videos["bikes.mp4"]), "a car")
    assert done.returncode != 0
    assert done.stderr.startswith(("search.nothing_indexed", "source.", "config.")), done.stderr
    assert not done.stdout
