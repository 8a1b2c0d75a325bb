"""`framehouse duplicates` on real videos: re-encoded and trimmed copies are found, different videos are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from framehouse.cli.main import app
from framehouse.config import Settings
from framehouse.results.lake import Lake
from framehouse.store.rebuild import rebuild
from lakes import add_file

Change = Callable[[np.ndarray], np.ndarray]


def recoded(source: Path, copy: Path, *, scale: float, start_s: float = 0.0, end_s: float = 1e9) -> Path:
    """Another encoding of a part of a video, smaller and of less quality."""
    with av.open(str(source)) as given, av.open(str(copy), "w") as made:
        stream = given.streams.video[0]
        out = made.add_stream("libx264", rate=stream.average_rate, options={"crf": "34", "preset": "ultrafast"})
        out.width, out.height, out.pix_fmt = (
            int(stream.width * scale) // 2 * 2,
            int(stream.height * scale) // 2 * 2,
            "yuv420p",
        )
        n = 0
        for frame in given.decode(stream):
            if start_s <= frame.time < end_s:
                picture = frame.reformat(out.width, out.height, "yuv420p")
                picture.pts, picture.time_base, n = n, 1 / out.codec_context.framerate, n + 1
                made.mux(out.encode(picture))
        made.mux(out.encode())
    return copy


@pytest.fixture
def videos(settings: Settings, sample_videos: dict[str, Path], tmp_path: Path) -> dict[str, str]:
    """Name -> video_id of three real videos, and copies of two of them."""
    bikes, bunny = sample_videos["bikes.mp4"], sample_videos["bigbuckbunny.mp4"]
    files = [
        *sample_videos.values(),
        recoded(bikes, tmp_path / "smaller.mp4", scale=0.5),
        recoded(bunny, tmp_path / "trimmed.mp4", scale=0.25, start_s=1.1, end_s=4.5),
    ]
    lake = Lake(settings.lake_dir)
    found = {path.name: add_file(lake, path) for path in files}
    rebuild(settings.store_dir, lake)
    return found


def test_copies_are_found_and_different_videos_are_not(settings: Settings, videos: dict[str, str]) -> None:
    done = CliRunner().invoke(app, ["duplicates", "--json"])
    assert done.exit_code == 0, done.output
    pairs = {frozenset((pair["video"], pair["other"])): pair for pair in json.loads(done.stdout)}
    assert set(pairs) == {frozenset(("bikes.mp4", "smaller.mp4")), frozenset(("bigbuckbunny.mp4", "trimmed.mp4"))}
    copy = pairs[frozenset(("bikes.mp4", "smaller.mp4"))]
    assert copy["relation"] == "copy of" and min(copy["share"], copy["other_share"]) > 0.95
    trimmed = pairs[frozenset(("bigbuckbunny.mp4", "trimmed.mp4"))]
    (match,) = trimmed["matches"]
    inside = ("start_s", "end_s") if trimmed["video"] == "bigbuckbunny.mp4" else ("other_start_s", "other_end_s")
    assert [match[name] for name in inside] == pytest.approx([1.1, 4.5], abs=0.3)
    assert match["similarity"] > 0.85

    again = CliRunner().invoke(app, ["duplicates", videos["smaller.mp4"], "--least", "3", "--dry-run"])
    assert again.exit_code == 0 and "smaller.mp4  copy of  bikes.mp4" in again.stdout
    assert "reading" not in again.stderr, "prints are kept"

    rebuild(settings.store_dir, Lake(settings.lake_dir))
    asked = ["sql", "SELECT uri, relation FROM duplicates WHERE other_video_id = '" + videos["bikes.mp4"] + "'"]
    kept = CliRunner().invoke(app, [*asked, "--format", "json"])
    assert [(Path(row["uri"]).name, row["relation"]) for row in json.loads(kept.stdout)] == [("smaller.mp4", "copy of")]


def test_a_video_without_its_file_is_named(settings: Settings, videos: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "smaller.mp4").unlink()
    done = CliRunner().invoke(app, ["duplicates", "--json", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert f"not compared: {videos['smaller.mp4']}" in done.stderr
    assert [pair["relation"] in ("part of", "contains") for pair in json.loads(done.stdout)] == [True]
