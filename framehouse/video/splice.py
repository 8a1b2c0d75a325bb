"""Pieces of several videos as one: pictures at their own times within each piece, sound in step, a chapter for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from framehouse.errors import MediaError
from framehouse.video.container import opened
from framehouse.video.decode import FrameGap, decode
from framehouse.video.framing import Framing
from framehouse.video.index import Size, VideoIndex
from framehouse.video.loudness import clock_start_s, sound_frames, sound_track
from framehouse.video.sampling import chunks

CLOCK = Fraction(1, 90_000)
"""Seconds per tick of the written video: fine enough for the times of any source."""
RATE = 48_000
_FRAME = 1024  # samples in a frame of AAC
_RAMP = 240  # samples, 5 ms: a cut in the middle of a wave clicks
_EARLIER_S = 3.0
_SAME_PLACE = RATE // 20


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a video.

    Attributes:
        path, index: the file, probed.
        start_s, end_s: seconds after its first frame; end_s > start_s.
        title: of its chapter.
    """

    path: Path
    index: VideoIndex
    start_s: float
    end_s: float
    title: str


@dataclass(frozen=True, slots=True)
class Laid:
    """Where a piece came to lie: seconds of the written video, frames written, and frames that could not be decoded."""

    start_s: float
    end_s: float
    n_frames: int
    n_gaps: int
    has_sound: bool


def splice(
    pieces: Sequence[Piece],
    out: Path,
    size: Size,
    *,
    sound: bool = True,
    crf: int = 20,
    threads: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Laid]:
    """Write pieces one behind the other: H.264, AAC where any of them has sound, in an mp4 that is whole or absent.

    A picture of another shape is laid on black. The frame shown at a piece's start is shown from its very start; a
    frame that does not decode leaves the one before standing.

    Args:
        size: (width, height), even.
        sound: False writes none.
        progress: told (seconds done, of all) in whole seconds.

    Raises:
        MediaError: no piece; code `media.not_written`, the file cannot be written; or a source cannot be read.
        SourceNotFound: a source is gone.
    """
    if not pieces:
        raise MediaError("nothing to cut together")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        laid = _write(pieces, part, size, sound, (crf, threads), progress)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(out)
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(
            f"cannot write {out}: {getattr(error, 'strerror', None) or error}", code="media.not_written",
            hint="check the folder, its permissions and the space on the disk",
        ) from None  # fmt: skip
    finally:
        part.unlink(missing_ok=True)
    return laid


def _write(
    pieces: Sequence[Piece], part: Path, size: Size, sound: bool, quality: tuple[int, int],
    progress: Callable[[int, int], None],
) -> list[Laid]:  # fmt: skip
    heard = [_has_sound(piece) if sound else False for piece in pieces]
    total_s = sum(_length_s(piece) for piece in pieces)
    laid: list[Laid] = []
    with ExitStack() as stack:
        target = stack.enter_context(av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}))
        video = _add_video(target, size, *quality)
        track = _Track(target) if any(heard) else None
        target.set_chapters(_chapters(pieces))
        at_s = 0.0
        for piece, has_sound in zip(pieces, heard, strict=True):
            end_s = at_s + _length_s(piece)
            n_frames, n_gaps = _write_pictures(target, video, piece, at_s, size)
            if track is not None:
                track.add(_sound_of(piece, round(end_s * RATE) - round(at_s * RATE), has_sound))
            laid.append(Laid(at_s, end_s, n_frames, n_gaps, has_sound))
            progress(int(end_s), int(total_s))
            at_s = end_s
        target.mux(video.encode(None))
        if track is not None:
            track.close()
    return laid


def _length_s(piece: Piece) -> float:
    return min(piece.end_s, max(piece.index.duration_s, piece.start_s + float(CLOCK))) - piece.start_s


def _chapters(pieces: Sequence[Piece]) -> list[Any]:
    made: list[Any] = []
    at_s = 0.0
    for number, piece in enumerate(pieces):
        end_s = at_s + _length_s(piece)
        made.append(
            {"id": number, "start": round(at_s / CLOCK), "end": round(end_s / CLOCK), "time_base": CLOCK,
             "metadata": {"title": piece.title}}
        )  # fmt: skip
        at_s = end_s
    return made


# --- pictures -------------------------------------------------------------------------------------------------------


def _add_video(target: OutputContainer, size: Size, crf: int, threads: int) -> Any:
    video: Any = target.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": str(crf)})
    video.width, video.height = size
    video.pix_fmt = "yuv420p"
    context = video.codec_context
    context.time_base = CLOCK
    context.thread_count = threads
    context.color_range = ColorRange.MPEG
    context.colorspace = 1  # BT.709, and so are the next two
    context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
    return video


def _write_pictures(target: OutputContainer, video: Any, piece: Piece, at_s: float, size: Size) -> tuple[int, int]:
    """(frames written, frames that did not decode). What stands at the start stands from the very start."""
    n_frames = n_gaps = 0
    black = np.zeros((size[1], size[0], 3), np.uint8)
    for time_s, picture in _pictures(piece, size):
        n_gaps += picture is None
        if picture is None and n_frames:
            continue
        shown_s = time_s - piece.start_s if n_frames else 0.0
        _encode(target, video, black if picture is None else picture, round((at_s + shown_s) / CLOCK))
        n_frames += 1
    return n_frames, n_gaps


def _encode(target: OutputContainer, video: Any, picture: NDArray[np.uint8], pts: int) -> None:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1
    )
    frame.pts, frame.time_base = pts, CLOCK
    target.mux(video.encode(frame))


def _pictures(piece: Piece, size: Size) -> Iterator[tuple[float, NDArray[np.uint8] | None]]:
    """(second after the video's first frame, picture or None) of the frames shown in a piece."""
    index = piece.index
    base = index.stream.time_base
    time_s = (index.pts - index.pts[0]).astype(np.float64) * base.numerator / base.denominator
    first = max(0, int(np.searchsorted(time_s, piece.start_s + 1e-9, side="right")) - 1)
    end = max(first + 1, int(np.searchsorted(time_s, piece.start_s + _length_s(piece) - 1e-9)))
    framing = Framing("letterbox", *size)
    for chunk in chunks(index):
        own = np.arange(max(first, chunk.first_frame), min(end, chunk.first_frame + chunk.n_frames), dtype=np.int64)
        for got in decode(piece.path, index.stream, chunk, own, [framing], batch_size=4):
            if isinstance(got, FrameGap):
                yield float(time_s[got.frame_offset]), None
                continue
            for offset, picture in zip(got.frame_offset.tolist(), got.pictures[framing], strict=True):
                yield float(time_s[offset]), picture


# --- sound ----------------------------------------------------------------------------------------------------------


class _Track:
    """AAC, fed with samples of any number."""

    def __init__(self, target: OutputContainer) -> None:
        self._target = target
        self._stream: Any = target.add_stream("aac", rate=RATE, layout="stereo")
        self._left = np.zeros((2, 0), np.float32)
        self._n_written = 0

    def add(self, samples: NDArray[np.float32]) -> None:
        """float32 [2, n], -1..1."""
        waiting = np.concatenate([self._left, samples], axis=1)
        n_whole = waiting.shape[1] // _FRAME * _FRAME
        for start in range(0, n_whole, _FRAME):
            self._encode(waiting[:, start : start + _FRAME])
        self._left = waiting[:, n_whole:]

    def close(self) -> None:
        """What is left, and the encoder's own rest."""
        if self._left.shape[1]:
            self._encode(self._left)
        self._target.mux(self._stream.encode(None))

    def _encode(self, samples: NDArray[np.float32]) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._n_written, Fraction(1, RATE)
        self._n_written += samples.shape[1]
        self._target.mux(self._stream.encode(frame))


def _has_sound(piece: Piece) -> bool:
    with opened(piece.path, piece.index.stream.container) as source:
        return sound_track(source) is not None


def _sound_of(piece: Piece, n: int, has_sound: bool) -> NDArray[np.float32]:
    """What is heard in a piece, float32 [2, n]; silence where there is nothing. Both ends are ramped."""
    made = np.zeros((2, n), np.float32)
    if has_sound:
        start_s = clock_start_s(piece.index) + piece.start_s
        if not _fill(made, piece, start_s, seek=True):
            made[:] = 0.0
            _fill(made, piece, start_s, seek=False)
        ramp = np.linspace(0.0, 1.0, min(_RAMP, n // 2), dtype=np.float32)
        made[:, : len(ramp)] *= ramp
        made[:, n - len(ramp) :] *= ramp[::-1]
    return made


def _fill(made: NDArray[np.float32], piece: Piece, start_s: float, *, seek: bool) -> bool:
    """Lay the sound from a second of the file's clock on; False where a seek landed behind it."""
    place, landed = None, not seek
    with opened(piece.path, piece.index.stream.container) as source:
        track = sound_track(source)
        if seek and start_s > _EARLIER_S:
            try:
                source.seek(int((start_s - _EARLIER_S) / track.time_base), stream=track)
            except av.error.FFmpegError:
                return False
        else:
            landed = True
        resampler: Any = None
        form: tuple[Any, ...] = ()
        for frame in sound_frames(source, track):
            if frame.pts is None:
                continue
            if form != (frame.format.name, frame.layout.name, frame.sample_rate):
                form = (frame.format.name, frame.layout.name, frame.sample_rate)
                resampler, place = av.AudioResampler(format="fltp", layout="stereo", rate=RATE), None
            for heard in resampler.resample(frame):
                samples = heard.to_ndarray()
                wanted = round((float(heard.pts * heard.time_base) - start_s) * RATE)
                landed = landed or wanted <= 0
                if not landed:
                    return False
                place = wanted if place is None or abs(wanted - place) > _SAME_PLACE else place
                _lay(made, samples, place)
                place += samples.shape[1]
            if place is not None and place >= made.shape[1]:
                return True
    return landed


def _lay(made: NDArray[np.float32], samples: NDArray[np.float32], place: int) -> None:
    first, end = max(0, place), min(made.shape[1], place + samples.shape[1])
    if first < end:
        made[:, first:end] = np.clip(samples[:, first - place : end - place], -1.0, 1.0)
