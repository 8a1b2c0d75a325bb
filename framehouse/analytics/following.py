"""Tracks, lines and zones of a video as what is drawn: the same answers as `framehouse lines`, moment by moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from framehouse.analytics.lines import LINES, LinesParams, pixels
from framehouse.analytics.tracked import Tracked, TrackedParams, tracked
from framehouse.render.tracks import Counted, Trail
from framehouse.results.findings import Finding
from framehouse.store.archive import Archive, Video


@dataclass(frozen=True, slots=True)
class Followed:
    """What there is to draw. `hold_s`: half a usual step, for which an object is shown where it was last seen."""

    model_id: str
    trails: tuple[Trail, ...]
    counted: tuple[Counted, ...]
    hold_s: float


def follow(archive: Archive, video_id: str, values: Mapping[str, Any]) -> Followed:
    """The objects of a video and what its lines and zones counted.

    Args:
        values: parameters of `framehouse lines`; without lines and zones only the objects are followed.

    Raises:
        ConfigError: code `config.ruleset`, a parameter that is none.
        StoreError: code `store.no_rows`, no model that gives boxes saw the video.
    """
    video = archive.video(video_id)
    counted: tuple[Counted, ...] = ()
    if values["lines"] or values["zones"]:
        params: TrackedParams = LINES.check(values)
        assert isinstance(params, LinesParams)
        counted = _counted(params, LINES.judge(archive, video, params, LINES.ruleset(params)), video)
        anchor = params.anchor
    else:
        params = TrackedParams(classes=tuple(values["classes"]), confidence=values["confidence"])
        anchor = "bottom"
    seen = tracked(archive, video, params)
    steps = np.diff(seen.frames.time_offset_s)
    hold_s = float(np.median(steps)) / 2 if steps.size else 0.5
    return Followed(seen.model.model_id, _trails(seen, anchor), counted, hold_s)


def _trails(seen: Tracked, anchor: str) -> tuple[Trail, ...]:
    found = []
    for path in seen.paths(anchor):
        mine = seen.tracker_id == path.tracker_id
        order = np.argsort(seen.boxes.time_offset_s[mine], kind="stable")
        found.append(Trail(path.tracker_id, path.class_name, path.time_s, path.xy, seen.boxes.xyxy[mine][order]))
    return tuple(found)


def _counted(params: LinesParams, finding: Finding, video: Video) -> tuple[Counted, ...]:
    events = finding.events
    facts = [json.loads(text) for text in events.facts]
    found = []
    for shapes, key, came, went in (
        (params.lines, "line", "line_in", "line_out"),
        (params.zones, "zone", "zone_enter", "zone_leave"),
    ):
        for shape in shapes:
            mine = np.array([fact.get(key) == shape.name for fact in facts], np.bool_)
            times = [events.start_s[mine & (events.kind == kind)] for kind in (came, went)]
            found.append(Counted(shape.name, pixels(shape.points, video), *times))
    return tuple(found)
