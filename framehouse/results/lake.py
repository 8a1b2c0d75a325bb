"""The lake: parts, plans, run records and video records, in a folder of one host or in a bucket that several share.

Everything else is made from it. The names are the same in both::

    parts/<video_id>/<model_digest>/<chunk_id>-<instants>.parquet
    plans/<job_id>.parquet      every instant that a job asked for
    runs/<job_id>.json          how the job went
    videos/<video_id>.json      what the container said, and where copies were seen
    places/<video_id>/<hash>.json   in a bucket: where copies were seen, an object each, so that hosts need no lock
    findings/<ruleset_id>/<video_id>.parquet    what a ruleset found in a video (`finding_files`)
    media/<video_id>            in a bucket: bytes of a video that only one host has
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import structlog
from numpy.typing import NDArray

from framehouse.errors import MisalignedParts, ResultsError
from framehouse.results import parts
from framehouse.results.bucket import Bucket
from framehouse.results.contract import SCHEMA_VERSION
from framehouse.results.files import make_folder, write_whole
from framehouse.results.parts import Part, PartRef, parsed_parquet, refuse_later, to_parquet
from framehouse.video.sampling import FramePlan

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What one model did in a job. `infer_s`: seconds of inference; `gap_reasons`: error code -> gaps.

    `n_loaded` are instants of the plan that parts hold, `n_inferred` those that the last attempt inferred itself. Of
    all attempts together: `n_paid` frames inferred, `cpu_s`, `gpu_s`, and its share of the bytes fetched.
    """

    model_id: str
    model_digest: str
    kind: str
    n_planned: int = 0
    n_loaded: int = 0
    n_gaps: int = 0
    gap_reasons: dict[str, int] = field(default_factory=dict)
    infer_s: float = 0.0
    n_inferred: int = 0
    n_paid: int = 0
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    fetch_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job was expected to cost, before it began.

    Attributes:
        n_frames: frames × models to infer.
        seconds: of work, between `low_s` and `high_s` for four of five jobs.
        fetch_bytes: to be moved over the network.
        read_bytes: of the container, of the groups of pictures that hold an owed frame.
        n_runs: runs of this installation that the speeds were measured on; 0: figures of the model cards.
        cpu_s, gpu_s: seconds of CPU and GPU, as `ModelUse` counts them.
    """

    n_frames: int
    seconds: float
    low_s: float
    high_s: float
    fetch_bytes: int
    read_bytes: int
    n_runs: int
    cpu_s: float = 0.0
    gpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """How a job went. Times are ISO 8601 UTC; `status`: queued, running, paused, done, failed, cancelled.

    `frames`: (first, end) frame_offset of the part of the video that it is about, None for all of it. `worked_s`:
    seconds of its last attempt; `n_passed`: frames that the decoder went through in it; `estimate`: what
    was expected, for a job of a backfill.
    """

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
    worked_s: float = 0.0
    n_passed: int = 0
    estimate: Estimate | None = None
    frames: tuple[int, int] | None = None


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
    """The lake, its parts, and its small records. Every write is whole or absent.

    Args:
        root: its folder; where `bucket` is given, the folder that its objects would have.
        bucket: where it lies when it does not lie in a folder.
    """

    root: Path
    bucket: Bucket | None = None

    @property
    def where(self) -> str:
        """What `open_lake` takes to open it again: a folder, or the address of a bucket."""
        return self.bucket.uri if self.bucket else str(self.root)

    def name_of(self, path: Path) -> str:
        """A file of the lake as people are told of it: its path, or the address of its object."""
        return f"{self.bucket.uri}/{self._key(path)}" if self.bucket else str(path)

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

    # ---- bytes

    def read_bytes(self, path: Path) -> bytes | None:
        """What a file of the lake holds, or None."""
        if self.bucket:
            return self.bucket.read(self._key(path))
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def write_bytes(self, path: Path, content: bytes | memoryview) -> None:
        """Store a file of the lake; replaces what it held. Raises StoreError `store.disk_full`."""
        if self.bucket:
            self.bucket.write(self._key(path), content)
        else:
            write_whole(path, content)

    def delete(self, path: Path) -> None:
        """Remove a file of the lake; nothing happens when there is none."""
        if self.bucket:
            self.bucket.delete(self._key(path))
        else:
            path.unlink(missing_ok=True)

    def has(self, path: Path) -> bool:
        """Whether the lake holds a file."""
        return self.bucket.size_of(self._key(path)) is not None if self.bucket else path.exists()

    def paths(self, folder: Path) -> list[Path]:
        """Files of the lake below a folder, sorted; none whose name begins with a dot."""
        if self.bucket:
            return sorted(self.root / key for key in self.bucket.keys(self._key(folder) + "/"))
        return sorted(path for path in folder.rglob("[!.]*") if path.is_file())

    # ---- parts

    def part_paths(self, video_id: str, model_digest: str, chunk_id: str = "") -> list[Path]:
        """Parts (of one chunk), by name, as files of this host that `read_part` and DuckDB can read."""
        folder = self.parts_dir(video_id, model_digest)
        if self.bucket:
            return self.bucket.copies(f"{self._key(folder)}/{chunk_id and chunk_id + '-'}", ".parquet")
        return parts.part_paths(folder, chunk_id)

    def read_part(self, video_id: str, model_digest: str, path: Path) -> Part:
        """`parts.read_part`; a copy of this host that is damaged is made again before the part is held to be."""
        try:
            return parts.read_part(path)
        except MisalignedParts:
            if self.bucket is None:
                raise
        self.bucket.copy_again(self._key(self.parts_dir(video_id, model_digest) / path.name), path)
        return parts.read_part(path)

    def write_part(self, part: Part) -> PartRef:
        """Store a part; a name that exists is left alone. Raises what `parts.write_part` raises."""
        folder = self.parts_dir(part.header.video_id, part.header.model_digest)
        if self.bucket is None:
            return parts.store_part(folder, part)
        parts.check_part(part)
        path, n_bytes = folder / part.name, 0
        if not self.has(path):
            content = parts.part_content(part)
            self.write_bytes(path, content)
            n_bytes = content.nbytes
        return parts.part_ref(part, self.name_of(path), n_bytes)

    def set_aside(self, video_id: str, model_digest: str, path: Path, error: ResultsError) -> str:
        """Take a part out of the lake by adding `.bad` to its name; its instants are then owed again.

        Returns:
            Where the part was.
        """
        if self.bucket is None:
            parts.set_aside(path, error)
            return str(path)
        stored = self.parts_dir(video_id, model_digest) / path.name
        log.error("part set aside", path=self.name_of(stored), code=error.code, cause=error.message)
        content = self.read_bytes(stored)
        if content is not None:  # else another process did it first
            self.write_bytes(stored.with_name(stored.name + ".bad"), content)
            self.delete(stored)
        return self.name_of(stored)

    def settled(
        self, video_id: str, model_digest: str, chunk_id: str = ""
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`parts.settled` of a video (or of one chunk of it) by a model digest."""
        return parts.settled_in(
            lambda: self.part_paths(video_id, model_digest, chunk_id),
            lambda path: self.read_part(video_id, model_digest, path),
            lambda path, error: self.set_aside(video_id, model_digest, path, error),
        )

    def part_keys(self) -> list[tuple[str, str]]:
        """(video_id, model_digest) of every set of parts, sorted."""
        if self.bucket is None:
            return sorted((p.parent.name, p.name) for p in (self.root / "parts").glob("*/*") if p.is_dir())
        keys = (key.split("/") for key in self.bucket.keys("parts/"))
        return sorted({(names[1], names[2]) for names in keys if len(names) == 4})

    def digests_of(self, video_id: str) -> list[str]:
        """Model digests with parts of a video, sorted."""
        folder = self.root / "parts" / video_id
        if self.bucket is None:
            return sorted(path.name for path in folder.glob("*") if path.is_dir())
        return sorted({key.split("/")[2] for key in self.bucket.keys(f"parts/{video_id}/")})

    # ---- records

    def write_plan(self, job_id: str, video_id: str, plan: FramePlan) -> None:
        """Store every instant that a job asked for. Raises StoreError `store.disk_full`."""
        table = pa.table({"frame_offset": plan.frame_offset, "pts": plan.pts, "target_s": plan.target_s})
        self.write_bytes(self.plan_path(job_id), to_parquet(table, {"job_id": job_id, "video_id": video_id}))

    def read_plan(self, job_id: str) -> tuple[str, FramePlan] | None:
        """(video_id, plan) of a job, or None when none was stored.

        Raises:
            ResultsError: damaged (`results.unreadable`) or of a later release (`results.schema_version`).
        """
        path = self.plan_path(job_id)
        content = self.read_bytes(path)
        if content is None:
            return None
        with _damage_named(path):
            table, facts = parsed_parquet(io.BytesIO(content), path)
            columns = [np.asarray(table.column(name)) for name in ("frame_offset", "pts", "target_s")]
            return facts["video_id"], FramePlan(*columns)

    def write_run(self, record: RunRecord) -> None:
        """Store how a job went; replaces its earlier record. Raises StoreError `store.disk_full`."""
        self.write_bytes(self.run_path(record.job_id), _as_json(asdict(record)))

    def read_run(self, job_id: str) -> RunRecord | None:
        """A job's record, or None. Raises ResultsError as `read_plan`."""
        path = self.run_path(job_id)
        values = _from_json(self.read_bytes(path), path)
        if values is None:
            return None
        with _damage_named(path):
            expected, frames = values.get("estimate"), values.get("frames")
            return RunRecord(
                **{
                    **values,
                    "models": tuple(ModelUse(**use) for use in values["models"]),
                    "estimate": None if expected is None else Estimate(**expected),
                    "frames": None if frames is None else (frames[0], frames[1]),
                }
            )

    def write_video(self, record: VideoRecord) -> None:
        """Store a video's record; replaces the earlier one, locations included. See `add_video`."""
        if self.bucket is None:
            self.write_bytes(self.video_path(record.video_id), _as_json(asdict(record)))
            return
        self._write_to_bucket(record)
        for path in set(self.paths(self._places(record.video_id))) - {self._sight(record, p) for p in record.locations}:
            self.delete(path)

    def add_video(self, record: VideoRecord) -> VideoRecord:
        """Store a video's record, keeping what an earlier one knew: first sight, and other locations.

        Safe for two processes at once, and for two hosts. Returns what was stored.
        """
        if self.bucket:
            self._write_to_bucket(record)
            return self.read_video(record.video_id) or record
        with self._one_at_a_time():
            merged = _merge(self.read_video(record.video_id), record)
            self.write_video(merged)
        return merged

    def place_video(self, video_id: str, place: VideoLocation) -> bool:
        """Note that a video lies at a place, or that it is gone from there; False for a video without a record.

        A place without `seen_at` keeps the earlier one's. Safe for two processes at once, and for two hosts.
        """
        with self._one_at_a_time():
            known = self.read_video(video_id)
            if known is not None:
                seen_at = next((here.seen_at for here in known.locations if here.uri == place.uri), None)
                sight = replace(known, locations=(replace(place, seen_at=place.seen_at or seen_at),))
                if self.bucket:
                    self._write_to_bucket(sight)
                else:
                    self.write_video(_merge(known, sight))
        return known is not None

    def read_video(self, video_id: str) -> VideoRecord | None:
        """A video's record, or None. Raises ResultsError as `read_plan`."""
        record = self._read_record(self.video_path(video_id))
        if record is None or self.bucket is None:
            return record
        seen = [self._read_record(path) for path in self.paths(self._places(video_id))]
        for sight in seen:
            record = _merge(sight, record) if sight else record
        return replace(record, locations=tuple(sorted(record.locations, key=lambda place: place.uri)))

    def job_ids(self) -> list[str]:
        """Jobs with a run record or a plan, sorted."""
        runs = {p.stem for p in self.paths(self.root / "runs") if p.suffix == ".json"}
        return sorted(runs | {p.stem for p in self.paths(self.root / "plans") if p.suffix == ".parquet"})

    def video_ids(self) -> list[str]:
        """Videos with a record, sorted."""
        return sorted(p.stem for p in self.paths(self.root / "videos") if p.suffix == ".json")

    def _write_to_bucket(self, record: VideoRecord) -> None:
        """Each place has an object of its own, which holds all that was known at its last sight: no write of one host
        can undo another's, and the facts are the same in all of them, being made from the content."""
        for place in record.locations:
            path = self._sight(record, place)
            sight = _merge(self._read_record(path), replace(record, locations=(place,)))
            self.write_bytes(path, _as_json(asdict(sight)))
        self.write_bytes(self.video_path(record.video_id), _as_json(asdict(replace(record, locations=()))))

    def _sight(self, record: VideoRecord, place: VideoLocation) -> Path:
        name = hashlib.sha256(place.uri.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        return self._places(record.video_id) / f"{name}.json"

    def _read_record(self, path: Path) -> VideoRecord | None:
        values = _from_json(self.read_bytes(path), path)
        if values is None:
            return None
        with _damage_named(path):
            locations = tuple(VideoLocation(**place) for place in values["locations"])
            return VideoRecord(**{**values, "damage": tuple(values["damage"]), "locations": locations})

    def _places(self, video_id: str) -> Path:
        return self.root / "places" / video_id

    def _key(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

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


def _as_json(values: Mapping[str, Any]) -> bytes:
    text = json.dumps({"schema_version": SCHEMA_VERSION, **values}, indent=1, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _from_json(content: bytes | None, path: Path) -> dict[str, Any] | None:
    if content is None:
        return None
    with _damage_named(path):
        values: dict[str, Any] = json.loads(content.decode("utf-8", "surrogatepass"))
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
