"""A finished job of a real file in a lake and a store, with answers that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from framehouse import ids
from framehouse.results.contract import FrameRows, time_offsets_s
from framehouse.results.lake import Lake, ModelUse, RunRecord, VideoLocation, VideoRecord
from framehouse.results.parts import PartHeader, write_part
from framehouse.results.records.boxes import Detections
from framehouse.storage.registry import open_source
from framehouse.store.rebuild import rebuild
from framehouse.video.index import VideoIndex
from framehouse.video.probe import probe
from framehouse.video.sampling import plan_frames


@dataclass(frozen=True)
class Answer:
    """What one model said: rows of any kind in some planned frames; `gaps` are planned frames without an answer."""

    model_id: str
    rows: FrameRows
    frames: NDArray[np.int64]
    gaps: Mapping[int, str] = field(default_factory=dict)


def detections(
    frames: Sequence[int], boxes: Sequence[Sequence[float]], name: str = "thing", class_id: int = 5, sure: float = 0.5
) -> Detections:
    """A box of one class per entry: centre form, source pixels."""
    n = len(frames)
    return Detections.ordered(
        frame_offset=np.array(frames, np.int64),
        class_id=np.full(n, class_id, np.int32),
        class_name=np.array([name] * n, np.object_),
        confidence=np.full(n, sure, np.float32),
        xcycwh=np.array(boxes, np.float32).reshape(n, 4),
    )


def store_run(home: Path, source: Path, models: tuple[str, ...] = ("detector/1",)) -> str:
    """A box of class 5 in every frame planned at the default rate, by each model; returns the video_id."""
    planned = plan_frames(probe(source), None).frame_offset
    answers = [
        Answer(model_id, detections(planned.tolist(), [(64, 60, 40, 30)] * len(planned), class_id=5 + number), planned)
        for number, model_id in enumerate(models)
    ]
    return store_answers(home, source, answers)


def store_answers(home: Path, source: Path, answers: Sequence[Answer]) -> str:
    """One finished job of a file, a model per answer; returns the video_id."""
    lake, index = Lake(home / "lake"), probe(source)
    local = open_source(str(source)).fetch(home)
    video_id, plan = ids.video_id(local.sha256), plan_frames(index, "all")
    lake.add_video(_video(index, local.sha256, local.size_bytes, local.uri))
    uses = []
    for number, answer in enumerate(answers):
        digest, frames = f"{number}".rjust(32, "0"), answer.frames
        write_part(
            lake.parts_dir(video_id, digest),
            PartHeader(video_id, "c000000000", answer.model_id, digest, answer.rows.kind),
            frame_offset=frames,
            pts=index.pts[frames],
            time_offset_s=time_offsets_s(index.pts[frames], int(index.pts[0]), index.stream.time_base),
            gap_reason=np.array([answer.gaps.get(int(frame)) for frame in frames], np.object_),
            infer_s=np.zeros(len(frames), np.float32),
            rows=answer.rows,
        )
        n_loaded = len(frames) - len(answer.gaps)
        uses.append(ModelUse(answer.model_id, digest, answer.rows.kind, len(frames), n_loaded))
    lake.write_plan("j_one", video_id, plan)
    lake.write_run(RunRecord("j_one", video_id, local.uri, "done", "5", 0.4, tuple(uses)))
    rebuild(home / "store", lake)
    return video_id


def _video(index: VideoIndex, sha256: str, size_bytes: int, uri: str) -> VideoRecord:
    stream = index.stream
    return VideoRecord(
        video_id=ids.video_id(sha256),
        content_sha256=sha256,
        size_bytes=size_bytes,
        container=stream.container,
        codec=stream.codec,
        width=stream.width,
        height=stream.height,
        rotation_deg=stream.rotation_deg,
        timing=stream.timing,
        video_fps=str(index.rate),
        n_frames=index.n_frames,
        duration_s=index.duration_s,
        recorded_at=None,
        first_seen_at="2026-11-23T08:00:00+00:00",
        first_pts=int(index.pts[0]),
        time_base=str(stream.time_base),
        locations=(VideoLocation(uri),),
    )
