"""Chunks of videos whose pictures say their number, and a model that reads it: so rows can be checked frame by frame.

`ANSWER` is the model: the fake client of the unit tests runs it here, the real server of the integration tests as a
Python model. Its rows have the detector's form, with the number as the class.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import media
from framehouse.errors import FramehouseError
from framehouse.inference.run import ChunkReceipt, ChunkTask
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.triton import Answer
from framehouse.results.lake import Lake
from framehouse.results.parts import Part, part_paths, read_part
from framehouse.video.framing import stretched
from framehouse.video.probe import probe
from framehouse.video.sampling import InferFps, chunks, frames_of_chunk, plan_frames

ANSWER = """
import numpy as np

def numbers(image):
    height, width = image.shape[1:3]
    cells = image.reshape(len(image), 5, height // 5, 4, width // 4, 3)[:, 1:, 3:-3, :, 4:-4].mean(axis=(2, 4, 5))
    return ((cells.reshape(len(image), 16) > 127) << np.arange(16)).sum(axis=1)

def answer(image):
    n = len(image)
    boxes, scores = np.zeros((n, 4, 4), np.float32), np.zeros((n, 4), np.float32)
    classes, count = np.zeros((n, 4), np.int32), np.ones((n, 1), np.int32)
    boxes[:, 0], scores[:, 0], classes[:, 0] = [0, 0, 16, 20], 0.75, numbers(image)
    return {"boxes": boxes, "scores": scores, "classes": classes, "count": count}
"""
_model: dict[str, Any] = {}
exec(ANSWER, _model)

LABELS = tuple(f"number {i}" for i in range(1000))
SPEC = ModelSpec(
    "numbers/1",
    "numbers",
    "1",
    "detector",
    "detections",
    "numbers",
    "1",
    stretched((64, 60)),
    1,
    LABELS,
    "1" * 32,
    0.1,
)
SMALL = replace(
    SPEC,
    model_id="small/1",
    slug="small",
    triton_model="small",
    framing=stretched((48, 40)),
    digest="2" * 32,
)
TARGET = TritonTarget("127.0.0.1:1", True, 20.0, 3)


def chunk_task(
    video: Path, lake_root: Path, infer_fps: InferFps | None = "all", *, chunk: int = 0, **changes: Any
) -> ChunkTask:
    """One chunk (about a second) of a video; any field may be changed."""
    index = probe(video)
    cut = chunks(index, target_s=1.0)[chunk]
    planned = frames_of_chunk(plan_frames(index, infer_fps), cut)
    task = ChunkTask(
        "j_1", "v_1", str(video), index.stream, cut, planned, int(index.pts[0]), (SPEC,), str(lake_root), TARGET
    )
    return replace(task, **changes)


def parts_of(task: ChunkTask, spec: ModelSpec = SPEC) -> list[Part]:
    """Every part of the task's chunk by a model, in order of its first instant."""
    parts_dir = Lake(Path(task.lake_root)).parts_dir(task.video_id, spec.digest)
    parts = [read_part(path) for path in part_paths(parts_dir, task.chunk.chunk_id)]
    return sorted(parts, key=lambda part: int(part.frame_offset[0]))


def loaded(task: ChunkTask, spec: ModelSpec = SPEC) -> list[int]:
    """Instants that parts hold as loaded, sorted; each row is checked to be the row of its own frame, in its place."""
    found: list[int] = []
    for part in parts_of(task, spec):
        rows: Any = part.rows
        mine = part.frame_offset[part.loaded]
        assert np.array_equal(rows.frame_offset, mine)
        assert rows.class_id.tolist() == mine.tolist(), "a row of another frame's picture"
        scale = np.array([task.stream.width, task.stream.height]) / np.array(
            spec.framing.picture_size(task.stream.size)
        )
        assert np.allclose(rows.xcycwh, [*(scale * [8, 10]), *(scale * [16, 20])], atol=1e-3)
        pts = task.chunk.pts[part.frame_offset - task.chunk.first_frame]
        assert np.array_equal(part.pts, pts)
        assert np.allclose(part.time_offset_s, (pts - task.first_pts) * float(task.stream.time_base))
        assert (part.infer_s >= 0).all()
        assert (part.header.job_id, part.header.model_digest) == (task.job_id, spec.digest)
        found += mine.tolist()
    assert len(found) == len(set(found)), "an instant is loaded twice"
    return sorted(found)


def gaps(task: ChunkTask, spec: ModelSpec = SPEC) -> dict[int, str]:
    """Instants that parts hold only as gaps, with the reason."""
    found: dict[int, str] = {}
    for part in parts_of(task, spec):
        found |= dict(zip(part.frame_offset.tolist(), part.gap_reason.tolist(), strict=True))
    return {offset: found[offset] for offset in sorted(found.keys() - set(loaded(task, spec)))}


def assert_whole(task: ChunkTask, receipt: ChunkReceipt) -> None:
    """Parts hold every planned instant of every model as loaded, and the receipt says so."""
    assert receipt.chunk_id == task.chunk.chunk_id
    for spec, tally in zip(task.models, receipt.tallies, strict=True):
        assert loaded(task, spec) == task.planned.tolist()
        assert (tally.model_id, tally.model_digest) == (spec.model_id, spec.digest)
        assert (tally.n_loaded, tally.n_gaps, tally.gap_reasons) == (task.planned.size, 0, ())


@dataclass
class FakeTriton:
    """Stands for the client: answers from threads, the newest request first, and fails where it is told to."""

    fail: dict[int, FramehouseError] = field(default_factory=dict)
    spoil: Callable[[dict[str, Any]], dict[str, Any]] = lambda outputs: outputs
    seen: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    most_unanswered: int = 0
    lost: dict[str, FramehouseError] = field(default_factory=dict)
    """Models that cannot be loaded, or (`down`) that fail every request."""
    down: dict[str, FramehouseError] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock, self._pool = threading.Lock(), ThreadPoolExecutor(2)
        self._waiting: list[tuple[Future[Answer], Any]] = []
        self._unanswered = 0

    def ensure_loaded(self, models: Sequence[str]) -> None:
        for model in models:
            self.loads.append(model)
            if model in self.lost:
                raise self.lost[model]

    def submit(self, model: str, inputs: Mapping[str, Any], *, version: str = "", priority: int = 0) -> Future[Answer]:
        assert version == "1"
        future: Future[Answer] = Future()
        if model in self.down:
            future.set_exception(self.down[model])
            return future
        with self._lock:
            self._unanswered += 1
            self.most_unanswered = max(self.most_unanswered, self._unanswered)
            self.seen.append((model, tuple(_model["numbers"](inputs["image"]).tolist())))
            self._waiting.append((future, inputs["image"].copy()))
        self._pool.submit(self._answer_newest, time.perf_counter())
        return future

    def _answer_newest(self, started_s: float) -> None:
        with self._lock:
            future, image = self._waiting.pop()
            self._unanswered -= 1
        failures = [self.fail[number] for number in _model["numbers"](image).tolist() if number in self.fail]
        if failures:
            future.set_exception(failures[0])
        else:
            future.set_result(Answer(self.spoil(_model["answer"](image)), started_s, time.perf_counter()))

    def numbers_seen(self, model: str = "numbers") -> list[int]:
        """Numbers of the pictures that the model was given, sorted."""
        return sorted(itertools.chain.from_iterable(numbers for name, numbers in self.seen if name == model))

    def close(self) -> None:
        self._pool.shutdown()


def use_fake(monkeypatch: pytest.MonkeyPatch, fake: FakeTriton) -> FakeTriton:
    """Let `infer_chunk` talk to this one from now on."""
    monkeypatch.setattr("framehouse.inference.run.connect_all", lambda _target: fake)
    return fake


def numbered_video(folder: Path, n_frames: int = 60) -> Path:
    """30 frames a second, B-frames, a key frame every 15."""
    recipe = replace(media.B_FRAMES, name=f"numbers{n_frames}.mp4", n_frames=n_frames, gop=15, rate=Fraction(30))
    path = folder / recipe.name
    return path if path.exists() else media.write(folder, recipe)
