"""Packets from a given key frame on, each with the label by which its picture is known.

With exact timing the label is the packet's pts. With nominal timing it is a mark that is written into the packet as its
pts and that the decoder hands on: in an AVI its dts, which is its number in the file; elsewhere its place, counted from
the start, so that the file is read from its start. Where pictures cannot be told apart by their packets, packets have
no label and the pictures are numbered as they come. Either way a picture's label is its `pts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from framehouse.video import keys
from framehouse.video.container import MARKED_BY_DTS, opened, packets, prepare, video_stream
from framehouse.video.index import StreamFacts

SkipFrame = Literal["DEFAULT", "NONREF"]
Labelled: TypeAlias = "tuple[int | None, Packet[VideoStream]]"

Beat = Callable[[], None]

_SEEK_BACK_S = (0, 3, 30)  # how far before a key frame to look for it, before reading from the start of the file


def _silent() -> None:
    pass


class Reader:
    """One open file, one decoder.

    Args:
        path: the file.
        facts: of its stream.
        numbered: with nominal timing, number the pictures instead of labelling the packets.
        strict: make the decoder raise at every error it sees instead of concealing it.
        beat: called for every packet read, as a sign of life.
    """

    def __init__(self, path: Path, facts: StreamFacts, *, numbered: bool, strict: bool, beat: Beat = _silent) -> None:
        self._path, self._facts, self._strict, self._beat = path, facts, strict, beat
        self._numbered = numbered and facts.timing == "nominal"
        self._by_dts = facts.timing == "nominal" and facts.container in MARKED_BY_DTS
        self._by_place = facts.timing == "nominal" and not self._by_dts
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._reopen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _reopen(self) -> None:
        self._open.close()
        self._source: InputContainer = self._open.enter_context(opened(self._path, self._facts.container))
        self._stream = video_stream(self._source, self._path)
        context = self._stream.codec_context
        prepare(self._stream)
        if self._strict:
            context.options = {**context.options, "err_detect": "crccheck+bitstream+buffer+explode"}
        self._length_size = keys.unit_length_size(self._facts.codec, context.extradata)
        self._has_one_layer = keys.has_one_layer(self._facts.codec, context.extradata)
        self._restart()

    def _restart(self) -> None:
        """Begin a new walk over the packets at the demuxer's position."""
        self._place = self._n_pictures = 0
        self._at_start = True
        self._held: Labelled | None = None
        self._walk = packets(self._source, self._stream)

    # --- packets ---

    def read(self) -> Iterator[Labelled]:
        """Packets from here on. Leaving the loop keeps the position behind the last packet given."""
        while (labelled := self._next()) is not None:
            yield labelled

    def _next(self) -> Labelled | None:
        self._at_start = False
        self._beat()
        if self._held is not None:
            held, self._held = self._held, None
            return held
        packet = next((p for p in self._walk if p is not None), None)
        if packet is None:
            return None
        if self._by_place:
            packet.pts = self._place
            self._place += 1
        elif self._by_dts:
            packet.pts = packet.dts
        return None if self._numbered else packet.pts, packet

    def go_to(self, start: int | None) -> bool:
        """Stand before the key frame with a label; None is the start of the file. False when it is not to be found."""
        self._stream.codec_context.flush_buffers()
        if start is None:
            if not self._at_start:
                self._reopen()
            return True
        if (self._by_place or not self._at_start) and self._read_up_to(start):
            return True
        if not self._by_place:
            for back_s in _SEEK_BACK_S:
                ticks = int(back_s / self._facts.time_base)
                if self._seek(start - ticks) and self._read_up_to(start):
                    return True
        self._reopen()
        return self._read_up_to(start)

    def _seek(self, pts: int) -> bool:
        try:
            self._source.seek(pts, stream=self._stream)
        except av.error.FFmpegError:
            return False
        self._restart()
        return True

    def _read_up_to(self, start: int) -> bool:
        if self._by_place and self._place > start:
            return False
        for label, packet in self.read():
            if label == start and (self._by_place or (packet.is_keyframe and not packet.is_discard)):
                self._held = (label, packet)
                return True
            if packet.is_keyframe and label is not None and label > start:
                return False
        return False

    # --- pictures ---

    def decode(self, packet: Packet[VideoStream] | None, skip_frame: SkipFrame = "DEFAULT") -> list[VideoFrame]:
        """Pictures that a packet brings out of the decoder; None drains it (then go_to somewhere).

        Raises:
            av.error.FFmpegError: the packet is damaged.
        """
        context = self._stream.codec_context
        context.skip_frame = skip_frame
        frames = context.decode(packet)
        if self._numbered:
            for frame in frames:
                frame.pts, self._n_pictures = self._n_pictures, self._n_pictures + 1
        return frames

    def is_unreferenced(self, packet: Packet[VideoStream]) -> bool:
        """Whether no other picture refers to the packet's own; False when in doubt."""
        return self._has_one_layer and keys.is_unreferenced(memoryview(packet), self._facts.codec, self._length_size)

    def is_damaged(self, packet: Packet[VideoStream]) -> bool:
        """Whether the packet is seen to be damaged before decoding: a break in the transport stream, or a hole."""
        return packet.is_corrupt or keys.has_hole(memoryview(packet), self._facts.codec)
