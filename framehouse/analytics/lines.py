"""Objects that cross lines, enter zones, stay in them and leave."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from framehouse.analytics.crossing import Crossing, Path, crossings, inside
from framehouse.analytics.intervals import Judged, Wanted, find_intervals
from framehouse.analytics.tracked import Seconds, Tracked, TrackedParams, tracked, version
from framehouse.analytics.use import Params, Use
from framehouse.results.findings import Event, Events, Finding, Ruleset
from framehouse.store.archive import Archive, Video

Points = Annotated[
    tuple[float, ...], Field(description="x1,y1,x2,y2,…: pixels, or shares of the picture where all are 0..1")
]


class Line(Params):
    """A line with a name, from its first to its second point."""

    name: str = Field(default="", max_length=100)
    points: Points

    @field_validator("points")
    @classmethod
    def _has_length(cls, points: tuple[float, ...]) -> tuple[float, ...]:
        if len(points) != 4 or not all(map(math.isfinite, points)):
            raise ValueError("a line is x1,y1,x2,y2")
        if points[:2] == points[2:]:
            raise ValueError("the line has no length")
        return points


class Zone(Params):
    """A polygon with a name."""

    name: str = Field(default="", max_length=100)
    points: Points

    @field_validator("points")
    @classmethod
    def _has_area(cls, points: tuple[float, ...]) -> tuple[float, ...]:
        if len(points) < 6 or len(points) % 2 or not all(map(math.isfinite, points)):
            raise ValueError("a zone is x1,y1,x2,y2,x3,y3…: at least three corners")
        return points


Shape = TypeVar("Shape", Line, Zone)


class LinesParams(TrackedParams):
    """Lines and zones, and which point of a box is where the object is."""

    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()
    anchor: Literal["bottom", "centre", "top"] = Field(
        default="bottom", description="point of the box that stands for the object: feet and wheels are at the bottom"
    )
    band: float = Field(
        default=0.1, ge=0, le=10, description="so many sizes of the box from a line, an object is on neither side"
    )
    min_s: Seconds = Field(default=0.0, description="shorter stays in a zone are left out")
    join_s: Seconds = Field(default=1.0, description="stays of one object at most this far apart are one")

    @model_validator(mode="after")
    def _named(self) -> Self:
        """Each has a name of its own; those without one are numbered."""
        if not self.lines and not self.zones:
            raise ValueError("neither a line nor a zone is given")
        object.__setattr__(self, "lines", _with_names(self.lines, "line"))
        object.__setattr__(self, "zones", _with_names(self.zones, "zone"))
        return self


def _with_names(shapes: tuple[Shape, ...], what: str) -> tuple[Shape, ...]:
    named = tuple(
        shape if shape.name else shape.model_copy(update={"name": f"{what} {number}"})
        for number, shape in enumerate(shapes, 1)
    )
    if len({shape.name for shape in named}) < len(named):
        raise ValueError(f"two {what}s have the same name")
    return named


def judge(archive: Archive, video: Video, params: LinesParams, ruleset: Ruleset) -> Finding:
    """Events `line_in` and `line_out`, instants, and for each stay of an object in a zone `zone_enter`, `zone_leave`,
    instants, and `zone_dwell`, start to end, whose `score` is its seconds.

    Facts of a crossing: line, x, y, and `unseen_s` where the object was not seen for longer than a step just then. Of a
    stay: zone, n_frames, unseen_s. An object that was first seen inside has `appeared` in its `zone_enter`, one that
    was last seen inside `vanished` in its `zone_leave`: it did not go over the edge before our eyes.

    All have the track and its class; `crossings` says which way is in.
    """
    seen = tracked(archive, video, params)
    paths = seen.paths(params.anchor)
    steps = np.diff(seen.frames.time_offset_s)
    longest_s = 1.5 * float(np.median(steps)) if steps.size else math.inf
    events: list[Event] = []
    for line in params.lines:
        points = pixels(line.points, video)
        events += [
            _crossed(line.name, path, cut, longest_s) for path in paths for cut in crossings(path, points, params.band)
        ]
    for zone in params.zones:
        polygon = pixels(zone.points, video)
        events += [event for path in paths for event in _stays(seen, zone.name, path, polygon, params)]
    return Finding.of(
        ruleset, video.video_id, input_digest=seen.input_digest, events=Events.ordered(events), tracks=seen.tracks,
        model_digests=(seen.model.model_digest,), judged_s=seen.judged_s, unjudged_s=seen.unjudged_s,
    )  # fmt: skip


def pixels(points: tuple[float, ...], video: Video) -> NDArray[np.float64]:
    """Points [K, 2] in pixels of the upright picture; values that are all within 0..1 are shares of it.

    >>> pixels((0.5, 0.0, 0.5, 1.0), Video("v", 640, 360, 1.0, 1, 1.0, ())).tolist()
    [[320.0, 0.0], [320.0, 360.0]]
    """
    array = np.array(points, np.float64).reshape(-1, 2)
    return array * (video.width, video.height) if array.min() >= 0 and array.max() <= 1 else array


def _crossed(name: str, path: Path, cut: Crossing, longest_s: float) -> Event:
    facts: dict[str, Any] = {"line": name, "x": round(cut.x, 1), "y": round(cut.y, 1)}
    if cut.after_s - cut.before_s > longest_s:
        facts["unseen_s"] = round(cut.after_s - cut.before_s, 4)
    return Event(
        "line_in" if cut.inward else "line_out", cut.time_s, frame_offset=cut.frame_offset,
        tracker_id=path.tracker_id, class_name=path.class_name, facts=json.dumps(facts),
    )  # fmt: skip


def _stays(seen: Tracked, name: str, path: Path, polygon: NDArray[np.float64], params: LinesParams) -> list[Event]:
    """The stays of one object in one zone: an event for entering, dwelling and leaving each."""
    is_in = inside(path.xy, polygon)
    if not is_in.any():
        return []
    found = find_intervals(_judged(seen, path, is_in), Wanted(0.5, min_s=params.min_s, join_s=params.join_s))
    first, last = int(path.frame_offset[0]), int(path.frame_offset[-1])
    events = []
    for i in range(len(found)):
        start_s, end_s = float(found.start_s[i]), float(found.end_s[i])
        start, end = int(found.first_frame_offset[i]), int(found.last_frame_offset[i])
        who = {"tracker_id": path.tracker_id, "class_name": path.class_name}
        dwell = {"zone": name, "n_frames": int(found.n_frames[i]), "unseen_s": round(float(found.unjudged_s[i]), 4)}
        came = {"zone": name, **({"appeared": True} if start == first else {})}
        left = {"zone": name, **({"vanished": True} if end == last else {})}
        events += [
            Event("zone_enter", start_s, frame_offset=start, facts=json.dumps(came), **who),  # type: ignore[arg-type]
            Event("zone_dwell", start_s, end_s, start, score=end_s - start_s, facts=json.dumps(dwell), **who),  # type: ignore[arg-type]
            Event("zone_leave", end_s, frame_offset=end, facts=json.dumps(left), **who),  # type: ignore[arg-type]
        ]
    return events


def _judged(seen: Tracked, path: Path, is_in: NDArray[np.bool_]) -> Judged:
    """Whether the object is inside, frame by frame while it is tracked; a frame in which it was missed says nothing."""
    frames = seen.frames.frame_offset
    first, last = np.searchsorted(frames, [path.frame_offset[0], path.frame_offset[-1]])
    score = np.full(last - first + 1, np.nan)
    score[np.searchsorted(frames, path.frame_offset) - first] = is_in
    until_s = float(seen.speaks_until()[last])
    return Judged(frames[first : last + 1], seen.frames.time_offset_s[first : last + 1], score, until_s)


LINES = Use(
    "lines", version(1), LinesParams, judge, "who crosses which line which way, and who is in which zone how long"
)
