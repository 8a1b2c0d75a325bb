"""How a video looks from frame to frame: small pictures and how much each differs from the one before.

One decode at the source's own rate (or sampled), each picture scaled down at once. From these few numbers cuts, fades
and calm are found again and again with other thresholds, without the file.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import AdaptiveDetector, FrameTimecode
from scenedetect.stats_manager import StatsManager

from framehouse.errors import MediaError
from framehouse.video.decode import FrameGap, decode
from framehouse.video.framing import Framing
from framehouse.video.index import VideoIndex
from framehouse.video.sampling import FramePlan, InferFps, chunks, frames_of_chunk, gap_intervals, plan_frames

VERSION = 1
"""Of the numbers; raised when they change, so that kept ones are made again."""
THUMB = (16, 9)
"""(width, height) of the small pictures, whatever the shape of the video."""
_MOST_SIDE = 128
_BATCH = 32
_CHANGE, _RATIO = "content_val", "adaptive_ratio (w=2)"  # as PySceneDetect names them

Gap = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What the frames of a video look like, in order of time.

    Attributes:
        frame_offset: int64 [N], of the source.
        time_s: float64 [N], seconds after the first frame of the video.
        thumbs: uint8 [N, 9, 16, 3], RGB, the picture averaged down.
        change: float32 [N], PySceneDetect's content score: mean difference of hue, saturation and brightness to the
            frame before, 0..255; 0 for the first.
        ratio: float32 [N], that over the mean of the two frames before and after (its adaptive ratio), 0..255.
        gaps: seconds (first, end) of which no picture could be had.
        end_s: where the video ends, seconds.
    """

    frame_offset: NDArray[np.int64]
    time_s: NDArray[np.float64]
    thumbs: NDArray[np.uint8]
    change: NDArray[np.float32]
    ratio: NDArray[np.float32]
    gaps: tuple[Gap, ...]
    end_s: float

    def __post_init__(self) -> None:
        n = len(self.frame_offset)
        if not n == len(self.time_s) == len(self.thumbs) == len(self.change) == len(self.ratio):
            raise MediaError("the arrays of looks differ in length")


def look_at(
    path: Path, index: VideoIndex, fps: InferFps = "all", *, progress: Callable[[int], None] | None = None
) -> Looks:
    """Decode a video once and keep what it looks like.

    Args:
        path: the file that was probed.
        index: its frames.
        fps: how many frames of each second to look at; a cut is known as exactly as this.
        progress: told how many frames are done.

    Raises:
        SourceNotFound, UnreadableVideo: the file cannot be opened any more.
        MediaError: code `media.nothing_seen`, not one frame could be decoded.
    """
    plan = plan_frames(index, fps)
    seen = _Seen(len(plan.pts) / max(index.duration_s, 1e-6))
    gaps: list[int] = []
    framing = Framing("fit", _MOST_SIDE, _MOST_SIDE)
    for chunk in chunks(index):
        for got in decode(path, index.stream, chunk, frames_of_chunk(plan, chunk), [framing], batch_size=_BATCH):
            if isinstance(got, FrameGap):
                gaps.append(got.frame_offset)
            else:
                seen.add(got.frame_offset, got.pictures[framing])
            if progress is not None:
                progress(seen.n_frames + len(gaps))
    return seen.looks(index, plan, np.array(gaps, np.int64))


class _Seen:
    """Frames as they come, and PySceneDetect beside them."""

    def __init__(self, fps: float) -> None:
        self.n_frames = 0
        self._fps = fps
        self._offsets: list[NDArray[np.int64]] = []
        self._thumbs: list[NDArray[np.uint8]] = []
        self._detector = AdaptiveDetector(min_scene_len=0)
        self._detector.stats_manager = self._scores = _Scores()

    def add(self, frame_offset: NDArray[np.int64], pictures: NDArray[np.uint8]) -> None:
        """Frames, int64 [B] and uint8 [B, h, w, 3] RGB."""
        small = [cv2.resize(picture, THUMB, interpolation=cv2.INTER_AREA) for picture in pictures]
        self._offsets.append(frame_offset)
        self._thumbs.append(np.stack(small).astype(np.uint8))
        for picture in pictures:
            blue_first = np.ascontiguousarray(picture[..., ::-1])
            self._detector.process_frame(FrameTimecode(self.n_frames, fps=self._fps), blue_first)
            self.n_frames += 1

    def looks(self, index: VideoIndex, plan: FramePlan, gaps: NDArray[np.int64]) -> Looks:
        if not self._offsets:
            raise MediaError("not one frame of the video could be decoded", code="media.nothing_seen")
        offsets = np.concatenate(self._offsets)
        base = index.stream.time_base
        ticks = (index.pts[offsets] - index.pts[0]).astype(np.float64)
        return Looks(
            frame_offset=offsets,
            time_s=ticks * base.numerator / base.denominator,
            thumbs=np.concatenate(self._thumbs),
            change=self._scores.column(_CHANGE, self.n_frames),
            ratio=self._scores.column(_RATIO, self.n_frames),
            gaps=tuple(gap_intervals(plan, gaps, index)),
            end_s=index.duration_s,
        )


class _Scores(StatsManager):  # type: ignore[misc]  # the library has no types
    """Keeps the two numbers that are wanted, four bytes each, instead of a dictionary per frame."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, array[float]] = {_CHANGE: array("f"), _RATIO: array("f")}

    def set_metrics(self, timecode: FrameTimecode, metric_kv_dict: Mapping[str, Any]) -> None:
        for name in self._kept.keys() & metric_kv_dict.keys():
            column = self._kept[name]
            column.extend([0.0] * (timecode.frame_num - len(column)))
            column.append(float(metric_kv_dict[name]))

    def column(self, name: str, n: int) -> NDArray[np.float32]:
        """float32 [n]; 0 where the detector said nothing."""
        made = np.zeros(n, np.float32)
        kept = np.frombuffer(self._kept[name], np.float32)
        made[: len(kept)] = kept
        return made
