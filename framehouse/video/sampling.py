"""Which frames to take, and how a video is cut for parallel work: pure functions over the index.

Everything is exact: pts are integers, rates and time bases are Fractions, and no float decides which frame is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import ConfigError, FpsExceedsSource, MediaError
from framehouse.video.index import VideoIndex

InferFps = Fraction | Literal["all"]

DEFAULT_INFER_FPS = Fraction(5)
_RATE_SLACK = Fraction(1, 100)  # a measured 29.997 is still "30 fps" (interface.md, decision 1)
_INT64_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class FramePlan:
    """The frames a job asks for.

    Attributes:
        frame_offset: int64 [K], index in presentation order, strictly increasing.
        pts: int64 [K], the frames' presentation times in ticks.
        target_s: float64 [K], seconds after the first pts: the first target that fell on the frame.
    """

    frame_offset: NDArray[np.int64]
    pts: NDArray[np.int64]
    target_s: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not len(self.frame_offset) == len(self.pts) == len(self.target_s):
            raise MediaError("a plan's arrays differ in length")


@dataclass(frozen=True, slots=True)
class FrameChunk:
    """A half-open interval of presentation time holding whole groups of pictures: the unit of parallel work.

    Attributes:
        first_frame: frame_offset of `pts[0]`.
        start_pts: pts of the first frame; a decoder can start there (or it is the first frame of the video).
        end_pts: exclusive; the pts of the next chunk's key frame, for the last chunk the last pts + 1.
        pts: int64 [M], the index restricted to the chunk.
        is_key: bool [M].
        packet: int64 [M] or empty, as in `VideoIndex.packet`.
    """

    first_frame: int
    start_pts: int
    end_pts: int
    pts: NDArray[np.int64]
    is_key: NDArray[np.bool_]
    packet: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def chunk_id(self) -> str:
        """Name of the chunk within its video; sorts by time."""
        return f"c{self.first_frame:09d}"

    @property
    def n_frames(self) -> int:
        """M."""
        return len(self.pts)


def nearest_frames(pts: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the frame shown nearest to each target time.

    Args:
        pts: presentation times, int64 [N], ticks of the stream's time_base, strictly increasing.
        targets: wanted times, int64 [T], same ticks, in any order; may lie outside the video.

    Both may also be arrays of Python integers (dtype object) where 64 bits are too few.

    Returns:
        int64 [T], each in 0..N-1. A tie takes the earlier frame. T = 0 gives an empty array.

    Raises:
        MediaError: N = 0, or pts not strictly increasing (the caller names the video).

    >>> nearest_frames(np.array([0, 40, 80]), np.array([19, 20, 70]))
    array([0, 0, 2])
    """
    if len(pts) == 0:
        raise MediaError("no frames to choose from")
    if not bool(np.all(pts[1:] > pts[:-1])):
        raise MediaError("presentation times are not strictly increasing")
    after = np.clip(np.searchsorted(pts, targets), 1, max(len(pts) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(pts) - 1)
    nearer = np.where(targets - pts[before] <= pts[after] - targets, before, after)
    return nearer.astype(np.int64)


def parse_infer_fps(text: str) -> InferFps:
    """A rate as people write it: "5", "2.5", "30000/1001" or "all".

    Raises:
        ConfigError: code "config.infer_fps"; not a number, not finite, zero or negative.

    >>> parse_infer_fps("2.5")
    Fraction(5, 2)
    """
    if text.strip().lower() == "all":
        return "all"
    try:
        fps = Fraction(text.strip())
    except (ValueError, ZeroDivisionError):
        raise _bad_fps(f"infer_fps is not a number: {text!r}") from None
    if fps <= 0:
        raise _bad_fps(f"infer_fps must be above zero: {text}")
    return fps


def _bad_fps(message: str) -> ConfigError:
    return ConfigError(
        message, code="config.infer_fps", hint="give frames per second such as 5, 2.5 or 30000/1001, or: all"
    )


def plan_frames(index: VideoIndex, infer_fps: InferFps | None) -> FramePlan:
    """The frames nearest to first pts + k / infer_fps, while that is not after the last pts; each frame once.

    Args:
        index: the video's frames.
        infer_fps: frames per second; "all", or at least the source rate, takes every frame; None is 5, or every frame
            of a slower source.

    Raises:
        FpsExceedsSource: more than the source rate rounded up (both are named).
        ConfigError: zero or negative.
    """
    rate = index.rate
    if infer_fps is None:
        infer_fps = "all" if rate is None or rate <= DEFAULT_INFER_FPS else DEFAULT_INFER_FPS
    if infer_fps == "all":
        return _every_frame(index)
    if infer_fps <= 0:
        raise _bad_fps(f"infer_fps must be above zero: {infer_fps}")
    if rate is None:
        return _every_frame(index)
    if infer_fps > max(Fraction(math.ceil(rate - _RATE_SLACK)), rate):
        raise FpsExceedsSource(
            f"asked for {_say(infer_fps)} frames a second, the video has {_say(rate)}",
            infer_fps=str(infer_fps),
            video_fps=str(rate),
        )
    return _every_frame(index) if infer_fps >= rate else _sampled(index, infer_fps)


def _say(rate: Fraction) -> str:
    return f"{float(rate):.6g}"


def _every_frame(index: VideoIndex) -> FramePlan:
    ticks = index.pts - index.pts[0]
    target_s = ticks * index.stream.time_base.numerator / index.stream.time_base.denominator
    return FramePlan(np.arange(index.n_frames, dtype=np.int64), index.pts.copy(), target_s.astype(np.float64))


def _sampled(index: VideoIndex, fps: Fraction) -> FramePlan:
    step = 1 / (fps * index.stream.time_base)  # ticks between targets; times its denominator they are whole numbers
    span = int(index.pts[-1] - index.pts[0])
    n_targets = span // step + 1
    fits = (span + 1) * step.denominator < _INT64_LIMIT
    dtype: type[np.int64] | type[object] = np.int64 if fits else object
    scaled_pts = (index.pts - index.pts[0]).astype(dtype) * step.denominator
    targets = np.arange(n_targets).astype(dtype) * step.numerator
    frames, first_target = np.unique(nearest_frames(scaled_pts, targets), return_index=True)
    target_s = first_target * fps.denominator / fps.numerator
    return FramePlan(frames, index.pts[frames], target_s.astype(np.float64))


def plan_within(plan: FramePlan, first_frame: int, end_frame: int) -> FramePlan:
    """The planned frames with first_frame <= frame_offset < end_frame; may be none."""
    at = slice(*np.searchsorted(plan.frame_offset, [first_frame, end_frame]))
    return FramePlan(plan.frame_offset[at], plan.pts[at], plan.target_s[at])


def chunks(index: VideoIndex, *, target_s: float = 20.0) -> list[FrameChunk]:
    """Cut a video at key frames into chunks of about `target_s` seconds.

    The cut depends on the index alone, so that every frame rate and every model meets the same chunks. Each cut is at
    the key frame nearest to `target_s` after the one before, so most chunks last 10 to 30 s; longer ones hold a single
    group of pictures. Frames that an open group shows before its key frame belong to the chunk before.
    """
    span = int(Fraction(target_s) / index.stream.time_base)
    ends = np.append(np.flatnonzero(index.is_key[1:]) + 1, index.n_frames)
    end_pts = np.append(index.pts[ends[:-1]], index.pts[-1] + 1)
    found: list[FrameChunk] = []
    cut, first = -1, 0
    while first < index.n_frames:
        cut = _nearest_cut(end_pts, int(index.pts[first]) + span, cut + 1)
        found.append(_chunk(index, first, int(ends[cut]), int(end_pts[cut])))
        first = int(ends[cut])
    return found


def _nearest_cut(end_pts: NDArray[np.int64], target: int, lowest: int) -> int:
    after = min(max(int(np.searchsorted(end_pts, target)), lowest), len(end_pts) - 1)
    before = max(after - 1, lowest)
    return before if target - int(end_pts[before]) <= int(end_pts[after]) - target else after


def _chunk(index: VideoIndex, first: int, end: int, end_pts: int) -> FrameChunk:
    part = slice(first, end)
    return FrameChunk(
        first_frame=first,
        start_pts=int(index.pts[first]),
        end_pts=end_pts,
        pts=index.pts[part].copy(),
        is_key=index.is_key[part].copy(),
        packet=index.packet[part].copy(),
    )


def gap_intervals(plan: FramePlan, gaps: NDArray[np.int64], index: VideoIndex) -> list[tuple[float, float]]:
    """Where planned frames are missing: (first, end) in seconds after the first pts.

    Args:
        plan: the frames asked for.
        gaps: frame_offsets of the plan that gave nothing, int64, strictly increasing.
        index: the video's frames.

    Neighbours in the plan make one interval; it ends at the next planned frame, or with the video.
    """
    at = np.flatnonzero(np.isin(plan.frame_offset, gaps))
    ends_s = np.append((plan.pts - index.pts[0]) * float(index.stream.time_base), index.duration_s)
    parts = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1) if len(at) else []
    return [(float(ends_s[part[0]]), float(ends_s[part[-1] + 1])) for part in parts]


def frames_of_chunk(plan: FramePlan, chunk: FrameChunk) -> NDArray[np.int64]:
    """The planned frame_offsets inside a chunk: int64, increasing; may be empty."""
    ends = np.searchsorted(plan.frame_offset, [chunk.first_frame, chunk.first_frame + chunk.n_frames])
    return plan.frame_offset[ends[0] : ends[1]]
