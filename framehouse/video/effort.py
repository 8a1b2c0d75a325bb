"""What decoding some frames costs, from the index alone: how many frames a decoder has to go through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from framehouse.video.sampling import FrameChunk


def n_passed(chunk: FrameChunk, wanted: NDArray[np.int64]) -> int:
    """Frames that a decoder goes through to give the wanted ones of a chunk.

    A group of pictures is decoded from its key frame to its last wanted frame; a group without one is passed over. A
    file whose frames can only be counted is decoded from its start.

    Args:
        wanted: frame_offsets inside the chunk, int64, increasing.
    """
    if not wanted.size:
        return 0
    if len(chunk.packet) and chunk.packet[0] < 0:
        return int(wanted[-1]) + 1
    at = wanted - chunk.first_frame
    starts = np.flatnonzero(chunk.is_key)
    if not starts.size or starts[0] != 0:
        starts = np.append(0, starts)
    start_of = starts[np.searchsorted(starts, at, side="right") - 1]
    _, first = np.unique(start_of, return_index=True)
    last = np.append(first[1:] - 1, at.size - 1)
    return int((at[last] - start_of[last] + 1).sum())
