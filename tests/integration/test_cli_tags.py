"""`framehouse tags` on stored rows of every source, with the stack down."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edits
from edits import Piece, painted
from framehouse.inference.repository import load_specs, resolve
from framehouse.jobs.vocabularies import NOTHING_KNOWN, ensure_vocabulary
from framehouse.results.lake import Lake
from framehouse.results.records.classes import Classifications
from framehouse.results.records.embeddings import Embeddings
from framehouse.results.records.texts import Texts
from framehouse.results.vocabularies import Vocabulary, read_vocabulary, vocabulary_path, write_vocabulary
from framehouse.store.query import run_query
from framehouse.store.rebuild import rebuild
from plain_cli import PlainCli, plain_cli
from stored_runs import Answer, detections, store_answers

SAMPLED = np.arange(0, 150, 5)
WORDS = ("beach", "snow")
CLIP_DIGEST = "3".rjust(32, "0")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 s, cut at 3 s."""
    frames, _ = edits.film([Piece(painted(1), 75), Piece(painted(2), 75)])
    return edits.write(tmp_path_factory.mktemp("film") / "film.mp4", frames)


def classes(frames: list[int], name: str) -> Classifications:
    n = len(frames)
    return Classifications(
        np.array(frames), np.zeros(n, np.int32), np.array([name] * n, np.object_), np.full(n, 0.6, np.float32)
    )


def texts(lines: dict[int, str]) -> Texts:
    n = len(lines)
    return Texts(
        np.array(list(lines), np.int64), np.array(list(lines.values()), np.object_), np.full(n, 0.9, np.float32),
        np.full((n, 4), 10, np.float32), np.zeros((n, 4, 2), np.float32),
    )  # fmt: skip


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> PlainCli:
    return plain_cli(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def stored(tmp_path: Path, film: Path) -> Path:
    """A car in the first shot, a taxi sign in the second, snow by CLIP in the second."""
    source = tmp_path / "film.mp4"
    shutil.copy(film, source)
    first, second = [int(f) for f in SAMPLED if f < 75], [int(f) for f in SAMPLED if f >= 75]
    signs = {frame: "TAXIS" if frame == 75 else "Taxis taxis 47" for frame in second} | {0: "TAXIZ"}
    shots = np.where(SAMPLED < 75, 0, 1)
    cars = detections(first, [(60, 60, 30, 30)] * len(first), name="car", sure=0.8)
    answers = [
        Answer("detector/1", cars, SAMPLED, {140: "infer.timeout"}),
        Answer("tags/1", classes(first, "Sports_Car"), SAMPLED),
        Answer("ocr/1", texts(dict(sorted(signs.items()))), SAMPLED),
        Answer("clip/9", Embeddings(SAMPLED, np.eye(3, dtype=np.float32)[shots * 2]), SAMPLED),
    ]  # fmt: skip
    store_answers(tmp_path / "home", source, answers)
    words = Vocabulary(("beach", "snow", "a photo"), 2, np.eye(3, dtype=np.float32)[[1, 2, 0]], 100.0, ())
    write_vocabulary(Lake(tmp_path / "home" / "lake"), CLIP_DIGEST, WORDS, words)
    (tmp_path / "words.txt").write_text("beach\n\nsnow\nsnow\n")
    return source


def tags(document: dict[str, Any], scene: int | None = None) -> list[str]:
    kind = "tag" if scene is None else "scene_tag"
    rows = [row for row in document["events"] if row["kind"] == kind and row["facts"].get("scene") == scene]
    return [row["class_name"] for row in sorted(rows, key=lambda row: row["facts"]["rank"])]


def test_every_source_by_video_and_by_scene(cli: PlainCli, stored: Path) -> None:
    said = cli("tags", stored, "--vocabulary", stored.with_name("words.txt"), "--json")
    assert (said.code, said.err) == (0, "")  # clip/9 is gone, but its vectors of these words were kept
    (document,) = json.loads(said.out)
    assert tags(document) == ["car", "taxis", "snow", "sports car"]
    assert (tags(document, 0), tags(document, 1)) == (["car", "sports car"], ["taxis", "snow"])
    rows = {row["class_name"]: row["facts"] for row in document["events"] if row["kind"] == "tag"}
    assert rows["car"]["scenes"] == [0]
    assert rows["car"]["evidence"] == [{
        "source": "object", "model_id": "detector/1", "n_frames": 15, "n_judged": 29, "confidence": 0.8,
        "best_frame": 0, "best_s": 0.0, "strength": pytest.approx(0.8 * (15 / 29) ** 0.5, abs=1e-3),
    }]  # fmt: skip
    assert rows["taxis"]["evidence"][0]["n_frames"] == 16  # the misread one in the first shot too
    assert (document["judged_s"], document["unjudged_s"]) == (pytest.approx(6.0), 0)


def test_a_frame_that_is_like_no_word_gets_none(cli: PlainCli, stored: Path, tmp_path: Path) -> None:
    far = np.eye(3, dtype=np.float32)[[1, 2, 0]] * [[0.1], [0.1], [-1]] + np.array([1, 0, 0], np.float32) * -0.9
    words = Vocabulary(("beach", "snow"), 2, far[:2].astype(np.float32), 100.0, ())
    write_vocabulary(Lake(tmp_path / "home" / "lake"), CLIP_DIGEST, WORDS, words)
    (document,) = json.loads(cli("tags", stored, "--vocabulary", stored.with_name("words.txt"), "--json").out)
    assert tags(document) == ["car", "taxis", "sports car"]


def test_the_view_and_the_table(cli: PlainCli, stored: Path, tmp_path: Path) -> None:
    said = cli("tags", stored, "--scenes", "--name", "mine")
    assert said.code == 0
    assert "object by detector/1: 15 of 15 frames, 0.80, best at 00:00.0" in said.out
    rebuild(tmp_path / "home" / "store", Lake(tmp_path / "home" / "lake"))
    ask = "SELECT name, scene, tag, sources, n_frames FROM ranked_tags WHERE rank = 1 ORDER BY scene NULLS FIRST"
    assert run_query(tmp_path / "home" / "store", ask).rows() == [
        ("mine", None, "car", ["object"], 15), ("mine", 0, "car", ["object"], 15), ("mine", 1, "taxis", ["text"], 15),
    ]  # fmt: skip


def test_scenes_of_the_newest_finding_are_taken(cli: PlainCli, stored: Path) -> None:
    assert cli("scenes", stored, "--param", "cut_level=255").code == 0  # finds no cut
    (document,) = json.loads(cli("tags", stored, "--json").out)
    (scene,) = document["scenes"]
    assert scene["facts"]["found_by"].startswith("r_")
    assert tags(document, 0)[0] == "car"


def test_weights_replay_and_compare(cli: PlainCli, stored: Path) -> None:
    assert cli("tags", stored).code == 0
    said = cli("tags", stored, "--weight", "text=0", "--against", "last")
    assert said.code == 0
    assert "-  00:00.0  tag        taxis" in said.out


@pytest.mark.parametrize(
    ("options", "start"),
    [
        (["--weight", "luck=1"], "config.tags: "),
        (["--weight", "text=2"], "config.ruleset: "),
        (["--vocabulary", "/no/such/file"], "source.not_found: "),
    ],
)
def test_wrong_options(cli: PlainCli, stored: Path, options: list[str], start: str) -> None:
    said = cli("tags", stored, *options)
    assert said.code != 0
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert said.err.startswith(start)


def test_no_words_at_all(cli: PlainCli, tmp_path: Path, film: Path) -> None:
    vectors = Embeddings(SAMPLED, np.ones((len(SAMPLED), 3), np.float32))
    store_answers(tmp_path / "home", film, [Answer("clip/9", vectors, SAMPLED)])
    said = cli("tags", film, "--no-look")
    assert said.code == 7
    assert said.err.splitlines()[-1].startswith("store.no_rows: ")


def test_vectors_of_a_vocabulary_without_a_server(home: Path, settings: Any, checkout: Path) -> None:
    """The tiny CLIP knows coloured shapes and says of what else it was asked that it does not."""
    lake, words = Lake(home / "lake"), ("red circle", "blue square", "wedding")
    digest = resolve(load_specs([checkout / "triton_models"]), "clip/1").digest
    told = ensure_vocabulary(settings, lake, "clip/1", digest, words)
    assert told == "zero-shot: clip/1 was not trained on 1 of the 3 words: left out"
    made = read_vocabulary(lake, digest, words)
    assert made is not None
    assert (made.words, made.n_asked, made.unknown) == ((*words[:2], *NOTHING_KNOWN), 2, ("wedding",))
    assert made.vectors.shape == (5, 64)
    before = vocabulary_path(lake, digest, words).stat().st_mtime_ns
    assert ensure_vocabulary(settings, lake, "clip/1", digest, words) == told
    assert vocabulary_path(lake, digest, words).stat().st_mtime_ns == before
    none = ensure_vocabulary(settings, lake, "clip/1", digest, ("wedding",))
    assert none == "no zero-shot tags: clip/1 was trained on none of the 1 words"
    assert ensure_vocabulary(settings, lake, "clip/77", "x", words).startswith("no zero-shot tags by clip/77: ")
    assert "it is another model now" in ensure_vocabulary(settings, lake, "clip/1", "x", words)
