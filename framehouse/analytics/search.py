"""Text to moments: by the words that models gave to frames, or by CLIP's vectors.

Tag search needs no server and no trained CLIP: it compares the query with the words that frames have, by static word
vectors. It is not CLIP and does not call itself so: it finds only what some model has a word for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from framehouse.analytics.words import load_word_vectors
from framehouse.errors import ConfigError, StoreError
from framehouse.store.search import Moment, Place, embedded_videos, vector_moments, vocabulary, word_moments

LEAST_LIKENESS = 0.45
"""Words less alike than this are no answer: `car` and `vehicle` have about 0.5, `dog` and `puppy` 0.56."""
_MOST_WORDS = 24


@dataclass(frozen=True, slots=True)
class Answer:
    """Moments, best first; how they were found, and in which words where it was by words."""

    way: Literal["tags", "clip"]
    moments: tuple[Moment, ...]
    words: tuple[tuple[str, float], ...] = ()


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


def _check(query: str) -> None:
    if not any(letter.isalnum() for letter in query):
        raise ConfigError("an empty search", code="search.empty", hint='for example: framehouse search "a red car"')
