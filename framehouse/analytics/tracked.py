"""Tracked boxes of a video, as uses that follow objects share them: presence, lines, zones."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from framehouse.analytics.crossing import Path
from framehouse.analytics.intervals import Judged, spoken_for, unjudged
from framehouse.analytics.tracking import VERSION as TRACKER
from framehouse.analytics.tracking import Tracking, track
from framehouse.analytics.use import Params
from framehouse.results.findings import Tracks, input_digest
from framehouse.store.archive import BOXES, Archive, Boxes, Frames, ModelSeen, Video


def version(own: int) -> int:
    """Version of a use that tracks, from its own: another tracker is another version.

    >>> version(1) == 100 * TRACKER + 1
    True
    """
    return 100 * TRACKER + own


ANCHORS = {"bottom": (0.5, 1.0), "centre": (0.5, 0.5), "top": (0.5, 0.0)}
"""Point of a box that stands for the object, as shares of width and height: feet and wheels are at the bottom."""

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86_400)]


class TrackedParams(Params):
    """What every use of tracks can be told."""

    classes: tuple[str, ...] = Field(default=(), description="only objects of these classes; none named: of all")
    model: str = Field(default="", description="whose boxes: a slug, slug/version or digest; empty: the detector's")
    confidence: Share = Field(default=0.4, description="a track begins with a box of this confidence")
    low_confidence: Share = Field(default=0.15, description="a box from here on prolongs a track")
    lost_s: Seconds = Field(default=2.0, description="not seen for longer, an object is another one when it comes back")

    def tracking(self, step_s: float) -> Tracking:
        """The tracker's own parameters; an object may be missed at least twice, whatever the usual step."""
        return Tracking(self.confidence, self.low, max(self.lost_s, 2.5 * step_s), step_s)

    @property
    def low(self) -> float:
        """Least confidence of a box that is looked at."""
        return min(self.low_confidence, self.confidence)


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """Boxes with the track of each.

    Args:
        tracker_id: int64 [N], -1 for a box of no track.
        input_digest: of what it was made from.
    """

    video: Video
    model: ModelSeen
    frames: Frames
    boxes: Boxes
    tracker_id: NDArray[np.int64]
    input_digest: str

    @property
    def tracks(self) -> Tracks:
        """As they are stored."""
        mine = self.tracker_id > 0
        n = int(mine.sum())
        return Tracks(
            np.full(n, self.model.model_digest, np.object_), self.boxes.frame_offset[mine],
            self.boxes.detection_id[mine], self.tracker_id[mine],
        )  # fmt: skip

    @property
    def judged_s(self) -> float:
        """Seconds for which an answered frame speaks."""
        return max(0.0, self.until_s - self.unjudged_s)

    @property
    def unjudged_s(self) -> float:
        """Seconds for which none does."""
        return unjudged(self.judged(np.zeros(len(self.frames)))).total_s

    @property
    def until_s(self) -> float:
        """End of the video."""
        return max(self.video.duration_s, float(self.frames.time_offset_s.max(initial=0.0)))

    def judged(self, score: NDArray[np.float64]) -> Judged:
        """A score for each frame of the ledger [F], as `intervals` takes it; gaps are NaN whatever it says."""
        return Judged(
            self.frames.frame_offset, self.frames.time_offset_s, np.where(self.frames.loaded, score, np.nan),
            self.until_s,
        )  # fmt: skip

    def speaks_until(self) -> NDArray[np.float64]:
        """How far each frame of the ledger speaks, float64 [F]."""
        return spoken_for(self.judged(np.zeros(len(self.frames))))

    def paths(self, anchor: str) -> list[Path]:
        """The way of each track, by its number. `anchor`: a key of `ANCHORS`."""
        share = np.array(ANCHORS[anchor])
        xyxy = self.boxes.xyxy.astype(np.float64)
        wh = xyxy[:, 2:] - xyxy[:, :2]
        points, size = xyxy[:, :2] + share * wh, np.sqrt(np.maximum(wh.prod(axis=1), 1.0))
        order = np.lexsort((self.boxes.time_offset_s, self.tracker_id))
        order = order[self.tracker_id[order] > 0]
        numbers, starts = np.unique(self.tracker_id[order], return_index=True)
        edges = [*starts.tolist(), order.size]
        pieces = [order[start:end] for start, end in itertools.pairwise(edges)]
        return [
            Path(
                int(number), str(self.boxes.class_name[rows[0]]), self.boxes.time_offset_s[rows],
                self.boxes.frame_offset[rows], points[rows], size[rows], self.boxes.confidence[rows],
            )
            for number, rows in zip(numbers, pieces, strict=True)
        ]  # fmt: skip


def tracked(archive: Archive, video: Video, params: TrackedParams) -> Tracked:
    """The boxes of a video that the parameters mean, with their tracks.

    Raises:
        StoreError: code `store.no_rows`, no model that gives boxes saw the video.
    """
    model = archive.model(video.video_id, params.model, kinds=BOXES)
    frames = archive.frames(model)
    boxes = archive.boxes(model, confidence=params.low, classes=params.classes)
    digest = input_digest(
        model.model_digest, frames.frame_offset, frames.time_offset_s, frames.loaded, boxes.frame_offset,
        boxes.detection_id, boxes.class_name, boxes.confidence, boxes.xyxy, video.duration_s,
    )  # fmt: skip
    steps = np.diff(frames.time_offset_s)
    step_s = float(np.median(steps)) if steps.size else 0.0
    return Tracked(video, model, frames, boxes, track(boxes, params.tracking(step_s)), digest)
