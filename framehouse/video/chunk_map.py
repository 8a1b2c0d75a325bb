"""How the frames of a chunk are known in the decoder, and which of them have to be decoded together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from framehouse.errors import MediaError
from framehouse.video.index import StreamFacts
from framehouse.video.sampling import FrameChunk


@dataclass(frozen=True, slots=True)
class ChunkMap:
    """How the frames of a chunk are known in the decoder, and which group each belongs to.

    Attributes:
        first_frame: first frame_offset.
        is_exact: labels are pts; else marks of packets that rise with their order in the file.
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
        """The map of a chunk. Raises MediaError when timing is nominal and the chunk does not know its packets."""
        is_exact, is_counted = stream.timing == "exact", bool(len(chunk.packet) and chunk.packet[0] < 0)
        if not is_exact and len(chunk.packet) == 0:
            raise MediaError("a chunk with nominal timing must carry its packets")
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


def runs(chunk_map: ChunkMap, wanted: NDArray[np.int64]) -> list[NDArray[np.int64]]:
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
