"""From a probed video to the work that its plan means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from framehouse.errors import ConfigError, ResultsError
from framehouse.inference.run import ChunkTask
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.jobs.at_hand import VideoBytes
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.chunks import HeldChunk
from framehouse.results.indexes import read_index, write_index
from framehouse.results.lake import Lake, VideoLocation, VideoRecord
from framehouse.results.standing import GAP_POLICIES, GapPolicy
from framehouse.state import JobRequest
from framehouse.storage.base import LocalVideo
from framehouse.tracing import here
from framehouse.video.index import VideoIndex
from framehouse.video.sampling import FramePlan, chunks, frames_of_chunk, parse_infer_fps, plan_frames, plan_within


@dataclass(frozen=True, slots=True)
class PlanRef:
    """Where a job's plan lies, and its size; small enough to cross Prefect."""

    job_id: str
    video_id: str
    path: str
    n_frames: int
    n_bytes: int


def plan_of_request(index: VideoIndex, request: JobRequest) -> FramePlan:
    """The frames that a job asks for.

    Raises:
        FpsExceedsSource: more a second than the video has.
        ConfigError: code `config.frames`, none of them lies in the part of the video that it is about.
    """
    plan = plan_frames(index, parse_infer_fps(request.infer_fps) if request.infer_fps else None)
    if request.frames is None:
        return plan
    part = plan_within(plan, *request.frames)
    if not len(part.frame_offset):
        first, end = request.frames
        raise ConfigError(f"no planned frame lies between frame {first} and {end}", code="config.frames")
    return part


def policy_of(request: JobRequest) -> GapPolicy:
    """Which gaps a job tries again."""
    return next((known for known in GAP_POLICIES if known == request.gaps), "every")


def store_plan(attempt: Attempt, local: LocalVideo, video_id: str, index: VideoIndex, plan: FramePlan) -> PlanRef:
    """Write the video's record and index and the job's plan to the lake, before anything is decoded."""
    lake = attempt.lake
    keep_index(lake, local, video_id, index)
    lake.write_plan(attempt.job_id, video_id, plan)
    return PlanRef(attempt.job_id, video_id, str(local.path), len(plan.frame_offset), local.n_fetched_bytes)


def keep_index(lake: Lake, local: LocalVideo, video_id: str, index: VideoIndex) -> VideoRecord:
    """Write a video's index and record to the lake; returns the record with all its places."""
    write_index(lake, video_id, index)
    return lake.add_video(_video_record(local, video_id, index))


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
    policy = policy_of(attempt.job.request)
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
            gaps=policy,
            frame_deadline_s=attempt.settings.jobs.frame_deadline_s,
            priority=attempt.job.request.priority,
        )
        for chunk, frames in planned
        if len(frames)
    ]


def held_chunks(attempt: Attempt, ref: PlanRef, models: tuple[ModelSpec, ...], video: VideoBytes) -> list[HeldChunk]:
    """The same, each with the lease under which it is worked on, and how a worker comes by the video."""
    url = attempt.settings.state_url
    return [HeldChunk(task, attempt.lease, url, video, here()) for task in chunk_tasks(attempt, ref, models)]


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
