"""A written video has its source's times and sound, and appears whole or not at all."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

import media
from framehouse.errors import MediaError
from framehouse.video.decode import FrameBatch, decode
from framehouse.video.encode import Encoder
from framehouse.video.framing import stretched
from framehouse.video.probe import VideoIndex, probe
from framehouse.video.sampling import chunks


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> media.Shelf:
    return media.Shelf(tmp_path_factory.mktemp("videos"))


def pictures(path: Path, index: VideoIndex) -> list[media.Picture]:
    found: list[media.Picture] = []
    for chunk in chunks(index):
        wanted = np.arange(chunk.first_frame, chunk.first_frame + chunk.n_frames)
        for batch in decode(path, index.stream, chunk, wanted, [stretched(index.stream.size)], batch_size=8):
            assert isinstance(batch, FrameBatch)
            found.extend(batch.pictures[stretched(index.stream.size)])
    return found


def copied(path: Path, out: Path) -> tuple[VideoIndex, VideoIndex]:
    index = probe(path)
    with Encoder(out, source=path, stream=index.stream) as encoder:
        for pts, picture in zip(index.pts.tolist(), pictures(path, index), strict=True):
            encoder.write(picture, pts)
    return index, probe(out)


@pytest.mark.parametrize(
    "name",
    ["vfr.mp4", "vfr.mkv", "sound.mp4", "sound.mkv", "bframes.ts", "late_start.mp4", "turned_90.mp4", "raw.h264"],
)
def test_times_and_pictures_are_kept(shelf: media.Shelf, tmp_path: Path, name: str) -> None:
    before, after = copied(shelf.get(name), tmp_path / "out.mp4")
    seconds = [
        [float((pts - index.pts[0]) * index.stream.time_base) for pts in index.pts.tolist()]
        for index in (before, after)
    ]
    assert seconds[1] == pytest.approx(seconds[0], abs=1e-4)
    assert (after.stream.rotation_deg, after.stream.size) == (0, media.SIZE)
    for made, original in zip(pictures(tmp_path / "out.mp4", after), pictures(shelf.get(name), before), strict=True):
        assert media.read_frame_number(made) == media.read_frame_number(original)
        assert np.abs(made.astype(int) - original).mean() < 6  # colours too


@pytest.mark.parametrize("name", ["sound.mp4", "sound.mkv", "bframes.ts", "plain.flv"])
def test_sound_is_copied_and_in_step(shelf: media.Shelf, tmp_path: Path, name: str) -> None:
    path, out = shelf.get(name), tmp_path / "out.mp4"
    before, after = copied(path, out)
    sound = [media.sound_packets(p) for p in (path, out)]
    assert len(sound[0]) == len(sound[1]) > 20
    starts = [float(i.pts[0] * i.stream.time_base) for i in (before, after)]
    lags = [[second - start for second, _ in packets] for packets, start in zip(sound, starts, strict=True)]
    assert lags[1] == pytest.approx(lags[0], abs=0.002)
    assert all(a.endswith(b) for (_, a), (_, b) in zip(*sound, strict=True))  # less the header that mp4 has no room for


def test_an_odd_size_is_made_even(shelf: media.Shelf, tmp_path: Path) -> None:
    _, after = copied(shelf.get("odd_size.mp4"), tmp_path / "out.mp4")
    assert after.stream.size == (128, 96)


def test_an_error_leaves_nothing_behind(shelf: media.Shelf, tmp_path: Path) -> None:
    path = shelf.get("sound.mp4")
    index = probe(path)
    with (
        pytest.raises(RuntimeError, match="stop"),
        Encoder(tmp_path / "out.mp4", source=path, stream=index.stream) as e,
    ):
        e.write(media.picture(0), 0)
        raise RuntimeError("stop")
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stays_until_the_new_one_is_whole(shelf: media.Shelf, tmp_path: Path) -> None:
    path, out = shelf.get("cfr.mp4"), tmp_path / "out.mp4"
    out.write_bytes(b"old")
    with Encoder(out, source=path, stream=probe(path).stream) as encoder:
        encoder.write(media.picture(0), 0)
        assert out.read_bytes() == b"old"
    assert probe(out).n_frames == 1


def test_a_picture_of_another_size_is_refused(shelf: media.Shelf, tmp_path: Path) -> None:
    path = shelf.get("cfr.mp4")
    with (
        pytest.raises(MediaError, match="shape"),
        Encoder(tmp_path / "out.mp4", source=path, stream=probe(path).stream) as encoder,
    ):
        encoder.write(media.picture(0, (64, 64)), 0)


def test_a_folder_that_is_not_there(shelf: media.Shelf, tmp_path: Path) -> None:
    path = shelf.get("cfr.mp4")
    with (
        pytest.raises(MediaError) as caught,
        Encoder(tmp_path / "none" / "out.mp4", source=path, stream=probe(path).stream) as encoder,
    ):
        encoder.write(media.picture(0), 0)
    assert caught.value.code == "media.not_written"


def test_a_full_disk(shelf: media.Shelf, tmp_path: Path) -> None:
    path, out = shelf.get("sound.mp4"), tmp_path / "out.mp4"
    stream = probe(path).stream
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(MediaError) as caught, Encoder(out, source=path, stream=stream) as encoder:
            for i in range(60):
                encoder.write(media.picture(i), i * 512)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.code == "media.not_written"
    assert list(tmp_path.iterdir()) == []
