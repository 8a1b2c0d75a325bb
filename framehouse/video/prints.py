"""Prints of frames: a few bits of how a picture looks, nearly the same after another encoding, size or brightness.

A print is the sign of the low frequencies of the brightness (a discrete cosine transform of 64 x 64 pixels) against
their median: the perceptual hash of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010.
Two sizes: 63 bits to find candidates by, 255 bits to judge them. Cropped, mirrored or framed pictures have others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from framehouse.video.decode import FrameBatch, decode
from framehouse.video.framing import Framing
from framehouse.video.index import VideoIndex
from framehouse.video.sampling import chunks, frames_of_chunk, plan_frames

VERSION = 1
FINE_BITS = 255
_SIDE, _COARSE, _FINE = 64, 8, 16
_FRAMING = Framing("stretch", _SIDE, _SIDE)
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_PLAIN_BELOW = 4.0
"""Standard deviation of the brightness, of 255, below which a picture says nothing: black, a fade, fog."""


@dataclass(frozen=True, slots=True, eq=False)
class Prints:
    """Prints of the sampled frames of one video, by time.

    Args:
        frame_offset: int64 [N].
        time_offset_s: float64 [N], seconds after the first frame, increasing.
        coarse: uint64 [N], 63 bits.
        fine: uint64 [N, 4], 255 bits.
        plain: bool [N]: a picture without contrast, whose print says nothing.
    """

    frame_offset: NDArray[np.int64]
    time_offset_s: NDArray[np.float64]
    coarse: NDArray[np.uint64]
    fine: NDArray[np.uint64]
    plain: NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.frame_offset.size)


def prints_of(source: Path, index: VideoIndex, *, progress: Callable[[int], None] = lambda _n: None) -> Prints:
    """Prints of a video at five frames a second, or of every frame of a slower one; frames that do not decode lack.

    Args:
        source: the video that `index` was read from.
        progress: told how many frames are done.

    Raises:
        MediaError: the file is no video any more.
    """
    plan = plan_frames(index, None)
    frames, pictures = [], []
    for chunk in chunks(index):
        wanted = frames_of_chunk(plan, chunk)
        for item in decode(source, index.stream, chunk, wanted, [_FRAMING], batch_size=32):
            if isinstance(item, FrameBatch):
                frames.append(item.frame_offset)
                pictures.append(item.pictures[_FRAMING] @ _LUMA)
                progress(sum(len(few) for few in frames))
    frame_offset = np.concatenate(frames) if frames else np.zeros(0, np.int64)
    grey = np.concatenate(pictures) if pictures else np.zeros((0, _SIDE, _SIDE), np.float32)
    ticks = (index.pts[frame_offset] - index.pts[0]).astype(np.float64)
    coarse, fine = print_bits(grey)
    plain = grey.std(axis=(1, 2)) < _PLAIN_BELOW
    return Prints(frame_offset, ticks * float(index.stream.time_base), coarse, fine, plain)


def print_bits(grey: NDArray[np.float32]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """(coarse uint64 [N], fine uint64 [N, 4]) of pictures float32 [N, 64, 64]."""
    waves = _waves()
    found = (waves @ grey @ waves.T).astype(np.float32)
    coarse, fine = _signs(found[:, :_COARSE, :_COARSE]), _signs(found)
    return coarse[:, 0], fine


def _signs(frequencies: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A bit for each frequency that is above their median, without the mean brightness: uint64 [N, words]."""
    flat = frequencies.reshape(len(frequencies), frequencies.shape[1] * frequencies.shape[2])
    if not len(flat):
        return np.zeros((0, flat.shape[1] // 64), np.uint64)
    bits = flat > np.median(flat[:, 1:], axis=1, keepdims=True)
    bits[:, 0] = False
    words: NDArray[np.uint64] = np.packbits(bits, axis=1).view(np.uint64)
    return words


@cache
def _waves() -> NDArray[np.float32]:
    """The lowest 16 rows of the orthonormal discrete cosine transform of 64 values, float32 [16, 64]."""
    k, n = np.arange(_FINE)[:, None], np.arange(_SIDE)[None]
    waves = np.cos(np.pi * (2 * n + 1) * k / (2 * _SIDE)) * np.sqrt(2 / _SIDE)
    waves[0] /= np.sqrt(2)
    lowest: NDArray[np.float32] = waves.astype(np.float32)
    return lowest
