"""A lake of moving boxes: objects whose ways are known, as a detector would have seen them at some rate, with gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from framehouse.results.lake import Lake
from framehouse.results.parts import Part, PartHeader
from framehouse.results.records.boxes import Detections
from framehouse.store.rebuild import rebuild
from lakes import DETECTOR, TIME_BASE, pts_of, put_job, time_offsets_s, video, video_name

FPS = 30000 / 1001
SIZE = (640, 360)


@dataclass(frozen=True)
class Moving:
    """An object of one class: `way(seconds)` gives centre and size of its box in pixels, None while it is away."""

    class_name: str
    way: Callable[[float], tuple[float, float, float, float] | None]
    confidence: float = 0.9


def walk(
    points: Sequence[tuple[float, float, float]], size: tuple[float, float] = (30, 70), class_name: str = "person",
    confidence: float = 0.9,
) -> Moving:  # fmt: skip
    """An object that goes straight from one (second, x, y) to the next; x, y: where its feet are (bottom centre)."""
    times, xs, ys = (np.array(column, float) for column in zip(*points, strict=True))

    def way(second: float) -> tuple[float, float, float, float] | None:
        if not times[0] <= second <= times[-1]:
            return None
        x, y = float(np.interp(second, times, xs)), float(np.interp(second, times, ys))
        return x, y - size[1] / 2, *size

    return Moving(class_name, way, confidence)


def moving_lake(
    root: Path, objects: Iterable[Moving], *, seconds: float = 10.0, fps: float = 5.0, gaps: Iterable[int] = (),
    jitter_px: float = 0.0, seed: int = 1, number: int = 0,
) -> Lake:  # fmt: skip
    """A lake with one video; `gaps`: sampled frames (as numbers of samples) without an answer."""
    lake, n_frames = Lake(root), int(seconds * FPS)
    frames = np.unique(np.round(np.arange(0, seconds, 1 / fps) * FPS).astype(np.int64))
    frames = frames[frames < n_frames]
    reasons = np.array([None] * frames.size, np.object_)
    reasons[list(gaps)] = "decode.failed"
    pts = pts_of(frames)
    times = time_offsets_s(pts, int(pts_of(np.zeros(1, np.int64))[0]), TIME_BASE)
    put_job(lake, f"j_{number}", frames.tolist(), number)
    lake.write_video(replace(video(number, n_frames), locations=video(number).locations))
    rows = _rows(list(objects), frames, times, reasons, jitter_px, np.random.default_rng(seed))
    header = PartHeader(video_name(number), "c000000000", "detector/1", DETECTOR, "detections", f"j_{number}")
    lake.write_part(Part(header, frames, pts, times, reasons, np.full(frames.size, 0.01, np.float32), rows))
    return lake


def moving_store(root: Path, objects: Iterable[Moving], **how: object) -> Path:
    """FRAMEHOUSE_HOME with such a lake and its tables; returns it."""
    rebuild(root / "store", moving_lake(root / "lake", objects, **how))  # type: ignore[arg-type]
    return root


def _rows(
    objects: list[Moving], frames: np.ndarray, times: np.ndarray, reasons: np.ndarray, jitter_px: float,
    rng: np.random.Generator,
) -> Detections:  # fmt: skip
    names = sorted({moving.class_name for moving in objects})
    found: list[tuple[int, str, float, tuple[float, ...]]] = []
    for frame, time_s, reason in zip(frames.tolist(), times.tolist(), reasons.tolist(), strict=True):
        for moving in objects:
            box = moving.way(time_s)
            if box is not None and reason is None:
                noise = rng.normal(0, jitter_px, 4) if jitter_px else np.zeros(4)
                found.append((frame, moving.class_name, moving.confidence, tuple(np.add(box, noise))))
    return Detections.ordered(
        frame_offset=np.array([row[0] for row in found], np.int64),
        class_id=np.array([names.index(row[1]) for row in found], np.int32),
        class_name=np.array([row[1] for row in found], np.object_),
        confidence=np.array([row[2] for row in found], np.float32),
        xcycwh=np.array([row[3] for row in found], np.float32).reshape(-1, 4),
    )
