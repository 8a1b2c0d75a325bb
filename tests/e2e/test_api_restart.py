"""The server dies in the middle of things, and nothing is lost; a hundred jobs at once, and none is mixed."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from api_client import PATIENCE_S, ApiClient
from local_stack import Stack
from media import Recipe, write

pytestmark = [pytest.mark.real("stack", "triton"), pytest.mark.timeout(900)]
N_JOBS = 100


@pytest.fixture(scope="module")
def api(stack: Stack) -> ApiClient:
    return ApiClient(str(stack.facts()["endpoints"]["api_url"]))


def kill(stack: Stack, api: ApiClient) -> None:
    """SIGKILL to the server, and wait until the supervisor has it back."""
    pid = stack.pid("api")
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 90
    while True:
        assert time.monotonic() < deadline, stack.logs()
        time.sleep(0.2)
        try:
            if stack.pid("api") != pid and httpx.get(f"{api.url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            continue


@contextmanager
def half_sent(url: str, head: str, body: bytes) -> Iterator[None]:
    """A request whose body breaks off in the middle and stays open."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        lines = f"{head} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {len(body)}\r\n"
        lines += "Upload-Offset: 0\r\n" if head == "PATCH" else ""
        client.sendall(lines.encode() + b"\r\n" + body[: len(body) // 2])
        time.sleep(0.5)
        yield


def test_the_server_dies_in_mid_upload(stack: Stack, api: ApiClient, media_dir: Path) -> None:
    """The job was submitted before its bytes came; they are PUT again after the restart, to the same URL."""
    video = write(media_dir, Recipe("put.mp4", n_frames=12, rate=Fraction(12), first_number=3200)).read_bytes()
    url = str(api.post("/video_upload_signed_url", {"file_name": "put.mp4"})["signed_url"])
    job_id = api.infer(url, ["detector"], 3)
    with half_sent(url, "PUT", video):
        kill(stack, api)
    assert api.get(f"/videoinfer?job_id={job_id}")["status"] == 1
    assert httpx.put(url, content=video, timeout=60).status_code == 200
    assert len(api.results(job_id)["detector"]) == 3


def test_the_server_dies_in_mid_piece(stack: Stack, api: ApiClient, media_dir: Path) -> None:
    video = write(media_dir, Recipe("pieces.mp4", n_frames=12, rate=Fraction(12), first_number=3300)).read_bytes()
    begun = api.post("/v1/uploads", {"file_name": "pieces.mp4", "size_bytes": len(video)})
    here = f"/v1/uploads/{begun['upload_id']}"
    with half_sent(api.url + here, "PATCH", video):
        kill(stack, api)
    offset = api.get(here)["offset"]
    assert 0 <= offset <= len(video) // 2
    rest = httpx.patch(api.url + here, content=video[offset:], headers={"Upload-Offset": str(offset)}, timeout=60)
    assert rest.json()["complete"] is True
    (job,) = api.post("/v1/jobs", {"sources": [rest.json()["source"]], "infer_fps": "3"})["jobs"]
    assert len(api.results(job["job_id"])["detector"]) == 3


def test_the_server_dies_in_mid_job_and_mid_poll(stack: Stack, api: ApiClient, sample_videos: dict[str, Path]) -> None:
    """A poller sees refused connections for a moment, and never a wrong answer; the job ends by itself."""
    job_id = api.infer(api.upload(sample_videos["bigbuckbunny.mp4"]), ["detector"], 5)
    over, statuses, away = threading.Event(), [], [0]

    def poll() -> None:
        while not over.is_set():
            try:
                answer = httpx.get(f"{api.url}/videoinfer?job_id={job_id}", timeout=10)
            except httpx.HTTPError:
                away[0] += 1
                continue
            statuses.append((answer.status_code, answer.json()["status"]))
            time.sleep(0.02)

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        time.sleep(1.0)
        kill(stack, api)
        results = api.results(job_id)
    finally:
        over.set()
        poller.join()
    assert away[0] > 0, "it was away"
    assert {status for status, _ in statuses} == {200}
    assert {said for _, said in statuses} <= {0, 1}
    assert len(results["detector"]) == len(results["frame_offset"]) == 27
    assert None not in results["detector"]


def test_a_hundred_jobs_at_once_all_end_and_none_is_mixed(stack: Stack, api: ApiClient, media_dir: Path) -> None:
    """Each video has a size of its own, which the results name, and a number of frames that few others have."""
    recipes = [
        Recipe(f"of_many_{n}.mp4", 2 + n % 3, (64 + 2 * n, 64), Fraction(4), first_number=4000 + n)
        for n in range(N_JOBS)
    ]
    videos = {recipe.size: write(media_dir, recipe) for recipe in recipes}
    with ThreadPoolExecutor(16) as pool:
        urls = dict(zip(videos, pool.map(api.upload, videos.values()), strict=True))
        jobs = dict(zip(videos, pool.map(lambda size: api.infer(urls[size], ["detector"], 4), videos), strict=True))
    assert len(set(jobs.values())) == N_JOBS
    n_left, deadline = N_JOBS, time.monotonic() + PATIENCE_S
    while unfinished := api.get("/v1/jobs?limit=1000&status=queued&status=running")["jobs"]:
        if len(unfinished) < n_left:
            n_left, deadline = len(unfinished), time.monotonic() + PATIENCE_S
        assert time.monotonic() < deadline, f"{n_left} are left, for {PATIENCE_S:g} s\n{stack.logs()}"
        time.sleep(1.0)
    for n, (size, job_id) in enumerate(jobs.items()):
        results = api.results(job_id)
        assert results["frame_offset"] == list(range(2 + n % 3)), size
        assert {(one["image"]["width"], one["image"]["height"]) for one in results["detector"]} == {size}
