"""The records that describe a video: what a decoder must know, and when each frame is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Timing = Literal["exact", "nominal"]
Size = tuple[int, int]


def _no_packets() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What a decoder must know of a video stream; small, picklable.

    Attributes:
        container: short name of the format: "mp4", "mov", "matroska", "webm", "mpegts", "avi", "h264" …
        codec: FFmpeg's name of the codec: "h264", "hevc", "mpeg4" …
        width: of the upright picture, in stored pixels.
        height: of the upright picture, in stored pixels.
        rotation_deg: clockwise turn that makes the stored picture upright: 0, 90, 180 or 270.
        time_base: seconds per tick of every pts.
        timing: "exact" when pts are the container's own, "nominal" when they are the output order over the rate.
    """

    container: str
    codec: str
    width: int
    height: int
    rotation_deg: int
    time_base: Fraction
    timing: Timing

    @property
    def size(self) -> Size:
        """(width, height) of the upright picture."""
        return self.width, self.height


@dataclass(frozen=True, slots=True)
class VideoIndex:
    """When each frame of a video is shown.

    Attributes:
        stream: facts for the decoder.
        pts: int64 [N], ticks of `stream.time_base`, presentation order, strictly increasing, N > 0.
        is_key: bool [N], frames at which a decoder may start.
        damage: one line per finding; empty for a sound file.
        recorded_at: ISO 8601 in UTC, from the container, if it says so.
        packet: int64 [N], a mark of each frame's packet that rises with its place in the file (decode order): the place
            itself, in an AVI its dts. All -1 where frames cannot be told by their packets and have to be counted.
    """

    stream: StreamFacts
    pts: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    damage: tuple[str, ...] = ()
    recorded_at: str | None = None
    packet: NDArray[np.int64] = field(default_factory=_no_packets)

    @property
    def n_frames(self) -> int:
        """N."""
        return len(self.pts)

    @property
    def rate(self) -> Fraction | None:
        """Frames per second: (N - 1) / (last pts - first pts). None for a single frame."""
        if len(self.pts) < 2:
            return None
        return (len(self.pts) - 1) / (int(self.pts[-1] - self.pts[0]) * self.stream.time_base)

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last, which is taken to last as long as a mean frame."""
        rate = self.rate
        return float(len(self.pts) / rate) if rate else 0.0
