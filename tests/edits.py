"""Films cut together from painted or real shots, with every cut, fade, dissolve, flash and silence known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Shot = Callable[[int], Picture]
"""Number of a frame within the shot -> uint8 [h, w, 3] RGB."""

SIZE = (320, 180)
RATE = 25


@dataclass(frozen=True)
class Piece:
    """A shot of some frames, and how the film comes to it.

    Attributes:
        by: "cut", "dissolve" (the shots overlap by `over` frames) or "fade" (the one before goes to black in `over`
            frames, this one comes out of it in as many; 5 black frames lie between).
        flashes: frame -> how many frames are white from there on.
    """

    shot: Shot
    n_frames: int
    by: str = "cut"
    over: int = 0
    flashes: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """Where one shot becomes another, in frames: the last untouched frame of the one and the first of the other."""

    kind: str
    first: int
    end: int


BLACK = 5


def film(pieces: Sequence[Piece]) -> tuple[list[Picture], list[Change]]:
    """All frames of a film, and its changes."""
    frames: list[Picture] = []
    changes: list[Change] = []
    for piece in pieces:
        own = [piece.shot(i) for i in range(piece.n_frames)]
        for at, n in piece.flashes.items():
            own[at : at + n] = [np.full_like(own[0], 250)] * n
        n = piece.over
        if not frames:
            pass
        elif piece.by == "dissolve":
            mixed = [_mix(frames[len(frames) - n + i], own[i], (i + 1) / (n + 1)) for i in range(n)]
            frames, own = frames[: len(frames) - n], [*mixed, *own[n:]]
            changes.append(Change("dissolve", len(frames) - 1, len(frames) + n))
        elif piece.by == "fade":
            black = np.zeros_like(own[0])
            changes.append(Change("fade", len(frames) - n - 1, len(frames) + BLACK + n))
            for i in range(n):
                frames[len(frames) - n + i] = _mix(frames[len(frames) - n + i], black, (i + 1) / n)
                own[n - 1 - i] = _mix(own[n - 1 - i], black, (i + 1) / n)
            frames += [black] * BLACK
        else:
            changes.append(Change("cut", len(frames) - 1, len(frames)))
        frames += own
    return frames, changes


def _mix(a: Picture, b: Picture, share: float) -> Picture:
    return np.round(a * (1.0 - share) + b * share).astype(np.uint8)


# --- shots ----------------------------------------------------------------------------------------------------------


def painted(seed: int, *, step: tuple[float, float] = (0.5, 0.0), hue: float | None = None, noise: int = 2) -> Shot:
    """A window that moves over a painted scene by `step` pixels a frame; each seed is another scene."""
    random = np.random.default_rng(seed)
    scene = _scene(random, hue)
    grain = random.integers(-noise, noise + 1, (4, SIZE[1], SIZE[0], 1)) if noise else np.zeros((4, 1, 1, 1), int)
    x0, y0 = random.integers(100, 300), random.integers(40, 120)

    def shot(i: int) -> Picture:
        x, y = (int(x0 + i * step[0]) % (scene.shape[1] - SIZE[0]), int(y0 + i * step[1]) % (scene.shape[0] - SIZE[1]))
        seen = scene[y : y + SIZE[1], x : x + SIZE[0]].astype(int) + grain[i % 4]
        return np.clip(seen, 0, 255).astype(np.uint8)

    return shot


def _scene(random: np.random.Generator, hue: float | None) -> Picture:
    """A wide picture with a sky, a ground and things in it: uint8 [400, 1600, 3]."""
    base = random.random() if hue is None else hue
    tones = cv2.resize(random.random((10, 40)).astype(np.float32), (1600, 400), interpolation=cv2.INTER_CUBIC)
    tones = (tones - tones.min()) / np.ptp(tones)
    hsv = np.empty((400, 1600, 3), np.uint8)
    hsv[..., 0] = (base * 180 + tones * 25).astype(int) % 180
    hsv[..., 1] = 70 + 120 * tones
    hsv[..., 2] = 60 + 140 * tones[:, ::-1]
    for _ in range(40):
        x, y, w, h = random.integers([0, 0, 20, 20], [1560, 370, 160, 130])
        colour = (
            int((base * 180 + random.normal(0, 25)) % 180),
            int(random.integers(40, 220)),
            int(random.integers(30, 240)),
        )
        (cv2.rectangle(hsv, (x, y), (x + w, y + h), colour, -1) if random.random() < 0.6
         else cv2.ellipse(hsv, ((float(x), float(y)), (float(w), float(h)), 0.0), colour, -1))  # fmt: skip
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def crossing(seed: int, *, speed: float = 14.0, share: float = 0.6) -> Shot:
    """A large thing crosses the picture quickly again and again, as a car does in front of a camera."""
    behind, (width, height) = painted(seed, step=(0.0, 0.0)), SIZE
    colour = np.random.default_rng(seed + 1).integers(20, 235, 3)

    def shot(i: int) -> Picture:
        seen = behind(i).copy()
        left = int(i * speed % (width * 2) - width * share)
        seen[height // 5 :, max(0, left) : max(0, left + int(width * share))] = colour
        return seen

    return shot


def lamp(seed: int, *, period: int = 20) -> Shot:
    """The light of a still scene goes up and down by a third."""
    behind = painted(seed, step=(0.2, 0.0))
    return lambda i: np.clip(behind(i) * (0.85 + 0.3 * np.sin(i * 2 * np.pi / period)), 0, 255).astype(np.uint8)


def zoom(seed: int, *, rate: float = 1.02) -> Shot:
    """A quick zoom into a scene."""
    behind, (width, height) = painted(seed, step=(0.0, 0.0))(0), SIZE

    def shot(i: int) -> Picture:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 0.0, min(rate**i, 4.0))
        return cv2.warpAffine(behind, turn, SIZE, borderMode=cv2.BORDER_REFLECT)

    return shot


def recorded(pictures: Sequence[Picture]) -> Shot:
    """A real shot, played as it is (to and fro where the film is longer)."""
    there = [cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA) for picture in pictures]
    return lambda i: there[i % len(there) if i // len(there) % 2 == 0 else len(there) - 1 - i % len(there)]


def every_kind(seed: int) -> list[Piece]:
    """A film with each difficulty once: about 31 s, 14 changes."""
    s = seed * 100
    return [
        Piece(painted(s + 1), 80),
        Piece(painted(s + 2, step=(0.0, 0.2)), 70),
        Piece(painted(s + 3, hue=0.3), 60),
        Piece(painted(s + 4, hue=0.32), 60),  # a cut between scenes of one colour
        Piece(painted(s + 5, step=(32.0, 0.0)), 50),  # a whip pan
        Piece(painted(s + 6), 75, "fade", 15),
        Piece(painted(s + 7), 75, flashes={20: 1, 45: 3}),
        Piece(crossing(s + 8), 90, "dissolve", 25),
        Piece(lamp(s + 9), 75, "dissolve", 10),
        Piece(painted(s + 10), 12),  # quick cuts, half a second each
        Piece(painted(s + 11), 12),
        Piece(painted(s + 12), 12),
        Piece(zoom(s + 13), 60),
        Piece(painted(s + 14, step=(3.0, 0.5)), 75, "dissolve", 40),
        Piece(painted(s + 15), 60, "fade", 25),
    ]


# --- writing --------------------------------------------------------------------------------------------------------


def write(
    path: Path,
    frames: Sequence[Picture],
    *,
    rate: int = RATE,
    silences: Sequence[tuple[float, float]] | None = None,
    crf: int = 20,
) -> Path:
    """Encode frames (H.264, key frames each second).

    Args:
        silences: seconds (first, end) without sound in a loud noise; None: no sound track at all.
    """
    with av.open(str(path), "w") as out:
        options = {"preset": "veryfast", "crf": str(crf), "x264-params": "scenecut=0"}
        stream: Any = out.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = rate
        stream.codec_context.thread_count = 1
        sound: Any = None if silences is None else out.add_stream("aac", rate=16000, layout="mono")
        for i, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if silences is not None:
            for frame in _noise(len(frames) / rate, silences):
                out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
    return path


def _noise(seconds: float, silences: Sequence[tuple[float, float]]) -> Iterator[av.AudioFrame]:
    n = int(seconds * 16000)
    wave = np.random.default_rng(5).normal(0, 4000, n)
    at = np.arange(n) / 16000
    for first, end in silences:
        wave[(at >= first) & (at < end)] = 0
    samples = np.clip(wave, -32768, 32767).astype(np.int16)
    for start in range(0, n, 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
        yield frame
