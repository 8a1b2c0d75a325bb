"""A proxy has the original's times, frames and sound, in what every browser plays."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import media
from framehouse.render.proxy import make_proxy, proxy_size
from framehouse.render.stills import still
from framehouse.video.encode import first_second
from framehouse.video.playing import player_facts, why_not_played
from framehouse.video.probe import probe


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> media.Shelf:
    return media.Shelf(tmp_path_factory.mktemp("videos"))


NAMES = ["vfr.mkv", "bframes.ts", "turned_90.mp4", "odd_size.mkv", "hevc_open_gop.mp4", "mpeg4.avi", "late_start.mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_at_its_own_time(shelf: media.Shelf, tmp_path: Path, name: str) -> None:
    path, out = shelf.get(name), tmp_path / "proxy.mp4"
    index, told = probe(path), list[int]()
    assert make_proxy(path, index, out, progress=told.append) == index.n_frames == told[-1]
    copy = probe(out)
    first = first_second(path, index)
    seconds = [first + float((pts - int(index.pts[0])) * index.stream.time_base) for pts in index.pts.tolist()]
    assert [float(pts * copy.stream.time_base) for pts in copy.pts.tolist()] == pytest.approx(seconds, abs=1e-9)
    assert why_not_played(player_facts(out, copy.stream)) == ""
    for offset in (0, 29, index.n_frames - 1):
        assert media.read_frame_number(still(out, copy, offset)) == offset


def test_the_index_lies_in_front_and_keys_are_close(shelf: media.Shelf, tmp_path: Path) -> None:
    path, out = shelf.get("one_key.mp4"), tmp_path / "proxy.mp4"
    make_proxy(path, probe(path), out)
    data, copy = out.read_bytes(), probe(out)
    assert data.index(b"moov") < data.index(b"mdat")
    assert np.diff(np.flatnonzero(copy.is_key)).max(initial=0) <= 60


def with_sound(path: Path, codec: str, out: Path) -> Path:
    """The pictures of a video in a Matroska file with a beep per half second, in a codec of choice."""
    with av.open(str(path)) as source, av.open(str(out), "w") as target:
        pictures = target.add_stream_from_template(source.streams.video[0])
        sound = target.add_stream(codec, rate=48000, layout="stereo")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = pictures
                target.mux(packet)
        t = np.arange(2 * 48000) / 48000
        wave = np.where(t % 0.5 < 0.05, np.sin(t * 2 * np.pi * 1000) * 0.5, 0).astype(np.float32)
        size = 960
        resampler = av.AudioResampler(format=sound.codec_context.format, layout="stereo", rate=48000)
        for start in range(0, len(wave), size):
            frame = av.AudioFrame.from_ndarray(np.stack([wave[start : start + size]] * 2), "fltp", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            for made in resampler.resample(frame):
                target.mux(sound.encode(made))
        target.mux(sound.encode(None))
    return out


def loud_from(path: Path) -> list[float]:
    """Seconds at which each beep begins."""
    with av.open(str(path)) as source:
        frames = list(source.decode(audio=0))
    heard = np.concatenate([np.abs(f.to_ndarray().astype(np.float64)).max(axis=0) for f in frames])
    if frames[0].format.name.startswith("s16"):
        heard = np.abs(np.concatenate([f.to_ndarray().reshape(-1, 2).T.astype(float) / 32768 for f in frames], 1)).max(
            0
        )
    rate, start = frames[0].sample_rate, float(frames[0].pts * frames[0].time_base)
    loud = np.flatnonzero(heard > 0.2)
    return [start + int(at) / rate for at in loud[np.diff(loud, prepend=-rate) > rate // 4]]


@pytest.mark.parametrize("codec", ["libopus", "pcm_s16le", "flac"])
def test_sound_that_browsers_do_not_play_is_made_anew_in_step(shelf: media.Shelf, tmp_path: Path, codec: str) -> None:
    path = with_sound(shelf.get("cfr.mp4"), codec, tmp_path / "sound.mkv")
    index, out = probe(path), tmp_path / "proxy.mp4"
    make_proxy(path, index, out)
    with av.open(str(out)) as made:
        assert [s.codec_context.name for s in made.streams.audio] == ["aac"]
    before, after = loud_from(path), loud_from(out)
    assert len(before) == 4
    assert after == pytest.approx(before, abs=0.005)


def test_sound_that_they_play_is_copied_bit_for_bit(shelf: media.Shelf, tmp_path: Path) -> None:
    path, out = shelf.get("sound.mkv"), tmp_path / "proxy.mp4"
    make_proxy(path, probe(path), out)
    assert media.sound_packets(out) == media.sound_packets(path)


@pytest.mark.parametrize(
    ("name", "why"),
    [("cfr.mp4", ""), ("sound.mp4", ""), ("turned_90.mp4", ""), ("vp9.webm", ""), ("av1.mp4", ""),
     ("fragmented.mp4", ""),
     ("sound.mkv", "matroska files"), ("bframes.ts", "mpegts files"), ("hevc.mp4", "hevc"), ("odd_size.mp4", "yuv444p"),
     ("prores.mov", "prores"), ("raw.h264", "h264 files"), ("mpeg4.mp4", "mpeg4")],
)  # fmt: skip
def test_which_files_browsers_play(shelf: media.Shelf, name: str, why: str) -> None:
    path = shelf.get(name)
    said = why_not_played(player_facts(path, probe(path).stream))
    assert why in said
    assert bool(said) is bool(why)


@pytest.mark.parametrize("size", [(1, 1), (3, 7000), (1920, 1080), (8192, 8192), (127, 95)])
def test_sizes_are_even_and_not_too_large(size: tuple[int, int]) -> None:
    made = proxy_size(size)
    assert all(side % 2 == 0 and 2 <= side <= 1280 for side in made)
