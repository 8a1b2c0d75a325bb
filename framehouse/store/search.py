"""The SQL side of search: words and vectors that frames have, and the moments where they are like something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from framehouse.errors import StoreError
from framehouse.store.connection import DEFAULT_MEMORY, reading, script
from framehouse.store.migrate import check_version
from framehouse.store.query import QueryResult, run_query
from framehouse.store.resident import resident_moments

_SCHEMA = 2
"""First schema version with words and vectors."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where to search, and within which limits.

    Args:
        store_dir: folder of the snapshots.
        video_ids: only in these videos; None for all.
        confidence: words below it do not count, 0..1.
        timeout_s, memory: limits of one query.
        resident: this process stays and may keep embeddings in memory (`store.resident`).
    """

    store_dir: Path
    video_ids: tuple[str, ...] | None = None
    confidence: float = 0.25
    timeout_s: float = 30.0
    memory: str = DEFAULT_MEMORY
    resident: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """A word that some frames have. `source`: object, tag or text, as in the view `words_per_frame`."""

    word: str
    source: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of a video that answers a search.

    Args:
        start_s: first frame that fits, seconds after the first frame of the video.
        end_s: where the next sampled frame after the last one that fits would be, or the end of the video.
        n_frames: sampled frames in it that fit, summed over models.
        best_frame_offset, best_s: the frame that fits best.
        score: how well that one fits; comparable only within one search.
        model_id: the model whose answer it was.
        word, source, confidence: of a search by words: what that frame has, and how sure the model was.
        ways: how it was found, where several ways were gone.
    """

    video_id: str
    uri: str | None
    start_s: float
    end_s: float
    n_frames: int
    best_frame_offset: int
    best_s: float
    score: float
    word: str | None
    source: str | None
    confidence: float | None
    model_id: str
    ways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class VideoVectors:
    """Embeddings of one video by one model: float32 [N, D], N >= 1."""

    video_id: str
    uri: str | None
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FrameVectors:
    """Embeddings of one video by one model, frame by frame: int64 [N], seconds float64 [N], float32 [N, D]."""

    frame_offset: NDArray[np.int64]
    time_offset_s: NDArray[np.float64]
    embedding: NDArray[np.float32]


def vocabulary(place: Place) -> list[Word]:
    """Every word that frames have. Raises as `run_query`, and StoreError `store.earlier_schema`."""
    _require_schema(place)
    return [Word(str(row[0]), str(row[1])) for row in _ask(place, script("searches/vocabulary.sql")).rows()]


def word_moments(place: Place, wanted: Sequence[tuple[Word, float]], top: int) -> list[Moment]:
    """The best moments that have some words; a frame's score is the word's weight times its confidence.

    Args:
        wanted: words with their weights, 0..1.

    Raises:
        StoreError: as `run_query`.
    """
    return _moments(
        place, "words", top, words=[word.word for word, _ in wanted], sources=[word.source for word, _ in wanted],
        similarities=[weight for _, weight in wanted],
    )  # fmt: skip


def vector_moments(place: Place, vector: NDArray[np.float32], model_digest: str, top: int) -> list[Moment]:
    """The best moments of videos with embeddings of a model digest; a frame's score is its cosine with a vector [D].

    Raises:
        StoreError: as `run_query`.
    """
    if place.resident:
        rows = resident_moments(
            place.store_dir, vector, model_digest, top, video_ids=place.video_ids, memory=place.memory
        )
        if rows is not None:
            return [Moment(*row) for row in rows]
    return _moments(place, "vectors", top, vector=vector.astype(float).tolist(), model_digest=model_digest)


def written_moments(place: Place, phrase: str, top: int) -> list[Moment]:
    """The best moments where a phrase is written in the picture, whatever its case, spaces and signs.

    Raises:
        StoreError: as `run_query`.
    """
    return _moments(place, "written", top, phrase=phrase)


def embedded_videos(place: Place, model_digest: str) -> int:
    """How many of the videos have embeddings of a model digest. Raises as `vocabulary`."""
    _require_schema(place)
    found = _ask(place, script("searches/embedded_videos.sql"), model_digest=model_digest)
    return int(found.rows()[0][0])


def video_vectors(place: Place, model_digest: str) -> list[VideoVectors]:
    """Embeddings of a model digest, video by video. Raises as `vocabulary`."""
    _require_schema(place)
    rows = _ask(place, script("searches/video_vectors.sql"), model_digest=model_digest).rows()
    return [VideoVectors(video_id, uri, np.array(vectors, np.float32)) for video_id, uri, vectors in rows]


def frame_vectors(place: Place, video_id: str, model_digest: str) -> FrameVectors:
    """Embeddings of a video by a model digest, by frame; N = 0 where there are none. Raises as `vocabulary`."""
    _require_schema(place)
    rows = _ask(replace(place, video_ids=(video_id,)), script("searches/frame_vectors.sql"), model_digest=model_digest)
    frames, times, vectors = zip(*rows.rows(), strict=True) if rows.rows() else ((), (), ())
    stacked = np.array(vectors, np.float32) if vectors else np.zeros((0, 0), np.float32)
    return FrameVectors(np.array(frames, np.int64), np.array(times, np.float64), stacked)


def _moments(place: Place, hits: str, top: int, **params: object) -> list[Moment]:
    query = script("searches/moments.sql").replace("{hits}", script(f"searches/{hits}.sql"))
    return [Moment(*row) for row in _ask(place, query, top=top, **params).rows()]


def _ask(place: Place, query: str, **params: object) -> QueryResult:
    video_ids = None if place.video_ids is None else list(place.video_ids)
    return run_query(
        place.store_dir, query, params={**params, "video_ids": video_ids}, confidence=place.confidence,
        timeout_s=place.timeout_s, max_rows=None, memory=place.memory,
    )  # fmt: skip


def _require_schema(place: Place) -> None:
    """Raises StoreError `store.earlier_schema` before the loader has brought the snapshot to this release."""
    with reading(place.store_dir, memory=place.memory) as connection:
        version = check_version(connection)
    if version < _SCHEMA:
        raise StoreError(
            f"the published snapshot has schema {version}, search needs {_SCHEMA}",
            code="store.earlier_schema", hint="run: framehouse db migrate",
        )  # fmt: skip
