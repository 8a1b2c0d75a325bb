"""Small lakes whose rows are a function of video, model and frame: any way to cut them must give the same tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from framehouse.results.contract import time_offsets_s
from framehouse.results.kinds import KINDS
from framehouse.results.lake import Lake, ModelUse, RunRecord, VideoLocation, VideoRecord
from framehouse.results.parts import Part, PartHeader, PartRef
from framehouse.results.records.boxes import Detections
from framehouse.video.sampling import FramePlan
from kind_rows import kind_rows

TIME_BASE = Fraction(1, 30000)
FIRST_PTS = 2002
DETECTOR = "d" * 32
SLUGS = {
    "detections": "detector", "segmentations": "persons", "keypoints": "keypoints", "classifications": "tags",
    "multilabels": "moods", "embeddings": "clip", "gazes": "gaze", "texts": "ocr",
}  # fmt: skip
"""Kind -> slug of a model that gives it."""


def video_name(number: int) -> str:
    return f"v_{hashlib.sha256(str(number).encode()).hexdigest()[:24]}"


def video(number: int = 0, n_frames: int = 300, uris: Sequence[str] = ()) -> VideoRecord:
    return VideoRecord(
        video_id=video_name(number),
        content_sha256=hashlib.sha256(str(number).encode()).hexdigest(),
        size_bytes=1000 + number,
        container="mp4",
        codec="h264",
        width=640,
        height=360,
        rotation_deg=0,
        timing="exact",
        video_fps="30000/1001",
        n_frames=n_frames,
        duration_s=n_frames * 1001 / 30000,
        recorded_at="2026-05-01T10:00:00Z",
        first_seen_at="2026-11-23T08:00:00+00:00",
        first_pts=FIRST_PTS,
        time_base=str(TIME_BASE),
        damage=(),
        locations=tuple(
            VideoLocation(uri, None, 1000, "2026-11-01T00:00:00+00:00") for uri in uris or (f"/videos/{number}.mp4",)
        ),
    )


def pts_of(frames: np.ndarray) -> np.ndarray:
    return FIRST_PTS + np.asarray(frames, np.int64) * 1001


def rows_of(video_id: str, digest: str, frames: Iterable[int]) -> Detections:
    """0 to 4 boxes a frame, by a hash of video, model and frame."""
    rows = kind_rows("detections", video_id, digest, frames)
    assert isinstance(rows, Detections)
    return rows


def put_part(
    lake: Lake,
    frames: Sequence[int],
    *,
    number: int = 0,
    digest: str = DETECTOR,
    model_id: str = "detector/1",
    chunk_id: str = "c000000000",
    gaps: Mapping[int, str] | None = None,
    job_id: str = "",
    kind: str = "detections",
    video_id: str = "",
) -> PartRef:
    """A part with these frames of a video; `gaps` maps those that failed to their reason."""
    gaps = gaps or {}
    video_id = video_id or video_name(number)
    frame_offset = np.array(sorted(frames), np.int64)
    reasons = np.array([gaps.get(int(f)) for f in frame_offset], np.object_).reshape(frame_offset.shape)
    pts = pts_of(frame_offset)
    part = Part(
        PartHeader(video_id, chunk_id, model_id, digest, kind, job_id),
        frame_offset=frame_offset,
        pts=pts,
        time_offset_s=time_offsets_s(pts, FIRST_PTS, TIME_BASE),
        gap_reason=reasons,
        infer_s=np.full(frame_offset.size, 0.0125, np.float32),
        rows=kind_rows(kind, video_id, digest, [int(f) for f in frame_offset if int(f) not in gaps]),
    )
    return lake.write_part(part)


def plan(frames: Sequence[int]) -> FramePlan:
    frame_offset = np.array(sorted(frames), np.int64)
    return FramePlan(frame_offset, pts_of(frame_offset), frame_offset * 1001 / 30000)


def run(job_id: str, number: int = 0, *, n_planned: int = 0, status: str = "done", n_gaps: int = 0) -> RunRecord:
    return RunRecord(
        job_id=job_id,
        video_id=video_name(number),
        uri=f"/videos/{number}.mp4",
        status=status,
        infer_fps="5",
        confidence=0.4,
        models=(
            ModelUse(
                model_id="detector/1",
                model_digest=DETECTOR,
                kind="detections",
                n_planned=n_planned,
                n_loaded=n_planned - n_gaps,
                n_gaps=n_gaps,
                gap_reasons={"decode.failed": n_gaps} if n_gaps else {},
                infer_s=0.5,
            ),
        ),
        submitted_at="2026-11-23T08:00:00+00:00",
        started_at="2026-11-23T08:00:01+00:00",
        finished_at="2026-11-23T08:00:09+00:00",
        decode_s=1.5,
        n_bytes=1001,
    )


def put_job(lake: Lake, job_id: str, frames: Sequence[int], number: int = 0, **changes: object) -> RunRecord:
    """A video record, a plan and a run record."""
    lake.add_video(video(number))
    lake.write_plan(job_id, video_name(number), plan(frames))
    record = replace(run(job_id, number, n_planned=len(frames)), **changes)  # type: ignore[arg-type]
    lake.write_run(record)
    return record


def small_lake(root: Path, *, gap: bool = True) -> Lake:
    """Two videos; the first with a gap; the second known under two names."""
    return fill_small(Lake(root), gap=gap)


def fill_small(lake: Lake, *, gap: bool = True) -> Lake:
    """What `small_lake` holds, in any lake."""
    put_job(lake, "j_one", range(0, 60, 6), 0)
    put_part(lake, range(0, 30, 6), gaps={6: "decode.failed"} if gap else {}, job_id="j_one")
    put_part(lake, range(30, 60, 6), chunk_id="c000000030", job_id="j_one")
    put_job(lake, "j_two", range(0, 40, 2), 1)
    lake.add_video(video(1, uris=["/videos/copy of ü.mp4"]))
    put_part(lake, range(0, 40, 2), number=1, job_id="j_two")
    return lake


def digest_of(kind: str) -> str:
    """Digest of the model of `SLUGS` that gives a kind."""
    return DETECTOR if kind == "detections" else hashlib.sha256(kind.encode()).hexdigest()[:32]


def put_every_kind(
    lake: Lake, job_id: str = "j_all", frames: Sequence[int] = range(0, 40, 4), number: int = 2, gap: int | None = None
) -> RunRecord:
    """A job of one model of every kind over one video; `gap` is a frame that failed for all of them."""
    gaps = {} if gap is None else {gap: "decode.failed"}
    for kind in KINDS:
        put_part(
            lake, frames, number=number, digest=digest_of(kind), model_id=f"{SLUGS[kind]}/1", gaps=gaps,
            job_id=job_id, kind=kind,
        )  # fmt: skip
    n, n_gaps = len(frames), len(gaps)
    uses = tuple(
        ModelUse(f"{SLUGS[kind]}/1", digest_of(kind), kind, n, n - n_gaps, n_gaps, dict.fromkeys(gaps.values(), 1))
        for kind in KINDS
    )
    return put_job(lake, job_id, frames, number, models=uses)


def add_file(lake: Lake, path: Path) -> str:
    """A real video file with boxes made up for its first frames; returns its video_id."""
    from framehouse import ids
    from framehouse.video.probe import probe

    sha, index = ids.content_sha256(path), probe(path)
    place = VideoLocation(str(path), None, path.stat().st_size, "2026-11-01T00:00:00+00:00")
    width, height = index.stream.size
    lake.add_video(replace(
        video(0), video_id=ids.video_id(sha), content_sha256=sha, size_bytes=path.stat().st_size, width=width,
        height=height, n_frames=index.n_frames, duration_s=index.duration_s, locations=(place,),
    ))  # fmt: skip
    put_part(lake, range(0, 5), video_id=ids.video_id(sha))
    return ids.video_id(sha)
