"""An archive of real video files whose rows are written by hand, or come from real models, with the stack down."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framehouse import ids
from framehouse.inference.run import ChunkTask, infer_chunk
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.results.contract import FrameRows, time_offsets_s
from framehouse.results.kinds import KINDS
from framehouse.results.lake import Lake, ModelUse, RunRecord, VideoLocation, VideoRecord
from framehouse.results.parts import PartHeader, write_part
from framehouse.results.records.boxes import Detections
from framehouse.results.records.gazes import Gazes
from framehouse.results.records.texts import Texts
from framehouse.store.archive import Archive, open_archive
from framehouse.store.rebuild import rebuild
from framehouse.video.probe import probe
from framehouse.video.sampling import FramePlan, chunks, frames_of_chunk, plan_frames

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, pixels."""


@dataclass(frozen=True)
class Says:
    """What a model says of a video.

    `rows`: frame_offsets of the plan [F] -> rows. `gaps`: which of the plan's frames, by number, failed, and why.
    `asked`: numbers of the plan's frames that it was asked about; None for all.
    """

    model_id: str
    kind: str
    rows: Callable[[NDArray[np.int64]], FrameRows]
    gaps: Mapping[int, str] = field(default_factory=dict)
    asked: Sequence[int] | None = None

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.model_id.encode()).hexdigest()[:32]


def put_video(home: Path, source: Path, says: Sequence[Says], fps: Fraction | None = None) -> str:
    """Store a finished job of some models over a real file; returns the video_id. `rebuild_store` makes it readable."""
    index, plan, lake = probe(source), plan_frames(probe(source), fps), Lake(home / "lake")
    video_id = ids.video_id(ids.content_sha256(source))
    for model in says:
        time_s = time_offsets_s(plan.pts, int(index.pts[0]), index.stream.time_base)
        _put_model(lake, video_id, plan, model, time_s)
    n = len(plan.pts)
    _put_job(
        home, source, plan, [ModelUse(m.model_id, m.digest, m.kind, n, n - len(m.gaps), len(m.gaps)) for m in says]
    )
    return video_id


def infer_video(
    home: Path, source: Path, specs: Sequence[ModelSpec], target: TritonTarget, fps: Fraction | None = None
) -> str:
    """Store what real models say of a video, as a job does; returns the video_id."""
    index, lake = probe(source), Lake(home / "lake")
    plan, video_id = plan_frames(index, fps), ids.video_id(ids.content_sha256(source))
    for chunk in chunks(index):
        receipt = infer_chunk(ChunkTask(
            job_id="j", video_id=video_id, path=str(source), stream=index.stream, chunk=chunk,
            planned=frames_of_chunk(plan, chunk), first_pts=int(index.pts[0]), models=tuple(specs),
            lake_root=str(lake.root), triton=target,
        ))  # fmt: skip
        assert [tally.gap_reasons for tally in receipt.tallies] == [()] * len(specs)
    n = len(plan.pts)
    _put_job(home, source, plan, [ModelUse(spec.model_id, spec.digest, spec.kind, n, n) for spec in specs])
    return video_id


def _put_job(home: Path, source: Path, plan: FramePlan, uses: Sequence[ModelUse]) -> None:
    lake, index, digest = Lake(home / "lake"), probe(source), ids.content_sha256(source)
    video_id, stream = ids.video_id(digest), index.stream
    lake.add_video(VideoRecord(
        video_id=video_id, content_sha256=digest, size_bytes=source.stat().st_size, container=stream.container,
        codec=stream.codec, width=stream.width, height=stream.height, rotation_deg=stream.rotation_deg,
        timing=stream.timing, video_fps=str(index.rate), n_frames=index.n_frames, duration_s=index.duration_s,
        recorded_at=None, first_seen_at="2026-11-23T08:00:00+00:00", first_pts=int(index.pts[0]),
        time_base=str(stream.time_base), locations=(VideoLocation(source.as_uri()),),
    ))  # fmt: skip
    job_id = f"j_{video_id[2:]}"
    lake.write_plan(job_id, video_id, plan)
    lake.write_run(RunRecord(job_id, video_id, source.as_uri(), "done", "5", 0.4, tuple(uses)))


def rebuild_store(home: Path) -> Path:
    """Make what was put readable; returns the store's folder."""
    rebuild(home / "store", Lake(home / "lake"))
    return home / "store"


@contextmanager
def archive_of(home: Path) -> Iterator[Archive]:
    """The archive of what was put."""
    with open_archive(rebuild_store(home)) as archive:
        yield archive


def _put_model(lake: Lake, video_id: str, plan: FramePlan, says: Says, time_s: NDArray[np.float64]) -> None:
    asked = np.arange(len(plan.pts)) if says.asked is None else np.array(sorted(says.asked), np.int64)
    reasons = np.array([says.gaps.get(int(i)) for i in asked], np.object_)
    loaded = plan.frame_offset[asked][np.array([reason is None for reason in reasons], np.bool_)]
    write_part(
        lake.parts_dir(video_id, says.digest),
        PartHeader(video_id, "c000000000", says.model_id, says.digest, says.kind),
        frame_offset=plan.frame_offset[asked], pts=plan.pts[asked], time_offset_s=time_s[asked], gap_reason=reasons,
        infer_s=np.zeros(len(asked), np.float32), rows=says.rows(plan.frame_offset).select(loaded),
    )  # fmt: skip


# --- rows -----------------------------------------------------------------------------------------------------------


def boxes(found: Mapping[int, Sequence[tuple[str, float, Box]]]) -> Callable[[NDArray[np.int64]], Detections]:
    """Objects by number of the plan's frame: (class, confidence, box)."""

    def rows(frame_offset: NDArray[np.int64]) -> Detections:
        each = [(int(frame_offset[i]), *one) for i, ones in sorted(found.items()) for one in ones]
        names = sorted({name for _, name, _, _ in each})
        return Detections.ordered(**_placed(each), **{
            "class_id": np.array([names.index(name) for _, name, _, _ in each], np.int32),
            "class_name": _texts([name for _, name, _, _ in each]),
        }) if each else Detections.empty()  # fmt: skip

    return rows


def written(found: Mapping[int, Sequence[tuple[str, float, Box]]]) -> Callable[[NDArray[np.int64]], Texts]:
    """Lines of text by number of the plan's frame: (text, confidence, box)."""

    def rows(frame_offset: NDArray[np.int64]) -> Texts:
        each = [(int(frame_offset[i]), *one) for i, ones in sorted(found.items()) for one in ones]
        if not each:
            return Texts.empty()
        corners = [[(a, b), (c, b), (c, d), (a, d)] for _, _, _, (a, b, c, d) in each]
        return Texts(
            **_placed(each), text=_texts([text for _, text, _, _ in each]), polygon=np.array(corners, np.float32)
        )

    return rows


def looks(found: Mapping[int, Sequence[tuple[float, float, Box]]], confidence: float = 0.9) -> Callable[[Any], Gazes]:
    """Faces by number of the plan's frame: (yaw, pitch, box), degrees; each a little less sure than the one before."""

    def rows(frame_offset: NDArray[np.int64]) -> Gazes:
        each = [
            (int(frame_offset[i]), (yaw, pitch), confidence - 0.01 * n, box)
            for i, ones in sorted(found.items())
            for n, (yaw, pitch, box) in enumerate(ones)
        ]
        if not each:
            return Gazes.empty()
        angles = np.radians(np.array([angle for _, angle, _, _ in each])).astype(np.float32)
        centres = _placed(each)["xcycwh"][:, None, :2]
        return Gazes(
            **_placed(each), landmarks=np.repeat(centres, 6, axis=1).astype(np.float32), yaw_rad=angles[:, 0],
            pitch_rad=angles[:, 1],
        )  # fmt: skip

    return rows


def nothing(kind: str) -> Callable[[NDArray[np.int64]], FrameRows]:
    """A model that saw everything and found nothing."""
    return lambda _: KINDS[kind].empty()


def _placed(each: Sequence[tuple[int, Any, float, Box]]) -> dict[str, Any]:
    corners = np.array([box for _, _, _, box in each], np.float32)
    centre, size = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    return {
        "frame_offset": np.array([frame for frame, _, _, _ in each], np.int64),
        "confidence": np.array([sure for _, _, sure, _ in each], np.float32),
        "xcycwh": np.concatenate([centre, size], axis=1).astype(np.float32),
    }


def _texts(values: Sequence[str]) -> NDArray[np.object_]:
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array
