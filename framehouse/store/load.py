"""From the lake into the tables. Each function replaces what the tables know about one thing; twice is as once.

The caller opens the transaction. Files that cannot be used are reported, and never stop what else is loaded.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import structlog

from framehouse.errors import MisalignedParts, ResultsError
from framehouse.results.kinds import KINDS
from framehouse.results.labels import labels_path, read_labels
from framehouse.results.lake import Lake, RunRecord, VideoRecord
from framehouse.results.parts import Part
from framehouse.store.connection import run_script

log = structlog.get_logger(__name__)

_LOCATIONS = pa.schema(
    {
        "uri": pa.string(),
        "etag": pa.string(),
        "size_bytes": pa.int64(),
        "modified_at": pa.timestamp("us"),
        "seen_at": pa.timestamp("us"),
        "gone_at": pa.timestamp("us"),
    }
)
_USES = pa.schema(
    {
        "model_id": pa.string(),
        "model_digest": pa.string(),
        "kind": pa.string(),
        "n_planned": pa.int64(),
        "n_frames": pa.int64(),
        "n_gaps": pa.int64(),
        "infer_s": pa.float64(),
        "decode_s": pa.float64(),
        "bytes": pa.int64(),
        "n_inferred": pa.int64(),
        "n_paid": pa.int64(),
        "cpu_s": pa.float64(),
        "gpu_s": pa.float64(),
        "fetch_bytes": pa.int64(),
    }
)
_ESTIMATE = pa.schema(
    {
        "n_frames": pa.int64(),
        "seconds": pa.float64(),
        "low_s": pa.float64(),
        "high_s": pa.float64(),
        "fetch_bytes": pa.int64(),
        "read_bytes": pa.int64(),
        "n_runs": pa.int64(),
        "cpu_s": pa.float64(),
        "gpu_s": pa.float64(),
    }
)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file of the lake that was not loaded, and why. `video_id`: of a part that is out of the lake now."""

    path: str
    code: str
    message: str
    video_id: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one load did."""

    n_instants: int = 0
    set_aside: tuple[SetAside, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Picked:
    """The parts of one video by one model digest, and which of them speaks for each instant.

    `paths`: the parts of each kind.
    `table`: one row per instant, by frame: frame_offset, pts, time_offset_s, model_id, gap_reason, infer_s, job_id,
    path.
    """

    paths: dict[str, list[str]]
    table: pa.Table
    set_aside: tuple[SetAside, ...]


def load_parts(connection: duckdb.DuckDBPyConnection, lake: Lake, video_id: str, model_digest: str) -> Loaded:
    """Replace the rows of one video by one model digest with the union of its parts.

    Loaded beats gap; among equals the smallest reason, then the smallest part name.

    Raises:
        duckdb.Error: the database or the disk failed.
    """
    aside = load_video(connection, lake, video_id)
    picked = pick(lake, video_id, model_digest)
    key = {"video_id": video_id, "model_digest": model_digest}
    for table in dict.fromkeys(record.table for record in KINDS.values()):
        connection.execute(f"DELETE FROM {table} WHERE video_id = ? AND model_digest = ?", [video_id, model_digest])  # noqa: S608
    with registered(connection, "picked", picked.table):
        run_script(connection, "loads/ledger.sql", key)
        for kind, paths in picked.paths.items():
            run_script(connection, f"loads/{kind}.sql", {**key, "paths": [glob.escape(path) for path in paths]})
    run_script(connection, "loads/frame_times.sql", {"video_id": video_id})
    return Loaded(picked.table.num_rows, aside + picked.set_aside)


def load_job(connection: duckdb.DuckDBPyConnection, lake: Lake, job_id: str) -> Loaded:
    """Replace what the tables know about one job: its record, its plan, its use, and its video.

    Raises:
        duckdb.Error: the database or the disk failed.
    """
    try:
        run, plan = lake.read_run(job_id), lake.read_plan(job_id)
    except ResultsError as error:
        return Loaded(0, (report(error, lake.run_path(job_id)),))
    video_id = plan[0] if plan else (run.video_id if run else None)
    aside = load_video(connection, lake, video_id) if video_id else ()
    if run:
        expected = pa.Table.from_pylist([asdict(run.estimate)] if run.estimate else [], schema=_ESTIMATE)
        with (
            registered(connection, "incoming_uses", _uses(run)),
            registered(connection, "incoming_estimate", expected),
        ):
            run_script(connection, "loads/job.sql", _job_columns(run))
    if plan:
        frames = plan[1]
        table = pa.table({"frame_offset": frames.frame_offset, "pts": frames.pts, "target_s": frames.target_s})
        with registered(connection, "incoming_plan", table):
            run_script(connection, "loads/plan.sql", {"job_id": job_id, "video_id": video_id})
        run_script(connection, "loads/frame_times.sql", {"video_id": video_id})
    return Loaded(plan[1].frame_offset.size if plan else 0, aside)


def load_video(connection: duckdb.DuckDBPyConnection, lake: Lake, video_id: str) -> tuple[SetAside, ...]:
    """Replace a video's row and the places where it lies; a video without a record is left as it is.

    Raises:
        duckdb.Error: the database or the disk failed.
    """
    try:
        record = lake.read_video(video_id)
    except ResultsError as error:
        return (report(error, lake.video_path(video_id)),)
    aside: tuple[SetAside, ...] = ()
    try:
        labels = read_labels(lake, video_id)
    except ResultsError as error:
        labels, aside = {}, (report(error, labels_path(lake, video_id)),)
    if record is not None:
        times = ("modified_at", "seen_at", "gone_at")
        places = [
            {**asdict(place), **{name: instant(getattr(place, name)) for name in times}} for place in record.locations
        ]
        with registered(connection, "incoming_locations", pa.Table.from_pylist(places, schema=_LOCATIONS)):
            run_script(connection, "loads/video.sql", _video_columns(record, labels))
    return aside


def pick(lake: Lake, video_id: str, model_digest: str) -> Picked:
    """Read all parts of a video by a model digest, set aside the bad ones, and pick one for each instant."""
    while True:
        try:
            return _pick_listed(lake, video_id, model_digest)
        except FileNotFoundError:
            log.info("parts were merged or set aside meanwhile, reading again", video_id=video_id)


def _pick_listed(lake: Lake, video_id: str, model_digest: str) -> Picked:
    n_frames = _n_frames(lake, video_id)
    parts: list[tuple[str, Part]] = []
    aside: list[SetAside] = []
    for path in lake.part_paths(video_id, model_digest):
        try:
            part = lake.read_part(video_id, model_digest, path)
            _check_place(path, part, video_id, model_digest, n_frames)
        except MisalignedParts as error:
            place = lake.set_aside(video_id, model_digest, path, error)
            aside.append(SetAside(place, error.code, error.message, video_id))
        except ResultsError as error:  # of a later release: it stays where it is
            aside.append(report(error, path))
        else:  # the rows stay on disk: a long video has millions
            parts.append((str(path), replace(part, rows=KINDS[part.header.kind].empty())))
    paths: dict[str, list[str]] = {}
    for path_text, part in parts:
        paths.setdefault(part.header.kind, []).append(path_text)
    return Picked(paths, _picked_table(parts), tuple(aside))


def _check_place(path: Path, part: Part, video_id: str, model_digest: str, n_frames: int | None) -> None:
    if (part.header.video_id, part.header.model_digest) != (video_id, model_digest):
        raise MisalignedParts(f"part {path.name} belongs to another video or model", path=str(path))
    if n_frames is not None and part.frame_offset.size and part.frame_offset[-1] >= n_frames:
        raise MisalignedParts(f"part {path.name} has frames beyond the video's end", path=str(path))


def _n_frames(lake: Lake, video_id: str) -> int | None:
    try:
        record = lake.read_video(video_id)
    except ResultsError:  # reported by load_video
        return None
    return record.n_frames if record else None


def _picked_table(parts: Sequence[tuple[str, Part]]) -> pa.Table:
    """Parts come by name, so a smaller rank is a smaller name."""
    sizes = [part.frame_offset.size for _, part in parts]
    rank = np.repeat(np.arange(len(parts)), sizes)
    frame_offset = _joined([part.frame_offset for _, part in parts], np.int64)
    reason = _joined([part.gap_reason for _, part in parts], np.object_)
    order = np.lexsort((rank, np.array([text or "" for text in reason], dtype=np.str_), frame_offset))
    _, first = np.unique(frame_offset[order], return_index=True)
    chosen = order[first]
    owner = rank[chosen]
    headers = [part.header for _, part in parts]
    return pa.table(
        {
            "frame_offset": pa.array(frame_offset[chosen], pa.int64()),
            "pts": pa.array(_joined([p.pts for _, p in parts], np.int64)[chosen], pa.int64()),
            "time_offset_s": pa.array(_joined([p.time_offset_s for _, p in parts], np.float64)[chosen], pa.float64()),
            "gap_reason": pa.array(reason[chosen], pa.string()),
            "infer_s": pa.array(_joined([p.infer_s for _, p in parts], np.float32)[chosen], pa.float32()),
            "model_id": pa.array([headers[i].model_id for i in owner], pa.string()),
            "job_id": pa.array([headers[i].job_id for i in owner], pa.string()),
            "path": pa.array([parts[i][0] for i in owner], pa.string()),
        }
    )


def _joined(arrays: Sequence[Any], dtype: type) -> Any:
    return np.concatenate([np.empty(0, dtype), *arrays])


def _video_columns(record: VideoRecord, labels: dict[str, str]) -> dict[str, object]:
    time_base = Fraction(record.time_base)
    facts = asdict(record)
    del facts["time_base"], facts["locations"]
    return {
        **facts,
        "video_fps": float(Fraction(record.video_fps)) if record.video_fps else None,
        "video_fps_text": record.video_fps,
        "time_base_num": time_base.numerator,
        "time_base_den": time_base.denominator,
        "damage": list(record.damage),
        "label_names": list(labels),
        "label_values": list(labels.values()),
        "recorded_at": instant(record.recorded_at),
        "first_seen_at": instant(record.first_seen_at),
    }


def _job_columns(run: RunRecord) -> dict[str, object]:
    times = {name: instant(getattr(run, name)) for name in ("submitted_at", "started_at", "finished_at")}
    return {**asdict(run), **times, "models": [use.model_id for use in run.models]}


def _uses(run: RunRecord) -> pa.Table:
    n = len(run.models)
    rows = [
        {
            **asdict(use),
            "n_frames": use.n_loaded,
            "decode_s": run.decode_s / n,
            "bytes": run.n_bytes // n + (run.n_bytes % n if i == 0 else 0),
        }
        for i, use in enumerate(run.models)
    ]
    return pa.Table.from_pylist(rows, schema=_USES)


def instant(text: str | None) -> datetime | None:
    """ISO 8601 to naive UTC; None for what is no time (a container may say anything)."""
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment and moment.tzinfo else moment


def report(error: ResultsError, path: Path) -> SetAside:
    """Log that a file of the lake was not loaded, and say so in the receipt."""
    log.error("not loaded", path=str(path), code=error.code, cause=error.message)
    return SetAside(str(path), error.code, error.message)


@contextmanager
def registered(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> Iterator[None]:
    """An Arrow table under a name for the length of a block."""
    connection.register(name, table)
    try:
        yield
    finally:
        connection.unregister(name)
