"""Reading a video's index: when every frame is shown and where decoding may start.

Exact timing comes from demuxing alone, without decoding: the packets that are shown, sorted by pts. The first pictures
are then decoded to check the index against what really comes out. Where the format has no true pts, or they repeat or
go back, one decode of the whole stream in output order makes the index, with timing "nominal".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from framehouse.errors import NoVideoStream, UnreadableVideo
from framehouse.video import keys
from framehouse.video.container import (
    MARKED_BY_DTS,
    WITHOUT_PTS,
    bytes_missing,
    opened,
    packets,
    prepare,
    sniff_file,
    video_stream,
)
from framehouse.video.index import Size, StreamFacts, Timing, VideoIndex

__all__ = ["Size", "StreamFacts", "Timing", "VideoIndex", "probe"]

_NO_PTS = int(np.iinfo(np.int64).min)
_CHECKED_PACKETS = 24
_NOMINAL_RATE = Fraction(25)  # of a stream that says nothing: FFmpeg's own assumption for raw video
_MAX_RATE = 1000
_MPEG_CLOCK = 2**33  # ticks of 1/90000 s until the clock of MPEG streams starts again
_HOLE_BYTES = 256  # between packets Matroska keeps some 25 bytes
_SHORT_S = 0.5
_MOST_PADDING_BYTES = 32 * 2**30  # read as zeros at about 2 GB/s
_FIRST_CREDIBLE_YEAR = 1971  # 1904 and 1970 are the zero of a clock that was never set


@dataclass(frozen=True, slots=True)
class _Demuxed:
    """What reading the container told, without decoding.

    pts, dts int64 [P] (_NO_PTS where absent), is_key (a decoder may start), is_frame (shown: not discarded, not hidden)
    bool [P], over the stream's packets as stored; `findings` are lines for `VideoIndex.damage`.
    """

    container: str
    codec: str
    stored_size: Size
    time_base: Fraction
    nominal_rate: Fraction
    recorded_at: str | None
    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    is_frame: NDArray[np.bool_]
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Frames:
    """The index in the making: arrays as in VideoIndex."""

    pts: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    packet: NDArray[np.int64]
    timing: Timing
    time_base: Fraction
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Look:
    """What decoding the first packets told: how many were fed, and the places of those whose pictures came."""

    n_fed: int
    came: frozenset[int]
    is_clean: bool
    turn_deg: int


def probe(path: Path, *, max_pixels: int = 8192 * 8192) -> VideoIndex:
    """Read the index of a video file.

    Args:
        path: a local file.
        max_pixels: a larger picture is refused before anything of it is decoded.

    Returns:
        At least one frame. A damaged file that can be read in part is no error: `damage` says what was found. Frames
        that an mp4 lists but that lie beyond the end of a cut file are in the index; they will not decode.

    Raises:
        SourceNotFound: no such file.
        UnreadableVideo: no container that is known (also: playlists, ffconcat), empty ("media.empty_file"), too many
            pixels ("media.too_many_pixels"), no decoder ("media.codec"), or no picture of it decodes.
        NoVideoStream: sound only, or no frame at all.
        TruncatedVideo: an mp4 without its index.
    """
    container = sniff_file(path)
    demuxed = _demux(path, container, max_pixels)
    look = _look(path, demuxed, max_pixels)
    frames = _frames_by_packets(demuxed, look) or _frames_by_decode(path, demuxed, max_pixels)
    return VideoIndex(
        stream=_facts(demuxed, frames, look.turn_deg),
        pts=frames.pts,
        is_key=frames.is_key,
        damage=demuxed.findings + frames.findings,
        recorded_at=demuxed.recorded_at,
        packet=frames.packet,
    )


def _facts(demuxed: _Demuxed, frames: _Frames, turn_deg: int) -> StreamFacts:
    width, height = demuxed.stored_size if turn_deg % 180 == 0 else demuxed.stored_size[::-1]
    return StreamFacts(demuxed.container, demuxed.codec, width, height, turn_deg, frames.time_base, frames.timing)


# --- demuxing -------------------------------------------------------------------------------------------------------


def _demux(path: Path, container: str, max_pixels: int) -> _Demuxed:
    n_missing = bytes_missing(path, container)
    n_padding = min(n_missing, _MOST_PADDING_BYTES) if container in ("mp4", "mov") else 0
    with opened(path, container, max_pixels=max_pixels, n_padding=n_padding) as source:
        stream = video_stream(source, path)
        _check_pixels(stream, path, max_pixels)
        scan = _Scan(stream, path.stat().st_size)
        is_matroska = container in ("matroska", "webm")
        for packet in packets(source, stream, of_all_streams=is_matroska):
            scan.see(packet)
        if not any(is_frame for *_, is_frame in scan.rows):
            raise NoVideoStream(f"the video stream of {path.name} holds no frames", uri=str(path))
        rows = np.array(scan.rows, np.int64).reshape(-1, 4)
        return _Demuxed(
            container=container,
            codec=scan.codec,
            stored_size=(stream.codec_context.width, stream.codec_context.height),
            time_base=scan.time_base,
            nominal_rate=_nominal_rate(stream),
            recorded_at=_recorded_at(source),
            pts=rows[:, 0],
            dts=rows[:, 1],
            is_key=rows[:, 2].astype(bool),
            is_frame=rows[:, 3].astype(bool),
            findings=tuple(scan.findings(n_missing, _promised_s(stream) if is_matroska else None)),
        )


class _Scan:
    """Packets seen in the order of the file, and what is odd about them.

    `rows` are (pts, dts, is_key, is_frame), a row per packet of the video stream.
    """

    def __init__(self, stream: VideoStream, size_bytes: int) -> None:
        self.codec = stream.codec_context.codec.canonical_name
        self.time_base = stream.time_base or Fraction(1, 90000)
        self.rows: list[tuple[int, int, bool, bool]] = []
        self._stream_index, self._size_bytes = stream.index, size_bytes
        self._length_size = keys.unit_length_size(self.codec, stream.codec_context.extradata)
        self._n_errors = self._n_corrupt = self._n_beyond = 0
        self._holes: list[tuple[int, float]] = []  # bytes, second
        self._end_bytes = self._end_pts = 0

    def see(self, packet: Packet[VideoStream] | None) -> None:
        if packet is None:
            self._n_errors += 1
            return
        start = packet.pos if packet.pos is not None and packet.pos >= 0 else None
        if start is not None:
            if self._end_bytes and start - self._end_bytes > _HOLE_BYTES:
                self._holes.append((start - self._end_bytes, float(self._end_pts * self.time_base)))
            self._end_bytes = start + packet.size
        if packet.stream_index == self._stream_index:
            self._see_frame(packet, is_beyond=start is not None and start + packet.size > self._size_bytes)

    def _see_frame(self, packet: Packet[VideoStream], *, is_beyond: bool) -> None:
        self._n_corrupt += packet.is_corrupt
        self._n_beyond += is_beyond
        data = memoryview(packet)
        is_key = packet.is_keyframe and (is_beyond or keys.can_start_at(data, self.codec, self._length_size))
        is_frame = not packet.is_discard and (is_beyond or keys.is_shown(data, self.codec))
        self.rows.append((_or_absent(packet.pts), _or_absent(packet.dts), is_key, is_frame))
        if packet.pts is not None:
            self._end_pts = max(self._end_pts, packet.pts + (packet.duration or 0))

    def findings(self, n_missing: int, promised_s: float | None) -> Iterator[str]:
        """Lines for `VideoIndex.damage`.

        Args:
            n_missing: bytes that the file is short of.
            promised_s: seconds that the container gives to the stream; also tells that holes between packets are no
                padding (Matroska leaves none).
        """
        n_packets, end_s = len(self.rows), float(self._end_pts * self.time_base)
        if n_missing:
            yield f"the file is {n_missing} bytes short of what its own structure says"
        if self._n_beyond:
            yield f"{self._n_beyond} of {n_packets} frames lie beyond the end of the file"
        if self._n_errors:
            yield f"reading failed at {self._n_errors} places"
        if self._n_corrupt:
            yield f"{self._n_corrupt} of {n_packets} packets are marked corrupt"
        if promised_s is not None:
            yield from (f"{n} bytes near {second:.2f} s hold no packets" for n, second in self._holes)
            if end_s < promised_s - _SHORT_S:
                yield f"the frames end at {end_s:.2f} s of {promised_s:.2f} s"


def _promised_s(stream: VideoStream) -> float:
    """How long a Matroska stream says it is, by the tag that its muxers write; 0.0 when it does not say."""
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0.0


def _or_absent(time: int | None) -> int:
    return _NO_PTS if time is None else time


def _check_pixels(stream: VideoStream, path: Path, max_pixels: int) -> None:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > max_pixels:
        raise UnreadableVideo(
            f"{path.name} is {width} x {height}: above the limit of {max_pixels} pixels",
            code="media.too_many_pixels",
            hint="scale the video down, or raise the limit",
            uri=str(path),
        )
    if width <= 0 or height <= 0:
        raise UnreadableVideo(f"no picture size can be read from {path.name}", uri=str(path))


def _nominal_rate(stream: VideoStream) -> Fraction:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 0 < rate <= _MAX_RATE:
            return rate
    return _NOMINAL_RATE


def _recorded_at(source: InputContainer) -> str | None:
    try:
        when = datetime.fromisoformat(source.metadata.get("creation_time", ""))
    except ValueError:
        return None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    return when.isoformat() if when.year >= _FIRST_CREDIBLE_YEAR else None


# --- decoding -------------------------------------------------------------------------------------------------------


def _decoded(
    path: Path, container: str, max_pixels: int, *, n_packets: int | None = None, skip_frame: str = "DEFAULT"
) -> Iterator[VideoFrame | None]:
    """Pictures in output order, each with its packet's place as its pts; None where decoding failed."""
    with opened(path, container, max_pixels=max_pixels) as source:
        stream = video_stream(source, path)
        prepare(stream, max_pixels=max_pixels)
        stream.codec_context.skip_frame = skip_frame  # type: ignore[assignment]
        place = 0
        for packet in islice(packets(source, stream), n_packets):
            if packet is None:
                continue
            packet.pts = place
            place += 1
            yield from _pictures(stream, packet)
        yield from _pictures(stream, None)


def _pictures(stream: VideoStream, packet: Packet[VideoStream] | None) -> list[VideoFrame | None]:
    try:
        return list(stream.codec_context.decode(packet))
    except av.error.FFmpegError:
        return [None]


def _look(path: Path, demuxed: _Demuxed, max_pixels: int) -> _Look:
    """Decode the first pictures: which packets give one, and which way up they are.

    Raises:
        UnreadableVideo: not one picture of the file decodes.
    """
    n_packets = int(np.argmax(demuxed.is_key)) + _CHECKED_PACKETS
    came: set[int] = set()
    is_clean, turn = True, None
    for frame in _decoded(path, demuxed.container, max_pixels, n_packets=n_packets):
        is_clean = is_clean and frame is not None and not frame.is_corrupt
        if frame is not None and frame.pts is not None:
            came.add(frame.pts)
            turn = frame.rotation if turn is None else turn
    if turn is None:
        turn = _turn_of_any_key_picture(path, demuxed.container, max_pixels)
    turn_deg = round(-turn / 90) * 90 % 360  # PyAV counts counter-clockwise
    return _Look(min(n_packets, len(demuxed.pts)), frozenset(came), is_clean, turn_deg)


def _turn_of_any_key_picture(path: Path, container: str, max_pixels: int) -> int:
    for frame in _decoded(path, container, max_pixels, skip_frame="NONKEY"):
        if frame is not None:
            return frame.rotation
    raise UnreadableVideo(f"no picture of {path.name} decodes", uri=str(path))


# --- the index ------------------------------------------------------------------------------------------------------


def _frames_by_packets(demuxed: _Demuxed, look: _Look) -> _Frames | None:
    """The index from demuxing alone; None when it cannot be had or the first decode contradicts it."""
    if demuxed.container in WITHOUT_PTS:
        return None
    is_frame = demuxed.is_frame.copy()
    is_frame[_never_shown(demuxed, look)] = False
    expected = set(np.flatnonzero(is_frame[: look.n_fed]).tolist())
    if look.is_clean and expected != look.came:
        return None
    places = np.flatnonzero(is_frame)
    pts, dts = demuxed.pts[places], demuxed.dts[places]
    dts = dts[dts != _NO_PTS]
    places = places[np.argsort(pts, kind="stable")]
    pts = demuxed.pts[places]
    goes_back = bool(np.any(pts[1:] <= pts[:-1])) or bool(np.any(dts[1:] < dts[:-1]))
    if len(pts) == 0 or pts[0] == _NO_PTS or goes_back or _clock_was_set_back(demuxed.container, pts):
        return None
    return _Frames(pts, _cutting_keys(demuxed.is_key[places], places), places, "exact", demuxed.time_base)


def _clock_was_set_back(container: str, pts: NDArray[np.int64]) -> bool:
    """Whether FFmpeg took a clock that was set back for one that ran over: it seems to leap by most of its range."""
    return container in ("mpegts", "mpeg") and bool(np.any(np.diff(pts) > _MPEG_CLOCK // 2))


def _never_shown(demuxed: _Demuxed, look: _Look) -> list[int]:
    """Places before and around the first key frame that no decoder shows: their references were cut away."""
    fed = range(look.n_fed)
    if not demuxed.is_key[: look.n_fed].any():
        return []
    key = int(np.argmax(demuxed.is_key))
    return [i for i in fed if i not in look.came and demuxed.pts[i] < demuxed.pts[key]]


def _cutting_keys(is_key: NDArray[np.bool_], packet: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Key frames at which the video may be cut: everything stored before them is also shown before them.

    Args:
        is_key: bool [N], presentation order.
        packet: int64 [N], each frame's place as stored.
    """
    earliest_later = np.minimum.accumulate(packet[::-1])[::-1]  # of the frame itself and all that are shown later
    return is_key & (packet <= earliest_later)


def _frames_by_decode(path: Path, demuxed: _Demuxed, max_pixels: int) -> _Frames:
    """The index from one decode of the whole stream, in output order.

    Raises:
        NoVideoStream: no frame came out.
    """
    came = [(frame.pts, frame.is_corrupt) for frame in _decoded(path, demuxed.container, max_pixels) if frame]
    if not came:
        raise NoVideoStream(f"the video stream of {path.name} gives no frames", uri=str(path))
    places = np.array([-1 if place is None else place for place, _ in came], np.int64)
    n_lost = int(demuxed.is_frame.sum()) - len(places)
    findings = (f"{n_lost} of {int(demuxed.is_frame.sum())} packets gave no picture",) if n_lost > 0 else ()
    told_apart = len(np.unique(places)) == len(places) and places.min() >= 0
    if demuxed.container in MARKED_BY_DTS:
        told_apart = told_apart and bool(np.all(np.diff(demuxed.dts) > 0)) and int(demuxed.dts[0]) >= 0
    if not told_apart:
        places = np.full(len(places), -1, np.int64)
    is_key = _cutting_keys(demuxed.is_key[places], places) if told_apart else np.zeros(len(places), np.bool_)
    is_key[0] = True
    pts = demuxed.pts[places]
    has_pts = told_apart and demuxed.container not in WITHOUT_PTS and int(pts[0]) != _NO_PTS
    if has_pts and bool(np.all(pts[1:] > pts[:-1])) and not _clock_was_set_back(demuxed.container, pts):
        return _Frames(pts, is_key, places, "exact", demuxed.time_base, findings)
    marks = demuxed.dts[places] if told_apart and demuxed.container in MARKED_BY_DTS else places
    pts = np.arange(len(places), dtype=np.int64)
    return _Frames(pts, is_key, marks, "nominal", 1 / demuxed.nominal_rate, findings)
