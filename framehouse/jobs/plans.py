"""From a probed video to the work that its plan means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from framehouse.errors import ResultsError
from framehouse.inference.run import ChunkTask
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.jobs.at_hand import VideoBytes
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.chunks import HeldChunk
from framehouse.results.indexes import read_index, write_index
from framehouse.results.lake import VideoLocation, VideoRecord
from framehouse.storage.base import LocalVideo
from framehouse.video.index import VideoIndex
from framehouse.video.sampling import FramePlan, chunks, frames_of_chunk


@dataclass(frozen=True, slots=True)
class PlanRef:
    """Where a job's plan lies, and its size; small enough to cross Prefect."""

    job_id: str
    video_id: str
    path: str
    n_frames: int
    n_bytes: int


def store_plan(attempt: Attempt, local: LocalVideo, video_id: str, index: VideoIndex, plan: FramePlan) -> PlanRef:
    """Write the video's record and index and the job's plan to the lake, before anything is decoded."""
    lake = attempt.lake
    write_index(lake, video_id, index)
    lake.add_video(_video_record(local, video_id, index))
    lake.write_plan(attempt.job_id, video_id, plan)
    return PlanRef(attempt.job_id, video_id, str(local.path), len(plan.frame_offset), local.n_fetched_bytes)


def chunk_tasks(attempt: Attempt, ref: PlanRef, models: tuple[ModelSpec, ...]) -> list[ChunkTask]:
    """The plan cut at the container's chunks: one task per chunk that holds a planned frame."""
    index = read_index(attempt.lake, ref.video_id)
    stored = attempt.lake.read_plan(ref.job_id)
    if stored is None:
        raise ResultsError(f"the plan of {ref.job_id} is gone", code="results.unreadable", job_id=ref.job_id)
    _, plan = stored
    triton = attempt.settings.triton
    target = TritonTarget(
        attempt.endpoints.triton_url, triton.shared_memory, triton.request_timeout_s, triton.in_flight
    )
    planned = ((chunk, frames_of_chunk(plan, chunk)) for chunk in chunks(index))
    return [
        ChunkTask(
            job_id=ref.job_id,
            video_id=ref.video_id,
            path=ref.path,
            stream=index.stream,
            chunk=chunk,
            planned=frames,
            first_pts=int(index.pts[0]),
            models=models,
            lake_root=attempt.lake.where,
            triton=target,
            frame_deadline_s=attempt.settings.jobs.frame_deadline_s,
        )
        for chunk, frames in planned
        if len(frames)
    ]


def held_chunks(attempt: Attempt, ref: PlanRef, models: tuple[ModelSpec, ...], video: VideoBytes) -> list[HeldChunk]:
    """The same, each with the lease under which it is worked on, and how a worker comes by the video."""
    url = attempt.settings.state_url
    return [HeldChunk(task, attempt.lease, url, video) for task in chunk_tasks(attempt, ref, models)]


def _video_record(local: LocalVideo, video_id: str, index: VideoIndex) -> VideoRecord:
    stream = index.stream
    now = datetime.now(UTC)
    place = VideoLocation(
        local.uri, local.etag, local.size_bytes, local.modified_at, seen_at=now.isoformat(timespec="milliseconds")
    )
    return VideoRecord(
        video_id=video_id,
        content_sha256=local.sha256,
        size_bytes=local.size_bytes,
        container=stream.container,
        codec=stream.codec,
        width=stream.width,
        height=stream.height,
        rotation_deg=stream.rotation_deg,
        timing=stream.timing,
        video_fps=str(index.rate or ""),
        n_frames=index.n_frames,
        duration_s=index.duration_s,
        recorded_at=index.recorded_at,
        first_seen_at=now.isoformat(timespec="seconds"),
        first_pts=int(index.pts[0]),
        time_base=str(stream.time_base),
        damage=index.damage,
        locations=(place,),
    )
