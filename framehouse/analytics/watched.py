"""What `render` draws of tracked objects, lines and zones: the same tracks and events that `lines` counts."""

from __future__ import annotations

import json

import numpy as np

from framehouse.analytics.lines import LinesParams, judge, pixels
from framehouse.analytics.tracked import Tracked
from framehouse.render.trails import Place, Way
from framehouse.results.findings import Ruleset
from framehouse.store.archive import Archive, Video


def ways(seen: Tracked, anchor: str) -> list[Way]:
    """Each track as it is drawn. `anchor`: a key of `ANCHORS`, the point that leaves the trail."""
    found = []
    for path in seen.paths(anchor):
        mine = np.flatnonzero(seen.tracker_id == path.tracker_id)
        boxes = seen.boxes.xyxy[mine[np.argsort(seen.boxes.time_offset_s[mine], kind="stable")]]
        found.append(Way(path.tracker_id, path.class_name, path.time_s, boxes.astype(np.float64), path.xy))
    return found


def step_s(seen: Tracked) -> float:
    """The usual time between inferred frames, seconds; 0 for fewer than two."""
    steps = np.diff(seen.frames.time_offset_s)
    return float(np.median(steps)) if steps.size else 0.0


def places(archive: Archive, video: Video, params: LinesParams, ruleset: Ruleset) -> list[Place]:
    """The lines and zones, with the times at which `lines` counts something there.

    Raises:
        StoreError: code `store.no_rows`, no model that gives boxes saw the video.
    """
    events = judge(archive, video, params, ruleset).events
    facts = [json.loads(text) for text in events.facts]

    def times(kind: str, key: str, name: str) -> list[float]:
        return sorted(
            float(at)
            for at, what, fact in zip(events.start_s, events.kind, facts, strict=True)
            if what == kind and fact.get(key) == name
        )

    return [
        Place(
            shape.name, pixels(shape.points, video),
            np.array(times(up, key, shape.name)), np.array(times(down, key, shape.name)),
        )
        for shapes, key, up, down in (
            (params.lines, "line", "line_in", "line_out"), (params.zones, "zone", "zone_enter", "zone_leave"),
        )
        for shape in shapes
    ]  # fmt: skip
