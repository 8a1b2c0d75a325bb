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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import av.error
import numpy as np
import structlog
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from framehouse.errors import MediaError
from framehouse.video.index import Size, StreamFacts
from framehouse.video.reader import Reader, SkipFrame
from framehouse.video.sampling import FrameChunk

log = structlog.get_logger(__name__)

MISSING = "decode.missing"  # its packet is there or not, but no picture came out
DAMAGED = "decode.damaged"  # a picture came out that the decoder itself calls wrong
DAMAGED_REFERENCE = "decode.damaged_reference"  # stored after damage in its group: may refer to it


_MOST_IN_DECODER = 64  # pictures; H.264 may hold back 16, a decoder with frame threads some more


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Pictures of some frames, in increasing order.

    Attributes:
        frame_offset: int64 [B].
        pts: int64 [B].
        pictures: size (width, height) -> uint8 [B, height, width, 3], RGB, upright, C-contiguous.
    """

    frame_offset: NDArray[np.int64]
    pts: NDArray[np.int64]
    pictures: Mapping[Size, NDArray[np.uint8]]

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
    sizes: Sequence[Size],
    *,
    batch_size: int = 1,
) -> Iterator[FrameBatch | FrameGap]:
    """Decode the wanted frames of a chunk.

    Args:
        path: the video file that was probed.
        stream: its facts, from `probe`.
        chunk: one of `sampling.chunks`.
        wanted: frame_offsets, int64 [K], strictly increasing, all inside the chunk; none gives nothing.
        sizes: (width, height) of the pictures to make; the upright source size is allowed.
        batch_size: most frames in a batch.

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
    batch = _Batch(stream, chunk, sizes)
    for offset, result in _pictures(path, stream, _Map.of(stream, chunk), wanted):
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

    def __init__(self, stream: StreamFacts, chunk: FrameChunk, sizes: Sequence[Size]) -> None:
        self.offsets: list[int] = []
        self._chunk = chunk
        self._quarter_turns = -stream.rotation_deg // 90  # numpy turns counter-clockwise
        self._makers = {size: VideoReformatter() for size in sizes}
        self._pictures: dict[Size, list[NDArray[np.uint8]]] = {size: [] for size in sizes}

    def add(self, offset: int, frame: VideoFrame) -> None:
        self.offsets.append(offset)
        for size, maker in self._makers.items():
            width, height = size if self._quarter_turns % 2 == 0 else size[::-1]
            scaled = maker.reformat(frame, width, height, "rgb24", threads=1).to_ndarray()
            self._pictures[size].append(np.rot90(scaled, self._quarter_turns))

    def take(self) -> FrameBatch:
        offsets = np.array(self.offsets, np.int64)
        pictures = {size: np.stack(found) for size, found in self._pictures.items()}
        self.offsets = []
        self._pictures = {size: [] for size in self._makers}
        return FrameBatch(offsets, self._chunk.pts[offsets - self._chunk.first_frame], pictures)


# --- what is known of a chunk before decoding -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Map:
    """How the frames of a chunk are known in the decoder, and which group each belongs to.

    Attributes:
        first_frame: first frame_offset.
        is_exact: labels are pts; else places in the file.
        is_counted: pictures cannot be told by their packet: the file is decoded from its start, nothing skipped, and
            with nominal timing they are counted.
        label: int64 [M], of each frame (see `reader`), in presentation order.
        by_label: int64 [M], argsort of label.
        group: int64 [M], number of the key frame's interval that each frame is shown in, from 0.
        place: int64 [M], order in the file; empty when unknown.
        end_label: label of the key frame after the chunk (exact timing).
    """

    first_frame: int
    is_exact: bool
    is_counted: bool
    label: NDArray[np.int64]
    by_label: NDArray[np.int64]
    group: NDArray[np.int64]
    place: NDArray[np.int64]
    end_label: int

    @classmethod
    def of(cls, stream: StreamFacts, chunk: FrameChunk) -> Self:
        is_exact, is_counted = stream.timing == "exact", bool(len(chunk.packet) and chunk.packet[0] < 0)
        if not is_exact and len(chunk.packet) == 0:
            raise MediaError("a chunk with nominal timing must carry the places of its packets")
        counted = np.arange(chunk.first_frame, chunk.first_frame + chunk.n_frames, dtype=np.int64)
        label = chunk.pts if is_exact else counted if is_counted else chunk.packet
        group = np.cumsum(chunk.is_key) - int(chunk.is_key[0])
        place = chunk.packet[:0] if is_counted else chunk.packet
        return cls(chunk.first_frame, is_exact, is_counted, label, np.argsort(label), group, place, chunk.end_pts)

    def offset_of(self, label: int | None) -> int | None:
        """frame_offset of a label; None when the chunk has no such frame."""
        if label is None:
            return None
        at = int(np.searchsorted(self.label, label, sorter=self.by_label))
        if at == len(self.label) or int(self.label[self.by_label[at]]) != label:
            return None
        return self.first_frame + int(self.by_label[at])

    def group_of(self, offset: int) -> int:
        """Number of a frame's group."""
        return int(self.group[offset - self.first_frame])

    def frames(self, group: int) -> range:
        """frame_offsets of a group."""
        first, end = np.searchsorted(self.group, [group, group + 1])
        return range(self.first_frame + int(first), self.first_frame + int(end))

    def start_label(self, group: int) -> int | None:
        """Label of the key frame to start at; None is the start of the file."""
        first = self.frames(group).start
        return None if first == 0 or self.is_counted else int(self.label[first - self.first_frame])

    def last_label(self, group: int) -> int:
        """The label beyond which no packet is needed for a group: see `is_past`."""
        end = self.frames(group).stop - self.first_frame
        if not self.is_exact:
            return int(self.label[:end].max())
        return int(self.label[end]) if end < len(self.label) else self.end_label

    def is_past(self, label: int | None, packet: Packet[VideoStream], last_label: int) -> bool:
        """Whether a packet tells that every packet of a group has been passed.

        Places tell it directly. By pts, it is the second key frame after the group: a group's last frames may be stored
        behind the first, whose pts is `last_label`.
        """
        if label is None or self.is_counted:
            return False
        return label > last_label and (packet.is_keyframe or not self.is_exact)

    def matters(self, label: int | None, packet: Packet[VideoStream], first_frame: int) -> bool:
        """Whether damage to a packet can touch frames from first_frame on.

        What is shown before the key frame that decoding started at cannot decode, and nothing refers to it.
        """
        offset = self.offset_of(label)
        return packet.is_discard or self.is_counted or (offset is not None and offset >= first_frame)

    def should_know(self, label: int | None, first_frame: int) -> bool:
        """Whether a picture with this label lies where every picture is in the index."""
        if not self.is_exact or label is None:
            return False
        return int(self.label[first_frame - self.first_frame]) <= label < self.end_label


def _runs(chunk_map: _Map, wanted: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The wanted frames, parted where the decoder can be left and started again.

    One run is one group, or several where wanted leading frames are stored behind the next group's key frame.
    """
    at = wanted - chunk_map.first_frame
    group = chunk_map.group[at]
    cuts = np.flatnonzero(np.diff(group)) + 1
    if len(chunk_map.place):
        furthest = np.maximum.accumulate(chunk_map.place[at])
        starts = np.searchsorted(chunk_map.group, group[cuts])
        cuts = cuts[furthest[cuts - 1] < chunk_map.place[starts]]
    return np.split(wanted, cuts)


# --- decoding -------------------------------------------------------------------------------------------------------


class _Damage(Exception):
    """Something in a run is not as it should be; the text says what."""


def _pictures(
    path: Path, facts: StreamFacts, chunk_map: _Map, wanted: NDArray[np.int64]
) -> Iterator[tuple[int, VideoFrame | str]]:
    """(frame_offset, picture or the reason of a gap), in the order of `wanted`."""
    with Reader(path, facts, numbered=chunk_map.is_counted, strict=True) as reader:
        for run in _runs(chunk_map, wanted):
            n_done = 0
            try:
                for picture in _needed(reader, chunk_map, run):
                    yield picture
                    n_done += 1
            except _Damage as damage:
                log.warning("damage met", path=str(path), frame_offset=int(run[n_done]), sign=str(damage))
                yield from _salvaged(path, facts, chunk_map, run[n_done:])


def _needed(reader: Reader, chunk_map: _Map, run: NDArray[np.int64]) -> Iterator[tuple[int, VideoFrame]]:
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


def _fed(reader: Reader, chunk_map: _Map, run: NDArray[np.int64], first_frame: int) -> Iterator[_Fed]:
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


def _settled(chunk_map: _Map, fed: Iterator[_Fed], first_frame: int) -> Iterator[tuple[int, VideoFrame]]:
    """Pictures from first_frame on, in order, each held back until all that was fed before it has come out sound.

    A picture may refer to one that is shown after it, and damage to that one may show only when it comes out.

    Raises:
        _Damage: a picture that is marked corrupt, does not come, or is not in the index.
    """
    expected: deque[int] = deque()  # frame_offsets in the order of feeding, until they have come
    came: set[int] = set()  # of `expected`
    held: deque[tuple[int, VideoFrame]] = deque()
    for step in fed:
        if step.offset is not None:
            expected.append(step.offset)
        for frame in step.frames:
            offset = _sound(chunk_map, frame, first_frame)
            if offset is not None:
                came.add(offset)
                held.append((offset, frame))
        while expected and expected[0] in came:
            came.discard(expected.popleft())
        while held and (held[0][0] not in came or chunk_map.is_counted):
            yield held.popleft()
        if len(expected) > _MOST_IN_DECODER:
            raise _Damage("a picture did not come")
    yield from held if not expected else ()


def _sound(chunk_map: _Map, frame: VideoFrame, first_frame: int) -> int | None:
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


# --- salvage --------------------------------------------------------------------------------------------------------


def _salvaged(
    path: Path, facts: StreamFacts, chunk_map: _Map, owed: NDArray[np.int64]
) -> Iterator[tuple[int, VideoFrame | str]]:
    """What a damaged run still gives, group by group; a reason for each frame that it does not give.

    Each group is decoded twice more, nothing skipped: once to learn which packets are bad, once for the pictures. (The
    bad ones are known only at its end, since frames come out in another order than they are stored.)
    """
    groups = chunk_map.group[owed - chunk_map.first_frame]
    with Reader(path, facts, numbered=chunk_map.is_counted, strict=False) as reader:
        for group in np.unique(groups).tolist():
            reasons = _Verdict.on(_steps(reader, chunk_map, group), chunk_map, group).reasons()
            pictures = (picture for step in _steps(reader, chunk_map, group) for picture in step.pictures)
            for offset in owed[groups == group].tolist():
                if offset not in reasons:
                    yield offset, next((frame for shown, frame in pictures if shown == offset), MISSING)
                else:
                    yield offset, reasons[offset]


@dataclass(frozen=True, slots=True)
class _Step:
    """What one packet given to the decoder brought.

    Attributes:
        offset: frame_offset of the packet's own picture; None when the chunk has none such (or it was the last drain).
        pictures: (frame_offset or None, picture) that came out, of this packet or earlier ones.
        is_bad: decoding failed, or the packet is marked corrupt, and it matters to the group.
        spreads: later pictures may refer to this one.
    """

    offset: int | None
    pictures: list[tuple[int | None, VideoFrame]]
    is_bad: bool
    spreads: bool


def _steps(reader: Reader, chunk_map: _Map, group: int) -> Iterator[_Step]:
    """A group fed whole, errors passed over; nothing when its key frame is not found."""
    if not reader.go_to(chunk_map.start_label(group)):
        return
    first_frame, last_label = chunk_map.frames(group).start, chunk_map.last_label(group)
    for label, packet in reader.read():
        if chunk_map.is_past(label, packet, last_label):
            break
        pictures, failed = _leniently(reader, chunk_map, packet)
        is_bad = (failed or reader.is_damaged(packet)) and chunk_map.matters(label, packet, first_frame)
        spreads = packet.is_corrupt or not reader.is_unreferenced(packet)  # a torn stream has lost more than this
        yield _Step(chunk_map.offset_of(label), pictures, is_bad, spreads)
    yield _Step(None, _leniently(reader, chunk_map, None)[0], False, False)


def _leniently(
    reader: Reader, chunk_map: _Map, packet: Packet[VideoStream] | None
) -> tuple[list[tuple[int | None, VideoFrame]], bool]:
    try:
        return [(chunk_map.offset_of(frame.pts), frame) for frame in reader.decode(packet)], False
    except av.error.FFmpegError:
        return [], True


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a whole decode of a group told, by frame_offset; steps are numbered in the order of decoding."""

    frames: range
    step_of: dict[int, int]  # the step that a frame's packet was fed in
    came: set[int]
    damaged: set[int]
    bad_steps: set[int]
    spreads: set[int]  # steps whose damage reaches later pictures

    @classmethod
    def on(cls, steps: Iterator[_Step], chunk_map: _Map, group: int) -> Self:
        verdict = cls(chunk_map.frames(group), {}, set(), set(), set(), set())
        for number, step in enumerate(steps):
            verdict._note(number, step, chunk_map.is_counted)
        return verdict

    def _note(self, number: int, step: _Step, is_counted: bool) -> None:
        if step.spreads:
            self.spreads.add(number)
        if step.offset is not None:
            self.step_of[step.offset] = number
        if step.is_bad:
            self.bad_steps.add(number)
            self.damaged.update(() if step.offset is None else (step.offset,))
        for shown, frame in step.pictures:
            if shown is None:
                continue
            self.came.add(shown)
            self.damaged.update((shown,) if frame.is_corrupt else ())
            if is_counted:
                self.step_of[shown] = number

    def reasons(self) -> dict[int, str]:
        """frame_offset -> reason, for each frame of the group that must not be given."""
        lost = {o for o in self.frames if o in self.step_of and (o in self.damaged or o not in self.came)}
        bad = self.bad_steps | {self.step_of[o] for o in lost}
        spreads_from = min(bad & self.spreads, default=None)
        found = {}
        for offset in self.frames:
            if offset not in self.came:
                found[offset] = MISSING
            elif offset in self.damaged:
                found[offset] = DAMAGED
            elif spreads_from is not None and self.step_of.get(offset, spreads_from) > spreads_from:
                found[offset] = DAMAGED_REFERENCE
        return found
