"""Tiny videos whose pixels say which frame they are.

Every picture carries its number: a top row of four colours (red, green, blue, white) that tells which way is up, and
below it 4 x 4 blocks, black or white, the bits of the number. `read_frame_number` reads it back after compression,
scaling and rotation. All makers are deterministic.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

COLUMNS, ROWS, BITS = 4, 5, 16
MARKS = np.array([[220, 30, 30], [30, 220, 30], [30, 30, 220], [235, 235, 235]], np.uint8)
SIZE = (128, 96)


# --- pictures that say their number ---------------------------------------------------------------------------------


def picture(number: int, size: tuple[int, int] = SIZE) -> Picture:
    """The picture of a frame: uint8 [h, w, 3], RGB. A texture moves with the number, so that prediction has work."""
    width, height = size
    row = np.minimum(np.arange(height) * ROWS // height, ROWS - 1)[:, None]
    column = np.minimum(np.arange(width) * COLUMNS // width, COLUMNS - 1)[None, :]
    bit = (number >> np.clip((row - 1) * COLUMNS + column, 0, BITS - 1)) & 1
    wave = np.arange(height)[:, None] * 3 + np.arange(width)[None, :] * 2 + number * 5
    grey = (bit * 170 + 25 + np.abs(wave % 60 - 30)).astype(np.uint8)
    painted = np.repeat(grey[:, :, None], 3, axis=2)
    return np.where(row[:, :, None] == 0, MARKS[np.broadcast_to(column, (height, width))], painted).astype(np.uint8)


def read_frame_number(seen: Picture) -> int:
    """The number that a picture carries.

    Raises:
        ValueError: the top row's colours are not in place: turned, mirrored, wrong channels or no such picture.
    """
    height, width = seen.shape[:2]
    cells = np.empty((ROWS, COLUMNS, 3))
    for r in range(ROWS):
        for c in range(COLUMNS):
            y, x = (r + 0.5) * height / ROWS, (c + 0.5) * width / COLUMNS
            dy, dx = max(height / ROWS / 5, 1), max(width / COLUMNS / 5, 1)
            cells[r, c] = seen[int(y - dy) : int(y + dy) + 1, int(x - dx) : int(x + dx) + 1].mean(axis=(0, 1))
    if np.abs(cells[0] - MARKS).max() > 90:
        raise ValueError(f"the marks are not in place: {cells[0].round().tolist()}")
    bits = cells[1:].mean(axis=2).ravel() > 127
    return int(sum(1 << i for i in range(BITS) if bits[i]))


# --- writing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """How a video is made; `replace` a field or two of a known one."""

    name: str = "cfr.mp4"
    n_frames: int = 60
    size: tuple[int, int] = SIZE
    rate: Fraction = Fraction(30)
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    gop: int = 15
    b_frames: int = 0
    pts: tuple[int, ...] | None = None  # ticks of time_base; None counts frames
    time_base: Fraction | None = None
    turn_deg: int = 0  # clockwise turn a player must make
    sound: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    first_number: int = 0


def write(folder: Path, recipe: Recipe) -> Path:
    """Encode a recipe into a folder and return the path."""
    path = folder / recipe.name
    with _ordinary_priority(), av.open(str(path), "w", format=recipe.format, options=recipe.container_options) as out:
        out.metadata.update(recipe.metadata)
        _fill(out, recipe)
    return path


@contextmanager
def _ordinary_priority() -> Iterator[None]:
    """SVT-AV1 makes the thread that opens it a real-time one when it may (as root), and leaves it so: whatever that
    thread and its children do afterwards, such as a long query, would then stop every other process of the machine."""
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _fill(out: OutputContainer, recipe: Recipe) -> None:
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 talks much
    stored = recipe.size if recipe.turn_deg % 180 == 0 else recipe.size[::-1]
    stream: Any = out.add_stream(recipe.codec, rate=recipe.rate, options=_codec_options(recipe))
    stream.width, stream.height = stored
    stream.pix_fmt = recipe.pix_fmt
    stream.codec_context.time_base = recipe.time_base or 1 / recipe.rate
    stream.codec_context.gop_size = recipe.gop
    stream.codec_context.max_b_frames = recipe.b_frames
    stream.codec_context.thread_count = 1
    if recipe.turn_deg:
        stream.set_display_rotation(-recipe.turn_deg)  # PyAV counts counter-clockwise
    sound: Any = out.add_stream("aac", rate=16000, layout="mono") if recipe.sound else None
    times = recipe.pts or tuple(range(recipe.n_frames))
    for i, pts in enumerate(times):
        upright = picture(recipe.first_number + i, recipe.size)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(upright, recipe.turn_deg // 90)), "rgb24")
        frame.pts, frame.time_base = pts, stream.codec_context.time_base
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
    if sound is not None:
        _beep(out, sound, float(len(times) / recipe.rate))


def _codec_options(recipe: Recipe) -> dict[str, str]:
    defaults = {
        "libx264": {"preset": "veryfast", "x264-params": "scenecut=0", "bf": str(recipe.b_frames)},
        "libx265": {
            "preset": "ultrafast",
            "x265-params": X265 + f"bframes={recipe.b_frames}",
        },
        "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "400k"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "400k"},
        "libsvtav1": {"preset": "12", "svtav1-params": "lp=1"},
        "mpeg4": {"q": "3", "flags": "qscale"},
        "mpeg2video": {"b": "2M"},
        "mjpeg": {"q": "3"},
    }
    return {**defaults.get(recipe.codec, {}), **recipe.options}


def _beep(out: OutputContainer, stream: Any, seconds: float) -> None:
    n = int(seconds * 16000)
    wave = (np.sin(np.arange(n) * 2 * np.pi * 440 / 16000) * 8000).astype(np.int16)
    for start in range(0, n, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


# --- sound videos ---------------------------------------------------------------------------------------------------

X265 = "log-level=none:pools=none:frame-threads=1:scenecut=0:"
CFR = Recipe()
B_FRAMES = Recipe("bframes.mp4", b_frames=3, gop=30, options={"x264-params": "scenecut=0:b-adapt=0:b-pyramid=normal"})
OPEN_GOP = replace(
    B_FRAMES,
    name="open_gop.mp4",
    gop=16,
    options={"x264-params": "scenecut=0:b-adapt=0:open-gop=1:b-pyramid=normal:keyint=16:min-keyint=16"},
)


def vfr_pts(n_frames: int = 60) -> tuple[int, ...]:
    """Uneven times in milliseconds: mostly 33 or 34 apart, with pauses of up to half a second."""
    gaps = [33 + (i % 3 == 0) + (500 if i % 17 == 16 else 0) + (90 if i % 11 == 5 else 0) for i in range(n_frames)]
    return tuple(np.cumsum([0, *gaps])[:n_frames].tolist())


RECIPES: dict[str, Recipe] = {
    r.name: r
    for r in (
        CFR,
        B_FRAMES,
        OPEN_GOP,
        Recipe("vfr.mp4", pts=vfr_pts(), time_base=Fraction(1, 1000), b_frames=2),
        Recipe("vfr.mkv", pts=vfr_pts(), time_base=Fraction(1, 1000), b_frames=2),
        Recipe("ntsc.mp4", rate=Fraction(30000, 1001), b_frames=2),
        Recipe("turned_90.mp4", turn_deg=90, b_frames=2),
        Recipe("turned_180.mp4", turn_deg=180),
        Recipe("turned_270.mp4", turn_deg=270),
        Recipe("odd_size.mp4", size=(127, 95), pix_fmt="yuv444p"),
        Recipe("odd_size.mkv", size=(131, 101), codec="mjpeg", pix_fmt="yuvj444p"),
        Recipe("sound.mp4", sound=True, b_frames=2),
        replace(B_FRAMES, name="sound.mkv", sound=True),
        replace(B_FRAMES, name="bframes.ts", sound=True),
        replace(OPEN_GOP, name="open_gop.ts"),
        replace(OPEN_GOP, name="open_gop.mkv"),
        Recipe("plain.flv", sound=True),
        Recipe("plain.mpg", codec="mpeg2video", b_frames=2, rate=Fraction(25)),
        Recipe("bframes.avi", b_frames=3, gop=30),
        Recipe("mpeg4.avi", codec="mpeg4", b_frames=2, gop=20),
        Recipe("mpeg4.mp4", codec="mpeg4", b_frames=2, gop=20),
        Recipe("mpeg2.ts", codec="mpeg2video", b_frames=2, rate=Fraction(25)),
        Recipe("mpeg2.mkv", codec="mpeg2video", b_frames=2, rate=Fraction(25)),
        Recipe("raw.h264", format="h264", b_frames=3, gop=30),
        replace(OPEN_GOP, name="raw_open_gop.h264", format="h264"),
        Recipe("raw.hevc", codec="libx265", format="hevc", b_frames=3, gop=20),
        Recipe(
            "hevc.mp4",
            codec="libx265",
            b_frames=3,
            gop=20,
            options={"x265-params": X265 + "open-gop=0:bframes=3:b-adapt=0:scenecut=0"},
        ),
        Recipe(
            "hevc_open_gop.mp4",
            codec="libx265",
            b_frames=3,
            gop=20,
            options={"x265-params": X265 + "open-gop=1:bframes=3:b-adapt=0:keyint=20:min-keyint=20:scenecut=0"},
        ),
        Recipe(
            "hevc_layers.mp4",
            codec="libx265",
            b_frames=3,
            gop=20,
            options={"x265-params": X265 + "temporal-layers=2:bframes=3:b-adapt=0:scenecut=0"},
        ),
        Recipe(
            "vp9.webm",
            codec="libvpx-vp9",
            gop=20,
            options={"deadline": "good", "cpu-used": "5", "b": "400k", "auto-alt-ref": "1", "lag-in-frames": "16"},
        ),
        Recipe(
            "vp8.webm",
            codec="libvpx",
            gop=20,
            options={"deadline": "good", "cpu-used": "5", "b": "400k", "auto-alt-ref": "1", "lag-in-frames": "16"},
        ),
        Recipe("av1.mp4", codec="libsvtav1", gop=20),
        Recipe("prores.mov", codec="prores_ks", pix_fmt="yuv422p10le", n_frames=20),
        Recipe("mjpeg.avi", codec="mjpeg", pix_fmt="yuvj420p"),
        replace(CFR, name="one_key.mp4", gop=10_000, n_frames=90, b_frames=2),
        Recipe("intra_refresh.mp4", gop=20, options={"x264-params": "scenecut=0:intra-refresh=1:keyint=20"}),
        Recipe("one_frame.mp4", n_frames=1),
        Recipe("two_frames.mp4", n_frames=2),
        Recipe(
            "negative_start.mp4",
            pts=tuple(range(-13, 47)),
            b_frames=2,
            container_options={"avoid_negative_ts": "disabled"},
        ),
        Recipe("late_start.mp4", pts=tuple(range(300, 360)), b_frames=2),
        Recipe("fragmented.mp4", container_options={"movflags": "frag_keyframe+empty_moov"}, b_frames=2),
        Recipe(
            "dated.mp4", metadata={"creation_time": "2024-05-06T07:08:09Z"}, container_options={"movflags": "faststart"}
        ),
    )
}


class Shelf:
    """Videos by name of their recipe, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, name: str) -> Path:
        path = self.folder / name
        return path if path.exists() else write(self.folder, RECIPES[name])


def every_picture(path: Path, size: tuple[int, int], turn_deg: int = 0) -> dict[int, Picture]:
    """A plain full decode, the reference for any other: frame number in output order -> upright picture.

    Args:
        path: the video.
        size: (width, height) of the upright pictures.
        turn_deg: clockwise turn to make.
    """
    stored = size if turn_deg % 180 == 0 else size[::-1]
    with av.open(str(path)) as source:
        frames = source.decode(video=0)
        scaled = (f.reformat(*stored, "rgb24", threads=1).to_ndarray() for f in frames)
        return {i: np.rot90(picture, -turn_deg // 90) for i, picture in enumerate(scaled)}


# --- videos with something wrong ------------------------------------------------------------------------------------


def damaged(path: Path, how: str, name: str | None = None) -> Path:
    """A copy of a video with one thing wrong with its bytes.

    Args:
        path: a sound video; for "cut_data" an mp4 with its index in front (RECIPES["dated.mp4"]).
        how: "cut_data" keeps 60 % of the bytes, "cut_index" an mp4 up to its index at the end, "flip" turns a bit in
            the middle, "hole" zeroes 400 bytes at 60 %, "lost" drops 400 bytes there.
        name: of the copy; default `<how>_<name>`.
    """
    data = bytearray(path.read_bytes())
    at = len(data) * 6 // 10
    if how == "cut_data":
        del data[at:]
    elif how == "cut_index":
        del data[data.rindex(b"moov") - 4 :]
    elif how == "flip":
        data[len(data) // 2] ^= 0x10
    elif how == "hole":
        data[at : at + 400] = bytes(400)
    elif how == "lost":
        del data[at : at + 400]
    else:
        raise ValueError(how)
    target = path.with_name(name or f"{how}_{path.name}")
    target.write_bytes(data)
    return target


def damaged_packet(path: Path, number: int, name: str | None = None) -> Path:
    """A copy of an mp4 in which the data of one packet (as stored, 0-based) is noise behind its first bytes."""
    with av.open(str(path)) as source:
        packet = next(p for i, p in enumerate(source.demux(video=0)) if i == number)
        start, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(7).integers(1, 255, size, dtype=np.uint8).tobytes()
    data[start + 8 : start + size] = noise[8:]
    target = path.with_name(name or f"packet_{number}_{path.name}")
    target.write_bytes(data)
    return target


def with_edit(path: Path, *, skipped_s: float, kept_s: float, name: str = "edited.mp4") -> Path:
    """A copy of an mp4 whose edit list shows only `kept_s` seconds, from `skipped_s` on (no frame is removed)."""
    data = bytearray(path.read_bytes())
    movie_scale = int.from_bytes(data[data.index(b"mvhd") + 16 :][:4], "big")
    media_scale = int.from_bytes(data[data.index(b"mdhd") + 16 :][:4], "big")
    entry = data.index(b"elst") + 12
    old_start = int.from_bytes(data[entry + 4 : entry + 8], "big")
    data[entry : entry + 4] = round(kept_s * movie_scale).to_bytes(4, "big")
    data[entry + 4 : entry + 8] = (old_start + round(skipped_s * media_scale)).to_bytes(4, "big")
    target = path.with_name(name)
    target.write_bytes(data)
    return target


def sound_only(folder: Path) -> Path:
    """An mp4 with an audio stream and nothing else."""
    path = folder / "sound_only.mp4"
    with av.open(str(path), "w") as out:
        _beep(out, out.add_stream("aac", rate=16000, layout="mono"), 1.0)
    return path


def no_frames(folder: Path) -> Path:
    """An mp4 with a video track of no samples: a fragmented file of which only the first part was written."""
    whole = write(folder, replace(RECIPES["fragmented.mp4"], name="no_frames.mp4", n_frames=2))
    data = whole.read_bytes()
    whole.write_bytes(data[: data.index(b"moof") - 4])
    return whole


def no_video(folder: Path, kind: str) -> Path:
    """A file named .mp4 that is no video: "empty", "text", "ffconcat", "playlist" or "picture"."""
    path = folder / f"{kind}.mp4"
    (folder / "neighbour.ts").touch()
    texts = {
        "empty": b"",
        "text": b"This is not a video.\n" * 20,
        "ffconcat": b"ffconcat version 1.0\nfile neighbour.ts\n",
        "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nneighbour.ts\n#EXT-X-ENDLIST\n",
        "picture": bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"),
    }
    path.write_bytes(texts[kind])
    return path


def without_start(path: Path, share: float, name: str) -> Path:
    """A transport stream that begins in the middle of things: the first share of its packets is missing."""
    data = path.read_bytes()
    target = path.with_name(name)
    target.write_bytes(data[int(len(data) * share) // 188 * 188 :])
    return target


def backward_clock(folder: Path, name: str = "clock.ts") -> Path:
    """A transport stream whose clock jumps back half-way: two recordings written one after the other."""
    first = write(folder, Recipe("clock_a.ts", n_frames=30, pts=tuple(range(3000, 3030)), b_frames=2))
    second = write(folder, Recipe("clock_b.ts", n_frames=30, b_frames=2, first_number=30))
    path = folder / name
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


def long_static(folder: Path, *, hours: float = 10, rate: int = 1, name: str = "long.mp4") -> Path:
    """Hours of one picture, in seconds of work: a few coded frames, their packets written over and over."""
    with av.open(str(write(folder, Recipe(f"seed_of_{name}", n_frames=1, rate=Fraction(rate))))) as source:
        return _looped(source, folder / name, n_loops=int(hours * 3600 * rate), ticks_per_loop=Fraction(1, rate))


def _looped(source: Any, path: Path, *, n_loops: int, ticks_per_loop: Fraction) -> Path:
    """Write a source's video packets `n_loops` times, each time `ticks_per_loop` seconds later."""
    stream = source.streams.video[0]
    coded = [(bytes(p), p.pts, p.dts, p.is_keyframe, p.duration) for p in source.demux(stream) if p.size]
    shift = int(ticks_per_loop / stream.time_base)
    with av.open(str(path), "w") as out:
        target = out.add_stream_from_template(stream)
        for loop in range(n_loops):
            for data, pts, dts, is_key, duration in coded:
                packet = av.Packet(data)
                packet.stream, packet.time_base = target, stream.time_base
                packet.pts, packet.dts, packet.duration = pts + loop * shift, dts + loop * shift, duration
                packet.is_keyframe = is_key
                out.mux(packet)
    return path


def bench_video(source: Path, path: Path, *, seconds: int = 64) -> Path:
    """A 1080p30 H.264 video made of bikes.mp4: key frame every 60, B-frames; 8 s coded, then repeated.

    Args:
        source: bikes.mp4 (at least 240 frames).
        path: where to write; an existing file is made again.
        seconds: length, rounded up to 8 s.
    """
    seed = path.with_name(f"seed_of_{path.name}")
    options = {"preset": "veryfast", "crf": "23", "bf": "3", "x264-params": "keyint=60:min-keyint=60:scenecut=0"}
    with av.open(str(source)) as original, av.open(str(seed), "w") as out:
        stream: Any = out.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.codec_context.thread_count = 2
        for i, frame in enumerate(islice(original.decode(video=0), 240)):
            large = frame.reformat(1920, 1080, "yuv420p", interpolation="BICUBIC", threads=1)
            large.pts, large.time_base = i, Fraction(1, 30)
            large.pict_type = 0  # else the encoder keeps the key frames of the original
            out.mux(stream.encode(large))
        out.mux(stream.encode(None))
    with av.open(str(seed)) as coded:
        _looped(coded, path, n_loops=-(-seconds // 8), ticks_per_loop=Fraction(8))
    seed.unlink()
    return path


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    """(second, data) of each audio packet, as stored."""
    with av.open(str(path)) as source:
        packets = source.demux(audio=0)
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets if p.size and p.pts is not None and p.time_base]
