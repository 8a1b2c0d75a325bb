"""Pictures of the wanted frames of a chunk, and nothing decoded that they do not need.

The pictures are bit-identical to those of a full decode. What is saved: groups of pictures without a wanted frame are
not decoded, frames that no other frame needs are skipped unless wanted, and a group is left as soon as its last wanted
frame is in. A *group* here is a key frame's interval of presentation time; an open group's leading frames are stored
after the next key frame but belong to the group before it.

Damage is never silence. The first pass makes FFmpeg report every error it can see (`err_detect=explode`) and checks
that each wanted frame came out. On any sign the group is decoded again from its key frame, nothing skipped: frames
stored before the damage are delivered, the damaged ones and those that may refer to them become gaps, up to the next
key frame. What stays undetectable: flipped bits that still are a valid picture (most in codecs without checksums).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av.error
import numpy as np
import structlog
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from framehouse.errors import MediaError
from framehouse.video.chunk_map import ChunkMap, runs
from framehouse.video.framing import Framing
from framehouse.video.index import StreamFacts
from framehouse.video.pictures import PictureMaker
from framehouse.video.reader import Reader, SkipFrame
from framehouse.video.salvage import salvaged
from framehouse.video.sampling import FrameChunk

log = structlog.get_logger(__name__)

_MOST_IN_DECODER = 64  # pictures; H.264 may hold back 16, a decoder with frame threads some more


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Pictures of some frames, in increasing order.

    Attributes:
        frame_offset: int64 [B].
        pts: int64 [B].
        pictures: framing -> uint8 [B, height, width, 3], RGB, upright, C-contiguous.
    """

    frame_offset: NDArray[np.int64]
    pts: NDArray[np.int64]
    pictures: Mapping[Framing, NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.frame_offset)


@dataclass(frozen=True, slots=True)
class FrameGap:
    """A wanted frame without a picture.

    Attributes:
        frame_offset: which.
        reason: "decode.missing", "decode.damaged" or "decode.damaged_reference".
    """

    frame_offset: int
    reason: str


def decode(
    path: Path,
    stream: StreamFacts,
    chunk: FrameChunk,
    wanted: NDArray[np.int64],
    framings: Sequence[Framing],
    *,
    batch_size: int = 1,
    beat: Callable[[], None] = lambda: None,
) -> Iterator[FrameBatch | FrameGap]:
    """Decode the wanted frames of a chunk.

    Args:
        path: the video file that was probed.
        stream: its facts, from `probe`.
        chunk: one of `sampling.chunks`.
        wanted: frame_offsets, int64 [K], strictly increasing, all inside the chunk; none gives nothing.
        framings: the pictures to make of each frame.
        batch_size: most frames in a batch.
        beat: called for every packet read: a sign of life also where no wanted frame comes out for long.

    Yields:
        Every wanted frame exactly once, in increasing order: in a batch, or as a gap (which ends the batch before it).
        Closing the generator closes the file.

    Raises:
        SourceNotFound, UnreadableVideo: the file cannot be opened any more.
        MediaError: a wanted frame is not in the chunk.
    """
    if len(wanted) == 0:
        return
    if wanted[0] < chunk.first_frame or wanted[-1] >= chunk.first_frame + chunk.n_frames:
        raise MediaError(f"frames {wanted[0]}..{wanted[-1]} are not all in chunk {chunk.chunk_id}")
    batch = _Batch(stream, chunk, framings, batch_size)
    for offset, result in _pictures(path, stream, ChunkMap.of(stream, chunk), wanted, beat):
        if isinstance(result, VideoFrame):
            batch.add(offset, result)
        if len(batch.offsets) == batch_size or (batch.offsets and not isinstance(result, VideoFrame)):
            yield batch.take()
        if isinstance(result, str):
            yield FrameGap(offset, result)
    if batch.offsets:
        yield batch.take()


class _Batch:
    """Pictures being gathered, converted as they come."""

    def __init__(self, stream: StreamFacts, chunk: FrameChunk, framings: Sequence[Framing], batch_size: int) -> None:
        self.offsets: list[int] = []
        self._chunk, self._batch_size = chunk, batch_size
        self._maker = PictureMaker(stream, framings)
        self._pictures: dict[Framing, NDArray[np.uint8]] = {}

    def add(self, offset: int, frame: VideoFrame) -> None:
        if not self.offsets:
            self._pictures = self._maker.room(self._batch_size)
        self._maker.make(frame, {framing: room[len(self.offsets)] for framing, room in self._pictures.items()})
        self.offsets.append(offset)

    def take(self) -> FrameBatch:
        offsets = np.array(self.offsets, np.int64)
        pictures = {framing: made[: len(offsets)] for framing, made in self._pictures.items()}
        self.offsets = []
        return FrameBatch(offsets, self._chunk.pts[offsets - self._chunk.first_frame], pictures)


# --- decoding -------------------------------------------------------------------------------------------------------


class _Damage(Exception):
    """Something in a run is not as it should be; the text says what."""


def _pictures(
    path: Path, facts: StreamFacts, chunk_map: ChunkMap, wanted: NDArray[np.int64], beat: Callable[[], None]
) -> Iterator[tuple[int, VideoFrame | str]]:
    """(frame_offset, picture or the reason of a gap), in the order of `wanted`."""
    with Reader(path, facts, numbered=chunk_map.is_counted, strict=True, beat=beat) as reader:
        for run in runs(chunk_map, wanted):
            n_done = 0
            try:
                for picture in _needed(reader, chunk_map, run):
                    yield picture
                    n_done += 1
            except _Damage as damage:
                log.info("damage met", path=str(path), frame_offset=int(run[n_done]), sign=str(damage))
                yield from salvaged(path, facts, chunk_map, run[n_done:], beat)


def _needed(reader: Reader, chunk_map: ChunkMap, run: NDArray[np.int64]) -> Iterator[tuple[int, VideoFrame]]:
    """The pictures of a run, decoding only what they need.

    Raises:
        _Damage: at the first sign of it; the pictures given before are good.
    """
    first_frame = chunk_map.frames(chunk_map.group_of(run[0])).start
    due = deque(run.tolist())
    wanted = set(due)
    for offset, frame in _settled(chunk_map, _fed(reader, chunk_map, run, first_frame), first_frame):
        if offset not in wanted:
            continue
        if offset != due.popleft():
            raise _Damage("a picture did not come")
        yield offset, frame
        if not due:
            return
    raise _Damage("a picture did not come")


@dataclass(frozen=True, slots=True)
class _Fed:
    """What one packet given to the decoder brought: pictures of earlier packets too; `offset` None for the drain."""

    offset: int | None  # frame_offset of the picture to expect of it; None when none is
    frames: list[VideoFrame]


def _fed(reader: Reader, chunk_map: ChunkMap, run: NDArray[np.int64], first_frame: int) -> Iterator[_Fed]:
    """Feed packets until a run's last wanted frame is in, then drain; what nobody needs is not decoded."""
    last_label = chunk_map.last_label(chunk_map.group_of(run[-1]))
    if not reader.go_to(chunk_map.start_label(chunk_map.group_of(run[0]))):
        raise _Damage("the key frame is not found")
    wanted: set[int | None] = set(chunk_map.label[run - chunk_map.first_frame].tolist())
    waiting = set(wanted)
    for label, packet in reader.read():
        if chunk_map.is_past(label, packet, last_label):
            break
        matters = chunk_map.matters(label, packet, first_frame)
        skips = label not in wanted and not chunk_map.is_counted and reader.is_unreferenced(packet)
        frames = _strictly(reader, packet, matters, "NONREF" if skips else "DEFAULT")
        yield _Fed(chunk_map.offset_of(label) if matters and not skips else None, frames)
        waiting.discard(label)
        if not waiting and not chunk_map.is_counted:
            break
    yield _Fed(None, _strictly(reader, None, True, "DEFAULT"))


def _strictly(
    reader: Reader, packet: Packet[VideoStream] | None, matters: bool, skip_frame: SkipFrame
) -> list[VideoFrame]:
    if matters and packet is not None and reader.is_damaged(packet):
        raise _Damage("a packet is damaged")
    try:
        return reader.decode(packet, skip_frame)
    except av.error.FFmpegError as error:
        if matters:
            raise _Damage(f"decoding failed: {error.strerror}") from None
        return []


def _settled(chunk_map: ChunkMap, fed: Iterator[_Fed], first_frame: int) -> Iterator[tuple[int, VideoFrame]]:
    """Pictures from first_frame on, in order, each held back until all that was fed before it has come out sound.

    A picture may refer to one that is shown after it, and damage to that one may show only when it comes out.

    Raises:
        _Damage: a picture that is marked corrupt, does not come, or is not in the index.
    """
    expected: deque[int] = deque()  # frame_offsets in the order of feeding, until they have come
    waiting: set[int] = set()  # those of them that have not come yet
    settled: set[int] = set()  # come, and so have all that were fed before; not given yet
    held: deque[tuple[int, VideoFrame]] = deque()
    for step in fed:
        if step.offset is not None:
            expected.append(step.offset)
            waiting.add(step.offset)
        for frame in step.frames:
            offset = _sound(chunk_map, frame, first_frame)
            if offset is not None and (offset in waiting or chunk_map.is_counted):
                waiting.discard(offset)
                held.append((offset, frame))
        while expected and expected[0] not in waiting:
            settled.add(expected.popleft())
        while held and (held[0][0] in settled or chunk_map.is_counted):
            settled.discard(held[0][0])
            yield held.popleft()
        if len(expected) > _MOST_IN_DECODER:
            raise _Damage("a picture did not come")


def _sound(chunk_map: ChunkMap, frame: VideoFrame, first_frame: int) -> int | None:
    offset = chunk_map.offset_of(frame.pts)
    if offset is None:
        if chunk_map.should_know(frame.pts, first_frame):
            raise _Damage("a picture came that is not in the index")
        return None
    if offset < first_frame:
        return None
    if frame.is_corrupt:
        raise _Damage("a picture is marked corrupt")
    return offset
