"""Text to moments: by CLIP's vectors, by the words that models gave to frames, by what is written in the picture, or by
all of these together.

Tag search needs no server and no trained CLIP: it compares the query with the words that frames have, by static word
vectors. It is not CLIP and does not call itself so: it finds only what some model has a word for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from framehouse.analytics.words import load_word_vectors
from framehouse.errors import ConfigError, StoreError
from framehouse.store.search import (
    Moment,
    Place,
    embedded_videos,
    vector_moments,
    vocabulary,
    word_moments,
    written_moments,
)

LEAST_LIKENESS = 0.45
"""Words less alike than this are no answer: `car` and `vehicle` have about 0.5, `dog` and `puppy` 0.56."""
_MOST_WORDS = 24
_RANK_OFFSET = 60
"""Reciprocal rank fusion: Cormack, Clarke and Buettcher, SIGIR 2009, who found 60 for the constant."""

Way = Literal["tags", "clip", "text", "all"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Moments, best first; how they were found, in which words where it was by words, and what to know of it."""

    way: Way
    moments: tuple[Moment, ...]
    words: tuple[tuple[str, float], ...] = ()
    notes: tuple[str, ...] = ()


def search_tags(query: str, place: Place, top: int) -> Answer:
    """The best moments by tag search; a frame's score is likeness x confidence.

    Raises:
        ConfigError: code `search.empty`, a query without a word; `search.no_word_vectors`, the extra is missing.
        StoreError: code `search.nothing_indexed`, no frame has a word; else as `run_query`.
    """
    _check(query)
    words = vocabulary(place)
    if not words:
        hint = "run a model that gives words: framehouse run FILE --model detector --model tags"
        raise StoreError("no frame has a word yet", code="search.nothing_indexed", hint=hint)
    alike = load_word_vectors().likeness(query, [word.word for word in words])
    best = [i for i in np.argsort(-alike, kind="stable")[:_MOST_WORDS].tolist() if alike[i] >= LEAST_LIKENESS]
    wanted = [(words[i], float(min(1.0, alike[i]))) for i in best]
    found = word_moments(place, wanted, top) if wanted else []
    return Answer("tags", tuple(found), tuple((word.word, round(weight, 3)) for word, weight in wanted))


def search_vectors(query: str, vector: NDArray[np.float32], model_digest: str, place: Place, top: int) -> Answer:
    """The best moments by cosine with a text's embedding [D].

    Raises:
        StoreError: code `search.nothing_indexed`, no video has embeddings of the model; else as `run_query`.
    """
    _check(query)
    if not embedded_videos(place, model_digest):
        raise StoreError("no video has embeddings of this model yet", code="search.nothing_indexed",
                         hint="run it first: framehouse run FILE --model clip")  # fmt: skip
    return Answer("clip", tuple(vector_moments(place, vector, model_digest, top)))


def search_written(query: str, place: Place, top: int) -> Answer:
    """The best moments where the query is written in the picture; a frame's score is the confidence of the line.

    Raises:
        ConfigError: code `search.empty`.
        StoreError: as `run_query`.
    """
    _check(query)
    return Answer("text", tuple(written_moments(place, query, top)))


def fuse(answers: Sequence[Answer], top: int) -> Answer:
    """Several ways' answers to one query as one, by reciprocal rank: what several ways find comes first.

    A moment has the points of its own rank, and for each other way those of the best moment that it overlaps. Of
    moments of two ways that overlap the one with more points stays, in its own stretch of time. The score is 1 for a
    moment that every way has first.
    """
    found = [
        _Ranked(moment, answer.way, place, 1 / (_RANK_OFFSET + rank))
        for place, answer in enumerate(answers)
        for rank, moment in enumerate(answer.moments, start=1)
    ]
    by_video: dict[str, list[_Ranked]] = {}
    for one in found:
        by_video.setdefault(one.moment.video_id, []).append(one)
    most = len(answers) / (_RANK_OFFSET + 1)
    fused = [replace(moment, score=moment.score / most) for few in by_video.values() for moment in _of_video(few)]
    fused.sort(key=lambda moment: (-moment.score, moment.video_id, moment.start_s))
    words = next((answer.words for answer in answers if answer.words), ())
    return Answer("all", tuple(fused[:top]), words, tuple(note for answer in answers for note in answer.notes))


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A moment that one way found; `place`: of the way among the ways; `points`: of its rank."""

    moment: Moment
    way: Way
    place: int
    points: float


def _of_video(found: Sequence[_Ranked]) -> list[Moment]:
    """The moments of one video that stay, with their points as score."""
    scored = []
    for one in found:
        ways: dict[str, float] = {one.way: one.points}
        for other in found:
            if other.way != one.way and _overlap(one.moment, other.moment):
                ways[other.way] = max(ways.get(other.way, 0.0), other.points)
        scored.append((sum(ways.values()), one, tuple(sorted(ways))))
    scored.sort(key=lambda row: (-row[0], row[1].place, -row[1].points))
    kept: list[_Ranked] = []
    moments = []
    for points, one, names in scored:
        if not any(held.way != one.way and _overlap(held.moment, one.moment) for held in kept):
            kept.append(one)
            moments.append(replace(one.moment, score=points, ways=names))
    return moments


def _overlap(one: Moment, other: Moment) -> bool:
    return one.start_s < other.end_s and other.start_s < one.end_s


def _check(query: str) -> None:
    if not any(letter.isalnum() for letter in query):
        raise ConfigError("an empty search", code="search.empty", hint='for example: framehouse search "a red car"')
