"""Opening a file: which format it is by its first bytes, and nothing else than that format.

FFmpeg guesses a format by content and would follow playlists and ffconcat scripts to other files, whatever the name
says. So the format is settled here, from a short list of real containers, and handed to FFmpeg explicitly; the only
protocol it may use is `file`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import av
import av.error
from av.codec.context import ThreadType
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from framehouse.errors import NoVideoStream, SourceNotFound, TruncatedVideo, UnreadableVideo

# Short name -> the one FFmpeg demuxer that may read it.
DEMUXERS = {
    "mp4": "mov",
    "mov": "mov",
    "matroska": "matroska",
    "webm": "matroska",
    "mpegts": "mpegts",
    "mpeg": "mpeg",
    "avi": "avi",
    "flv": "flv",
    "ogg": "ogg",
    "asf": "asf",
    "mxf": "mxf",
    "ivf": "ivf",
    "h264": "h264",
    "hevc": "hevc",
    "mpegvideo": "mpegvideo",
    "m4v": "m4v",
}

# Formats whose packets carry no presentation time: the index comes from one decode in output order.
WITHOUT_PTS = frozenset({"avi", "h264", "hevc", "mpegvideo", "m4v"})

# Of these, the ones whose packets' dts is their number in the file, also after a seek.
MARKED_BY_DTS = frozenset({"avi"})

_HEAD_BYTES = 64 * 1024
_MOST_PACKETS = 100_000_000  # more than a month at 30 a second
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"sidx", b"free", b"skip", b"wide", b"pnot"})
_FIXED = (
    (0, b"FLV\x01", "flv"),
    (0, b"OggS", "ogg"),
    (0, bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "asf"),
    (0, bytes.fromhex("060e2b34"), "mxf"),
    (0, b"DKIF", "ivf"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"\x00\x00\x01\xb3", "mpegvideo"),
    (0, b"\x00\x00\x01\xb0", "m4v"),
)
_SOUND_ONLY = (b"ID3", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1", b"\xff\xf9", b"MThd", b"#!AMR")


def sniff(head: bytes) -> str | None:
    """Short name of the format whose signature a file begins with; None when it is none of ours.

    Args:
        head: the first bytes of the file, some tens of kilobytes at best.
    """
    if head[4:8] in _MP4_BOXES:
        return "mov" if head[4:12] == b"ftypqt  " else "mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "webm" if b"webm" in head[:64] else "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    for offset, magic, name in _FIXED:
        if head.startswith(magic, offset):
            return name
    return "mpegts" if _is_transport_stream(head) else _raw_codec(head)


def _is_transport_stream(head: bytes) -> bool:
    """A sync byte every 188 bytes (192 with a time code, 204 with parity), four times running, near the start."""
    return any(
        len(head) > start + 3 * size and all(head[start + i * size] == 0x47 for i in range(4))
        for size in (188, 192, 204)
        for start in range(size)
    )


def _raw_codec(head: bytes) -> str | None:
    """H.264 or HEVC as a bare stream: a start code, then a unit that such a stream may begin with."""
    start = head[:4].find(b"\x00\x00\x01")
    if start not in (0, 1) or len(head) < start + 5:
        return None
    first, second = head[start + 3], head[start + 4]
    if first & 0x80 == 0 and first >> 1 in (32, 33, 35, 39) and second == 1:  # VPS, SPS, delimiter, SEI of HEVC
        return "hevc"
    if first & 0x80 == 0 and first & 31 in (6, 7, 9):  # SEI, SPS, delimiter of H.264
        return "h264"
    return None


def sniff_file(path: Path) -> str:
    """Short name of a file's format.

    Raises:
        SourceNotFound: no such file.
        UnreadableVideo: a folder or device, an empty file, or bytes that are no known container.
        NoVideoStream: a sound file.
    """
    if not path.exists():
        raise SourceNotFound(f"no such file: {path}", uri=str(path))
    if not path.is_file():
        raise UnreadableVideo(f"not a file: {path}", hint="give a video file, or a folder to the scan", uri=str(path))
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise UnreadableVideo(
            f"the file is empty (0 bytes): {path.name}", code="media.empty_file", hint="copy or download it again"
        )
    name = sniff(head)
    if name is None and (head.startswith(_SOUND_ONLY) or (head[:4] == b"RIFF" and head[8:12] == b"WAVE")):
        raise NoVideoStream(f"a sound file without pictures: {path.name}")
    if name is None:
        raise UnreadableVideo(f"not a video container: {path.name}", uri=str(path))
    return name


@contextmanager
def opened(
    path: Path, container: str, *, max_pixels: int | None = None, n_padding: int = 0
) -> Iterator[InputContainer]:
    """A container, open for reading by the one demuxer that its short name stands for; closed at the end.

    Args:
        path: the file.
        container: short name, as `sniff_file` gave it.
        max_pixels: pictures above it are not decoded.
        n_padding: zeros to read after the end of the file, so that a cut mp4 still lists all its packets.

    Raises:
        SourceNotFound, UnreadableVideo, TruncatedVideo.
    """
    options = {"protocol_whitelist": "file"}
    if max_pixels is not None:
        options["max_pixels"] = str(max_pixels)
    with ExitStack() as stack:
        file: Any = stack.enter_context(closing(_Padded(path, n_padding))) if n_padding else f"file:{path}"
        try:
            source = av.open(file, "r", format=DEMUXERS[container], options=options, metadata_errors="replace")
        except av.error.FileNotFoundError:
            raise SourceNotFound(f"no such file: {path}", uri=str(path)) from None
        except (av.error.FFmpegError, ValueError) as error:
            raise _unopened(path, container, error) from None
        with source:
            yield source


class _Padded:
    """A file that reads as zeros beyond its end."""

    def __init__(self, path: Path, n_padding: int) -> None:
        self.file = path.open("rb")
        self.size = path.stat().st_size + n_padding
        self.at = 0

    def read(self, n: int) -> bytes:
        n = min(n, self.size - self.at)
        self.file.seek(self.at)
        data = self.file.read(n)
        self.at += n
        return data + bytes(n - len(data))

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def close(self) -> None:
        self.file.close()


def _unopened(path: Path, container: str, error: Exception) -> UnreadableVideo | TruncatedVideo:
    if container in ("mp4", "mov") and "moov" not in dict(mp4_boxes(path)):
        return TruncatedVideo(
            f"the index (moov) is missing: {path.name} was cut short or never finished", uri=str(path)
        )
    reason = error.strerror if isinstance(error, av.error.FFmpegError) else str(error)
    return UnreadableVideo(f"cannot open {path.name} as {container}: {reason}", uri=str(path))


def mp4_boxes(path: Path) -> list[tuple[str, tuple[int, int]]]:
    """The top-level boxes of an mp4 by their own word: (type, (start, end)), bytes; `end` may pass the file's end."""
    size, start = path.stat().st_size, 0
    found: list[tuple[str, tuple[int, int]]] = []
    with path.open("rb") as file:
        while start + 8 <= size and len(found) < 100_000:
            file.seek(start)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8].decode("latin-1")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            length = size - start if length == 0 else length
            if length < 8:
                break
            found.append((kind, (start, start + length)))
            start += length
    return found


def bytes_missing(path: Path, container: str) -> int:
    """How many bytes the file is short of what its own structure says; 0 when whole or when the format does not say."""
    size = path.stat().st_size
    if container in ("mp4", "mov"):
        return max(0, max((end for _, (_, end) in mp4_boxes(path)), default=0) - size)
    with path.open("rb") as file:
        head = file.read(4096)
    if container == "avi":
        return max(0, 8 + int.from_bytes(head[4:8], "little") - size)
    if container in ("matroska", "webm"):
        return max(0, _matroska_end(head) - size)
    return 0


def _matroska_end(head: bytes) -> int:
    """Where the Segment element ends by its own size; 0 when unknown (a live recording)."""
    _, at = _ebml_number(head, 4)
    header_size, at = _ebml_number(head, 4)
    at += header_size
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        return 0
    segment_size, start = _ebml_number(head, at + 4)
    unknown = segment_size == 2 ** (7 * (start - at - 4)) - 1
    return 0 if unknown else start + segment_size


def _ebml_number(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length EBML size at a place: (value, place after it)."""
    first = data[at] if at < len(data) else 0
    if first == 0:
        return 0, at + 1
    width = 9 - first.bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << (7 * width)) - 1)
    return value, at + width


def video_stream(source: InputContainer, path: Path) -> VideoStream:
    """The video stream that is probed and decoded: the default one, else the first; cover art does not count.

    Raises:
        NoVideoStream: none.
        UnreadableVideo: no decoder for its codec (code "media.codec").
    """
    streams = [s for s in source.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise NoVideoStream(f"no video stream in {path.name}", uri=str(path))
    chosen = next((s for s in streams if s.disposition & Disposition.default), streams[0])
    if chosen.codec_context is None:
        raise UnreadableVideo(f"no decoder for the video in {path.name}", code="media.codec", uri=str(path))
    return chosen


def prepare(stream: VideoStream, *, max_pixels: int | None = None) -> None:
    """Set a decoder up before its first packet: one thread, and the limit on pixels.

    One thread, since chunks run side by side anyway, and since frame threads hide errors and change which frames a
    damaged file yields.
    """
    context = stream.codec_context
    context.thread_type = ThreadType.NONE
    context.thread_count = 1
    if max_pixels is not None:
        context.options = {**context.options, "max_pixels": str(max_pixels)}


def packets(
    source: InputContainer, stream: VideoStream, *, of_all_streams: bool = False, max_errors: int = 200
) -> Iterator[Packet[VideoStream] | None]:
    """Every packet of the stream as stored; None stands for a read error that was passed over.

    With `of_all_streams` the packets of the other streams come in between, in the order of the file. Reading goes on
    after an error, so that one bad place does not cost the rest of the file. It always ends: after `max_errors` errors
    in a row, or when there were more packets than the file has bytes.
    """
    n_errors, n_left = 0, min(source.size + 1000, _MOST_PACKETS)
    wanted: Any = () if of_all_streams else (stream,)
    while n_errors < max_errors and n_left > 0:
        try:
            for packet in source.demux(*wanted):
                n_left -= 1
                if n_left <= 0:
                    return
                if packet.size == 0:
                    continue  # the flush mark at the end, or an empty sample: nothing to show
                n_errors = 0
                yield packet
        except av.error.FFmpegError:
            n_errors += 1
            yield None
        except IndexError:
            return  # PyAV 18 at the end of a file in which a stream began after the start
        else:
            return
