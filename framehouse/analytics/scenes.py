"""Shots, scenes, and where an advertisement disturbs least: from what the video looks like, else from embeddings.

Pixels first: the video's looks are kept in the lake once it was decoded (`results.sights`), so another threshold or
weight needs neither the file nor a decode. Where nothing was kept, embeddings of sampled frames have to do.

Events: `shot` (start to end; facts: shot, scene), `scene_cut` (class_name cut, dissolve or fade, start to end of the
change, end null for a cut; facts: at_s, between_scenes) and `insertion_point` (score 0..1, class_name as of its change;
facts: rank, and for each reason its mark or null, its weight, and words). Scenes: facts n_shots and begins_with.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from framehouse.analytics.changes import ChangeRules, changes_of_vectors, find_changes
from framehouse.analytics.faces import faces_of
from framehouse.analytics.insertion import (
    REASONS,
    InsertionRules,
    Motion,
    Point,
    Scenery,
    motion_of,
    rank_points,
)
from framehouse.analytics.shots import SceneRules, Shots, cut_up, tied
from framehouse.analytics.use import Params, Use
from framehouse.errors import StoreError
from framehouse.results.findings import Event, Events, Finding, Ruleset, Scenes, input_digest
from framehouse.results.records.embeddings import Embeddings
from framehouse.results.sights import Sight, read_sight
from framehouse.store.archive import Archive, Video

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]
Weight = Annotated[float, Field(ge=0, le=1000)]


class ScenesParams(Params):
    """How changes are found, what makes a scene, and what counts at an insertion point."""

    by: Literal["auto", "frames", "embeddings"] = Field(
        default="auto", description="auto: frames where the video was looked at, else embeddings"
    )
    cut_ratio: Annotated[float, Field(ge=1, le=100)] = Field(
        default=3.0, description="a cut differs this many times as much as the frames around it"
    )
    cut_level: Annotated[float, Field(ge=0, le=255)] = Field(default=15.0, description="and at least by this much")
    flash_s: Seconds = Field(default=0.3, description="what is back as it was within so long was a flash")
    shortest_s: Seconds = Field(default=0.2, description="of two cuts nearer than this the stronger one counts")
    bend: Share = Field(default=0.38, description="how far a dissolve may be from a straight line between two pictures")
    alike: Share = Field(default=0.76, description="colours that overlap more are one shot that moves, no dissolve")
    embedding_level: Annotated[float, Field(ge=0, le=2)] = Field(
        default=0.16, description="least cosine distance of a cut, by embeddings"
    )
    model: str = Field(default="", description="whose embeddings: a slug, slug/version or digest")
    scene_alike: Share = Field(default=0.75, description="two shots so much alike show one place")
    scene_within_s: Seconds = Field(default=20.0, description="such shots, no further apart, are one scene; 0: never")
    weight_change: Weight = Field(default=1.0, description="weight of: what kind of change it is")
    weight_calm: Weight = Field(default=1.0, description="weight of: calm before and after")
    weight_faces: Weight = Field(default=1.0, description="weight of: no face cut off in mid-action")
    weight_silence: Weight = Field(default=1.0, description="weight of: silence")
    weight_distance: Weight = Field(default=1.0, description="weight of: distance from other points and the ends")
    window_s: Seconds = Field(default=1.0, description="how long before and after calm and faces are looked at")
    silence_db: Annotated[float, Field(ge=-100, le=0)] = Field(default=-50.0, description="at or below it is silence")
    spacing_s: Seconds = Field(default=60.0, description="distance that has full marks")
    apart_s: Seconds = Field(default=0.0, description="least distance between two points")
    edge_s: Seconds = Field(default=2.0, description="least distance from the start and the end")
    top: Annotated[int, Field(ge=0, le=10_000)] = Field(default=10, description="most points")
    face_confidence: Share = Field(default=0.4, description="a face counts from here on")

    @property
    def changes(self) -> ChangeRules:
        """For `find_changes`."""
        return ChangeRules(
            cut_ratio=self.cut_ratio, cut_level=self.cut_level, flash_s=self.flash_s, shortest_s=self.shortest_s,
            alike=self.alike, bend=self.bend,
        )  # fmt: skip

    @property
    def insertion(self) -> InsertionRules:
        """For `rank_points`."""
        weights = {name: float(getattr(self, f"weight_{name}")) for name in REASONS}
        return InsertionRules(
            weights, self.window_s, self.silence_db, 0.25, self.spacing_s, self.apart_s, self.edge_s, self.top
        )


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A video cut up: how it was done, and what it was judged by."""

    by: Literal["frames", "embeddings"]
    scenery: Scenery
    digest: str
    model_digests: tuple[str, ...]
    unjudged_s: float


def judge(archive: Archive, video: Video, params: ScenesParams, ruleset: Ruleset) -> Finding:
    """Shots, scenes and insertion points of one video.

    Raises:
        StoreError: code `store.no_rows`, the video was neither looked at nor has it embeddings.
    """
    cut = cut_video(archive, video, params)
    points = rank_points(cut.scenery, params.insertion)
    scenery = cut.scenery
    events = [*_shot_events(scenery.shots), *_cut_events(scenery), *_point_events(scenery, points, params)]
    return Finding.of(
        ruleset, video.video_id, input_digest=cut.digest, events=Events.ordered(events),
        scenes=scenes_of(scenery, cut.by), model_digests=cut.model_digests,
        judged_s=max(0.0, scenery.end_s - cut.unjudged_s), unjudged_s=cut.unjudged_s,
    )  # fmt: skip


def cut_video(archive: Archive, video: Video, params: ScenesParams) -> Cut:
    """Cut a video up by its looks, else by embeddings. Raises as `judge`."""
    sight = None if params.by == "embeddings" or archive.lake is None else read_sight(archive.lake, video.video_id)
    if sight is not None:
        return _by_frames(archive, video, params, sight)
    if params.by == "frames":
        raise StoreError(
            f"{video.name} was not looked at, and its file is not at hand", code="store.no_rows",
            hint="give the file itself: framehouse scenes FILE; or: --by embeddings", video_id=video.video_id,
        )  # fmt: skip
    return _by_embeddings(archive, video, params)


def _by_frames(archive: Archive, video: Video, params: ScenesParams, sight: Sight) -> Cut:
    looks = sight.looks
    changes = find_changes(looks, params.changes)
    shots = tied(looks, changes, SceneRules(params.scene_alike, params.scene_within_s))
    faces, digests = faces_of(archive, video, params.face_confidence)
    scenery = Scenery(changes, shots, looks.end_s, motion_of(looks), faces, sight.loudness)
    digest = input_digest(looks.time_s, looks.thumbs, looks.change, looks.ratio, sight.loudness.level_db, *digests)
    unseen_s = sum(end - first for first, end in looks.gaps)
    return Cut("frames", scenery, digest, tuple(sorted(digests[::2])), unseen_s)


def _by_embeddings(archive: Archive, video: Video, params: ScenesParams) -> Cut:
    try:
        model = archive.model(video.video_id, params.model, kinds=("embeddings",))
    except StoreError as error:
        raise StoreError(
            f"{video.name}: no file at hand, and no embeddings either", code="store.no_rows",
            hint="give the file itself: framehouse scenes FILE; or run: framehouse run FILE --model clip",
            video_id=video.video_id,
        ) from error  # fmt: skip
    rows, frames = archive.rows(model), archive.frames(model)
    assert isinstance(rows, Embeddings)
    if len(rows) == 0:
        raise StoreError(f"{video.name}: not one frame has an embedding", code="store.no_rows")
    time_s = frames.times_of(rows.frame_offset)
    changes = changes_of_vectors(rows.frame_offset, time_s, rows.embedding, level=params.embedding_level)
    end_s = max(video.duration_s, float(time_s[-1]))
    shots = cut_up(changes, rows.frame_offset, time_s, end_s)
    faces, digests = faces_of(archive, video, params.face_confidence)
    scenery = Scenery(changes, shots, end_s, _motion_of_vectors(time_s, rows.embedding), faces, None)
    digest = input_digest(model.model_digest, rows.frame_offset, rows.embedding, *digests)
    used = tuple(sorted({model.model_digest, *digests[::2]}))
    return Cut("embeddings", scenery, digest, used, _unseen(time_s, end_s))


def _unseen(time_s: NDArray[np.float64], end_s: float) -> float:
    """Seconds further from the frame before than two usual steps: a cut there would not be known."""
    steps = np.diff(np.concatenate([time_s, [end_s]]))
    usual = float(np.median(steps)) if len(steps) else 0.0
    return float(np.maximum(steps - max(2 * usual, 1.0), 0.0).sum())


def _motion_of_vectors(time_s: NDArray[np.float64], embedding: NDArray[np.float32]) -> Motion:
    unit = embedding / np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), 1e-9)
    step = np.concatenate([[0.0], 1.0 - (unit[1:] * unit[:-1]).sum(axis=1)])
    return Motion(time_s, np.maximum(step, 0.0).astype(np.float64), 0.3, "cosine/s")


# --- rows -----------------------------------------------------------------------------------------------------------


def _shot_events(shots: Shots) -> Iterator[Event]:
    for i in range(len(shots)):
        facts = json.dumps({"shot": i, "scene": int(shots.scene[i])})
        first = int(shots.first_frame_offset[i])
        yield Event("shot", float(shots.start_s[i]), float(shots.end_s[i]), first, facts=facts)


def _cut_events(scenery: Scenery) -> Iterator[Event]:
    changes, scene = scenery.changes, scenery.shots.scene
    for i in range(len(changes)):
        kind, start_s = str(changes.kind[i]), float(changes.start_s[i])
        end_s = math.nan if kind == "cut" else float(changes.end_s[i])
        facts = {"at_s": round(float(changes.at_s[i]), 4), "between_scenes": bool(scene[i] != scene[i + 1])}
        yield Event(
            "scene_cut", start_s, end_s, int(changes.frame_offset[i]), -1, kind, float(changes.score[i]),
            json.dumps(facts),
        )  # fmt: skip


def _point_events(scenery: Scenery, points: list[Point], params: ScenesParams) -> Iterator[Event]:
    for rank, point in enumerate(points, 1):
        weights = params.insertion.weights
        reasons = {
            name: {"mark": None if one.mark is None else round(one.mark, 3), "weight": weights[name], "says": one.says}
            for name, one in point.reasons.items()
        }
        yield Event(
            "insertion_point", point.at_s, math.nan, point.frame_offset, -1, str(scenery.changes.kind[point.change]),
            point.score, json.dumps({"rank": rank, "reasons": reasons}),
        )  # fmt: skip


def scenes_of(scenery: Scenery, by: str) -> Scenes:
    """The scenes as they are stored."""
    shots, rows = scenery.shots, []
    for scene in range(shots.n_scenes):
        own = shots.shots_of(scene)
        begins = str(scenery.changes.kind[own[0] - 1]) if own[0] else "start"
        facts = {"n_shots": len(own), "begins_with": begins, "by": by}
        rows.append((
            float(shots.start_s[own[0]]), float(shots.end_s[own[-1]]), int(shots.first_frame_offset[own[0]]),
            int(shots.last_frame_offset[own[-1]]), json.dumps(facts),
        ))  # fmt: skip
    return Scenes.of(dict(zip(Scenes.stored, zip(*rows, strict=True), strict=True)))


SCENES = Use("scenes", 1, ScenesParams, judge, "shots, scenes, and ranked points for advertisements with their reasons")
