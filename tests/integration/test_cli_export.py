"""`framehouse export` with real frames, from the published snapshot, with the stack down."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
import supervision as sv
from PIL import Image

import media
from framehouse import ids
from framehouse.cli.main import main
from framehouse.config import load_settings
from framehouse.results.lake import Lake, ModelUse, RunRecord, VideoLocation, VideoRecord
from framehouse.results.parts import Part, PartHeader
from framehouse.results.records.boxes import Detections
from framehouse.storage.registry import open_source
from framehouse.store.rebuild import rebuild
from framehouse.video.decode import FrameBatch, decode
from framehouse.video.framing import stretched
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, plan_frames
from kind_rows import kind_rows
from lakes import SLUGS, digest_of

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("detections", "keypoints")
NAMES = np.array(["person", "bicycle", "car"], np.object_)
"""The first classes of COCO, which our detector has."""


def store_run(home: Path, source: Path, infer_fps: int = 5, kinds: tuple[str, ...] = KINDS) -> str:
    """A finished job of a real file with rows made up for some kinds of models; returns the video_id."""
    lake, index = Lake(home / "lake"), probe(source)
    local, stream = open_source(str(source)).fetch(home), index.stream
    video_id, plan = ids.video_id(local.sha256), plan_frames(index, infer_fps)
    lake.add_video(
        VideoRecord(
            video_id=video_id, content_sha256=local.sha256, size_bytes=local.size_bytes, container=stream.container,
            codec=stream.codec, width=stream.width, height=stream.height, rotation_deg=stream.rotation_deg,
            timing=stream.timing, video_fps=str(index.rate), n_frames=index.n_frames, duration_s=index.duration_s,
            recorded_at=None, first_seen_at="2026-11-23T08:00:00+00:00", first_pts=int(index.pts[0]),
            time_base=str(stream.time_base), locations=(VideoLocation(local.uri),),
        )
    )  # fmt: skip
    frames, n = plan.frame_offset, len(plan.frame_offset)
    for kind in kinds:
        rows = kind_rows(kind, video_id, digest_of(kind), frames.tolist())
        assert isinstance(rows, Detections)
        lake.write_part(
            Part(
                PartHeader(video_id, "c000000000", f"{SLUGS[kind]}/1", digest_of(kind), kind, "j_one"),
                frame_offset=frames,
                pts=plan.pts,
                time_offset_s=(plan.pts - index.pts[0]) * float(stream.time_base),
                gap_reason=np.array([None] * n, np.object_),
                infer_s=np.zeros(n, np.float32),
                rows=replace(rows, class_name=NAMES[rows.class_id]),
            )
        )
    uses = tuple(ModelUse(f"{SLUGS[kind]}/1", digest_of(kind), kind, n, n) for kind in kinds)
    lake.write_plan("j_one", video_id, plan)
    lake.write_run(RunRecord("j_one", video_id, local.uri, "done", str(infer_fps), 0.4, uses))
    rebuild(home / "store", lake)
    return video_id


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    monkeypatch.setenv("FRAMEHOUSE_DEBUG", "")

    def run(*arguments: object) -> tuple[int, str, str]:
        load_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["framehouse", "export", *map(str, arguments)])
        capsys.readouterr()  # what making the store said
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            structlog.reset_defaults()
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize("recipe", ["bframes.mp4", "vfr.mkv", "turned_90.mp4", "odd_size.mp4"])
def test_pictures_are_the_frames_of_their_names(cli: Cli, home: Path, tmp_path: Path, recipe: str) -> None:
    source = media.write(tmp_path, media.RECIPES[recipe])
    video_id = store_run(home, source, kinds=("detections",))
    out = tmp_path / "out"
    code, printed, said = cli(source, "--format", "coco", "--images", "--out", out)
    assert (code, printed) == (0, "")
    document = json.loads((out / "annotations" / "detector-1.json").read_text())
    assert len(document["images"]) == len(list((out / "images").iterdir())) > 5
    for image in document["images"]:
        with Image.open(out / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
            assert media.read_frame_number(np.asarray(picture.convert("RGB"))) == image["frame_offset"]
        assert image["file_name"] == f"{video_id}-{image['frame_offset']:08d}.jpg"
    assert said.splitlines() == [
        f"{out}/annotations/detector-1.json: {len(document['annotations'])} objects in {len(document['images'])}"
        " frames of detector/1"
    ]


@pytest.mark.real("samples")
def test_a_real_video_as_yolo_reads_with_supervision(
    cli: Cli, home: Path, tmp_path: Path, sample_videos: dict[str, Path]
) -> None:
    source = sample_videos["bikes.mp4"]
    video_id = store_run(home, source, infer_fps=2)
    out = tmp_path / "out"
    code, printed, _ = cli(video_id, "--format", "yolo", "--images", "--out", out, "--json")
    assert code == 0
    told = json.loads(printed)
    assert told == json.loads((out / "export.json").read_text())
    assert [part["model_id"] for part in told["datasets"]] == ["detector/1", "keypoints/1"]
    index = probe(source)
    whole = stretched(index.stream.size)
    for part in told["datasets"]:
        root = (out / part["labels"]).parent
        folders = {"images_directory_path": str(root / "images"), "annotations_directory_path": str(root / "labels")}
        found = sv.DetectionDataset.from_yolo(**folders, data_yaml_path=str(root / "data.yaml"))
        assert (len(found), part["n_images"]) == (20, 20)
        assert found.classes[:3] == [*NAMES]
        assert len(found.classes) == (80 if part["model_id"] == "detector/1" else 3)  # all that a known model could say
        assert sum(len(seen) for _, _, seen in found) == part["n_objects"] > 10
    chunk = chunks(index)[0]
    frames = np.arange(0, chunk.n_frames, 50, dtype=np.int64)
    for batch in decode(source, index.stream, chunk, frames, [whole]):
        assert isinstance(batch, FrameBatch)
        name = f"{video_id}-{int(batch.frame_offset[0]):08d}.jpg"
        with Image.open(out / "detector-1" / "images" / name) as picture:
            differing = np.asarray(picture).astype(float) - batch.pictures[whole][0]
        assert 10 * np.log10(255**2 / (differing**2).mean()) > 38  # dB: the JPEG's own loss


@pytest.mark.parametrize(
    ("arguments", "code", "start"),
    [
        ([], 2, "config.export: which videos?"),
        (["--all", "--job", "j_one"], 2, "config.export: which videos?"),
        (["nowhere.mp4"], 3, "source.not_found: nowhere.mp4: no such video was run"),
        (["--job", "j_nobody"], 8, "job.not_found: no job j_nobody"),
        (["--all", "--images"], 2, "config.export: --images is for coco and yolo, not csv"),
        (["--all", "--model", "nobody"], 2, "config.nothing_to_export: no video has results of nobody"),
        (["--all", "--class", "dog", "--confidence", "0.5"], 0, ""),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_line(
    cli: Cli, home: Path, tmp_path: Path, arguments: list[str], code: int, start: str
) -> None:
    store_run(home, media.write(tmp_path, media.RECIPES["cfr.mp4"]))
    found, printed, said = cli(*arguments, "--format", "csv", "--out", tmp_path / "out")
    assert (found, printed) == (code, "")
    assert said.startswith(start or f"{tmp_path / 'out'}/classifications.csv: 0 rows\n")
    assert (tmp_path / "out").exists() == (code == 0)


def test_a_video_that_went_away_leaves_nothing_with_images_and_the_rows_without(
    cli: Cli, home: Path, tmp_path: Path
) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    store_run(home, source)
    source.rename(tmp_path / "elsewhere.mp4")
    out = tmp_path / "out"
    code, _, said = cli("--all", "--format", "coco", "--images", "--out", out)
    assert (code, said.split(":")[0], out.exists()) == (3, "source.not_found", False)
    assert cli("--all", "--format", "coco", "--out", out)[0] == 0
    assert cli(tmp_path / "elsewhere.mp4", "--format", "coco", "--images", "--out", out)[0] == 2
    assert cli(tmp_path / "elsewhere.mp4", "--format", "coco", "--images", "--force", "--out", out)[0] == 0
    assert len(list((out / "images").iterdir())) > 5


def test_nothing_published_is_said(cli: Cli, home: Path, tmp_path: Path) -> None:
    code, _, said = cli("--all", "--format", "parquet", "--out", tmp_path / "out")
    assert (code, said.split(":")[0], (tmp_path / "out").exists()) == (7, "store.empty", False)


@pytest.mark.real("samples")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_guide_s_commands_and_code_run(
    cli: Cli, home: Path, tmp_path: Path, sample_videos: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "guide" / "export.md").read_text()
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(sample_videos["bikes.mp4"], "bikes.mp4")
    store_run(home, tmp_path / "bikes.mp4", infer_fps=2)
    commands = re.findall(r"^\$ framehouse export (.*)$", page, re.M)
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    assert (len(commands), len(blocks)) == (3, 3)
    for command in commands:
        assert cli(*command.split())[0] == 0, command
    seen: dict[str, Any] = {}
    for block in blocks:
        exec(block, seen)
    assert len(seen["coco"].imgs) == len(seen["bikes"]) == 20
    assert seen["picture"].shape == (272, 640, 3)
    assert len(seen["objects"]) > 0
    assert set(seen["found"].model_id) == {"detector/1"}
