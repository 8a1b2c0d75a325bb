"""The picture of one frame of a video, exactly that frame, as a JPEG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from framehouse.errors import MediaError
from framehouse.video.decode import FrameBatch, decode
from framehouse.video.framing import Framing
from framehouse.video.index import VideoIndex
from framehouse.video.sampling import chunks, nearest_frames

FULL = 16384
"""A side that no picture reaches: the frame at its own size."""
_QUALITY = 85


def frame_at(index: VideoIndex, time_offset_s: float) -> int:
    """frame_offset of the frame shown nearest to a time, seconds after the first frame; a tie takes the earlier."""
    ticks = index.pts[0] + np.int64(round(time_offset_s / float(index.stream.time_base)))
    return int(nearest_frames(index.pts, np.array([ticks], np.int64))[0])


def still(source: Path, index: VideoIndex, frame_offset: int, *, side: int = FULL) -> NDArray[np.uint8]:
    """The picture of a frame, uint8 [height, width, 3] RGB, upright; only its group of pictures is decoded.

    Args:
        source: the video that `index` was read from.
        side: neither side of the picture is longer; it is never scaled up.

    Raises:
        MediaError: code `media.no_such_frame`; `media.frame_gap` for a frame that is damaged.
    """
    if not 0 <= frame_offset < index.n_frames:
        raise MediaError(
            f"there is no frame {frame_offset}: the video has {index.n_frames}", code="media.no_such_frame",
            hint="frames count from 0",
        )  # fmt: skip
    framing = Framing("fit", side, side)
    chunk = next(c for c in chunks(index) if frame_offset < c.first_frame + c.n_frames)
    (item,) = decode(source, index.stream, chunk, np.array([frame_offset], np.int64), [framing])
    if not isinstance(item, FrameBatch):
        raise MediaError(
            f"frame {frame_offset} does not decode: {item.reason}", code="media.frame_gap", hint="take another frame"
        )
    picture: NDArray[np.uint8] = item.pictures[framing][0]
    return picture


def as_jpeg(picture: NDArray[np.uint8], quality: int = _QUALITY) -> bytes:
    """A picture, uint8 [height, width, 3] RGB, as the bytes of a JPEG without any metadata."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
