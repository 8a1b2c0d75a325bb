"""The lake: parts, plans, run records and video records under `FRAMEHOUSE_HOME/lake`. Everything else is made from it.

::

    parts/<video_id>/<model_digest>/<chunk_id>-<instants>.parquet
    plans/<job_id>.parquet      every instant that a job asked for
    runs/<job_id>.json          how the job went
    videos/<video_id>.json      what the container said, and where copies were seen
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from framehouse.errors import ResultsError
from framehouse.results.contract import SCHEMA_VERSION
from framehouse.results.files import make_folder, write_whole
from framehouse.results.parts import from_parquet, refuse_later, to_parquet
from framehouse.video.sampling import FramePlan


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What one model did in a job. `infer_s`: seconds of inference; `gap_reasons`: error code -> gaps."""

    model_id: str
    model_digest: str
    kind: str
    n_planned: int = 0
    n_loaded: int = 0
    n_gaps: int = 0
    gap_reasons: dict[str, int] = field(default_factory=dict)
    infer_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """How a job went. Times are ISO 8601 UTC; `status`: queued, running, done, failed, cancelled."""

    job_id: str
    video_id: str | None
    uri: str
    status: str
    infer_fps: str
    confidence: float
    models: tuple[ModelUse, ...] = ()
    submitted_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    attempt: int = 1
    error_code: str | None = None
    error_message: str | None = None
    error_hint: str | None = None
    error_hop: str | None = None
    error_second: float | None = None
    decode_s: float = 0.0
    n_bytes: int = 0


@dataclass(frozen=True, slots=True)
class VideoLocation:
    """A place where a copy of the video was seen. Times are ISO 8601 UTC.

    `seen_at`: when this content was last found there; `gone_at`: when it was found to be gone, None while there.
    """

    uri: str
    etag: str | None = None
    size_bytes: int | None = None
    modified_at: str | None = None
    seen_at: str | None = None
    gone_at: str | None = None


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """Facts of one content. `first_pts` in ticks of `time_base` ("1/30000"); `video_fps`: "30000/1001", "" unknown."""

    video_id: str
    content_sha256: str
    size_bytes: int
    container: str
    codec: str
    width: int
    height: int
    rotation_deg: int
    timing: str
    video_fps: str
    n_frames: int
    duration_s: float
    recorded_at: str | None
    first_seen_at: str | None
    first_pts: int
    time_base: str
    damage: tuple[str, ...] = ()
    locations: tuple[VideoLocation, ...] = ()


@dataclass(frozen=True, slots=True)
class Lake:
    """Paths of the lake, and its small records. Every write is whole or absent."""

    root: Path

    def parts_dir(self, video_id: str, model_digest: str) -> Path:
        """Folder of the parts of one video by one model digest."""
        return self.root / "parts" / video_id / model_digest

    def plan_path(self, job_id: str) -> Path:
        """File of a job's plan."""
        return self.root / "plans" / f"{job_id}.parquet"

    def run_path(self, job_id: str) -> Path:
        """File of a job's run record."""
        return self.root / "runs" / f"{job_id}.json"

    def video_path(self, video_id: str) -> Path:
        """File of a video's record."""
        return self.root / "videos" / f"{video_id}.json"

    def write_plan(self, job_id: str, video_id: str, plan: FramePlan) -> Path:
        """Store every instant that a job asked for. Raises StoreError `store.disk_full`."""
        table = pa.table({"frame_offset": plan.frame_offset, "pts": plan.pts, "target_s": plan.target_s})
        write_whole(self.plan_path(job_id), to_parquet(table, {"job_id": job_id, "video_id": video_id}))
        return self.plan_path(job_id)

    def read_plan(self, job_id: str) -> tuple[str, FramePlan] | None:
        """(video_id, plan) of a job, or None when none was stored.

        Raises:
            ResultsError: damaged (`results.unreadable`) or of a later release (`results.schema_version`).
        """
        path = self.plan_path(job_id)
        if not path.exists():
            return None
        with _damage_named(path):
            table, facts = from_parquet(path)
            columns = [np.asarray(table.column(name)) for name in ("frame_offset", "pts", "target_s")]
            return facts["video_id"], FramePlan(*columns)

    def write_run(self, record: RunRecord) -> Path:
        """Store how a job went; replaces its earlier record. Raises StoreError `store.disk_full`."""
        return _write_json(self.run_path(record.job_id), asdict(record))

    def read_run(self, job_id: str) -> RunRecord | None:
        """A job's record, or None. Raises ResultsError as `read_plan`."""
        values = _read_json(self.run_path(job_id))
        if values is None:
            return None
        with _damage_named(self.run_path(job_id)):
            return RunRecord(**{**values, "models": tuple(ModelUse(**use) for use in values["models"])})

    def write_video(self, record: VideoRecord) -> Path:
        """Store a video's record; replaces the earlier one, locations included. See `add_video`."""
        return _write_json(self.video_path(record.video_id), asdict(record))

    def add_video(self, record: VideoRecord) -> VideoRecord:
        """Store a video's record, keeping what an earlier one knew: first sight, and other locations.

        Safe for two processes at once. Returns what was stored.
        """
        with self._one_at_a_time():
            merged = _merge(self.read_video(record.video_id), record)
            self.write_video(merged)
        return merged

    def place_video(self, video_id: str, place: VideoLocation) -> bool:
        """Note that a video lies at a place, or that it is gone from there; False for a video without a record.

        A place without `seen_at` keeps the earlier one's. Safe for two processes at once.
        """
        with self._one_at_a_time():
            known = self.read_video(video_id)
            if known is not None:
                seen_at = next((here.seen_at for here in known.locations if here.uri == place.uri), None)
                place = replace(place, seen_at=place.seen_at or seen_at)
                self.write_video(_merge(known, replace(known, locations=(place,))))
        return known is not None

    def read_video(self, video_id: str) -> VideoRecord | None:
        """A video's record, or None. Raises ResultsError as `read_plan`."""
        values = _read_json(self.video_path(video_id))
        if values is None:
            return None
        with _damage_named(self.video_path(video_id)):
            locations = tuple(VideoLocation(**place) for place in values["locations"])
            return VideoRecord(**{**values, "damage": tuple(values["damage"]), "locations": locations})

    def job_ids(self) -> list[str]:
        """Jobs with a run record or a plan, sorted."""
        runs = {p.stem for p in (self.root / "runs").glob("[!.]*.json")}
        return sorted(runs | {p.stem for p in (self.root / "plans").glob("[!.]*.parquet")})

    def video_ids(self) -> list[str]:
        """Videos with a record, sorted."""
        return sorted(p.stem for p in (self.root / "videos").glob("[!.]*.json"))

    def part_keys(self) -> list[tuple[str, str]]:
        """(video_id, model_digest) of every folder of parts, sorted."""
        return sorted((p.parent.name, p.name) for p in (self.root / "parts").glob("*/*") if p.is_dir())

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        make_folder(self.root / "videos")
        with (self.root / "videos" / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _merge(earlier: VideoRecord | None, record: VideoRecord) -> VideoRecord:
    if earlier is None:
        return record
    places = {place.uri: place for place in (*earlier.locations, *record.locations)}
    sights = [t for t in (earlier.first_seen_at, record.first_seen_at) if t]
    return replace(record, locations=tuple(places.values()), first_seen_at=min(sights, default=None))


def _write_json(path: Path, values: Mapping[str, Any]) -> Path:
    text = json.dumps({"schema_version": SCHEMA_VERSION, **values}, indent=1, ensure_ascii=False)
    write_whole(path, text.encode("utf-8", "surrogatepass"))
    return path


def _read_json(path: Path) -> dict[str, Any] | None:
    with _damage_named(path):
        try:
            values: dict[str, Any] = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
        except FileNotFoundError:
            return None
        refuse_later(int(values.pop("schema_version")), path.name)
    return values


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Raises ResultsError `results.unreadable` for anything but a failing disk."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ResultsError(
            f"{path.name} cannot be read: {type(error).__name__} {error}".splitlines()[0],
            code="results.unreadable",
            hint="remove the file and retry its job",
            path=str(path),
        ) from error
