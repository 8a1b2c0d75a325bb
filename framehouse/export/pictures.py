"""The frames of a data set as JPEG files: exactly the frames that the models saw, upright, at their own size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import MediaError
from framehouse.export.dataset import picture_name
from framehouse.render.stills import as_jpeg
from framehouse.video.decode import FrameGap, decode
from framehouse.video.framing import stretched
from framehouse.video.index import VideoIndex
from framehouse.video.sampling import chunks

QUALITY = 95
"""Of the JPEGs: more for a model to learn from than a page needs."""


def write_pictures(
    folder: Path,
    source: Path,
    index: VideoIndex,
    video_id: str,
    frame_offset: NDArray[np.int64],
    *,
    told: Callable[[int], None] = lambda _n: None,
) -> None:
    """Write `<video_id>-<frame>.jpg` for each of these frames of a video.

    Args:
        folder: must exist.
        source: the video file that `index` was probed from.
        frame_offset: int64 [F], strictly increasing.
        told: called with 1 after each picture.

    Raises:
        MediaError: code `media.frame_gap`, a frame does not decode; else as `decode`.
    """
    whole = stretched(index.stream.size)
    for chunk in chunks(index):
        first, last = np.searchsorted(frame_offset, [chunk.first_frame, chunk.first_frame + chunk.n_frames])
        for item in decode(source, index.stream, chunk, frame_offset[first:last], [whole]):
            if isinstance(item, FrameGap):
                raise MediaError(
                    f"{video_id}: frame {item.frame_offset} does not decode any more: {item.reason}",
                    code="media.frame_gap",
                    hint="export without --images",
                    video_id=video_id,
                )
            for frame, picture in zip(item.frame_offset.tolist(), item.pictures[whole], strict=True):
                (folder / f"{picture_name(video_id, frame)}.jpg").write_bytes(as_jpeg(picture, QUALITY))
                told(1)
