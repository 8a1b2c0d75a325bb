"""Embeddings kept in memory by a process that stays: moments of a vector without reading every vector again.

DuckDB takes about four times as long for the same cosines, and reads the vectors from the file each time. What is kept
follows the published snapshot: of a newer one only the videos are read whose embeddings were loaded since.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from framehouse.errors import QueryRejected
from framehouse.store.connection import DEFAULT_MEMORY, fetch, reading, script
from framehouse.store.snapshots import current_snapshot

MOST_BYTES = 1024**3
"""Of one model: half a million frames with 512 numbers. Beyond it the database answers."""
_MODELS_KEPT = 2
_BRIDGED_FRAMES, _BRIDGED_STEPS, _LEAST_MARGIN = 2, 2.5, 0.02
"""As in searches/vectors.sql and searches/moments.sql."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrames:
    """Embeddings of one video by one model digest, by frame.

    Args:
        load: names the load that brought them.
        step_s: median seconds from one to the next, 0 for one frame.
        unit: float32 [N, D], rows of length 1; a vector without length stays 0.
        has_length: bool [N], False where the vector has none and so is like nothing.
    """

    video_id: str
    load: str
    uri: str | None
    duration_s: float
    model_id: str
    step_s: float
    frame_offset: NDArray[np.int64]
    time_offset_s: NDArray[np.float64]
    unit: NDArray[np.float32]
    has_length: NDArray[np.bool_]


Row = tuple[str, str | None, float, float, int, int, float, float, None, None, None, str]
"""Fields of a `store.search.Moment`."""


@dataclass(slots=True)
class _Kept:
    """What is kept of one model digest, and the snapshot that it is of."""

    snapshot: Path | None = None
    videos: dict[str, VideoFrames] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_kept: OrderedDict[tuple[Path, str], _Kept] = OrderedDict()
_kept_lock = threading.Lock()


def resident_moments(
    store_dir: Path,
    vector: NDArray[np.float32],
    model_digest: str,
    top: int,
    *,
    video_ids: Sequence[str] | None = None,
    memory: str = DEFAULT_MEMORY,
) -> list[Row] | None:
    """The same moments as `searches/moments.sql` over `searches/vectors.sql`, best first; None where there is too much.

    Raises:
        QueryRejected: the vector has another length than the embeddings.
        StoreError: as `connection.reading`.
    """
    videos = _videos(store_dir, model_digest, memory)
    if videos is None:
        return None
    chosen = videos if video_ids is None else {name: videos[name] for name in {*video_ids} & videos.keys()}
    length = float(np.linalg.norm(vector))
    if not chosen or length == 0 or not np.isfinite(length):
        return []
    if any(video.unit.shape[1] != vector.size for video in chosen.values()):
        raise QueryRejected(
            f"a vector of {vector.size} numbers, and embeddings of another length", hint="ask the model that made them"
        )
    asked = (vector / np.float32(length)).astype(np.float32)
    scored = [(video, video.unit @ asked) for video in chosen.values() if video.has_length.any()]
    ranked = sorted(scored, key=lambda row: (-float(row[1][row[0].has_length].max()), row[0].video_id))[:top]
    found = [row for video, scores in ranked for row in _of_video(video, scores.astype(np.float64))]
    found.sort(key=lambda row: (-row[7], row[0], row[2]))
    return found[:top]


def _of_video(video: VideoFrames, scores: NDArray[np.float64]) -> list[Row]:
    """Moments of one video."""
    fit = video.has_length
    best = float(scores[fit].max())
    margin = max((best - float(scores[fit].mean())) / 2, _LEAST_MARGIN)
    hits = np.flatnonzero(fit & (scores >= best - margin))
    gap_s = np.diff(video.time_offset_s[hits])
    breaks = (np.diff(hits) > _BRIDGED_FRAMES) | (gap_s > _BRIDGED_STEPS * video.step_s)
    rows: list[Row] = []
    for places in np.split(hits, np.flatnonzero(breaks) + 1):
        start_s = float(video.time_offset_s[places[0]])
        end_s = float(video.time_offset_s[places[-1]]) + video.step_s
        at = int(places[np.argmax(scores[places])])
        rows.append((
            video.video_id, video.uri, start_s, min(end_s, max(video.duration_s, start_s)), int(places.size),
            int(video.frame_offset[at]), float(video.time_offset_s[at]), float(scores[at]), None, None, None,
            video.model_id,
        ))  # fmt: skip
    return rows


def _videos(store_dir: Path, model_digest: str, memory: str) -> Mapping[str, VideoFrames] | None:
    """What the published snapshot has of a model digest, by video; None where it is too much to keep."""
    with _kept_lock:
        kept = _kept.setdefault((store_dir, model_digest), _Kept())
        _kept.move_to_end((store_dir, model_digest))
        while len(_kept) > _MODELS_KEPT:
            _kept.popitem(last=False)
    with kept.lock:
        published = current_snapshot(store_dir)  # before it is opened: a newer one that we may get is read again
        if kept.snapshot != published:
            with reading(store_dir, memory=memory) as connection:
                kept.videos = _read(connection, model_digest, kept.videos or {})
            kept.snapshot = published
        return kept.videos


def _read(
    connection: duckdb.DuckDBPyConnection, model_digest: str, known: Mapping[str, VideoFrames]
) -> dict[str, VideoFrames] | None:
    """What there is; videos that were not loaded again since are taken over. None where it is too much to keep."""
    facts = fetch(connection, script("searches/embedded.sql"), [model_digest])
    if sum(int(row[-1]) for row in facts) * 4 > MOST_BYTES:
        return None
    videos = {}
    for video_id, load, uri, duration_s, model_id, _ in facts:
        before = known.get(video_id)
        if before is not None and before.load == load:
            videos[video_id] = replace(before, uri=uri, duration_s=duration_s)
        else:
            frames = _read_frames(connection, video_id, model_digest)
            videos[video_id] = VideoFrames(video_id, load, uri, duration_s, model_id, *frames)
    return videos


def _read_frames(
    connection: duckdb.DuckDBPyConnection, video_id: str, model_digest: str
) -> tuple[float, NDArray[np.int64], NDArray[np.float64], NDArray[np.float32], NDArray[np.bool_]]:
    """The last five fields of `VideoFrames`."""
    query, key = script("searches/frame_vectors.sql"), {"video_ids": [video_id], "model_digest": model_digest}
    table = connection.sql(query, params=key).to_arrow_table()
    frame_offset = table.column("frame_offset").to_numpy().astype(np.int64)
    time_offset_s = table.column("time_offset_s").to_numpy().astype(np.float64)
    numbers = np.asarray(table.column("embedding").combine_chunks().flatten(), np.float32)
    vectors = numbers.reshape(frame_offset.size, -1)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    has_length = np.isfinite(length) & (length > 0)
    unit: NDArray[np.float32] = np.divide(vectors, length, out=np.zeros_like(vectors), where=has_length)
    step_s = float(np.median(np.diff(time_offset_s))) if time_offset_s.size > 1 else 0.0
    return step_s, frame_offset, time_offset_s, unit, has_length[:, 0]
