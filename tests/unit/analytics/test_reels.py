"""Moments of a reel: padded, cut down, joined, the best that fit, in order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.analytics.reels import ReelMoment, ReelRules, plan_reel

DURATIONS = {"b": 100.0, "a": 50.0}


def moment(start: float, end: float, video: str = "a", score: float = 0.5, best: float | None = None) -> ReelMoment:
    return ReelMoment(video, start, end, (start + end) / 2 if best is None else best, score, "w")


def spans(moments: list[ReelMoment], **rules: Any) -> list[tuple[str, float, float]]:
    return [(one.video_id, one.start_s, one.end_s) for one in plan_reel(moments, DURATIONS, ReelRules(**rules))]


@pytest.mark.parametrize(
    ("moments", "rules", "expected"),
    [
        ([], {}, []),
        ([moment(10, 12)], {}, [("a", 9, 13)]),
        ([moment(10, 10)], {}, [("a", 9, 11)]),  # an instant
        ([moment(10, 10)], {"before_s": 0, "after_s": 0}, []),
        ([moment(0, 2), moment(49, 50)], {}, [("a", 0, 3), ("a", 48, 50)]),  # not beyond the video
        ([moment(10, 12), moment(13, 15)], {}, [("a", 9, 16)]),  # they touch
        ([moment(10, 12), moment(14.4, 15)], {}, [("a", 9, 16)]),  # half a second apart
        ([moment(10, 12), moment(16, 18)], {}, [("a", 9, 13), ("a", 15, 19)]),
        ([moment(10, 12), moment(10, 12, "b")], {}, [("b", 9, 13), ("a", 9, 13)]),  # videos in the order given
        ([moment(10, 12, "gone")], {}, []),
        ([moment(0, 40, best=20)], {"longest_s": 10}, [("a", 14, 26)]),  # around its best
        ([moment(0, 40, best=1)], {"longest_s": 10}, [("a", 0, 11)]),
        ([moment(0, 40, best=40)], {"longest_s": 10}, [("a", 29, 41)]),
        ([moment(0, 4, score=0.2), moment(20, 24, score=0.9)], {"total_s": 7}, [("a", 19, 25)]),  # the best that fit
        ([moment(20, 28, best=24)], {"total_s": 4}, [("a", 22, 26)]),
        ([moment(5, 6, score=0.1), moment(20, 21, score=0.9)], {"order": "best"}, [("a", 19, 22), ("a", 4, 7)]),
    ],
)
def test_plans(moments: list[ReelMoment], rules: dict[str, Any], expected: list[tuple[str, float, float]]) -> None:
    assert spans(moments, **rules) == expected


def test_joined_moments_keep_the_best_words() -> None:
    low, high = moment(10, 12, score=0.1), ReelMoment("a", 12, 14, 13, 0.9, "better")
    (one,) = plan_reel([low, high], DURATIONS, ReelRules())
    assert (one.score, one.why, one.best_s) == (0.9, "better", 13)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 49), st.floats(0, 30), st.floats(0, 1)), max_size=12),
    st.floats(1, 60),
)
def test_never_longer_than_asked_and_never_twice(drawn: list[tuple[str, float, float, float]], total_s: float) -> None:
    moments = [moment(start, min(start + length, 50.0), video, score) for video, start, length, score in drawn]
    plan = plan_reel(moments, DURATIONS, ReelRules(total_s=total_s))
    assert sum(one.end_s - one.start_s for one in plan) <= total_s + 1e-6
    for one, after in pairwise(plan):
        assert one.video_id != after.video_id or one.end_s <= after.start_s
    assert all(0 <= one.start_s < one.end_s <= DURATIONS[one.video_id] for one in plan)
