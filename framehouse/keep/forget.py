"""One video out of everything: people whose pictures it holds are owed that."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from framehouse.errors import ConfigError, JobError, ResultsError, SourceNotFound
from framehouse.keep.sweep import Found, days, sized, stat_of
from framehouse.results.lake import Lake
from framehouse.state import State
from framehouse.state.keeping import Keeping
from framehouse.storage.fetched import evict, fetched_videos, sidecars_of

_LEASE_S = 600.0


@dataclass(frozen=True, slots=True)
class Places:
    """Where something of a video may lie."""

    lake: Lake
    fetch_dir: Path
    upload_dir: Path
    result_dir: Path
    media_dir: Path


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed; its rows leave the tables with the next publish."""

    video_id: str
    n_jobs: int
    n_files: int
    n_bytes: int


def forget_video(places: Places, state: State, video_id: str) -> Forgotten:
    """Remove a video's parts, plans, records, findings, files and rows. What is somebody else's is not touched.

    Safe to kill: the same call again does the rest.

    Raises:
        ConfigError: code `config.lake`, the lake lies in a bucket, whose objects only its owner removes.
        JobError: code `job.video_busy`, a job on it is not over; nothing, or not all, is removed.
        SourceNotFound: nothing of it is here.
    """
    if places.lake.bucket is not None:
        raise ConfigError(
            f"{places.lake.where}: videos are forgotten in a lake in a folder only", code="config.lake",
            hint=f"remove the bucket's objects with {video_id} in their name, then: framehouse db rebuild",
        )  # fmt: skip
    keeping = Keeping(state.engine)
    lease = None
    if not keeping.is_video_needed(video_id):
        lease = state.acquire(f"video/{video_id}", f"forget {time.time()}", _LEASE_S)
    if lease is None:
        raise _busy(video_id)
    try:
        jobs = dict.fromkeys(_jobs_in_lake(places.lake, video_id)) | dict(keeping.uses_of(video_id))
        files = [*_files(places, video_id, jobs)]
        fetched = [path for path, name in fetched_videos(places.fetch_dir).items() if name == video_id]
        n_files, n_bytes = sized([*files, *fetched])
        if not (files or fetched or jobs):
            raise SourceNotFound(f"{video_id}: no such video was run", hint="see: framehouse videos list")
        for path in files:
            _remove(path)
        for path in fetched:
            if not evict(path, sidecars_of(places.fetch_dir).get(path.name, []), lambda: True):
                raise _busy(video_id)
        for upload_id in filter(None, jobs.values()):
            keeping.retire_upload(upload_id)
        if not keeping.forget_video(video_id):
            raise _busy(video_id)
    finally:
        state.release(lease)
    return Forgotten(video_id, len(jobs), n_files, n_bytes)


@dataclass(frozen=True, slots=True)
class OldVideos:
    """Videos whose last job ended long ago: everything that was learned of them goes."""

    places: Places
    state: State
    older_than_s: float
    kind: str = "videos"

    def find(self) -> Iterator[Found]:
        """Videos that no unfinished job is on, by id; a video without a job is as old as its record."""
        keeping, now = Keeping(self.state.engine), time.time()
        ended, lake = keeping.last_used(), self.places.lake
        for video_id in lake.video_ids():
            facts = stat_of(lake.video_path(video_id))
            age_s = now - ended.get(video_id, facts[0] if facts else now)
            if age_s > self.older_than_s and not keeping.is_video_needed(video_id):
                n_files, n_bytes = sized(_of_video(lake, video_id))
                yield Found(self.kind, video_id, n_files, n_bytes, f"its last job ended {days(age_s)} ago")

    def remove(self, found: Found) -> bool:
        """Forget it, unless a job works on it by now."""
        try:
            forget_video(self.places, self.state, found.name)
        except JobError:
            return False
        except SourceNotFound:
            return True
        return True


def _jobs_in_lake(lake: Lake, video_id: str) -> list[str]:
    """Jobs on the video by their records; one that cannot be read is nobody's."""
    found = []
    for job_id in lake.job_ids():
        with suppress(ResultsError):
            run, plan = lake.read_run(job_id), lake.read_plan(job_id)
            if video_id in (run and run.video_id, plan and plan[0]):
                found.append(job_id)
    return found


def _files(places: Places, video_id: str, jobs: dict[str, str | None]) -> Iterable[Path]:
    yield from _of_video(places.lake, video_id)
    yield from places.media_dir.glob(video_id)
    for job_id, upload_id in jobs.items():
        yield from (p for p in (places.lake.plan_path(job_id), places.lake.run_path(job_id)) if p.exists())
        yield from sorted(places.result_dir.glob(f"{job_id}-*"))
        if upload_id and (places.upload_dir / upload_id).exists():
            yield places.upload_dir / upload_id


def _of_video(lake: Lake, video_id: str) -> list[Path]:
    """What the lake holds under a video's name: parts, record, findings."""
    return sorted([*lake.root.glob(f"*/{video_id}*"), *lake.root.glob(f"findings/*/{video_id}*")])


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _busy(video_id: str) -> JobError:
    return JobError(
        f"a job works on {video_id}, or waits to", code="job.video_busy",
        hint="wait for it or cancel it (framehouse jobs list), then try again", video_id=video_id,
    )  # fmt: skip
