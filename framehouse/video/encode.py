"""Writing a video beside its source: new pictures at the source's own times, the source's sound untouched."""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.error
import numpy as np
import structlog
from av.container import InputContainer, OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from framehouse.errors import MediaError
from framehouse.video.container import opened, video_stream
from framehouse.video.index import Size, StreamFacts, VideoIndex
from framehouse.video.sound import Sound, SoundMode, ticks_a_second

log = structlog.get_logger(__name__)

_LEAST_TICKS, _MOST_TICKS = 10_000, 2**31 - 1
_CLOCK_STARTS_ANYWHERE = frozenset({"mpegts", "mpeg"})


class Encoder:
    """Write an H.264 mp4 with the times and the sound of a source video.

    Used as a context manager. The file appears under its name only when the block ends well; after an error nothing is
    left behind. Nothing else of the source comes along: no metadata, subtitles, chapters, cover or data streams. The
    sound keeps its own times, so that it stays in step with the pictures.

    Args:
        path: the file to write; an existing one is replaced at the end.
        source: the video that the pictures and times come from.
        stream: its facts, from `probe`.
        size: (width, height) of the pictures; None is the source's. An odd size is made even by repeating the last row
            or column.
        crf: quality of x264; lower is better and larger.
        threads: of the encoder.
        key_every: a key frame at least every so many frames; 0 leaves it to x264 (250).
        sound: what becomes of the source's sound.

    Raises:
        MediaError: code "media.not_written", when the file cannot be written (the disk is full, no such folder).
    """

    def __init__(
        self,
        path: Path,
        *,
        source: Path,
        stream: StreamFacts,
        size: Size | None = None,
        crf: int = 20,
        threads: int = 1,
        key_every: int = 0,
        sound: SoundMode = "keep",
    ) -> None:
        self._path, self._source_path, self._facts, self._size = path, source, stream, size or stream.size
        self._options = {"preset": "veryfast", "crf": str(crf)} | ({"g": str(key_every)} if key_every else {})
        self._sound_mode: SoundMode = sound
        self._threads = threads
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._open = ExitStack()

    def __enter__(self) -> Self:
        try:
            source = self._open.enter_context(opened(self._source_path, self._facts.container))
            options = {"movflags": "faststart", "movie_timescale": str(_movie_clock(source, self._facts))}
            self._out: OutputContainer = self._open.enter_context(
                av.open(str(self._part), "w", format="mp4", options=options)
            )
            self._start_s = _clock_start_s(source, self._facts)
            self._video = self._add_video(source)
            self._sound = Sound(source, self._out, self._start_s, self._sound_mode)
        except av.error.FFmpegError as error:
            self._abandon()
            raise self._not_written(error) from None
        except BaseException:
            self._abandon()
            raise
        return self

    def _add_video(self, source: InputContainer) -> Any:
        rate = video_stream(source, self._source_path).average_rate or Fraction(25)  # a hint for the encoder only
        video: Any = self._out.add_stream("libx264", rate=rate.limit_denominator(1001), options=self._options)
        video.width, video.height = (side + side % 2 for side in self._size)
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.time_base = self._facts.time_base
        context.thread_count = self._threads
        context.color_range = ColorRange.MPEG
        context.colorspace = 1  # BT.709, and so are the next two
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return video

    def write(self, picture: NDArray[np.uint8], pts: int) -> None:
        """Add a picture.

        Args:
            picture: uint8 [h, w, 3], RGB, of the size given at the start.
            pts: its time, ticks of the source's time_base; later than the one before.

        Raises:
            MediaError: a picture of another size, or the file cannot be written.
        """
        if picture.shape != (self._size[1], self._size[0], 3):
            raise MediaError(f"a picture of shape {picture.shape} for a video of {self._size[0]} x {self._size[1]}")
        time_base = self._facts.time_base
        height, width = self._size[1] % 2, self._size[0] % 2
        even = np.pad(picture, ((0, height), (0, width), (0, 0)), mode="edge") if height or width else picture
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
        )
        frame.pts, frame.time_base = pts - round(self._start_s / time_base), time_base
        try:
            self._sound.write_until(pts * time_base)
            self._out.mux(self._video.encode(frame))
        except av.error.FFmpegError as error:
            raise self._not_written(error) from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._abandon()
            return
        try:
            self._out.mux(self._video.encode(None))
            self._sound.write_until(None)
            self._open.close()
            with self._part.open("rb") as written:
                os.fsync(written.fileno())
            self._part.replace(self._path)
        except (av.error.FFmpegError, OSError) as failure:
            self._abandon()
            raise self._not_written(failure) from None

    def _abandon(self) -> None:
        try:
            self._open.close()
        except av.error.FFmpegError as error:
            log.debug("unfinished file closed", path=str(self._part), error=str(error))
        self._part.unlink(missing_ok=True)

    def _not_written(self, error: Exception) -> MediaError:
        return MediaError(
            f"cannot write {self._path}: {getattr(error, 'strerror', None) or error}",
            code="media.not_written",
            hint="check the folder, its permissions and the space on the disk",
        )


def first_second(source: Path, index: VideoIndex) -> float:
    """When the first frame is shown in a copy that `Encoder` writes, seconds."""
    with opened(source, index.stream.container) as container:
        start_s = _clock_start_s(container, index.stream)
    return float(int(index.pts[0]) * index.stream.time_base - start_s)


def _clock_start_s(source: InputContainer, facts: StreamFacts) -> Fraction:
    """Seconds to take off all times: where a transport stream's clock happened to stand at its start."""
    if facts.container not in _CLOCK_STARTS_ANYWHERE or facts.timing == "nominal":
        return Fraction(0)
    starts = [s.start_time * s.time_base for s in source.streams if s.start_time is not None and s.time_base]
    return min((Fraction(start) for start in starts), default=Fraction(0))


def _movie_clock(source: InputContainer, facts: StreamFacts) -> int:
    """Ticks a second of the mp4's own clock, in which it writes when a stream begins: fine enough for all of them.

    FFmpeg doubles a stream's clock until it has 10,000 ticks a second; its default of 1000 here would round starts.
    """
    ticks = facts.time_base.denominator
    while ticks < _LEAST_TICKS:
        ticks *= 2
    common = math.lcm(ticks, *ticks_a_second(source))
    return common if common <= _MOST_TICKS else ticks
