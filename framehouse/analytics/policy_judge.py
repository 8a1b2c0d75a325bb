"""One rule of a policy in one video: what was found, when, and what could not be judged."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framehouse.analytics.intervals import Intervals, Judged, Stretches, Wanted, find_intervals, unjudged
from framehouse.analytics.policy_file import Evidence, Rule
from framehouse.analytics.written import Wordlist, has_pattern
from framehouse.errors import StoreError
from framehouse.results.contract import FrameRows
from framehouse.results.elements.base import Prompts
from framehouse.results.records.boxes import Detections
from framehouse.results.records.classes import Classifications
from framehouse.results.records.embeddings import Embeddings
from framehouse.results.records.texts import Texts
from framehouse.results.vectors import zero_shot
from framehouse.store.archive import BOXES, Archive, Frames, ModelSeen, Video

KINDS_OF: Mapping[Evidence, tuple[str, ...]] = {
    "classes": BOXES, "tags": ("classifications", "multilabels"), "texts": ("texts",), "phrases": ("embeddings",),
}  # fmt: skip
NEVER_RAN = "never_ran"
NOT_ASKED = "not_asked"

Vectors = Callable[[str, Rule], Prompts | str]
"""(model digest, rule) -> vectors of its `phrases`, then of its `against`; or why there are none of this model."""

Look = Callable[[ModelSeen], tuple[Frames, FrameRows]]
"""What a model said of its video."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What a rule is about, in rows [N] ordered by frame, whatever their score.

    `xyxy` [N, 4]: pixels of the upright frame, inside of it; NaN where it is about the whole picture.
    """

    frame_offset: NDArray[np.int64]
    score: NDArray[np.float64]
    label: NDArray[np.object_]
    xyxy: NDArray[np.float32]

    def of_frame(self, frame_offset: int, least: float) -> Hits:
        """Those of a frame from a score on, the best first."""
        rows = np.flatnonzero((self.frame_offset == frame_offset) & (self.score >= least))
        rows = rows[np.argsort(-self.score[rows], kind="stable")]
        return Hits(self.frame_offset[rows], self.score[rows], self.label[rows], self.xyxy[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of a rule in a video.

    Attributes:
        model_id, model_digest: whose rows it was judged by; empty when none was there.
        intervals: when the rule says yes.
        dark: what could not be judged.
        why_dark: the reasons: codes of gaps, `never_ran`, `not_asked` (frames that nobody asked about), or why there
            are no vectors of its phrases.
        hits: the rows behind it.
    """

    rule: Rule
    model_id: str
    model_digest: str
    intervals: Intervals
    dark: Stretches
    why_dark: tuple[str, ...]
    hits: Hits


def judge_rule(rule: Rule, archive: Archive, video: Video, vectors: Vectors, look: Look) -> Outcome:
    """A rule in a video, by the archive; a model that never ran there leaves all of it unjudged.

    Args:
        look: reads what a model said; remembers it, as several rules ask the same model.
    """
    try:
        model = archive.model(video.video_id, rule.model, KINDS_OF[rule.evidence])
    except StoreError as error:
        if error.code != "store.no_rows":
            raise
        return _dark(rule, "", "", video, NEVER_RAN)
    prompts = vectors(model.model_digest, rule) if rule.evidence == "phrases" else None
    if isinstance(prompts, str):
        return _dark(rule, model.model_id, model.model_digest, video, prompts)
    frames, rows = look(model)
    hits = find_hits(rule, rows, (video.width, video.height), prompts)
    judged = Judged(frames.frame_offset, frames.time_offset_s, frame_scores(rule, frames, hits), video.duration_s)
    found, why = find_intervals(judged, _wanted(rule)), _reasons(frames, video.duration_s)
    return Outcome(rule, model.model_id, model.model_digest, found, unjudged(judged), why, hits)


def find_hits(rule: Rule, rows: FrameRows, size: tuple[int, int], prompts: Prompts | None = None) -> Hits:
    """The rows that a rule is about.

    Args:
        rows: of one of the kinds of its evidence.
        size: width and height of the upright frame, pixels.
        prompts: for phrases: vectors of `phrases`, then of `against`.
    """
    if isinstance(rows, Detections):
        found = rows.where(_fitting(rule, rows.class_name))
        hits = Hits(found.frame_offset, found.confidence.astype(float), found.class_name, _inside(found.xcycwh, size))
        return _large(hits, rule, size)
    if isinstance(rows, Classifications):
        tagged = rows.where(_fitting(rule, rows.class_name))
        return Hits(tagged.frame_offset, tagged.confidence.astype(float), tagged.class_name, _nowhere(len(tagged)))
    if isinstance(rows, Texts):
        return _large(_written(rule, rows, size), rule, size)
    if isinstance(rows, Embeddings) and prompts is not None:
        return _alike(rule, rows, prompts)
    raise StoreError(f"a rule of {rule.evidence} cannot be judged by {rows.kind}", code="store.no_rows")


def frame_scores(rule: Rule, frames: Frames, hits: Hits) -> NDArray[np.float64]:
    """How much each frame has of what a rule wants, float64 [F]; NaN for a gap.

    The score is that of the `at_least`-th best hit, 0 where there are fewer. With `fewer_than` it is 1 where there are
    fewer hits from `confidence` on, else 0.
    """
    if rule.fewer_than is not None:
        at = np.searchsorted(frames.frame_offset, hits.frame_offset[hits.score >= rule.confidence])
        score = (np.bincount(at, minlength=len(frames)) < rule.fewer_than).astype(np.float64)
    else:
        order = np.lexsort((-hits.score, hits.frame_offset))
        offset, best = hits.frame_offset[order], hits.score[order]
        rank = np.arange(len(offset)) - np.searchsorted(offset, offset)
        chosen = rank == rule.at_least - 1
        score = np.zeros(len(frames))
        score[np.searchsorted(frames.frame_offset, offset[chosen])] = best[chosen]
    score[~frames.loaded] = np.nan
    return score


def _wanted(rule: Rule) -> Wanted:
    enter = 0.5 if rule.fewer_than is not None else max(rule.confidence, 1e-6)
    return Wanted(enter, rule.stay, rule.min_s, rule.join_s)


def _reasons(frames: Frames, duration_s: float) -> tuple[str, ...]:
    asked = Judged(frames.frame_offset, frames.time_offset_s, np.zeros(len(frames)), duration_s)
    gaps = sorted({str(reason) for reason in frames.gap_reason[~frames.loaded]})
    return (*gaps, *([NOT_ASKED] if len(unjudged(asked)) else []))


def _dark(rule: Rule, model_id: str, digest: str, video: Video, why: str) -> Outcome:
    nothing = Judged(np.empty(0, np.int64), np.empty(0), np.empty(0), video.duration_s)
    none = Hits(np.empty(0, np.int64), np.empty(0), np.empty(0, np.object_), _nowhere(0))
    return Outcome(rule, model_id, digest, find_intervals(nothing, _wanted(rule)), unjudged(nothing), (why,), none)


def _fitting(rule: Rule, names: NDArray[np.object_]) -> NDArray[np.bool_]:
    wanted = {name for name in set(names.tolist()) if rule.wants(name)}
    return np.array([name in wanted for name in names.tolist()], np.bool_)


def _inside(xcycwh: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    half = xcycwh[:, 2:] / 2
    corners = np.concatenate([xcycwh[:, :2] - half, xcycwh[:, :2] + half], axis=1)
    return np.asarray(np.clip(corners, 0, np.array([*size, *size])), np.float32)


def _nowhere(n: int) -> NDArray[np.float32]:
    return np.full((n, 4), np.nan, np.float32)


def _large(hits: Hits, rule: Rule, size: tuple[int, int]) -> Hits:
    if not rule.min_area:
        return hits
    sides = hits.xyxy[:, 2:] - hits.xyxy[:, :2]
    keep = sides[:, 0] * sides[:, 1] >= rule.min_area * size[0] * size[1]
    return Hits(hits.frame_offset[keep], hits.score[keep], hits.label[keep], hits.xyxy[keep])


def _written(rule: Rule, rows: Texts, size: tuple[int, int]) -> Hits:
    """A hit for each line that has a pattern or a part of a listed text, as sure as the least sure of its lines."""
    found = [*_listed(rule, rows), *_patterns(rule, rows)]
    found.sort(key=lambda one: one[0])
    at = np.array([i for i, _, _ in found], np.int64)
    label = np.empty(len(found), np.object_)
    label[:] = [text for _, _, text in found]
    return Hits(rows.frame_offset[at], np.array([score for _, score, _ in found], np.float64), label,
                _inside(rows.xcycwh, size)[at])  # fmt: skip


def _listed(rule: Rule, rows: Texts) -> Iterator[tuple[int, float, str]]:
    """(row, score, label)."""
    if not rule.texts:
        return
    wanted = Wordlist(rule.texts)
    bounds = [*np.flatnonzero(np.diff(rows.frame_offset, prepend=-1)).tolist(), len(rows)]
    for start, end in itertools.pairwise(bounds):
        for hit in wanted.find(rows.text[start:end].tolist()):
            lines = [start + i for i in hit.lines]
            read = " / ".join(str(rows.text[i]) for i in lines)
            yield from ((i, float(rows.confidence[lines].min()), f'{hit.wanted} in "{read}"') for i in lines)


def _patterns(rule: Rule, rows: Texts) -> Iterator[tuple[int, float, str]]:
    """(row, score, label)."""
    for pattern in rule.patterns:
        for i in np.flatnonzero(has_pattern(rows.text.tolist(), pattern)).tolist():
            yield i, float(rows.confidence[i]), f'{pattern} in "{rows.text[i]}"'


def _alike(rule: Rule, rows: Embeddings, prompts: Prompts) -> Hits:
    """A hit for each frame: the share that its phrases have among all texts, named by the likeliest phrase."""
    odds = zero_shot(rows.embedding, np.array(prompts.vectors, np.float32), prompts.logit_scale)
    own = odds[:, : len(rule.phrases)].astype(np.float64)
    label = np.array(rule.phrases, np.object_)[own.argmax(axis=1)]
    return Hits(rows.frame_offset, own.sum(axis=1), label, _nowhere(len(rows)))
