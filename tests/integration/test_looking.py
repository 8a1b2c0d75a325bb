"""Stills and players of stored videos: the right frame, the right file, made once, gone when the video is forgotten."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import media
from framehouse.config import Settings
from framehouse.errors import MediaError, SourceNotFound
from framehouse.jobs.housekeeping import prune
from framehouse.jobs.media import Media, Player, local_file
from framehouse.jobs.submit import connect
from framehouse.video.pictures import read_still
from framehouse.video.probe import probe
from stored_runs import store_run


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings()
    found.home = tmp_path / "home"
    return found


@pytest.fixture
def looked_at(settings: Settings) -> Iterator[Media]:
    one = Media(settings)
    yield one
    one.close()


def frame_number(path: Path) -> int:
    return media.read_frame_number(read_still(path.read_bytes()))


def made(looked_at: Media, video_id: str) -> Player:
    until = time.monotonic() + 30
    while (player := looked_at.player(video_id)).state == "making" and time.monotonic() < until:
        time.sleep(0.05)
    return player


def test_stills_by_frame_and_by_time_are_exact_and_made_once(
    settings: Settings, looked_at: Media, tmp_path: Path
) -> None:
    source = media.write(tmp_path, media.RECIPES["vfr.mkv"])
    video_id, index = store_run(settings.home, source), probe(source)
    path = looked_at.still(video_id, 23)
    assert frame_number(path) == 23
    second = float((index.pts[31] - index.pts[0]) * index.stream.time_base)
    assert frame_number(looked_at.still(video_id, second, side=100)) == 31
    before = path.stat().st_mtime_ns
    assert looked_at.still(video_id, 23) == path
    assert path.stat().st_mtime_ns == before
    with pytest.raises(MediaError) as caught:
        looked_at.still(video_id, 60)
    assert caught.value.code == "media.no_such_frame"


def test_a_file_that_browsers_play_is_played_itself(settings: Settings, looked_at: Media, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["late_start.mp4"])
    player = looked_at.make(store_run(settings.home, source))
    assert player == Player("original", source, "video/mp4", "", 0.0, 10.0)


def test_a_proxy_is_made_when_asked_for_and_says_why(settings: Settings, looked_at: Media, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["sound.mkv"])
    video_id = store_run(settings.home, source)
    before = looked_at.player(video_id)
    assert (before.state, before.path, before.reason) == ("none", None, "browsers do not open matroska files")
    assert looked_at.make(video_id).state in ("making", "proxy")
    looked_at.make(video_id)
    player = made(looked_at, video_id)
    assert (player.state, player.media_type, player.reason) == ("proxy", "video/mp4", before.reason)
    assert player.path is not None
    copy, index = probe(player.path), probe(source)
    assert [pts * copy.stream.time_base for pts in copy.pts.tolist()] == [
        pts * index.stream.time_base for pts in index.pts.tolist()
    ]


def test_a_proxy_that_cannot_be_made_says_why_and_may_be_tried_again(
    settings: Settings, looked_at: Media, tmp_path: Path
) -> None:
    source = media.write(tmp_path, media.RECIPES["sound.mkv"])
    video_id = store_run(settings.home, source)
    (settings.media_dir / video_id).mkdir(parents=True)
    blocked = settings.media_dir / video_id / "proxy.mp4"
    blocked.mkdir()  # no file can take this name
    looked_at.make(video_id)
    failed = made(looked_at, video_id)
    assert (failed.state, "media.not_written" in failed.reason) == ("failed", True)
    blocked.rmdir()
    looked_at.make(video_id)
    assert made(looked_at, video_id).state == "proxy"


def test_the_file_is_the_one_with_this_content(settings: Settings, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    video_id = store_run(settings.home, source)
    assert local_file(settings, video_id) == source
    data = bytearray(source.read_bytes())
    data[-1] ^= 1
    source.write_bytes(data)  # the same size, another content
    with pytest.raises(SourceNotFound):
        local_file(settings, video_id)
    with pytest.raises(SourceNotFound):
        local_file(settings, "v_" + "0" * 24)
    data[-1] ^= 1
    upload = settings.upload_dir / "u_1" / "video"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(data)
    assert local_file(settings, video_id) == upload


def test_copies_go_when_nobody_looks_at_them(settings: Settings, looked_at: Media, tmp_path: Path) -> None:
    source = media.write(tmp_path, media.RECIPES["cfr.mp4"])
    video_id = store_run(settings.home, source)
    path, state = looked_at.still(video_id, 3), connect(settings)

    def gone() -> int:
        tallies = prune(settings, state)
        return next(tally.n_items for tally in tallies if tally.kind == "media-copies")

    assert (gone(), path.exists()) == (0, True)
    old = time.time() - settings.keep.media_days * 86400 - 60
    os.utime(settings.media_dir / video_id, (old, old))
    looked_at.still(video_id, 3)  # a use
    assert (gone(), path.exists()) == (0, True)
    os.utime(settings.media_dir / video_id, (old, old))
    assert (gone() >= 2, path.exists()) == (True, False)
    assert frame_number(looked_at.still(video_id, 3)) == 3
    old = time.time() - 2 * 3600
    os.utime(settings.media_dir / video_id, (old, old))
    settings.keep.media_bytes = 1
    assert gone() >= 2
    state.close()
