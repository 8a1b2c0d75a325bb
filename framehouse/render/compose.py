"""A copy of a video in its own timing, with its sound, every picture passed through some steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.video.decode import FrameGap, decode
from framehouse.video.encode import Encoder
from framehouse.video.framing import stretched
from framehouse.video.index import Size, VideoIndex
from framehouse.video.sampling import chunks
from framehouse.video.sound import SoundMode

log = structlog.get_logger(__name__)

Picture = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB, upright."""


class Step(Protocol):
    """Something that is done to every picture, in the order of the video."""

    def __call__(self, frame_offset: int, picture: Picture) -> None:
        """Change the picture in place."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it. `left_out`: frames that do not decode; the one before each stands longer."""

    n_frames: int
    left_out: tuple[int, ...]


def pictures(source: Path, index: VideoIndex, size: Size) -> Iterator[tuple[int, int, Picture | None]]:
    """(frame_offset, pts, picture) of every frame in order; None for one that does not decode.

    Args:
        source: the video that `index` was read from.
        size: of the pictures, (width, height).
    """
    framing = stretched(size)
    for chunk in chunks(index):
        wanted = np.arange(chunk.first_frame, chunk.first_frame + chunk.n_frames, dtype=np.int64)
        for item in decode(source, index.stream, chunk, wanted, [framing]):
            if isinstance(item, FrameGap):
                log.warning("frame left out", frame_offset=item.frame_offset, reason=item.reason)
                yield item.frame_offset, int(index.pts[item.frame_offset]), None
            else:
                yield int(item.frame_offset[0]), int(item.pts[0]), item.pictures[framing][0]


def changed_pictures(
    source: Path, index: VideoIndex, steps: Sequence[Step]
) -> Iterator[tuple[int, int, Picture | None]]:
    """As `pictures`, at the source's own size, after all steps."""
    for frame_offset, pts, picture in pictures(source, index, index.stream.size):
        if picture is not None:
            picture = np.ascontiguousarray(picture)  # noqa: PLW2901  OpenCV draws on one block of memory
            for step in steps:
                step(frame_offset, picture)
        yield frame_offset, pts, picture


def check_out(out: Path, source: Path) -> None:
    """Refuse a file that cannot be written to.

    Raises:
        ConfigError: code `config.output`, `out` is the source itself or no `.mp4`.
    """
    if out.suffix.lower() != ".mp4":
        raise ConfigError(f"{out}: only .mp4 is written", code="config.output", hint="name it .mp4")
    if out.exists() and out.samefile(source):
        raise ConfigError(f"{out} is the video itself", code="config.output", hint="choose another --out")


def compose(
    source: Path,
    index: VideoIndex,
    steps: Sequence[Step],
    out: Path,
    *,
    sound: SoundMode = "keep",
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Write the copy, whole or not at all.

    Args:
        source: the video file that `index` was read from.
        out: `.mp4` file to write.
        progress: told how many frames are dealt with.

    Raises:
        ConfigError: as `check_out`.
        MediaError: the source cannot be decoded any more; code `media.not_written`, `out` cannot be written.
    """
    check_out(out, source)
    n_frames, left_out = 0, []
    with Encoder(out, source=source, stream=index.stream, sound=sound) as encoder:
        for frame_offset, pts, picture in changed_pictures(source, index, steps):
            if picture is None:
                left_out.append(frame_offset)
            else:
                encoder.write(picture, pts)
                n_frames += 1
            if progress is not None:
                progress(n_frames + len(left_out))
    return Written(n_frames, tuple(left_out))
