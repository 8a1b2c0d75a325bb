"""Stretches of time out of frames: sampled time, hysteresis, and what is not known."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.analytics import intervals
from framehouse.analytics.intervals import (
    Intervals,
    Judged,
    Stretches,
    Wanted,
    find_intervals,
    overlap_s,
    union,
    unjudged,
    usual_reach,
)
from framehouse.errors import ContractViolation

NO = float("nan")


def judged(score: list[float], step_s: float = 1.0, until_s: float | None = None, times: Any = None) -> Judged:
    time_s = np.arange(len(score)) * step_s if times is None else np.array(times, np.float64)
    return Judged(
        np.arange(len(score)) * 6,
        time_s,
        np.array(score, np.float64),
        len(score) * step_s if until_s is None else until_s,
    )


def spans(found: Intervals | Stretches) -> list[tuple[float, float]]:
    return list(zip(found.start_s.round(6).tolist(), found.end_s.round(6).tolist(), strict=True))


YES = Wanted(enter=0.5)


def test_the_examples_of_the_docstrings_hold() -> None:
    assert doctest.testmod(intervals).failed == 0
    assert doctest.testmod(intervals).attempted > 3


@pytest.mark.parametrize(
    ("score", "wanted", "expected"),
    [
        ([], YES, []),
        ([0.1], YES, []),
        ([0.9], YES, [(0, 1)]),
        ([0.9, 0.9, 0.1], YES, [(0, 2)]),
        ([0.1, 0.9, 0.1, 0.9], YES, [(1, 2), (3, 4)]),
        ([NO, NO], YES, []),
        ([0.9, NO, 0.9], YES, [(0, 1), (2, 3)]),
        ([0.9, NO, 0.9], Wanted(0.5, join_s=1), [(0, 3)]),
        ([0.9, 0, 0, 0.9], Wanted(0.5, join_s=1), [(0, 1), (3, 4)]),
        ([0.9, 0, 0, 0.9], Wanted(0.5, join_s=2), [(0, 4)]),
        ([0.4, 0.9, 0.4, 0.1, 0.4], Wanted(0.5, stay=0.3), [(0, 3)]),
        ([0.4, 0.4, 0.4], Wanted(0.5, stay=0.3), []),
        ([0.9, 0.1, 0.9, 0.9, 0.9], Wanted(0.5, min_s=3), [(2, 5)]),
        ([0.9, 0.1, 0.9], Wanted(0.5, min_s=3, join_s=1), [(0, 3)]),
    ],
)
def test_runs_of_frames_become_stretches(
    score: list[float], wanted: Wanted, expected: list[tuple[float, float]]
) -> None:
    assert spans(find_intervals(judged(score), wanted)) == expected


def test_fifteen_frames_at_five_a_second_last_three_seconds() -> None:
    """Sums of floats must not lose a stretch that is exactly as long as asked."""
    for start in range(40):
        seen = judged([0.0] * start + [1.0] * 15 + [0.0] * 3, step_s=0.2)
        assert len(find_intervals(seen, Wanted(0.5, min_s=3.0))) == 1


def test_the_best_frame_is_the_first_of_the_highest_scores() -> None:
    found = find_intervals(judged([0.6, 0.8, 0.8, 0.1]), YES)
    assert (found.best_frame_offset.tolist(), found.best_s.tolist(), found.best_score.tolist()) == ([6], [1.0], [0.8])
    assert (found.first_frame_offset.tolist(), found.last_frame_offset.tolist(), found.n_frames.tolist()) == (
        [0],
        [12],
        [3],
    )


def test_what_was_bridged_is_told() -> None:
    found = find_intervals(judged([0.9, 0.1, NO, 0.9]), Wanted(0.5, join_s=2))
    assert (found.n_frames.tolist(), found.n_between.tolist(), found.unjudged_s.tolist()) == ([2], [1], [1.0])


@pytest.mark.parametrize(
    ("score", "until", "expected"),
    [
        ([0.9, 0.1], 2.0, (False, False)),  # starts with the video
        ([0.1, 0.9], 2.0, (False, False)),  # ends with it
        ([NO, 0.9, 0.1], 3.0, (True, False)),
        ([0.1, 0.9, NO], 3.0, (False, True)),
        ([0.1, 0.9], 60.0, (False, True)),  # the rest of the video was never asked about
    ],
)
def test_a_stretch_beside_unjudged_time_is_open(score: list[float], until: float, expected: tuple[bool, bool]) -> None:
    found = find_intervals(judged(score, until_s=until), YES)
    assert (bool(found.open_start[0]), bool(found.open_end[0])) == expected


def test_a_hole_in_the_plan_is_no_answer() -> None:
    """A run that was killed leaves chunks out: nothing is claimed of them, neither yes nor no."""
    seen = judged([0.9, 0.9, 0.9, 0.9], times=[0.0, 1.0, 20.0, 21.0], until_s=22.0)
    assert spans(find_intervals(seen, YES)) == [(0, 3), (20, 22)]
    assert spans(unjudged(seen)) == [(3, 20)]
    assert find_intervals(seen, YES).open_end.tolist() == [True, False]


@pytest.mark.parametrize(
    ("score", "until", "expected"),
    [
        ([], 10.0, [(0, 10)]),
        ([0.1, 0.9], 2.0, []),
        ([NO, NO, 0.5], 3.0, [(0, 2)]),
        ([0.1, NO, NO, 0.5, NO], 5.0, [(1, 3), (4, 5)]),
        ([0.1], 60.0, [(2, 60)]),
    ],
)
def test_unjudged_time(score: list[float], until: float, expected: list[tuple[float, float]]) -> None:
    assert spans(unjudged(judged(score, until_s=until))) == expected


def test_a_frame_reaches_two_steps_but_at_least_two_seconds() -> None:
    assert usual_reach(np.array([])) == usual_reach(np.array([3.0])) == 2.0
    assert usual_reach(np.array([0.0, 10.0, 20.0, 500.0])) == 20.0


def test_unions_and_overlaps() -> None:
    one, other = (
        Stretches(np.array([0.0, 5.0]), np.array([2.0, 6.0])),
        Stretches(np.array([1.0, 6.0]), np.array([3.0, 7.0])),
    )
    assert spans(union(one, other)) == [(0, 3), (5, 7)]
    assert spans(union()) == spans(union(unjudged(judged([0.0])))) == []
    assert overlap_s(union(one, other), 2.5, 5.5) == pytest.approx(1.0)


@pytest.mark.parametrize("times", [[0.0, 0.0], [1.0, 0.5], [-1.0, 0.0]])
def test_times_that_do_not_increase_are_refused(times: list[float]) -> None:
    with pytest.raises(ContractViolation):
        judged([0.0, 0.0], times=times)


SCORES = st.lists(st.one_of(st.just(NO), st.floats(0, 1)), min_size=0, max_size=40)


@given(SCORES, st.floats(0.05, 3.0), st.floats(0, 3), st.floats(0, 3), st.floats(0, 1))
def test_every_stretch_is_as_asked(score: list[float], step: float, min_s: float, join_s: float, stay: float) -> None:
    """In order, apart, long enough, with a sure frame; and yes + no + unjudged are the whole video."""
    seen = judged(score, step_s=step)
    found = find_intervals(seen, Wanted(0.5, stay=min(stay, 0.5), min_s=min_s, join_s=join_s))
    assert (found.duration_s >= min_s - 1e-6).all()
    assert (found.best_score >= 0.5).all()
    assert (found.start_s[1:] - found.end_s[:-1] > join_s).all() or len(found) < 2
    assert (found.unjudged_s <= found.duration_s + 1e-6).all()
    dark = unjudged(seen)
    lit = float((np.diff(np.append(seen.time_s, seen.until_s))[seen.judged]).sum()) if score and step <= 2 else None
    if lit is not None:
        assert dark.total_s + lit == pytest.approx(seen.until_s, abs=1e-6)
    for start, end, inner in zip(found.start_s, found.end_s, found.unjudged_s, strict=True):
        assert overlap_s(dark, start, end) == pytest.approx(inner, abs=1e-6)


@given(SCORES, st.floats(0, 2))
def test_a_lower_threshold_never_takes_time_away(score: list[float], join_s: float) -> None:
    strict, mild = (find_intervals(judged(score), Wanted(enter, join_s=join_s)) for enter in (0.7, 0.3))
    together = union(strict, mild)
    assert together.total_s == pytest.approx(union(mild).total_s)
