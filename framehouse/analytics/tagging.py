"""Tags out of what models said of single frames: how much of the time, how surely, and by whom.

A *sighting* is a word that one model gave to one frame. Of each model the frames that it answered are the measure: a
gap says nothing, so it is no sign that the word was not there.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Source = Literal["object", "tag", "text", "clip"]
SOURCES: tuple[Source, ...] = ("object", "tag", "text", "clip")
_BEST = 3
_WORD = re.compile(r"[^\W_]{3,}")
_STOP = frozenset(
    {
        "the", "and", "for", "with", "you", "your", "are", "was", "this", "that", "from", "not", "but", "all", "our",
        "can", "will", "have", "has", "its", "out", "new", "one", "any", "who", "how",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """What one model said in one video, in order of frames.

    Attributes:
        seen_s: float64 [F], times of the frames that it answered, increasing.
        seen_frame: int64 [F].
        at: int64 [N], index into those frames, non-decreasing.
        word: object [N] of str.
        confidence: float64 [N], 0..1.
    """

    source: Source
    model_id: str
    seen_s: NDArray[np.float64]
    seen_frame: NDArray[np.int64]
    at: NDArray[np.int64]
    word: NDArray[np.object_]
    confidence: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a tag is there, by one model.

    Attributes:
        n_frames: frames that have the word, of the `n_judged` that it answered.
        confidence: mean of its three surest frames.
        best_frame, best_s: the surest frame.
        strength: confidence x square root of the share of frames, 0..1.
    """

    source: Source
    model_id: str
    n_frames: int
    n_judged: int
    confidence: float
    best_frame: int
    best_s: float
    strength: float


@dataclass(frozen=True, slots=True)
class Tag:
    """A word with its score 0..1 and its evidence, the strongest first."""

    word: str
    score: float
    evidence: tuple[Evidence, ...]


def rank_tags(
    every: Sequence[Sightings],
    start_s: float,
    end_s: float,
    weights: Mapping[str, float],
    *,
    least_frames: int,
    top: int,
) -> list[Tag]:
    """The best tags between two times, best first; what is equal goes by the alphabet.

    Scores of several models are joined as chances that are independent: 1 - product of (1 - weight x strength).

    Args:
        weights: of the sources, 0..1.
        least_frames: a word in fewer frames is left out, unless the model answered no more than twice as many.
    """
    found: dict[str, list[Evidence]] = {}
    for sightings in every:
        for word, evidence in _evidence(sightings, start_s, end_s, least_frames):
            found.setdefault(word, []).append(evidence)
    tags = []
    for word, reasons in found.items():
        missed = math.prod(1.0 - min(1.0, weights.get(one.source, 0.0) * one.strength) for one in reasons)
        ordered = sorted(reasons, key=lambda one: (-weights.get(one.source, 0.0) * one.strength, one.model_id))
        tags.append(Tag(word, 1.0 - missed, tuple(ordered)))
    tags.sort(key=lambda tag: (-tag.score, tag.word))
    return [tag for tag in tags if tag.score > 0][:top]


def _evidence(sightings: Sightings, start_s: float, end_s: float, least_frames: int) -> Iterable[tuple[str, Evidence]]:
    first, end = np.searchsorted(sightings.seen_s, [start_s, end_s])
    n_judged = int(end - first)
    if n_judged == 0:
        return
    within = (sightings.at >= first) & (sightings.at < end)
    at, words, sure = sightings.at[within], sightings.word[within], sightings.confidence[within]
    names, of_word = np.unique(words.astype(str), return_inverse=True)
    for number, name in enumerate(names.tolist()):
        mine = np.flatnonzero(of_word == number)
        frames, best = _per_frame(at[mine], sure[mine])
        if len(frames) < least_frames and n_judged > 2 * least_frames:
            continue
        surest = int(np.argmax(best))
        confidence = float(np.sort(best)[-_BEST:].mean())
        strength = confidence * math.sqrt(len(frames) / n_judged)
        place = int(frames[surest])
        yield (
            name,
            Evidence(
                sightings.source, sightings.model_id, len(frames), n_judged, confidence,
                int(sightings.seen_frame[place]), float(sightings.seen_s[place]), strength,
            ),
        )  # fmt: skip


def _per_frame(at: NDArray[np.int64], sure: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Frames that have the word, and the best confidence in each."""
    frames, of_frame = np.unique(at, return_inverse=True)
    best = np.zeros(len(frames))
    np.maximum.at(best, of_frame, sure)
    return frames, best


# --- words ----------------------------------------------------------------------------------------------------------


def plain_class(name: str) -> str:
    """A class as a tag: lower case, with spaces.

    >>> plain_class("Traffic_Light")
    'traffic light'
    """
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def words_of(line: str) -> list[str]:
    """Words of a line of text that may be tags: three letters or more, no numbers alone, none of the commonest words.

    >>> words_of("The TAXI no. 4711 - Main Street")
    ['taxi', 'main', 'street']
    """
    found = (word.lower() for word in _WORD.findall(line))
    return [word for word in found if word not in _STOP and not word.isdigit()]


def without_misreadings(words: Sequence[str]) -> list[str]:
    """Words with rare misreadings put right: one letter off a word that is there three times as often.

    >>> without_misreadings(["hotel"] * 6 + ["hotei", "motel"])
    ['hotel', 'hotel', 'hotel', 'hotel', 'hotel', 'hotel', 'hotel', 'hotel']
    """
    counts = Counter(words)
    by_count = sorted(counts, key=lambda word: (-counts[word], word))
    right: dict[str, str] = {}
    for word in by_count:
        better = (other for other in by_count if counts[other] >= 3 * counts[word] and is_one_off(word, other))
        right[word] = next(better, word)
    return [right[word] for word in words]


def is_one_off(a: str, b: str) -> bool:
    """Whether two words of five letters or more differ by one letter changed, added or left out.

    >>> is_one_off("street", "stret"), is_one_off("street", "strait"), is_one_off("cat", "car")
    (True, False, False)
    """
    if min(len(a), len(b)) < 5 or abs(len(a) - len(b)) > 1 or a == b:
        return False
    short, long = sorted((a, b), key=len)
    at = next((i for i in range(len(short)) if short[i] != long[i]), len(short))
    return short[at + (len(short) == len(long)) :] == long[at + 1 :]
