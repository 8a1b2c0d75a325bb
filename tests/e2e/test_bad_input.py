"""Bad input gets one line with a stable code and what to try, and disturbs no other video."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from httpserver import serve
from local_stack import Stack
from media import RECIPES, Recipe, damaged, no_frames, no_video, sound_only, write

pytestmark = [pytest.mark.real("stack"), pytest.mark.timeout(900)]


def run_json(stack: Stack, *words: str) -> tuple[int, list[dict[str, object]]]:
    done = stack.run("run", *words, "--json", timeout_s=600.0)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def rows_when(stack: Stack, query: str, is_whole: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
    """Rows of a query, asked until they are whole: a failure shows at once, its rows with the next snapshot."""
    deadline = time.monotonic() + 30.0
    while True:
        rows: list[dict[str, Any]] = json.loads(stack.ok("sql", query, "--format", "json"))
        if is_whole(rows) or time.monotonic() > deadline:
            return rows
        time.sleep(0.5)


def test_every_bad_file_is_named_and_the_good_one_is_done(stack: Stack, tmp_path: Path) -> None:
    good = write(tmp_path, Recipe("good ü 1.mp4", n_frames=40, first_number=700))
    dated = write(tmp_path, replace(RECIPES["dated.mp4"], first_number=720))
    bad = {
        str(no_video(tmp_path, "empty")): "media.empty_file",
        str(no_video(tmp_path, "text")): "media.unreadable",
        str(no_video(tmp_path, "ffconcat")): "media.unreadable",
        str(no_video(tmp_path, "playlist")): "media.unreadable",
        str(sound_only(tmp_path)): "media.no_video_stream",
        str(no_frames(tmp_path)): "media.no_video_stream",
        str(damaged(good, "cut_index")): "media.truncated",
        str(damaged(dated, "cut_data")): "inference.too_many_gaps",
        str(tmp_path / "missing.mp4"): "source.not_found",
    }
    code, jobs = run_json(stack, *bad, str(good), "--fps", "all")
    bad = {f"file://{path}": cause for path, cause in bad.items()}
    found = {str(job["uri"]): job["error"]["code"] if job["error"] else None for job in jobs}  # type: ignore[index]
    assert code == 1
    assert found == bad | {f"file://{good}": None}
    for job in jobs:
        if job["error"]:
            assert job["error"]["message"], job  # type: ignore[index]
            assert "\n" not in job["error"]["message"], job  # type: ignore[index]
            assert job["error"]["try"], job  # type: ignore[index]
    query = "SELECT uri, cause, retry_command FROM failed_videos"
    named = rows_when(stack, query, lambda rows: set(bad) <= {row["uri"] for row in rows})
    causes = {row["uri"]: row["cause"] for row in named}
    assert {uri: causes.get(uri) for uri in bad} == bad
    assert all(row["retry_command"].startswith("framehouse jobs retry j_") for row in named)
    assert not list((stack.home / "lake").rglob("*.tmp"))


def test_a_file_cut_short_keeps_what_decodes_and_reports_the_rest(stack: Stack, tmp_path: Path) -> None:
    dated = write(tmp_path, replace(RECIPES["dated.mp4"], name="cut.mp4", first_number=760))
    cut = damaged(dated, "cut_data")
    _, jobs = run_json(stack, str(cut), "--fps", "all")
    query = (
        "SELECT status, gap_reason, count(*) AS n, min(frame_offset) AS first, max(frame_offset) AS last "
        f"FROM inferences WHERE video_id = '{jobs[0]['video_id']}' GROUP BY ALL ORDER BY first"
    )
    rows = rows_when(stack, query, bool)
    assert sum(row["n"] for row in rows) == jobs[0]["n_planned"]
    assert rows[0]["status"] == "loaded"
    assert rows[0]["first"] == 0
    gaps = [row for row in rows if row["status"] == "gap"]
    assert gaps
    assert all(row["gap_reason"].startswith("decode.") for row in gaps)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--fps", "0"), "config.infer_fps"),
        (("--fps", "-1"), "config.infer_fps"),
        (("--fps", "many"), "config.infer_fps"),
        (("--model", "unknown"), "config.unknown_model"),
        (("--confidence", "0.01"), "config.confidence"),
        (("--confidence", "1.5"), "config.confidence"),
    ],
)
def test_what_can_be_known_at_once_is_refused_at_once(
    stack: Stack, tmp_path: Path, words: tuple[str, ...], code: str
) -> None:
    video = write(tmp_path, Recipe("any.mp4", n_frames=5))
    n_before = len(json.loads(stack.ok("jobs", "list", "--json", "--limit", "1000")))
    done = stack.run("run", str(video), *words)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith(f"{code}: "), done.stderr
    assert done.stdout == ""
    assert len(json.loads(stack.ok("jobs", "list", "--json", "--limit", "1000"))) == n_before


def test_a_folder_without_videos(stack: Stack, tmp_path: Path) -> None:
    done = stack.run("run", str(tmp_path))
    assert done.returncode != 0
    assert "source.no_videos" in done.stderr


def test_above_the_source_rate_names_both(stack: Stack, tmp_path: Path) -> None:
    video = write(tmp_path, Recipe("thirty.mp4", n_frames=30, first_number=800))
    code, jobs = run_json(stack, str(video), "--fps", "31")
    error = jobs[0]["error"]
    assert code == 1
    assert isinstance(error, dict)
    assert error["code"] == "media.fps_exceeds_source"
    assert "31" in error["message"]
    assert "30" in error["message"]


def test_a_url_is_fetched_and_one_that_is_not_there_is_named(stack: Stack, tmp_path: Path) -> None:
    video = write(tmp_path, Recipe("far.mp4", n_frames=30, first_number=840))
    with serve(video.read_bytes(), "redirect") as site, serve(b"", "404") as gone:
        secret = site.url() + "?X-Signature=secret"
        code, jobs = run_json(stack, secret, gone.url(), "--fps", "2")
    assert code == 1
    assert [job["status"] for job in jobs] == ["done", "failed"]
    error = jobs[1]["error"]
    assert isinstance(error, dict)
    assert error["code"] == "source.not_found"
    logs = "\n".join(path.read_text(errors="replace") for path in (stack.home / "logs").glob("*.log"))
    assert "secret" not in logs
    assert "secret" not in json.dumps(jobs)
