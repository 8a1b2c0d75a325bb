"""Objects of interest: when they are there, first and last sight, how long; by class and by track."""

from __future__ import annotations

import json

import numpy as np
from pydantic import Field

from framehouse.analytics.crossing import Path
from framehouse.analytics.intervals import Intervals, Wanted, find_intervals
from framehouse.analytics.tracked import Seconds, Share, Tracked, TrackedParams, tracked, version
from framehouse.analytics.use import Use
from framehouse.results.findings import Event, Events, Finding, Ruleset
from framehouse.store.archive import Archive, Video


class PresenceParams(TrackedParams):
    """When an object counts as present."""

    stay: Share = Field(default=0.25, description="a stay goes on while a box has this confidence")
    min_s: Seconds = Field(default=0.0, description="shorter stays are left out")
    join_s: Seconds = Field(default=1.0, description="stays at most this far apart are one")


def judge(archive: Archive, video: Video, params: PresenceParams, ruleset: Ruleset) -> Finding:
    """Events `presence` (a class is there: start to end) and `track` (one object: first to last sight).

    `score` is the best confidence, `frame_offset` its frame. Facts of `presence`: n_frames with it, max_at_once, the
    seconds in it that were not seen, and whether it may have begun earlier or ended later (`open_start`, `open_end`).
    Facts of `track`: n_boxes and the place of first and last sight, pixels.
    """
    seen = tracked(archive, video, params)
    names = sorted({*seen.boxes.class_name.tolist()})
    events = [event for name in names for event in _stays(seen, name, params)]
    until_s = dict(zip(seen.frames.frame_offset.tolist(), seen.speaks_until().tolist(), strict=True))
    events += [_one_object(path, until_s[int(path.frame_offset[-1])]) for path in seen.paths("centre")]
    return Finding.of(
        ruleset, video.video_id, input_digest=seen.input_digest, events=Events.ordered(events), tracks=seen.tracks,
        model_digests=(seen.model.model_digest,), judged_s=seen.judged_s, unjudged_s=seen.unjudged_s,
    )  # fmt: skip


def _stays(seen: Tracked, name: str, params: PresenceParams) -> list[Event]:
    """A class is in the picture."""
    mine = seen.boxes.where(seen.boxes.class_name == name)
    best, count = np.zeros(len(seen.frames)), np.zeros(len(seen.frames), np.int64)
    place = np.searchsorted(seen.frames.frame_offset, mine.frame_offset)
    np.maximum.at(best, place, mine.confidence.astype(np.float64))
    np.add.at(count, place, mine.confidence >= np.float32(params.confidence))
    wanted = Wanted(_single(params.confidence), _single(params.stay), params.min_s, params.join_s)
    found = find_intervals(seen.judged(best), wanted)
    return [_stay(name, found, i, _most(seen, count, found, i)) for i in range(len(found))]


def _single(value: float) -> float:
    """A threshold as the 32-bit float that stored confidences are compared with everywhere."""
    return float(np.float32(value))


def _most(seen: Tracked, count: np.ndarray, found: Intervals, i: int) -> int:
    first, last = np.searchsorted(seen.frames.frame_offset, [found.first_frame_offset[i], found.last_frame_offset[i]])
    return int(count[first : last + 1].max())


def _stay(name: str, found: Intervals, i: int, most: int) -> Event:
    facts = {
        "n_frames": int(found.n_frames[i]), "max_at_once": most, "best_s": round(float(found.best_s[i]), 4),
        "unseen_s": round(float(found.unjudged_s[i]), 4), "open_start": bool(found.open_start[i]),
        "open_end": bool(found.open_end[i]),
    }  # fmt: skip
    return Event(
        "presence", float(found.start_s[i]), float(found.end_s[i]), int(found.best_frame_offset[i]), -1, name,
        float(found.best_score[i]), json.dumps(facts),
    )  # fmt: skip


def _one_object(path: Path, until_s: float) -> Event:
    """From the first frame in which a track was seen to where its last one ceases to speak."""
    best = int(np.argmax(path.confidence))
    ends = {"from": path.xy[0].round(1).tolist(), "to": path.xy[-1].round(1).tolist()}
    return Event(
        "track", float(path.time_s[0]), until_s, int(path.frame_offset[best]), path.tracker_id, path.class_name,
        float(path.confidence[best]), json.dumps({"n_boxes": len(path.time_s), **ends}),
    )  # fmt: skip


PRESENCE = Use("presence", version(1), PresenceParams, judge, "when objects are there: intervals, first and last sight")
