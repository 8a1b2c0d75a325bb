"""A copy of a video that every browser plays: H.264 and AAC in an mp4, each frame at the original's own time."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from framehouse.render.compose import pictures
from framehouse.video.encode import Encoder
from framehouse.video.index import Size, VideoIndex

MOST_SIDE = 1280
"""The longer side of a proxy's pictures at most, pixels."""
_KEY_EVERY_S = 2
_CRF = 23


def proxy_size(size: Size, most_side: int = MOST_SIDE) -> Size:
    """Size of a proxy's pictures: scaled down to `most_side`, both sides even. Marks are scaled, not moved.

    >>> proxy_size((1920, 1080)), proxy_size((127, 95)), proxy_size((608, 1080), 640)
    ((1280, 720), (126, 94), (360, 640))
    """
    factor = min(1.0, most_side / max(size))
    width, height = (max(2, round(side * factor) // 2 * 2) for side in size)
    return width, height


def make_proxy(
    source: Path, index: VideoIndex, out: Path, *, threads: int = 1, progress: Callable[[int], None] | None = None
) -> int:
    """Write a proxy, whole or not at all. A frame that does not decode is left out; the one before stands longer.

    Args:
        source: the video that `index` was read from.
        out: `.mp4` file; its folder is there.
        threads: of the encoder.
        progress: told how many of `index.n_frames` were dealt with.

    Returns:
        Frames written.

    Raises:
        MediaError: the source does not decode, or code `media.not_written`.
    """
    size, n_written, n_done = proxy_size(index.stream.size), 0, 0
    key_every = max(1, round((index.rate or Fraction(25)) * _KEY_EVERY_S))
    with Encoder(
        out, source=source, stream=index.stream, size=size, crf=_CRF, threads=threads, key_every=key_every,
        sound="browser",
    ) as encoder:  # fmt: skip
        for _, pts, picture in pictures(source, index, size):
            n_done += 1
            if picture is not None:
                encoder.write(picture, pts)
                n_written += 1
            if progress is not None:
                progress(n_done)
    return n_written
