"""Tags for a media search engine: ranked, by video and by scene, each with its evidence.

They come from boxes, classes of frames, written words, and CLIP zero-shot, where embeddings are compared with a
vocabulary. Scenes are those of the newest `scenes` finding, else they are found now.

Events: `tag` (of the whole video) and `scene_tag`, start to end of what it is about; class_name is the tag, score 0..1,
frame_offset the frame that shows it best. Facts: rank; scene of a scene_tag, scenes of a tag; evidence, a list of
source, model_id, n_frames of n_judged, confidence, best_s. Scenes: facts found_by, the ruleset of the scenes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from framehouse.analytics.intervals import Judged, unjudged
from framehouse.analytics.scenes import ScenesParams, cut_video, scenes_of
from framehouse.analytics.tagging import (
    SOURCES,
    Sightings,
    Source,
    Tag,
    plain_class,
    rank_tags,
    without_misreadings,
    words_of,
)
from framehouse.analytics.use import Params, Use
from framehouse.errors import StoreError
from framehouse.results.finding_files import heads_of, read_finding
from framehouse.results.findings import Event, Events, Finding, Ruleset, Scenes, input_digest
from framehouse.results.records.boxes import Detections
from framehouse.results.records.classes import Classifications
from framehouse.results.records.embeddings import Embeddings
from framehouse.results.records.texts import Texts
from framehouse.results.vocabularies import read_vocabulary
from framehouse.store.archive import BOXES, Archive, ModelSeen, Video

VOCABULARY = (
    "airplane", "airport", "animation", "bathroom", "beach", "bedroom", "boat", "bridge", "car chase", "castle",
    "cat", "church", "city skyline", "classroom", "concert", "construction site", "crowd", "dance", "desert", "dog",
    "explosion", "factory", "farm", "fire", "food", "football match", "forest", "garden", "harbour", "hospital",
    "hotel", "house", "interview", "kitchen", "lake", "library", "living room", "market", "meeting", "mountain",
    "museum", "news studio", "night city", "ocean", "office", "park", "party", "playground", "rain", "restaurant",
    "river", "road traffic", "school", "shop", "snow", "stadium", "stage", "street", "sunset", "supermarket",
    "swimming pool", "tennis match", "train station", "tunnel", "warehouse", "wedding",
)  # fmt: skip
"""Words for zero-shot when nobody gives others."""

Share = Annotated[float, Field(ge=0, le=1)]


class TagsParams(Params):
    """Which sources count, how much, and from which confidence on."""

    confidence: Share = Field(default=0.4, description="a box, class or line of text counts from here on")
    clip_confidence: Share = Field(default=0.3, description="a word of the vocabulary counts from this share on")
    clip_cosine: Annotated[float, Field(ge=-1, le=1)] = Field(
        default=0.2, description="and from this cosine on, so that the least bad of words that all do not fit is none"
    )
    weight_object: Share = Field(default=1.0, description="weight of classes of boxes")
    weight_tag: Share = Field(default=0.8, description="weight of classes of whole frames")
    weight_text: Share = Field(default=0.8, description="weight of written words")
    weight_clip: Share = Field(default=0.6, description="weight of CLIP zero-shot")
    vocabulary: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        default=VOCABULARY, max_length=1000, description="words for CLIP zero-shot"
    )
    min_frames: Annotated[int, Field(ge=1, le=10_000)] = Field(default=2, description="least frames with a tag")
    top: Annotated[int, Field(ge=0, le=10_000)] = Field(default=20, description="most tags of a video")
    scene_top: Annotated[int, Field(ge=0, le=10_000)] = Field(default=5, description="most tags of a scene")

    @property
    def weights(self) -> dict[str, float]:
        """By source."""
        return {source: float(getattr(self, f"weight_{source}")) for source in SOURCES}


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What all models said of a video, by model; `digests` of the models."""

    every: tuple[Sightings, ...]
    digests: tuple[str, ...]


def judge(archive: Archive, video: Video, params: TagsParams, ruleset: Ruleset) -> Finding:
    """Tags of one video and of its scenes.

    Raises:
        StoreError: code `store.no_rows`, no model that gives words saw the video.
    """
    seen = sightings_of(archive, video, params)
    if not seen.every:
        raise StoreError(
            f"{video.name}: no model that gives words saw it", code="store.no_rows", video_id=video.video_id,
            hint="run one first: framehouse run FILE --model detector --model tags",
        )  # fmt: skip
    end_s = max(video.duration_s, *(float(one.seen_s[-1]) for one in seen.every))
    scenes = _scenes(archive, video)
    spans = list(zip(scenes.start_s.tolist(), scenes.end_s.tolist(), strict=True))
    of_scenes = [_ranked(seen, params, start, end, params.scene_top) for start, end in spans]
    whole = _ranked(seen, params, 0.0, end_s + 1e-6, params.top)
    events = [*_video_events(whole, of_scenes, end_s), *_scene_events(of_scenes, spans)]
    unseen_s = unjudged(_judged(seen, end_s)).total_s
    return Finding.of(
        ruleset, video.video_id, input_digest=_digest(seen, scenes), events=Events.ordered(events), scenes=scenes,
        model_digests=seen.digests, judged_s=max(0.0, end_s - unseen_s), unjudged_s=unseen_s,
    )  # fmt: skip


def _ranked(seen: Seen, params: TagsParams, start_s: float, end_s: float, top: int) -> list[Tag]:
    return rank_tags(seen.every, start_s, end_s, params.weights, least_frames=params.min_frames, top=top)


# --- what models said -----------------------------------------------------------------------------------------------


def sightings_of(archive: Archive, video: Video, params: TagsParams) -> Seen:
    """Words of every model that saw a video and answered at least one frame."""
    found: list[tuple[str, Sightings]] = []
    for model in archive.models(video.video_id):
        words = _words(archive, model, params)
        if words is not None and model.n_loaded:
            found.append((model.model_digest, _sightings(archive, model, *words)))
    found.sort(key=lambda one: (SOURCES.index(one[1].source), one[1].model_id, one[0]))
    return Seen(tuple(one for _, one in found), tuple(sorted({digest for digest, _ in found})))


Words = tuple[Source, NDArray[np.int64], Sequence[str], NDArray[np.float64]]
"""Source, and of each sighting the frame_offset, the word, the confidence."""


def _words(archive: Archive, model: ModelSeen, params: TagsParams) -> Words | None:
    if model.kind == "embeddings":
        return _zero_shot(archive, model, params)
    if model.kind not in (*BOXES, "classifications", "multilabels", "texts"):
        return None
    rows = archive.rows(model)
    if isinstance(rows, Texts):
        return _written(rows, params.confidence)
    assert isinstance(rows, Detections | Classifications)
    sure = rows.confidence >= np.float32(params.confidence)
    names = [plain_class(name) for name in rows.class_name[sure].tolist()]
    source: Source = "object" if model.kind in BOXES else "tag"
    return source, rows.frame_offset[sure], names, rows.confidence[sure].astype(np.float64)


def _written(rows: Texts, confidence: float) -> Words:
    frames, words, sure = [], [], []
    lines = zip(rows.frame_offset.tolist(), rows.text.tolist(), rows.confidence.tolist(), strict=True)
    for frame, line, confident in lines:
        if confident >= confidence:
            for word in words_of(line):
                frames.append(frame)
                words.append(word)
                sure.append(confident)
    return "text", np.array(frames, np.int64), without_misreadings(words), np.array(sure, np.float64)


def _zero_shot(archive: Archive, model: ModelSeen, params: TagsParams) -> Words | None:
    """Words of the vocabulary that a frame is like, by a softmax over all of them and those for none of them.

    None where no vectors were made.
    """
    if archive.lake is None or not params.vocabulary:
        return None
    known = read_vocabulary(archive.lake, model.model_digest, params.vocabulary)
    rows = archive.rows(model)
    assert isinstance(rows, Embeddings)
    if known is None or not known.n_asked or not len(rows) or known.vectors.shape[1] != rows.embedding.shape[1]:
        return None
    cosines = _unit(rows.embedding) @ _unit(known.vectors).T
    shares = np.exp(known.logit_scale * (cosines - cosines.max(axis=1, keepdims=True)))
    shares = (shares / shares.sum(axis=1, keepdims=True))[:, : known.n_asked]
    at, word = np.nonzero((shares >= params.clip_confidence) & (cosines[:, : known.n_asked] >= params.clip_cosine))
    names = [plain_class(known.words[i]) for i in word.tolist()]
    return "clip", rows.frame_offset[at], names, shares[at, word]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-9))


def _sightings(
    archive: Archive, model: ModelSeen, source: Source, frame_offset: NDArray[np.int64], words: Sequence[str],
    confidence: NDArray[np.float64],
) -> Sightings:  # fmt: skip
    frames = archive.frames(model)
    seen = frames.frame_offset[frames.loaded]
    names = np.empty(len(words), np.object_)
    names[:] = list(words)
    return Sightings(
        source, model.model_id, frames.time_offset_s[frames.loaded], seen,
        np.searchsorted(seen, frame_offset).astype(np.int64), names, confidence,
    )  # fmt: skip


def _judged(seen: Seen, end_s: float) -> Judged:
    """Frames that any of the models answered."""
    frames = np.concatenate([one.seen_frame for one in seen.every])
    times = np.concatenate([one.seen_s for one in seen.every])
    frame, first = np.unique(frames, return_index=True)
    return Judged(frame, times[first], np.ones(len(frame)), end_s)


def _digest(seen: Seen, scenes: Scenes) -> str:
    parts: list[Any] = [scenes.start_s, scenes.end_s]
    for one in seen.every:
        parts += [one.source, one.model_id, one.seen_s, one.at, one.word, one.confidence]
    return input_digest(*parts)


# --- scenes ---------------------------------------------------------------------------------------------------------


def _scenes(archive: Archive, video: Video) -> Scenes:
    """Of the newest finding, else found now; none where neither pixels nor embeddings are at hand."""
    if archive.lake is not None:
        head = next((one for one in heads_of(archive.lake, video.video_id) if one.ruleset.kind == "scenes"), None)
        found = head and read_finding(archive.lake, head.ruleset.ruleset_id, video.video_id)
        if found:
            return _named(found[1].scenes, found[0].ruleset.ruleset_id)
    try:
        cut = cut_video(archive, video, ScenesParams())
    except StoreError as error:
        if error.code != "store.no_rows":
            raise
        return Scenes.empty()
    return _named(scenes_of(cut.scenery, cut.by), "")


def _named(scenes: Scenes, ruleset_id: str) -> Scenes:
    facts = [json.dumps({"found_by": ruleset_id or None})] * len(scenes)
    return Scenes.of({**scenes.arrays(), "facts": facts})


# --- rows -----------------------------------------------------------------------------------------------------------


def _video_events(whole: Sequence[Tag], of_scenes: Sequence[Sequence[Tag]], end_s: float) -> Iterator[Event]:
    for rank, tag in enumerate(whole, 1):
        scenes = [number for number, tags in enumerate(of_scenes) if any(one.word == tag.word for one in tags)]
        yield _event("tag", tag, 0.0, end_s, {"rank": rank, "scenes": scenes})


def _scene_events(of_scenes: Sequence[Sequence[Tag]], spans: Sequence[tuple[float, float]]) -> Iterator[Event]:
    for number, (tags, (start_s, end_s)) in enumerate(zip(of_scenes, spans, strict=True)):
        for rank, tag in enumerate(tags, 1):
            yield _event("scene_tag", tag, start_s, end_s, {"rank": rank, "scene": number})


def _event(kind: str, tag: Tag, start_s: float, end_s: float, facts: dict[str, Any]) -> Event:
    evidence = [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(one).items()}
        for one in tag.evidence
    ]
    best = tag.evidence[0].best_frame
    return Event(kind, start_s, end_s, best, -1, tag.word, tag.score, json.dumps({**facts, "evidence": evidence}))


TAGS = Use("tags", 1, TagsParams, judge, "ranked tags of a video and of its scenes, with the evidence for each")
