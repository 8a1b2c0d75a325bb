"""Which moments go into a reel, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

Order = Literal["time", "best"]


@dataclass(frozen=True, slots=True)
class ReelMoment:
    """A stretch of a video that somebody wants to see.

    Attributes:
        start_s, end_s: seconds after the first frame; equal for an instant.
        best_s: the moment within it that matters most.
        score: by the measure of whoever found it; higher is better.
        why: in a few words, for the chapter.
    """

    video_id: str
    start_s: float
    end_s: float
    best_s: float
    score: float
    why: str


@dataclass(frozen=True, slots=True)
class ReelRules:
    """Seconds.

    Attributes:
        before_s, after_s: shown around each moment.
        join_s: moments of one video at most so far apart, when padded, are one.
        longest_s: a longer moment is cut down to this around its best.
        total_s: of the reel; the best moments that fit go in.
        order: by time (videos in the order given), or the best first.
    """

    before_s: float = 1.0
    after_s: float = 1.0
    join_s: float = 0.5
    longest_s: float = 10.0
    total_s: float = 60.0
    order: Order = "time"


def plan_reel(moments: Sequence[ReelMoment], durations_s: Mapping[str, float], rules: ReelRules) -> list[ReelMoment]:
    """The stretches to show, in order; none overlaps another of its video.

    Args:
        durations_s: video_id -> its length, in the order that videos are to come; moments of others are left out.
    """
    known = [moment for moment in moments if moment.video_id in durations_s]
    padded = [_padded(moment, durations_s[moment.video_id], rules) for moment in known]
    joined = _joined([moment for moment in padded if moment.end_s > moment.start_s], rules.join_s)
    chosen = _fitting(joined, rules.total_s)
    place = {video_id: number for number, video_id in enumerate(durations_s)}
    if rules.order == "best":
        return sorted(chosen, key=lambda one: (-one.score, place[one.video_id], one.start_s))
    return sorted(chosen, key=lambda one: (place[one.video_id], one.start_s))


def _padded(moment: ReelMoment, duration_s: float, rules: ReelRules) -> ReelMoment:
    start_s, end_s = moment.start_s, max(moment.end_s, moment.start_s)
    if end_s - start_s > rules.longest_s:
        start_s = min(max(start_s, moment.best_s - rules.longest_s / 2), end_s - rules.longest_s)
        end_s = start_s + rules.longest_s
    start_s, end_s = max(0.0, start_s - rules.before_s), min(duration_s, end_s + rules.after_s)
    return replace(moment, start_s=start_s, end_s=end_s)


def _joined(moments: Sequence[ReelMoment], join_s: float) -> list[ReelMoment]:
    """Moments of one video that touch are one, with the score and the words of the best of them."""
    found: list[ReelMoment] = []
    ordered = sorted(moments, key=lambda one: (one.video_id, one.start_s, one.end_s))
    for _, of_video in groupby(ordered, key=lambda one: one.video_id):
        last: ReelMoment | None = None
        for moment in of_video:
            if last is not None and moment.start_s <= last.end_s + join_s:
                best = moment if moment.score > last.score else last
                last = replace(best, start_s=last.start_s, end_s=max(last.end_s, moment.end_s))
                found[-1] = last
            else:
                last = moment
                found.append(moment)
    return found


def _fitting(moments: Sequence[ReelMoment], total_s: float) -> list[ReelMoment]:
    """The best that fit; the very best is cut down when it alone is too long."""
    chosen: list[ReelMoment] = []
    left_s = total_s
    for moment in sorted(moments, key=lambda one: (-one.score, one.video_id, one.start_s)):
        length_s = moment.end_s - moment.start_s
        if length_s <= left_s + 1e-9:
            chosen.append(moment)
            left_s -= length_s
        elif not chosen:
            start_s = min(max(moment.start_s, moment.best_s - total_s / 2), moment.end_s - total_s)
            return [replace(moment, start_s=start_s, end_s=start_s + total_s)]
    return chosen


def reel_size(sizes: Sequence[tuple[int, int]], most: tuple[int, int] = (1280, 720)) -> tuple[int, int]:
    """Size that pictures of some sizes are shown in: the largest of them, no larger than `most` on either side; even.

    >>> reel_size([(640, 272), (176, 144)]), reel_size([(1080, 1920)]), reel_size([(127, 95)])
    ((640, 272), (404, 720), (126, 94))
    """
    width, height = max(sizes, key=lambda size: (size[0] * size[1], size))
    scale = min(1.0, most[0] / width, most[1] / height)
    return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)
