"""`framehouse scenes` on a film with known cuts and silences, with the stack down."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edits
from edits import Piece, painted
from framehouse.results.lake import Lake
from framehouse.results.records.embeddings import Embeddings
from framehouse.results.sights import sight_path
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from plain_cli import PlainCli, plain_cli
from stored_runs import Answer, detections, store_answers

SAMPLED = np.arange(0, 400, 5)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16.4 s: a cut (100) and a dissolve (304 to 325) in noise, a fade (187 to 217) in silence."""
    joins = [("cut", 0, 100), ("cut", 0, 100), ("fade", 12, 120), ("dissolve", 20, 105)]
    pieces = [Piece(painted(i), n_frames, by, over) for i, (by, over, n_frames) in enumerate(joins, 1)]
    frames, changes = edits.film(pieces)
    assert [(c.kind, c.first, c.end) for c in changes] == [("cut", 99, 100), ("fade", 187, 217), ("dissolve", 304, 325)]
    return edits.write(tmp_path_factory.mktemp("film") / "film.mp4", frames, silences=[(7.0, 9.5)])


def vectors() -> Embeddings:
    shot = np.searchsorted([100, 202, 315], SAMPLED, side="right")
    ways = np.random.default_rng(3).normal(0, 1, (4, 32)).astype(np.float32)
    return Embeddings(SAMPLED, ways[shot])


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> PlainCli:
    return plain_cli(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def stored(tmp_path: Path, film: Path) -> tuple[str, Path]:
    """The film in a place of the test's own, run by a detector of faces and by a CLIP."""
    source = tmp_path / "film.mp4"
    shutil.copy(film, source)
    seen = [int(frame) for frame in SAMPLED if frame < 100]
    answers = [
        Answer("faces/1", detections(seen, [(160, 90, 80, 90)] * len(seen), name="face", sure=0.9), SAMPLED),
        Answer("clip/1", vectors(), SAMPLED),
    ]
    return store_answers(tmp_path / "home", source, answers), source


def events(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [event for event in document["events"] if event["kind"] == kind]


def test_cuts_scenes_and_points(cli: PlainCli, stored: tuple[str, Path]) -> None:
    _, source = stored
    said = cli("scenes", source, "--json")
    assert (said.code, said.err) == (0, "")
    (document,) = json.loads(said.out)
    cuts = events(document, "scene_cut")
    assert [cut["class_name"] for cut in cuts] == ["cut", "fade", "dissolve"]
    assert cuts[0]["frame_offset"] == 100
    for cut, (first, end) in zip(cuts[1:], [(187, 217), (304, 325)], strict=True):
        assert first - 5 <= cut["frame_offset"] <= end + 5
    assert (document["judged_s"], document["unjudged_s"]) == (pytest.approx(16.4), 0)
    assert [scene["facts"]["begins_with"] for scene in document["scenes"]] == ["start", "cut", "fade", "dissolve"]
    assert document["scenes"][-1]["last_frame_offset"] == 409
    points = sorted(events(document, "insertion_point"), key=lambda point: point["facts"]["rank"])
    assert points[0]["class_name"] == "fade"  # also silent, without a face, in the middle
    reasons = points[0]["facts"]["reasons"]
    assert reasons["silence"]["says"].startswith("silent")
    assert reasons["faces"]["says"] == "no face before it"
    at_cut = next(point for point in points if point["class_name"] == "cut")["facts"]["reasons"]
    assert at_cut["faces"]["says"] == "a face of 50% of the height before it, moving 0.0 of its height a second"
    assert at_cut["silence"]["mark"] == 0


def test_what_was_found_is_in_the_tables(cli: PlainCli, stored: tuple[str, Path], tmp_path: Path) -> None:
    video_id, source = stored
    assert cli("scenes", source, "--name", "break").code == 0
    rebuild(tmp_path / "home" / "store", Lake(tmp_path / "home" / "lake"))
    ask = "SELECT kind, count(*) FROM events WHERE video_id = ? GROUP BY kind ORDER BY kind"
    rows = run_query(tmp_path / "home" / "store", ask, params=[video_id]).rows()
    assert rows == [("insertion_point", 3), ("scene_cut", 3), ("shot", 4)]
    best = run_query(tmp_path / "home" / "store", "SELECT uri, rank, change, faces_says FROM insertion_points").rows()
    assert [row[1] for row in best] == [1, 2, 3]
    assert best[0][2:] == ("fade", "no face before it")
    shots = run_query(tmp_path / "home" / "store", "SELECT shot, scene, seconds FROM shots_per_video").rows()
    assert [row[:2] for row in shots] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert sum(row[2] for row in shots) == pytest.approx(16.4)


def test_other_weights_need_no_file(cli: PlainCli, stored: tuple[str, Path], tmp_path: Path) -> None:
    video_id, source = stored
    assert cli("scenes", source).code == 0
    source.unlink()
    said = cli("scenes", video_id, "--weight", "silence=0", "--weight", "faces=0", "--against", "last")
    assert (said.code, said.err) == (0, "")
    assert "insertion_point  fade" in said.out
    assert "the same moments" in said.out


def test_without_the_file_by_embeddings(cli: PlainCli, stored: tuple[str, Path], tmp_path: Path) -> None:
    video_id, source = stored
    source.unlink()
    said = cli("scenes", video_id, "--json")
    assert said.err == "film.mp4: not looked at: " + f"{video_id}: its file is not on this machine any more\n"
    (document,) = json.loads(said.out)
    assert {scene["facts"]["by"] for scene in document["scenes"]} == {"embeddings"}
    assert [cut["frame_offset"] for cut in events(document, "scene_cut")] == [100, 205, 315]  # within a sampled frame
    point = events(document, "insertion_point")[0]["facts"]["reasons"]
    assert point["silence"] == {"mark": None, "weight": 1.0, "says": "not judged: the sound was not at hand"}
    refused = cli("scenes", video_id, "--by", "frames")
    assert (refused.code, refused.err.splitlines()[-1].split(":")[0]) == (7, "store.no_rows")


def test_a_damaged_file_says_what_was_not_judged(cli: PlainCli, tmp_path: Path, film: Path) -> None:
    import media

    source = media.damaged_packet(shutil.copy(film, tmp_path / "film.mp4"), 60, "broken.mp4")
    store_answers(tmp_path / "home", source, [Answer("clip/1", vectors(), SAMPLED)])
    said = cli("scenes", source)
    assert said.code == 0
    assert "unseen" in said.out.splitlines()[0]


@pytest.mark.parametrize(
    ("options", "code", "start"),
    [
        (["--weight", "luck=2"], 2, "config.scenes: "),
        (["--weight", "calm=much"], 2, "config.scenes: "),
        (["--show", "all"], 2, "config.scenes: "),
        (["--param", "cut_ratio=0"], 2, "config.ruleset: "),
        (["--param", "luck=2"], 2, "config.ruleset: "),
        (["--by", "ear"], 2, "config.ruleset: "),
        (["--fps", "0"], 2, "config.infer_fps: "),
    ],
)
def test_wrong_options(cli: PlainCli, stored: tuple[str, Path], options: list[str], code: int, start: str) -> None:
    said = cli("scenes", stored[1], *options)
    assert (said.code, said.out, len(said.err.splitlines())) == (code, "", 1)
    assert said.err.startswith(start)


def test_dry_run_keeps_no_finding(cli: PlainCli, stored: tuple[str, Path], tmp_path: Path) -> None:
    video_id, source = stored
    for show in ("points", "scenes", "shots", "cuts"):
        assert cli("scenes", source, "--dry-run", "--show", show).code == 0
    assert not (tmp_path / "home" / "lake" / "findings").exists()
    assert sight_path(Lake(tmp_path / "home" / "lake"), video_id).exists()
