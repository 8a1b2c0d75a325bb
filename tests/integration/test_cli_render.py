"""`framehouse render` from the published snapshot, with the stack down."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import media
from cli_runs import Cli, cli_of
from framehouse import ids
from framehouse.video.probe import probe
from stored_runs import store_run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return cli_of(home, monkeypatch, capsys)


def test_by_file_by_id_by_uri_and_by_downloaded_copy(cli: Cli, home: Path, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["sound.mp4"])
    video_id = store_run(home, source)
    for named in (source, video_id, source.as_uri()):
        out = tmp_path / f"{ids.new_job_id()}.mp4"
        code, said = cli("render", named, "--out", out)
        assert (code, said) == (0, f"{out}: 60 frames, 10 boxes of detector/1 in 10 inferred frames\n")
        assert probe(out).n_frames == 60
    kept = home / "uploads" / "fetched" / f"{video_id}.mp4"
    kept.parent.mkdir(parents=True)
    shutil.move(source, kept)
    assert cli("render", video_id, "--out", tmp_path / "last.mp4")[0] == 0


def test_another_file_under_the_old_name_is_not_drawn_on(cli: Cli, home: Path, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    video_id = store_run(home, source)
    media.write(tmp_path, media.RECIPES["vfr.mp4"])
    shutil.move(tmp_path / "vfr.mp4", source)
    code, said = cli("render", video_id, "--out", tmp_path / "out.mp4")
    assert (code, said.split(":")[0]) == (3, "source.not_found")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("options", "code", "start"),
    [
        ([], 0, "10 boxes of detector/2"),
        (["--model", "detector/1"], 0, "10 boxes of detector/1"),
        (["--model", "detector"], 0, "10 boxes of detector/2"),
        (["--confidence", "0.6"], 0, "0 boxes of detector/2"),
        (["--model", "detect"], 2, "config.nothing_to_draw"),
    ],
)
def test_models_and_thresholds(cli: Cli, home: Path, tmp_path: Path, options: list[str], code: int, start: str) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    store_run(home, source, ("detector/1", "detector/2"))
    found, said = cli("render", source, "--out", tmp_path / "out.mp4", *options)
    assert (found, len(said.splitlines())) == (code, 1)
    assert start in said


@pytest.mark.parametrize("out", ["same", "out.webm", "nowhere/out.mp4"])
def test_outputs_that_cannot_be(cli: Cli, home: Path, tmp_path: Path, out: str) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    store_run(home, source)
    before = source.read_bytes()
    code, said = cli("render", source, "--out", source if out == "same" else tmp_path / out)
    assert code in (2, 4)
    assert said.startswith(("config.output: ", "media.not_written: "))
    assert len(said.splitlines()) == 1
    assert source.read_bytes() == before
