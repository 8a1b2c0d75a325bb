"""Uploads over a real server on a real socket: whole or absent, signed, resumed, and only one's own."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from api_server import Served, code, serving
from framehouse.config import Settings

BODY = bytes(range(256)) * 4096


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    settings = Settings(home=tmp_path / "home")
    settings.api.max_upload_bytes = 2 * len(BODY)
    with serving(settings) as running:
        yield running


def test_what_is_put_is_there_whole(served: Served) -> None:
    url = served.promise("../my käse.mp4")
    assert "&X-Goog-Expires=" in url
    assert httpx.put(url, content=BODY).json()["size_bytes"] == len(BODY)
    (file,) = served.files
    assert (file.name, file.read_bytes()) == ("my_k_se.mp4", BODY)
    assert httpx.put(url, content=b"new").status_code == 200, "until a job uses it, it may be replaced"
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("how", ["signature", "expiry", "file", "upload", "none", "method"])
def test_a_tampered_url_is_refused(served: Served, how: str) -> None:
    url = served.promise()
    other = {
        "signature": url[:-1] + ("0" if url[-1] != "0" else "1"),
        "expiry": url.replace("X-Goog-Expires=86400", "X-Goog-Expires=99999999"),
        "file": url.replace("/v.mp4?", "/w.mp4?"),
        "upload": url.replace(urlsplit(url).path, urlsplit(served.promise()).path),
        "none": url.split("?")[0],
        "method": url,
    }[how]
    answer = httpx.get(other) if how == "method" else httpx.put(other, content=BODY)
    assert answer.status_code in ((403,) if how != "method" else (404, 405))
    assert served.files == []


def test_a_url_that_expired_is_refused(served: Served) -> None:
    served.settings.api.upload_ttl_s = -1
    answer = httpx.put(served.promise(), content=BODY)
    assert (answer.status_code, code(answer)) == (403, "source.signature_expired")


@pytest.mark.parametrize("announced", [True, False])
def test_too_large_is_refused_and_leaves_nothing(served: Served, announced: bool) -> None:
    url = served.promise()
    if announced:
        answer = httpx.put(url, content=BODY * 3)
        assert code(answer) == "source.too_large"
    else:

        def pieces() -> Iterator[bytes]:
            for _ in range(3):
                yield BODY

        with contextlib.suppress(httpx.TransportError):  # the server may hang up on a body that goes on
            assert code(httpx.put(url, content=pieces())) == "source.too_large"
    assert served.files == []


def test_an_upload_that_breaks_off_leaves_nothing(served: Served) -> None:
    parts = urlsplit(served.promise())
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:
        head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
        client.sendall(head.encode() + BODY[:70_000])
    time.sleep(0.5)
    assert served.files == []


def test_a_job_waits_for_its_upload(served: Served) -> None:
    url = served.promise()
    wish = {"input_url": url, "infer_fps": 5, "models": [{"model_id": "detector", "model_version": "1"}]}
    job_id = served.ask("POST", "/videoinfer", json=wish).json()["job_id"]
    assert served.ask("GET", f"/videoinfer?job_id={job_id}").json()["status"] == 1
    assert served.state.owed_jobs() == []
    assert httpx.put(url, content=BODY).status_code == 200
    (job,) = served.state.owed_jobs()
    assert job.job_id == job_id and Path(job.request.uri).read_bytes() == BODY
    assert code(httpx.put(url, content=b"other")) == "source.upload_used"


def test_uploads_and_jobs_are_ones_own(served: Served) -> None:
    mine, _ = served.keys.create("mine")
    theirs, _ = served.keys.create("theirs")
    admin, _ = served.keys.create("admin", ("admin",))
    url = served.promise(key=mine)
    wish = {"input_url": url, "infer_fps": 5, "models": [{"model_id": "detector", "model_version": "1"}]}
    assert served.ask("POST", "/videoinfer", theirs, json=wish).status_code == 404
    job_id = served.ask("POST", "/videoinfer", mine, json=wish).json()["job_id"]
    for path in (f"/videoinfer?job_id={job_id}", f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/events"):
        assert served.ask("GET", path, theirs).status_code == 404
    for path in (f"/v1/jobs/{job_id}/cancel", f"/v1/jobs/{job_id}/retry"):
        assert served.ask("POST", path, theirs).status_code == 404
    assert served.ask("GET", "/v1/jobs", theirs).json()["jobs"] == []
    for key in (mine, admin):
        assert [job["job_id"] for job in served.ask("GET", "/v1/jobs", key).json()["jobs"]] == [job_id]
    for path in ("/v1/videos", "/v1/query"):
        answer = served.ask("POST" if path == "/v1/query" else "GET", path, mine, json={"sql": "SELECT 1"})
        assert code(answer) == "api.not_allowed"


def test_a_resumable_upload_goes_on_where_it_broke_off(served: Served) -> None:
    begun = served.ask("POST", "/v1/uploads", json={"file_name": "big.mp4", "size_bytes": len(BODY)}).json()
    path = f"/v1/uploads/{begun['upload_id']}"
    first = served.ask("PATCH", path, content=BODY[:100_000], headers={"Upload-Offset": "0"}).json()
    assert (first["offset"], first["complete"]) == (100_000, False)
    again = served.ask("PATCH", path, content=BODY[:100_000], headers={"Upload-Offset": "0"})
    assert code(again) == "source.upload_offset"
    assert served.ask("GET", path).json()["offset"] == 100_000
    parts = urlsplit(served.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as client:  # breaks off in the middle
        head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 100000\r\nContent-Length: 900000\r\n\r\n"
        client.sendall(head.encode() + BODY[100_000:160_000])
    time.sleep(0.5)
    offset = served.ask("GET", path).json()["offset"]
    assert 100_000 <= offset <= 160_000
    last = served.ask("PATCH", path, content=BODY[offset:], headers={"Upload-Offset": str(offset)}).json()
    assert (last["offset"], last["complete"]) == (len(BODY), True)
    (file,) = served.files
    assert file.read_bytes() == BODY
    job = served.ask("POST", "/v1/jobs", json={"sources": [last["source"]]}).json()["jobs"][0]
    assert job["status"] == "queued"
    more = served.ask("PATCH", path, content=b"x", headers={"Upload-Offset": str(len(BODY))})
    assert code(more) == "source.upload_used"


def test_a_piece_too_many_is_refused(served: Served) -> None:
    begun = served.ask("POST", "/v1/uploads", json={"file_name": "big.mp4", "size_bytes": 10}).json()
    path = f"/v1/uploads/{begun['upload_id']}"
    assert code(served.ask("PATCH", path, content=b"x" * 11, headers={"Upload-Offset": "0"})) == "source.too_large"
    too_large = served.ask("POST", "/v1/uploads", json={"file_name": "big.mp4", "size_bytes": 3 * len(BODY)})
    assert code(too_large) == "source.too_large"


@pytest.mark.parametrize(
    "url", ["/etc/passwd", "file:///etc/passwd", "s3://bucket/a.mp4", "ftp://h/a", "concat:a|b", ""]
)
def test_only_http_and_own_uploads_are_sources(served: Served, url: str) -> None:
    wish = {"input_url": url, "infer_fps": 5, "models": [{"model_id": "detector"}]}
    assert served.ask("POST", "/videoinfer", json=wish).status_code in (400, 422)
    assert served.ask("POST", "/v1/jobs", json={"sources": [url]}).status_code in (400, 422)
    assert served.state.list_jobs() == []


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({"infer_fps": 0}, "api.fps"),
        ({"infer_fps": -1}, "api.fps"),
        ({"infer_fps": "5"}, "api.fps"),
        ({"infer_fps": True}, "api.fps"),
        ({"infer_fps": 121}, "api.fps"),
        ({"models": []}, "api.models"),
        ({"models": None}, "api.models"),
        ({"models": ["detector"]}, "api.models"),
        ({"models": [{"model_id": "nothing"}]}, "config.unknown_model"),
        ({"models": [{"model_id": "detector", "model_version": "99"}]}, "config.unknown_model"),
        ({"models": [{"model_id": "detector", "inference_type": "clip-embed-image"}]}, "api.models"),
        ({"models": [{"model_id": "detector", "inference_params": {"confidence": 2}}]}, "api.models"),
        ({"models": [{"model_id": "detector", "inference_params": {"confidence": 0.01}}]}, "config.confidence"),
    ],
)
def test_a_wrong_wish_is_named(served: Served, wish: dict[str, Any], expected: str) -> None:
    good = {"input_url": "http://example.org/a.mp4", "infer_fps": 5, "models": [{"model_id": "detector"}]}
    answer = served.ask("POST", "/videoinfer", json=good | wish)
    assert (answer.status_code, code(answer)) == (400, expected)
    assert served.state.list_jobs() == []


def test_a_model_sent_twice_is_one_and_fractions_of_fps_pass(served: Served) -> None:
    model = {"model_id": "detector", "model_version": "1", "inference_type": "object-detection"}
    wish = {"input_url": "http://example.org/a.mp4?sig=s", "infer_fps": 2.5, "models": [model, model]}
    job_id = served.ask("POST", "/videoinfer/", json=wish).json()["job_id"]
    job = served.state.job(job_id)
    assert (job.request.models, job.request.infer_fps, job.request.allow_private) == (("detector/1",), "2.5", False)


def test_the_same_token_gives_the_same_jobs(served: Served) -> None:
    wish = {"sources": ["http://example.org/a.mp4", "http://example.org/b.mp4"], "client_token": "t"}
    first, again = (served.ask("POST", "/v1/jobs", json=wish).json()["jobs"] for _ in range(2))
    assert [job["job_id"] for job in first] == [job["job_id"] for job in again]
    assert len(served.state.list_jobs()) == 2
