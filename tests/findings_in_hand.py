"""Findings made by hand."""

from __future__ import annotations

from typing import Any

from framehouse.results.findings import Event, Events, Finding, Ruleset, Scenes, Tracks, input_digest
from lakes import DETECTOR, video_name

RULES = Ruleset("lines", "door", {"line": [0.0, 0.5, 1.0, 0.5], "é": None})


def finding(ruleset: Ruleset = RULES, number: int = 0, n: int = 3, **changes: Any) -> Finding:
    """`n` events of two kinds at equal times, a scene and `n` rows of tracks in a video of `lakes`."""
    events = [Event("zone_dwell", 0.5, 2.5, score=2.0)]
    events += [Event("line_in", i // 2, frame_offset=6 * i, class_name="person", facts='{"i":1}') for i in range(n)]
    scenes = Scenes.of(
        {"start_s": [0.0, 4.0], "end_s": [4.0, 10.0], "first_frame_offset": [0, 120], "last_frame_offset": [119, 299],
         "facts": ["{}", '{"calm":true}']}
    )  # fmt: skip
    tracks = Tracks.of(
        {"model_digest": [DETECTOR] * n, "frame_offset": [6 * i for i in range(n)], "detection_id": [0] * n,
         "tracker_id": [1 + i % 2 for i in range(n)]}
    )  # fmt: skip
    whole: dict[str, Any] = {
        "input_digest": input_digest("x"), "events": Events.ordered(events),
        "scenes": scenes, "tracks": tracks, "model_digests": (DETECTOR,), "judged_s": 9.0, "unjudged_s": 1.01,
    }  # fmt: skip
    return Finding.of(ruleset, video_name(number), **{**whole, **changes})
