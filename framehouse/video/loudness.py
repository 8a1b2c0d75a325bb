"""How loud a video is from moment to moment, on the clock of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from numpy.typing import NDArray

from framehouse.video.container import opened
from framehouse.video.index import VideoIndex

STEP_S = 0.05
QUIETEST_DB = -100.0
_RATE = 16_000
_MOST_ERRORS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Loudness:
    """Level of the sound in steps of `STEP_S` from the first frame on.

    Attributes:
        level_db: float32 [M], root mean square, dB below full scale, -100 (digital silence) to 0; NaN where the sound
            says nothing (a hole in it, or beyond its end). M = 0: the video has no sound.
    """

    level_db: NDArray[np.float32]

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound track that can be heard."""
        return bool(np.isfinite(self.level_db).any())

    def loudest(self, start_s: float, end_s: float) -> float:
        """Level of the loudest step between two times; NaN where nothing is known."""
        part = self.level_db[max(0, int(start_s / STEP_S)) : max(0, int(np.ceil(end_s / STEP_S)))]
        return float(np.nanmax(part)) if np.isfinite(part).any() else float("nan")


SILENT = Loudness(np.empty(0, np.float32))
"""A video without sound."""


def listen(path: Path, index: VideoIndex) -> Loudness:
    """Decode the sound of a video once: its default track, else the first, all channels mixed.

    What does not decode is passed over and stays NaN.

    Raises:
        SourceNotFound, UnreadableVideo: the file cannot be opened any more.
    """
    n_steps = int(np.ceil(index.duration_s / STEP_S))
    squares, counts = np.zeros(n_steps, np.float64), np.zeros(n_steps, np.int64)
    start_s = clock_start_s(index)
    with opened(path, index.stream.container) as source:
        track = sound_track(source)
        if track is None:
            return SILENT
        for first_s, samples in _samples(source, track):
            at = ((first_s - start_s) + np.arange(len(samples)) / _RATE) / STEP_S
            inside = (at >= 0) & (at < n_steps)
            steps = at[inside].astype(np.int64)
            np.add.at(squares, steps, samples[inside].astype(np.float64) ** 2)
            np.add.at(counts, steps, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10.0 * np.log10(squares / counts)
    return Loudness(np.where(counts > 0, np.clip(level, QUIETEST_DB, 0.0), np.nan).astype(np.float32))


def _samples(source: InputContainer, track: Any) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """(second of the first, float32 [n] in -1..1) of each stretch of sound, resampled to one channel."""
    resampler: Any = None
    form: tuple[Any, ...] = ()
    for frame in sound_frames(source, track):
        if frame.pts is None:
            continue
        if form != (frame.format.name, frame.layout.name, frame.sample_rate):
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            resampler = av.AudioResampler(format="flt", layout="mono", rate=_RATE)
        for made in resampler.resample(frame):
            yield float(made.pts * made.time_base), made.to_ndarray()[0]


def clock_start_s(index: VideoIndex) -> float:
    """Second of the file's own clock at which the first picture is shown."""
    return 0.0 if index.stream.timing == "nominal" else float(index.pts[0] * index.stream.time_base)


def sound_track(source: InputContainer) -> Any:
    """The default track of sound that can be decoded, else the first; None where there is none."""
    known = [stream for stream in source.streams.audio if stream.codec_context]
    return next((s for s in known if s.disposition & Disposition.default), known[0] if known else None)


def sound_frames(source: InputContainer, track: Any) -> Iterator[Any]:
    """Frames of sound from here on; what does not decode is passed over."""
    n_errors = 0
    while n_errors < _MOST_ERRORS:
        try:
            for packet in source.demux(track):
                try:
                    yield from packet.decode()
                except av.error.FFmpegError:
                    continue
        except av.error.FFmpegError:
            n_errors += 1
        except IndexError:
            return  # as in `container.packets`
        else:
            return
