"""How well the tracker counts crossings on made scenes whose truth is known (docs/decisions/0014).

    python scripts/measure_tracker.py

Where the package `trackers` can be imported (it is no dependency: it brings opencv-python), its ByteTrack is measured
beside ours, with supervision's LineZone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framehouse.analytics.crossing import Path, crossings
from framehouse.analytics.tracking import Tracking, track
from framehouse.store.archive import Boxes, index_in_frame

WIDTH, HEIGHT, SECONDS = 640, 360, 60.0
LINE = np.array([[0.0, HEIGHT / 2], [WIDTH, HEIGHT / 2]])
KINDS = {"walkers": (40, 100.0, (30, 75)), "crowd": (150, 100.0, (30, 75)), "cars": (40, 350.0, (90, 50))}
"""Name -> objects in a minute, mean pixels a second, size in pixels."""


@dataclass(frozen=True)
class Scene:
    """Boxes as a detector gives them, and how often objects really cross the line in and out."""

    boxes: Boxes
    n_in: int
    n_out: int
    n_objects: int
    fps: float


def scene(kind: str, fps: float, missed: float, seed: int) -> Scene:
    """Objects go up or down through the picture, aslant; three in ten turn round. One box in five is weak."""
    n, speed, size = KINDS[kind]
    rng = np.random.default_rng(seed)
    times, rows, truth = np.arange(0, SECONDS, 1 / fps), [], np.zeros(2, int)
    for _ in range(n):
        begin, x, upwards = rng.uniform(0, SECONDS - 8), rng.uniform(40, WIDTH - 40), rng.random() < 0.5
        v, turns, drift = speed * rng.uniform(0.7, 1.3), rng.random() < 0.3, rng.normal(0, 0.15)
        end = begin + (460 if turns else HEIGHT) / v
        w, h = np.array(size) * rng.uniform(0.8, 1.2, 2)

        def place(
            seconds: NDArray[np.float64], v: float = v, begin: float = begin, turns: bool = turns, up: bool = upwards
        ) -> NDArray[np.float64]:
            way = (seconds - begin) * v
            way = np.where(turns & (way >= 230), 460 - way, way)
            return HEIGHT - way if up else way

        dense = place(np.arange(begin, min(end, times[-1]), 0.01)) > HEIGHT / 2
        truth += (dense[:-1] & ~dense[1:]).sum(), (~dense[:-1] & dense[1:]).sum()
        seen = times[(times >= begin) & (times <= end)]
        for second, y in zip(seen.tolist(), place(seen).tolist(), strict=True):
            if rng.random() >= missed:
                weak, noise = rng.random() < 0.2, rng.normal(0, 1.5, 4)
                left, top = x + drift * v * (second - begin) - w / 2, y - h
                rows.append((second, *(np.array([left, top, left + w, y]) + noise), 0.25 if weak else 0.9))
    table = np.array(sorted(rows, key=lambda row: (row[0], -row[5])))
    frame = np.searchsorted(times, table[:, 0]).astype(np.int64)
    boxes = Boxes(
        frame, table[:, 0], index_in_frame(frame), np.full(len(table), "x", object), table[:, 5].astype(np.float32),
        table[:, 1:5].astype(np.float32),
    )  # fmt: skip
    return Scene(boxes, int(truth[0]), int(truth[1]), n, fps)


def ours(made: Scene) -> tuple[int, int, int]:
    """(in, out, tracks) by our tracker and lines, with feet as the point that counts."""
    boxes = made.boxes
    owner = track(boxes, Tracking(step_s=1 / made.fps))
    xyxy = boxes.xyxy.astype(np.float64)
    feet = np.stack([(xyxy[:, 0] + xyxy[:, 2]) / 2, xyxy[:, 3]], axis=1)
    size = np.sqrt((xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1))
    ways = []
    for number in range(1, int(owner.max(initial=0)) + 1):
        rows = owner == number
        path = Path(number, "x", boxes.time_offset_s[rows], boxes.frame_offset[rows], feet[rows], size[rows], size)
        ways += [cut.inward for cut in crossings(path, LINE)]
    return sum(ways), len(ways) - sum(ways), int(owner.max(initial=0))


def bytetrack(made: Scene) -> tuple[int, int, int]:
    """The same by `trackers` and supervision."""
    import supervision as sv
    from trackers import ByteTrackTracker

    tracker, found = ByteTrackTracker(frame_rate=made.fps), set()
    line = sv.LineZone(sv.Point(*LINE[0]), sv.Point(*LINE[1]), triggering_anchors=[sv.Position.BOTTOM_CENTER])
    for frame in range(int(SECONDS * made.fps)):
        rows = made.boxes.frame_offset == frame
        seen = sv.Detections(made.boxes.xyxy[rows], None, made.boxes.confidence[rows], np.zeros(rows.sum(), int))
        seen = tracker.update(seen)
        if seen.tracker_id is not None:
            seen = seen[seen.tracker_id >= 0]
            found |= set(seen.tracker_id.tolist())
        line.trigger(seen)
    return line.in_count, line.out_count, len(found)


def wrong(made: Scene, counted: tuple[int, int, int]) -> int:
    """Crossings too many or too few."""
    return abs(counted[0] - made.n_in) + abs(counted[1] - made.n_out)


def measured(seeds: tuple[int, ...] = (10, 11, 12)) -> Iterator[str]:
    """A line of a table for each kind of scene, rate and share of missed boxes."""
    ways = {"ours": ours} | ({"ByteTrack": bytetrack} if importlib.util.find_spec("trackers") else {})
    columns = [
        "scene",
        "frames a second",
        "missed",
        "crossings",
        *(f"wrong: {way}" for way in ways),
        "tracks of objects",
    ]
    yield f"| {' | '.join(columns)} |"
    yield "|---" * (5 + len(ways)) + "|"
    for kind in KINDS:
        for fps in (1, 2, 5, 10):
            for missed in (0.0, 0.1):
                made = [scene(kind, fps, missed, seed) for seed in seeds]
                counts = {way: [count(one) for one in made] for way, count in ways.items()}
                total = sum(one.n_in + one.n_out for one in made)
                errors = [sum(map(wrong, made, found)) for found in counts.values()]
                tracks = f"{sum(found[2] for found in counts['ours'])} of {sum(one.n_objects for one in made)}"
                yield f"| {kind} | {fps} | {missed:.0%} | {total} | {' | '.join(map(str, errors))} | {tracks} |"


if __name__ == "__main__":
    for row in measured():
        print(row, flush=True)
