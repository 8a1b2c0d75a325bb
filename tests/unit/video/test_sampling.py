"""interface.md, decision 1, and the cutting of chunks: pure functions on integers and Fractions."""

from __future__ import annotations

from bisect import bisect_left
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.errors import ConfigError, FpsExceedsSource, MediaError
from framehouse.video.index import StreamFacts, VideoIndex
from framehouse.video.sampling import (
    chunks,
    frames_of_chunk,
    gap_intervals,
    nearest_frames,
    parse_infer_fps,
    plan_frames,
)

MILLI = Fraction(1, 1000)


def index_of(pts: list[int], time_base: Fraction = MILLI, keys: list[int] | None = None) -> VideoIndex:
    is_key = np.zeros(len(pts), np.bool_)
    is_key[[0] if keys is None else keys] = True
    facts = StreamFacts("mp4", "h264", 64, 48, 0, time_base, "exact")
    return VideoIndex(facts, np.array(pts, np.int64), is_key, packet=np.arange(len(pts), dtype=np.int64))


def constant(rate: Fraction, n: int, time_base: Fraction) -> VideoIndex:
    return index_of([round(i / rate / time_base) for i in range(n)], time_base)


rising_pts = st.lists(st.integers(1, 5000), min_size=0, max_size=60).flatmap(
    lambda gaps: st.integers(-(10**6), 10**6).map(lambda first: np.cumsum([first, *gaps]).tolist())
)


# --- nearest_frames ---


@pytest.mark.parametrize(
    ("pts", "targets", "expected"),
    [
        ([5], [], []),
        ([5], [-100, 5, 100], [0, 0, 0]),
        ([0, 40, 80], [19, 20, 21, 70], [0, 0, 1, 2]),
        ([0, 40, 80], [-1, 1000], [0, 2]),
        ([0, 1], [0, 1], [0, 1]),
    ],
)
def test_nearest(pts: list[int], targets: list[int], expected: list[int]) -> None:
    assert nearest_frames(np.array(pts), np.array(targets, np.int64)).tolist() == expected


@pytest.mark.parametrize("pts", [[], [1, 1], [2, 1]])
def test_nearest_refuses_times_that_do_not_rise(pts: list[int]) -> None:
    with pytest.raises(MediaError):
        nearest_frames(np.array(pts, np.int64), np.array([0]))


@given(rising_pts, st.lists(st.integers(-(10**6), 2 * 10**6), max_size=40))
def test_nearest_is_nearest_and_earlier_on_a_tie(pts: list[int], targets: list[int]) -> None:
    found = nearest_frames(np.array(pts), np.array(targets, np.int64)).tolist()
    assert found == [min(range(len(pts)), key=lambda i, t=t: (abs(pts[i] - t), i)) for t in targets]


# --- infer_fps ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5", Fraction(5)), (" 2.5 ", Fraction(5, 2)), ("30000/1001", Fraction(30000, 1001)), ("ALL", "all")],
)
def test_fps_is_read_exactly(text: str, expected: object) -> None:
    assert parse_infer_fps(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "", "fast", "nan", "inf", "1/0", "5 fps", "0.0"])
def test_fps_that_is_none_is_refused_at_once(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_infer_fps(text)
    assert caught.value.code == "config.infer_fps"


# --- plan_frames ---


@pytest.mark.parametrize(
    ("rate", "fps", "expected"),
    [
        (Fraction(30), Fraction(5), [0, 6, 12, 18]),
        (Fraction(25), Fraction(4), [0, 6, 12, 19]),  # 0, 6.25, 12.5 (a tie), 18.75
        (Fraction(30000, 1001), Fraction(5), [0, 6, 12, 18]),
        (Fraction(30000, 1001), Fraction(30000, 1001), [0, 1, 2, 3]),
        (Fraction(30), Fraction(20), [0, 1, 3, 4]),  # 0, 1.5 (a tie), 3, 4.5 (a tie)
    ],
)
def test_plan_of_a_constant_rate(rate: Fraction, fps: Fraction, expected: list[int]) -> None:
    plan = plan_frames(constant(rate, 300, 1 / (rate * 1000)), fps)
    assert plan.frame_offset[:4].tolist() == expected


def test_plan_says_which_second_was_asked_for() -> None:
    plan = plan_frames(index_of([100, 190, 300, 1100]), Fraction(2))
    assert plan.frame_offset.tolist() == [0, 2, 3]  # targets 100, 600 (frame at 300), 1100
    assert plan.pts.tolist() == [100, 300, 1100]
    assert plan.target_s.tolist() == [0.0, 0.5, 1.0]


def test_a_frame_is_taken_once() -> None:
    plan = plan_frames(index_of([0, 10, 20, 30, 5000]), Fraction(3, 5))
    assert plan.frame_offset.tolist() == [0, 3, 4]  # the last two targets fall on the last frame
    assert plan.target_s.tolist() == pytest.approx([0.0, 5 / 3, 10 / 3])


@pytest.mark.parametrize("fps", ["all", Fraction(30), Fraction(299, 10)])
def test_at_the_source_rate_every_frame_is_planned(fps: object) -> None:
    index = constant(Fraction(299, 10), 50, MILLI)
    assert plan_frames(index, fps).frame_offset.tolist() == list(range(50))  # type: ignore[arg-type]


def test_measured_rate_just_below_a_whole_number_is_that_number() -> None:
    index = constant(Fraction(30), 60, MILLI)
    assert index.rate == Fraction(59000, 1967)  # 29.995
    assert plan_frames(index, Fraction(30)).frame_offset.size == 60


def test_above_the_source_names_both_rates() -> None:
    with pytest.raises(FpsExceedsSource) as caught:
        plan_frames(constant(Fraction(25), 100, MILLI), Fraction(26))
    assert "26" in caught.value.message
    assert "25" in caught.value.message


@pytest.mark.parametrize("fps", [Fraction(0), Fraction(-5)])
def test_no_rate_at_all_is_refused(fps: Fraction) -> None:
    with pytest.raises(ConfigError, match="above zero"):
        plan_frames(constant(Fraction(25), 100, MILLI), fps)


@pytest.mark.parametrize(("rate", "n_planned"), [(Fraction(30), 50), (Fraction(2), 300), (Fraction(1, 60), 300)])
def test_default_is_five_or_every_frame_of_a_slower_source(rate: Fraction, n_planned: int) -> None:
    assert plan_frames(constant(rate, 300, MILLI), None).frame_offset.size == n_planned


def test_one_frame_has_no_rate_and_is_planned_at_any() -> None:
    assert index_of([7]).rate is None
    for fps in (None, "all", Fraction(1, 3), Fraction(100)):
        assert plan_frames(index_of([7]), fps).frame_offset.tolist() == [0]  # type: ignore[arg-type]


def test_a_source_slower_than_a_hundredth_can_be_sampled_below_its_rate() -> None:
    index = index_of([0, 3600_000, 7200_000, 10800_000])
    assert plan_frames(index, Fraction(1, 7200)).frame_offset.tolist() == [0, 2]


def test_nanosecond_ticks_over_days_do_not_overflow() -> None:
    nano = Fraction(1, 10**9)
    index = index_of([i * 33_333_333 + 10**15 for i in range(0, 3_000_000, 1000)], nano)
    plan = plan_frames(index, Fraction(1001, 123457))
    step = 123457 * 10**9
    pts = index.pts.tolist()
    for k in (1, 2, 50, 600):
        target = pts[0] * 1001 + k * step
        best = min(range(len(pts)), key=lambda i, t=target: (abs(pts[i] * 1001 - t), i))
        assert best in plan.frame_offset


@given(rising_pts, st.fractions(Fraction(1, 50), 60, max_denominator=1001))
def test_plan_is_the_definition(pts: list[int], fps: Fraction) -> None:
    index = index_of(pts)
    try:
        plan = plan_frames(index, fps)
    except FpsExceedsSource:
        assert index.rate is not None
        assert fps > index.rate
        return
    assert np.all(np.diff(plan.frame_offset) > 0)
    assert plan.pts.tolist() == [pts[i] for i in plan.frame_offset]
    if index.rate is None or fps >= index.rate:
        assert plan.frame_offset.tolist() == list(range(len(pts)))
        return
    expected, k = [], 0
    while (target := pts[0] + k / (fps * MILLI)) <= pts[-1]:
        at = bisect_left(pts, target)
        around = [i for i in (at - 1, at) if 0 <= i < len(pts)]
        expected.append(min(around, key=lambda i, t=target: (abs(pts[i] - t), i)))
        k += 1
    assert plan.frame_offset.tolist() == sorted(set(expected))


# --- chunks ---


def test_chunks_of_regular_groups_last_as_asked() -> None:
    index = index_of([i * 40 for i in range(2500)], keys=list(range(0, 2500, 50)))  # 100 s, a key frame every 2 s
    assert [c.n_frames for c in chunks(index)] == [500] * 5
    assert [c.chunk_id for c in chunks(index)][:2] == ["c000000000", "c000000500"]


def test_a_single_key_frame_is_a_single_chunk() -> None:
    found = chunks(index_of([i * 1000 for i in range(36000)]))
    assert [(c.first_frame, c.n_frames) for c in found] == [(0, 36000)]


def test_a_video_that_begins_without_a_key_frame_still_begins_its_first_chunk_there() -> None:
    found = chunks(index_of([i * 1000 for i in range(60)], keys=[5, 25, 45]))
    assert [c.first_frame for c in found] == [0, 25, 45]
    assert not found[0].is_key[0]


@given(rising_pts, st.sets(st.integers(0, 60)), st.floats(0.001, 30))
def test_chunks_part_the_video_at_key_frames(pts: list[int], keys: set[int], target_s: float) -> None:
    index = index_of(pts, keys=sorted({0} | {k for k in keys if k < len(pts)}))
    found = chunks(index, target_s=target_s)
    assert np.concatenate([c.pts for c in found]).tolist() == pts
    assert np.concatenate([c.packet for c in found]).tolist() == list(range(len(pts)))
    for chunk, following in zip(found, [*found[1:], None], strict=True):
        assert bool(chunk.is_key[0])
        assert chunk.start_pts == chunk.pts[0] == pts[chunk.first_frame]
        assert chunk.end_pts == (following.start_pts if following else pts[-1] + 1)
        assert np.all((chunk.start_pts <= chunk.pts) & (chunk.pts < chunk.end_pts))


@given(rising_pts, st.sets(st.integers(0, 60)), st.sampled_from(["all", Fraction(1, 10), Fraction(1, 2)]))
def test_every_planned_frame_is_in_exactly_one_chunk(pts: list[int], keys: set[int], fps: object) -> None:
    index = index_of(pts, keys=sorted({0} | {k for k in keys if k < len(pts)}))
    try:
        plan = plan_frames(index, fps)  # type: ignore[arg-type]
    except FpsExceedsSource:
        return
    parts = [frames_of_chunk(plan, chunk) for chunk in chunks(index, target_s=3)]
    assert np.concatenate(parts).tolist() == plan.frame_offset.tolist()


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [([], []), ([0], [(0.0, 0.5)]), ([5, 10], [(0.5, 1.5)]), ([0, 10], [(0.0, 0.5), (1.0, 1.5)]), ([15], [(1.5, 2.0)])],
)
def test_gaps_as_seconds(gaps: list[int], expected: list[tuple[float, float]]) -> None:
    index = constant(Fraction(10), 20, MILLI)
    found = gap_intervals(plan_frames(index, Fraction(2)), np.array(gaps, np.int64), index)
    assert [pytest.approx(interval) for interval in expected] == found
