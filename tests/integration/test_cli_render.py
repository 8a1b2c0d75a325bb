"""`framehouse render` from the published snapshot, with the stack down."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import structlog

import media
from framehouse import ids
from framehouse.cli.main import main
from framehouse.config import load_settings
from framehouse.results.contract import time_offsets_s
from framehouse.results.lake import Lake, ModelUse, RunRecord, VideoLocation, VideoRecord
from framehouse.results.parts import PartHeader, write_part
from framehouse.results.records.boxes import Detections
from framehouse.storage.registry import open_source
from framehouse.store.rebuild import rebuild
from framehouse.video.probe import probe
from framehouse.video.sampling import plan_frames

DIGEST = "d" * 32


def store_run(home: Path, source: Path, models: tuple[str, ...] = ("detector/1",)) -> str:
    """One finished job of a real file: a box of class 5 in every planned frame; returns the video_id."""
    lake, index = Lake(home / "lake"), probe(source)
    local = open_source(str(source)).fetch(home)
    video_id, plan, stream = ids.video_id(local.sha256), plan_frames(index, None), index.stream
    lake.add_video(
        VideoRecord(
            video_id=video_id,
            content_sha256=local.sha256,
            size_bytes=local.size_bytes,
            container=stream.container,
            codec=stream.codec,
            width=stream.width,
            height=stream.height,
            rotation_deg=stream.rotation_deg,
            timing=stream.timing,
            video_fps=str(index.rate),
            n_frames=index.n_frames,
            duration_s=index.duration_s,
            recorded_at=None,
            first_seen_at="2026-11-23T08:00:00+00:00",
            first_pts=int(index.pts[0]),
            time_base=str(stream.time_base),
            locations=(VideoLocation(local.uri),),
        )
    )
    n = len(plan.pts)
    uses = []
    for number, model_id in enumerate(models):
        digest = f"{number}".rjust(32, "0")
        found = Detections(
            plan.frame_offset,
            np.full(n, 5 + number, np.int32),
            np.array(["thing"] * n, np.object_),
            np.full(n, 0.5, np.float32),
            np.tile(np.array([64, 60, 40, 30], np.float32), (n, 1)),
        )
        write_part(
            lake.parts_dir(video_id, digest),
            PartHeader(video_id, "c000000000", model_id, digest, "detections"),
            frame_offset=plan.frame_offset,
            pts=plan.pts,
            time_offset_s=time_offsets_s(plan.pts, int(index.pts[0]), stream.time_base),
            gap_reason=np.array([None] * n, np.object_),
            infer_s=np.zeros(n, np.float32),
            rows=found,
        )
        uses.append(ModelUse(model_id, digest, "detections", n, n))
    lake.write_plan("j_one", video_id, plan)
    lake.write_run(RunRecord("j_one", video_id, local.uri, "done", "5", 0.4, tuple(uses)))
    rebuild(home / "store", lake)
    return video_id


Cli = Callable[..., tuple[int, str]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(home))
    monkeypatch.setenv("FRAMEHOUSE_DEBUG", "")

    def run(*arguments: object) -> tuple[int, str]:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["framehouse", *map(str, arguments)])
        capsys.readouterr()  # what making the store said
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            load_settings.cache_clear()
            structlog.reset_defaults()
        captured = capsys.readouterr()
        assert captured.out == ""
        return code, captured.err

    return run


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
