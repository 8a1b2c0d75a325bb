"""Our own routes over a real server: who may read what, limits, numbers, following, results as files, queries."""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_server import Served, code, serving
from framehouse.api.limits import MAX_BODY_BYTES
from framehouse.config import Settings, stack_file
from framehouse.ids import new_job_id
from framehouse.state import JobRequest, Origin
from framehouse.store.publish import LoadEntry, Publisher
from lakes import DETECTOR, put_job, small_lake, video_name

WISH = {"sources": ["http://example.org/a.mp4"]}
DONE = new_job_id()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    settings = Settings(home=tmp_path / "home")
    with serving(settings) as running:
        yield running


@pytest.fixture
def with_rows(tmp_path: Path) -> Iterator[Served]:
    """A server over published rows; the job `DONE` is one of them, and nobody's."""
    settings = Settings(home=tmp_path / "home")
    lake = small_lake(settings.lake_dir)
    put_job(lake, DONE, range(0, 60, 6))
    entries = [LoadEntry(1, "job", job_id=DONE), LoadEntry(2, "parts", video_name(0), DETECTOR)]
    with Publisher(settings.store_dir, lake) as publisher:
        publisher.apply_and_publish(entries)
    with serving(settings) as running:
        running.state.submit(JobRequest("http://example.org/a.mp4", ("detector",)), job_id=DONE)
        running.state.settle_published(running.state.conclude(DONE, "done", []))
        yield running


def submit(served: Served, key: str = "any", **more: Any) -> str:
    answer = served.ask("POST", "/v1/jobs", key, json=WISH | more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["jobs"][0]["job_id"])


# ---------------------------------------------------------------- who may read what


def test_a_shared_job_is_read_by_another_key_and_changed_by_none(served: Served) -> None:
    mine, _ = served.keys.create("mine")
    theirs, _ = served.keys.create("theirs")
    their_id = served.ask("GET", "/v1/key", theirs).json()["key_id"]
    job_id = submit(served, mine)
    paths = (f"/v1/jobs/{job_id}", f"/videoinfer?job_id={job_id}")
    assert {served.ask("GET", path, theirs).status_code for path in paths} == {404}
    share = f"/v1/jobs/{job_id}/shares/{their_id}"
    assert served.ask("PUT", share, theirs).status_code == 404, "nobody shares with himself"
    assert [served.ask("PUT", share, mine).status_code for _ in range(2)] == [204, 204]
    assert served.ask("GET", f"/v1/jobs/{job_id}/shares", mine).json() == {"key_ids": [their_id]}
    assert {served.ask("GET", path, theirs).status_code for path in paths} == {200}
    for act in ("retry", "cancel"):
        assert served.ask("POST", f"/v1/jobs/{job_id}/{act}", theirs).status_code == 404
    assert served.ask("GET", f"/v1/jobs/{job_id}/shares", theirs).status_code == 404
    assert served.ask("DELETE", share, mine).status_code == 204
    assert {served.ask("GET", path, theirs).status_code for path in paths} == {404}
    unknown = served.ask("PUT", f"/v1/jobs/{job_id}/shares/k_{'0' * 16}", mine)
    assert (unknown.status_code, code(unknown)) == (404, "api.not_found")


def test_a_shared_upload_is_a_source_for_another_key(served: Served) -> None:
    mine, _ = served.keys.create("mine")
    theirs, their_key = served.keys.create("theirs")
    url = served.promise(key=mine)
    upload_id = url.split("/uploads/")[1].split("/")[0]
    assert served.ask("POST", "/v1/jobs", theirs, json={"sources": [url]}).status_code == 404
    assert served.ask("PUT", f"/v1/uploads/{upload_id}/shares/{their_key.key_id}", mine).status_code == 204
    assert served.ask("POST", "/v1/jobs", theirs, json={"sources": [url]}).status_code == 201
    assert served.ask("DELETE", f"/v1/uploads/{upload_id}/shares/{their_key.key_id}", mine).status_code == 204
    assert served.ask("POST", "/v1/jobs", theirs, json={"sources": [url]}).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8800"}, 200),
        ({"Host": "[::1]:8800"}, 200),
        ({"Host": "evil.example:8800"}, 401),  # DNS rebinding: a page's own name made to mean 127.0.0.1
        ({"Host": "192.168.1.5:8800"}, 401),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8800", "Origin": "http://localhost:8800"}, 200),
    ],
)
def test_without_a_key_only_this_machine_s_people_are_let_in(
    served: Served, headers: dict[str, str], status: int
) -> None:
    assert served.ask("GET", "/v1/jobs", headers=headers).status_code == status
    text, _ = served.keys.create("mine")
    assert served.ask("GET", "/v1/jobs", text, headers=headers).status_code == 200, "a key is enough anywhere"


def test_a_form_of_another_site_is_no_json(served: Served) -> None:
    """What a browser sends without asking first (text/plain) is not read as JSON."""
    answer = served.ask("POST", "/v1/jobs", content=json.dumps(WISH), headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    assert served.state.list_jobs() == []


def test_no_other_site_s_scripts_may_read_unless_named(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    asking = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    with serving(settings) as served:
        assert "access-control-allow-origin" not in served.ask("OPTIONS", "/v1/jobs", headers=asking).headers
    settings.api.cors_origins = ["https://page.example"]
    with serving(settings) as served:
        allowed = served.ask("OPTIONS", "/v1/jobs", headers=asking)
        assert allowed.headers["access-control-allow-origin"] == "https://page.example"
        assert served.ask("GET", "/v1/jobs", headers={"Origin": "https://page.example"}).status_code == 200
        other = served.ask("OPTIONS", "/v1/jobs", headers=asking | {"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_a_slash_too_many_is_no_other_path(served: Served) -> None:
    """`API_URL` with a slash at its end makes the official client ask `//`."""
    workspace = served.ask("POST", "//?api_key=fh_any").json()["workspace"]
    assert served.ask("GET", f"//{workspace}/detector").json()["project"]["name"] == "detector"


# ---------------------------------------------------------------- limits


def test_many_sources_are_taken_all_or_none(served: Served) -> None:
    key, _ = served.keys.create("mine", max_waiting_jobs=3)
    sources = [f"http://example.org/{n}.mp4" for n in range(4)]
    refused = served.ask("POST", "/v1/jobs", key, json={"sources": sources})
    assert (refused.status_code, code(refused)) == (429, "api.limit")
    assert served.ask("POST", "/v1/jobs", key, json={"sources": [*sources[:2], "/etc/passwd"]}).status_code == 400
    assert served.state.list_jobs() == []
    assert served.ask("POST", "/v1/jobs", key, json={"sources": sources[:3]}).status_code == 201
    assert served.ask("POST", "/v1/jobs", key, json={"sources": sources[:1]}).status_code == 429
    other, _ = served.keys.create("other")
    assert served.ask("POST", "/v1/jobs", other, json={"sources": sources}).status_code == 201


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_no_file_has_a_limit(served: Served, announced: bool) -> None:
    body = b'{"sources": ["' + b"x" * MAX_BODY_BYTES + b'"]}'
    content = body if announced else (body[at : at + 65536] for at in range(0, len(body), 65536))
    answer = served.ask("POST", "/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    assert (answer.status_code, code(answer)) == (413, "api.too_large")


def test_priority_goes_first(served: Served) -> None:
    low, high = submit(served, priority=-5), submit(served, priority=5)
    assert [job.job_id for job in served.state.owed_jobs()] == [high, low]


def test_queries_have_places_and_polls_go_on(with_rows: Served) -> None:
    settings = with_rows.settings
    settings.store.query_timeout_s = 6.0
    slow = {"sql": "SELECT count(*) FROM range(100000000000) a WHERE a.range % 7 = 3"}
    said: list[int] = []

    def ask() -> None:
        while (status := with_rows.ask("POST", "/v1/query", json=slow).status_code) == 429:
            time.sleep(0.05)
        said.append(status)

    threads = [threading.Thread(target=ask) for _ in range(settings.api.max_queries)]
    for thread in threads:
        thread.start()
    while (busy := with_rows.ask("POST", "/v1/query", json={"sql": "SELECT 1"})).status_code == 200:
        assert not said, "the slow ones ended before all places were taken"
        time.sleep(0.05)
    assert (busy.status_code, code(busy)) == (429, "api.busy")
    assert with_rows.ask("GET", f"/videoinfer?job_id={DONE}").json()["status"] == 0
    for thread in threads:
        thread.join()
    assert said == [408] * len(threads)
    assert with_rows.ask("POST", "/v1/query", json={"sql": "SELECT 1 AS one"}).json()["rows"] == [{"one": 1}]


def test_a_query_reads_rows_and_nothing_else(with_rows: Served) -> None:
    for sql in (
        "SELECT 1; SELECT 2", "DROP TABLE videos", "SELECT * FROM read_text('/etc/passwd')", "ATTACH '/tmp/x.db'",
        "COPY videos TO '/tmp/x'", "PRAGMA database_list", "SET threads = 1", "FROM duckdb_settings()",
        "FROM duckdb_databases()", "SELECT current_setting('home_directory')", "INSTALL httpfs",
    ):  # fmt: skip
        answer = with_rows.ask("POST", "/v1/query", json={"sql": sql})
        assert (answer.status_code, code(answer)) == (400, "store.query_rejected"), sql
        assert str(with_rows.settings.home) not in answer.text


# ---------------------------------------------------------------- results as files


def test_results_are_files_compressed_and_in_pieces(with_rows: Served) -> None:
    url = with_rows.ask("GET", f"/videoinfer?job_id={DONE}").json()["output_signed_url"]
    packed = httpx.get(url, headers={"Accept-Encoding": "gzip"})
    plain = httpx.get(url, headers={"Accept-Encoding": "identity"})
    assert (packed.headers["content-encoding"], plain.headers.get("content-encoding")) == ("gzip", None)
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert packed.json() == plain.json()
    assert len(packed.json()["frame_offset"]) == 10
    head = httpx.head(url, headers={"Accept-Encoding": "gzip"})
    assert head.status_code == 200 and head.content == b""
    first = {"Accept-Encoding": "gzip", "Range": "bytes=0-99"}
    with httpx.stream("GET", url, headers=first) as answer:
        assert answer.status_code == 206
        begin = b"".join(answer.iter_raw())
    size = int(head.headers["content-length"])
    with httpx.stream("GET", url, headers=first | {"Range": f"bytes=100-{size}"}) as answer:
        rest = b"".join(answer.iter_raw())
    assert json.loads(gzip.decompress(begin + rest)) == plain.json()


@pytest.mark.parametrize("how", ["none", "tampered", "other", "expired"])
def test_results_need_their_signature(with_rows: Served, how: str) -> None:
    if how == "expired":
        with_rows.settings.api.result_ttl_s = -1
    url = with_rows.ask("GET", f"/v1/jobs/{DONE}/results").json()["url"]
    asked = {
        "none": url.split("?")[0],
        "tampered": url[:-1] + ("0" if url[-1] != "0" else "1"),
        "other": url.replace(DONE, new_job_id()),
        "expired": url,
    }[how]
    answer = httpx.get(asked)
    expected = "source.signature_expired" if how == "expired" else "source.signature"
    assert (answer.status_code, code(answer)) == (403, expected)


def test_gaps_and_usage_of_a_job(with_rows: Served) -> None:
    results = httpx.get(with_rows.ask("GET", f"/v1/jobs/{DONE}/results").json()["url"]).json()
    (key,) = set(results) - {"frame_offset", "time_offset"}
    missing = [frame for frame, one in zip(results["frame_offset"], results[key], strict=True) if one is None]
    gaps = with_rows.ask("GET", f"/v1/jobs/{DONE}/gaps").json()
    assert missing == [6], "the sample has a gap"
    assert [gap["frame_offset"] for gap in gaps["gaps"]] == missing
    assert all(gap["reason"] for gap in gaps["gaps"]) and gaps["truncated"] is False
    usage = with_rows.ask("GET", f"/v1/jobs/{DONE}/usage").json()["usage"]
    assert [one["model_digest"] for one in usage] == [DETECTOR]
    theirs, _ = with_rows.keys.create("theirs")
    for path in ("gaps", "usage", "results"):
        assert with_rows.ask("GET", f"/v1/jobs/{DONE}/{path}", theirs).status_code == 404


def test_what_all_work_has_cost(with_rows: Served) -> None:
    whole = with_rows.ask("GET", "/v1/usage").json()
    assert (len(whole["usage"]), whole["truncated"]) == (1, False)
    assert [row["job_id"] for row in with_rows.ask("GET", "/v1/usage?by=job&since=2000-01-01").json()["usage"]] == [
        DONE
    ]
    assert with_rows.ask("GET", "/v1/usage?since=2200-01-01T00:00:00Z").json()["usage"] == []
    for wrong in ("since=0", "since=2026-13-01", "since=0001-01-01T00:00%2B14:00", "by=planet", "limit=0"):
        answer = with_rows.ask("GET", f"/v1/usage?{wrong}")
        assert (answer.status_code in (400, 422), code(answer)) == (True, "api.invalid"), wrong
    theirs, _ = with_rows.keys.create("theirs")
    assert with_rows.ask("GET", "/v1/usage", theirs).status_code == 403


def test_videos_are_listed_and_shown(with_rows: Served) -> None:
    videos = with_rows.ask("GET", "/v1/videos").json()["videos"]
    assert video_name(0) in [video["video_id"] for video in videos]
    shown = with_rows.ask("GET", f"/v1/videos/{video_name(0)}").json()
    assert shown["models"] and shown["locations"]


def test_search_finds_what_models_named(with_rows: Served) -> None:
    named = with_rows.ask("POST", "/v1/query", json={"sql": "SELECT DISTINCT word FROM words_per_frame"}).json()["rows"]
    word = named[0]["word"]
    found = with_rows.ask("POST", "/v1/search", json={"query": word, "top": 3}).json()
    assert found["way"] == "tags" and word in found["words"]
    assert found["note"].startswith("not by CLIP: ")
    assert 0 < len(found["moments"]) <= 3
    elsewhere = {"query": word, "video_ids": ["v_nothing"]}
    assert with_rows.ask("POST", "/v1/search", json=elsewhere).json().get("moments", []) == []
    away = with_rows.ask("POST", "/v1/search", json={"query": word, "by": "clip"})
    assert code(away) == "search.nothing_indexed"
    theirs, _ = with_rows.keys.create("theirs")
    assert code(with_rows.ask("POST", "/v1/search", theirs, json={"query": word})) == "api.not_allowed"


# ---------------------------------------------------------------- following


def events_of(served: Served, path: str, until: int, key: str = "any") -> list[dict[str, Any]]:
    """The first events of a stream, or all where it ends."""
    found = []
    with httpx.stream("GET", served.url + path, headers={"Authorization": f"Bearer {key}"}, timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line[6:]))
            if len(found) == until:
                break
    return found


def test_a_job_is_followed_to_its_end(served: Served) -> None:
    job_id = submit(served)
    timer = threading.Timer(1.0, lambda: served.state.conclude(job_id, "failed", [], error=("media.x", "why", "try")))
    timer.start()
    first, last = events_of(served, f"/v1/jobs/{job_id}/events", until=9)
    timer.join()
    assert (first["status"], last["status"]) == ("queued", "failed")
    assert last["error"] == {"code": "media.x", "message": "why", "hint": "try"}


def test_a_job_that_ended_before_its_follower_came_is_told(served: Served) -> None:
    """A page that shows it as running would show so for ever."""
    mine, _ = served.keys.create("mine")
    theirs, _ = served.keys.create("theirs")
    ended, other = submit(served, mine), submit(served, theirs)
    for job_id in (ended, other):
        served.state.conclude(job_id, "failed", [], error=("media.x", "why", "try"))
    going = submit(served, mine)
    found = events_of(served, f"/v1/events?seen={ended}&seen={other}&seen=j_none", until=2, key=mine)
    assert [(job["job_id"], job["status"]) for job in found] == [(ended, "failed"), (going, "queued")]


def test_all_jobs_are_followed_each_key_its_own(served: Served) -> None:
    mine, my_key = served.keys.create("mine")
    theirs, _ = served.keys.create("theirs")
    first = submit(served, mine)
    submit(served, theirs)

    def go_on() -> None:
        time.sleep(1.0)
        served.state.conclude(first, "failed", [], error=("media.x", "why", "try"))
        served.state.submit(JobRequest("http://h/b.mp4", ("detector",)), origin=Origin(my_key.key_id), job_id=second)

    second = new_job_id()
    thread = threading.Thread(target=go_on)
    thread.start()
    found = [(one["job_id"], one["status"]) for one in events_of(served, "/v1/events", until=3, key=mine)]
    thread.join()
    assert found == [(first, "queued"), (first, "failed"), (second, "queued")]


# ---------------------------------------------------------------- numbers


def test_health_tells_of_every_part(served: Served) -> None:
    health = served.ask("GET", "/health").json()
    assert (health["status"], health["engine"], health["state"], health["store"]) == ("degraded", "away", "ok", "empty")

    served.settings.prefect.api_url = "http://10.0.0.5:4200/api"
    health = served.ask("GET", "/health").json()
    assert (health["status"], health["engine"]) == ("ok", "remote")
    served.settings.prefect.api_url = ""

    parts = {"prefect": "ready", "triton": "restarting"}
    facts = {
        "pid": os.getpid(),
        "components": {name: {"state": state, "pid": os.getpid()} for name, state in parts.items()},
    }
    stack_file(served.settings).write_text(json.dumps(facts))
    health = served.ask("GET", "/health").json()
    assert (health["status"], health["engine"], health["parts"]) == ("degraded", "partly", parts)
    facts["components"]["triton"]["state"] = "ready"  # type: ignore[index]
    stack_file(served.settings).write_text(json.dumps(facts))
    assert served.ask("GET", "/health").json()["status"] == "ok"
    facts["pid"] = 2**22 + 1  # beyond the kernel's last: a supervisor that died without a word
    stack_file(served.settings).write_text(json.dumps(facts))
    assert served.ask("GET", "/health").json()["parts"] == {"prefect": "dead", "triton": "dead"}


def test_metrics_are_prometheus_text(with_rows: Served) -> None:
    submit(with_rows)
    answer = with_rows.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values['framehouse_jobs{status="queued"}'] == "1"
    assert values['framehouse_jobs{status="done"}'] == "1"
    assert float(values["framehouse_oldest_queued_seconds"]) >= 0
    assert float(values["framehouse_snapshot_age_seconds"]) >= 0
    frames = {name: float(value) for name, value in values.items() if name.startswith("framehouse_frames{")}
    assert sum(frames.values()) == 10
    kinds = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    parts = {"histogram": ("_bucket", "_sum", "_count")}
    named = {name + part for name, kind in kinds.items() for part in parts.get(kind, ("",))}
    assert {name.partition("{")[0] for name in values} <= named
    assert "example.org" not in answer.text
    with_rows.keys.create("mine")
    assert with_rows.ask("GET", "/metrics").status_code == 401


def test_requests_are_counted_by_route(served: Served) -> None:
    for path in ("/health", "/health", "/v1/jobs/j_0123456789abcdef0123", "/ui/jobs", "/a/b/c/d/e/f"):
        served.ask("GET", path)
    values = dict(line.rsplit(" ", 1) for line in served.ask("GET", "/metrics").text.splitlines() if line[0] != "#")
    name = 'framehouse_api_requests_total{method="GET",route="%s",status="%d"}'
    assert values[name % ("/health", 200)] == "2"
    assert values[name % ("/v1/jobs/{job_id}", 404)] == "1", "the template, not the job"
    assert values[name % ("none", 404)] == "1"
    assert any('route="/ui' in name for name in values)
    assert values['framehouse_api_request_seconds_count{route="/health"}'] == "2"
    assert values['framehouse_api_request_seconds_bucket{route="/health",le="+Inf"}'] == "2"
    assert values["framehouse_fetched_bytes_total"] == "0"


def test_metrics_are_there_before_anything_is(served: Served) -> None:
    assert 'framehouse_jobs{status="done"} 0' in served.ask("GET", "/metrics").text
