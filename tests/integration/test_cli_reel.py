"""`framehouse reel` from stored rows and the files themselves, with the stack down."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

import media
from framehouse.video.probe import probe
from plain_cli import PlainCli, plain_cli
from stored_runs import Answer, detections, store_answers

SAMPLED = np.arange(0, 150, 6)
WITH = [30, 36, 42, 48, 54]
"""Frames with a dog: 1 to 2 s, the last one speaks until the next sample."""


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> PlainCli:
    return plain_cli(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """5 s at 30 a second whose pictures carry their number, with sound."""
    recipe = media.Recipe("numbered.mp4", n_frames=150, sound=True)
    source = media.write(tmp_path, recipe)
    dogs = detections(WITH, [(64, 60, 40, 30)] * len(WITH), name="dog", sure=0.8)
    store_answers(tmp_path / "home", source, [Answer("detector/1", dogs, SAMPLED)])
    return source


def numbers(path: Path) -> list[int]:
    pictures = media.every_picture(path, media.SIZE)
    return [media.read_frame_number(pictures[i]) for i in range(probe(path).n_frames)]


def test_by_class(cli: PlainCli, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "reel.mp4"
    said = cli("reel", "--class", "dog", "--before", "0.5", "--after", "0", "--out", out, "--json")
    assert said.code == 0
    (row,) = json.loads(said.out)
    assert (row["video"], row["from_s"], row["to_s"], row["why"]) == ("numbered.mp4", 0.5, 2.0, "dog presence")
    assert numbers(out) == list(range(15, 60))
    with av.open(str(out)) as made:
        assert [c["metadata"]["title"] for c in made.chapters()] == ["numbered.mp4 00:00.5 dog presence"]
        assert len(made.streams.audio) == 1
    assert said.err == f"{out}: 1.5 s, 1 moments, 128 x 96, with sound\n"


def test_by_words(cli: PlainCli, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "reel.mp4"
    said = cli("reel", "puppy", "--before", "0", "--after", "0", "--no-sound", "--out", out)
    assert said.code == 0
    assert numbers(out) == list(range(30, 60))
    assert said.out.splitlines()[2].endswith("dog")
    assert said.err.splitlines()[-1].endswith("128 x 96, no sound")


def test_by_ruleset(cli: PlainCli, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "reel.mp4"
    assert cli("presence", stored, "--class", "dog", "--name", "watch").code == 0
    said = cli("reel", "--ruleset", "watch", "--kind", "presence", "--before", "0", "--after", "0.1", "--out", out)
    assert (said.code, numbers(out)) == (0, list(range(30, 63)))
    other = cli("reel", "--ruleset", "watch", "--kind", "line_in", "--out", out)
    assert (other.code, other.err.split(":")[0]) == (2, "config.nothing_to_show")
    unknown = cli("reel", "--ruleset", "nobody", "--out", out)
    assert unknown.err.startswith("store.no_ruleset: ")


def test_of_a_day(cli: PlainCli, stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "reel.mp4"
    assert cli("reel", "--class", "dog", "--day", "2026-11-23", "--out", out).code == 0  # when it was first seen
    out.unlink()
    said = cli("reel", "--class", "dog", "--day", "2026-11-24", "--out", out)
    assert (said.code, said.err.split(":")[0]) == (2, "config.nothing_to_show")
    assert not out.exists()


def test_a_video_that_is_gone_is_left_out(cli: PlainCli, stored: Path, tmp_path: Path) -> None:
    stored.unlink()
    said = cli("reel", "--class", "dog", "--out", tmp_path / "reel.mp4")
    assert said.code == 2
    assert [line.split(":")[0] for line in said.err.splitlines()] == ["left out", "config.nothing_to_show"]


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ([], "config.reel: "),
        (["dog", "--class", "dog"], "config.reel: "),
        (["--class", "dog", "--day", "today"], "config.reel: "),
        (["--class", "dog", "--out", "reel.avi"], "config.output: "),
        (["--class", "dog", "--out", "SAME"], "config.output: "),
        (["--class", "dog", "--out", "none/reel.mp4"], "media.not_written: "),
    ],
)
def test_wrong_options(cli: PlainCli, stored: Path, tmp_path: Path, words: list[str], start: str) -> None:
    content = shutil.copy(stored, tmp_path / "copy").read_bytes()
    words = [str(stored) if word == "SAME" else str(tmp_path / word) if "/" in word else word for word in words]
    said = cli("reel", *words, *([] if "--out" in words else ["--out", tmp_path / "reel.mp4"]))
    assert said.code != 0
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert said.err.startswith(start)
    assert stored.read_bytes() == content
