"""What a damaged group of pictures still gives.

The group is decoded from its key frame with nothing skipped. Frames stored before the damage are good; the damaged ones
and, unless no picture refers to them, all that is stored after them up to the next key frame are gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import av.error
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from framehouse.video.chunk_map import ChunkMap
from framehouse.video.index import StreamFacts
from framehouse.video.reader import Reader

MISSING = "decode.missing"  # its packet is there or not, but no picture came out
DAMAGED = "decode.damaged"  # a picture came out that the decoder itself calls wrong
DAMAGED_REFERENCE = "decode.damaged_reference"  # stored after damage in its group: may refer to it


def salvaged(
    path: Path, facts: StreamFacts, chunk_map: ChunkMap, owed: NDArray[np.int64], beat: Callable[[], None]
) -> Iterator[tuple[int, VideoFrame | str]]:
    """What a damaged run still gives, group by group; a reason for each frame that it does not give.

    Each group is decoded twice more, nothing skipped: once to learn which packets are bad, once for the pictures. (The
    bad ones are known only at its end, since frames come out in another order than they are stored.)
    """
    groups = chunk_map.group[owed - chunk_map.first_frame]
    with Reader(path, facts, numbered=chunk_map.is_counted, strict=False, beat=beat) as reader:
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


def _steps(reader: Reader, chunk_map: ChunkMap, group: int) -> Iterator[_Step]:
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
    reader: Reader, chunk_map: ChunkMap, packet: Packet[VideoStream] | None
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
    def on(cls, steps: Iterator[_Step], chunk_map: ChunkMap, group: int) -> Self:
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
