"""Where things are between the frames that were looked at, and where nobody can say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.errors import MisalignedParts
from framehouse.render.regions import (
    AFTER,
    BEFORE,
    BETWEEN,
    SEEN,
    Growth,
    Regions,
    Samples,
    not_analysed,
    regions_of,
)
from framehouse.render.tracklets import Sightings, link

SECOND = np.arange(61) / 10.0  # 6 s at 10 frames a second
SIZE = (400, 300)
BARE = Growth(share=0.0, side_per_s=0.0, frame_per_s=0.0, hold_s=0.0)


def sightings(*rows: tuple[int, float, float, float, float]) -> Sightings:
    """Rows of (frame, left, top, right, bottom)."""
    ordered = sorted(rows, key=lambda row: row[0])
    boxes = np.array([row[1:] for row in ordered], np.float32).reshape(-1, 4)
    n = len(ordered)
    frames = np.array([row[0] for row in ordered], np.int64)
    return Sightings(frames, boxes, np.full(n, 0.5, np.float32), np.full(n, "", np.object_))


def samples(frames: Sequence[int], gaps: Sequence[int] = ()) -> Samples:
    at = np.array(frames, np.int64)
    loaded = ~np.isin(at, gaps)
    return Samples(at, loaded, np.where(loaded, "", "decode.damaged").astype(np.object_))


EVERY_FIFTH = range(0, 61, 5)


def regions(seen: Sightings, growth: Growth = BARE, asked: Sequence[int] = EVERY_FIFTH) -> Regions:
    return regions_of(seen, link(seen, SECOND, 1.0), samples(asked), SECOND, SIZE, growth)


def walk(start: int, stop: int, step_px: float = 4.0) -> list[tuple[int, float, float, float, float]]:
    """Something 40 x 60 that moves right, seen in every fifth frame."""
    return [(f, 50 + f * step_px, 100, 90 + f * step_px, 160) for f in range(start, stop + 1, 5)]


def test_one_thing_is_one_tracklet_and_two_are_two() -> None:
    other = [(f, 300, 20, 330, 60) for f in range(10, 31, 5)]
    seen = sightings(*walk(10, 30), *other)
    tracklet = link(seen, SECOND, 1.0)
    assert [len(np.unique(tracklet[seen.xyxy[:, 1] == top])) for top in (100, 20)] == [1, 1]
    assert len(np.unique(tracklet)) == 2


def test_crossing_paths_never_uncover_either() -> None:
    right = [(f, 100 + 8 * i, 100, 140 + 8 * i, 160) for i, f in enumerate(range(0, 31, 5))]
    left = [(f, 148 - 8 * i, 100, 188 - 8 * i, 160) for i, f in enumerate(range(0, 31, 5))]
    found = regions(sightings(*right, *left), Growth())
    for frame in range(31):
        for start, pace in ((100.0, 1.6), (148.0, -1.6)):
            at = start + pace * frame
            boxes = found.in_frame(frame).xyxy
            assert any(box[0] <= at and box[2] >= at + 40 for box in boxes), (frame, start)


def test_something_that_comes_back_after_long_is_another_one() -> None:
    seen = sightings((0, 10, 10, 50, 50), (25, 10, 10, 50, 50))
    assert link(seen, SECOND, 1.0).tolist() == [0, 1]
    assert link(seen, SECOND, 3.0).tolist() == [0, 0]


def test_between_sightings_the_box_is_interpolated() -> None:
    found = regions(sightings(*walk(10, 30, 2.0)), Growth(0, 0, 0, 0, hull=False))
    for frame in range(10, 31):
        here = found.in_frame(frame)
        assert here.xyxy.tolist() == [[50 + 2 * frame, 100, 90 + 2 * frame, 160]]
        assert here.why.tolist() == [SEEN if frame % 5 == 0 else BETWEEN]


def test_it_is_held_up_to_the_samples_that_do_not_show_it() -> None:
    found = regions(sightings(*walk(20, 30)))
    assert found.frame_offset.tolist() == list(range(16, 35))
    assert set(found.why[found.frame_offset < 20].tolist()) == {BEFORE}
    assert set(found.why[found.frame_offset > 30].tolist()) == {AFTER}
    assert found.in_frame(17).xyxy.tolist() == [[130, 100, 170, 160]]


def test_it_is_held_for_longer_where_samples_are_close() -> None:
    found = regions(sightings(*walk(20, 30)), Growth(hold_s=1.0))
    assert (found.frame_offset.min(), found.frame_offset.max()) == (10, 39)


def test_to_the_ends_of_the_video() -> None:
    found = regions(sightings(*walk(5, 55)), asked=range(5, 60, 5))
    assert sorted(set(found.frame_offset.tolist())) == list(range(61))


def test_a_missed_sample_is_bridged() -> None:
    seen = sightings(*[row for row in walk(10, 30, 1.0) if row[0] != 20])
    found = regions(seen)
    assert len(np.unique(found.tracklet)) == 1
    assert len(found.in_frame(20)) == 1
    assert int(found.in_frame(20).why[0]) == BETWEEN


def test_the_margin_grows_with_the_time_to_the_nearest_sighting() -> None:
    found = regions(sightings((20, 100, 100, 140, 160), (30, 100, 100, 140, 160)), Growth(), asked=[0, 20, 30, 50])
    widths = [float(found.in_frame(f).xyxy[0, 2] - found.in_frame(f).xyxy[0, 0]) for f in range(15, 31)]
    assert widths[5] == pytest.approx(40 * 1.2)  # seen: a tenth on each side
    assert widths == sorted(widths[:5], reverse=True) + widths[5:11] + sorted(widths[11:], reverse=True)
    assert widths[5:11] == sorted(widths[5:11])
    assert widths[10] == pytest.approx(40 * 1.2 + 2 * 0.5 * (0.5 * 60 + 0.1 * 300))


def test_two_sightings_far_apart_cover_both_and_the_way_between() -> None:
    seen = sightings((20, 100, 100, 140, 160), (25, 135, 100, 175, 160))
    for frame in range(21, 25):
        (box,) = regions(seen).in_frame(frame).xyxy.tolist()
        assert box == [100, 100, 175, 160]


def test_regions_stay_inside_of_the_picture_and_empty_ones_are_none() -> None:
    seen = sightings((20, -30, -20, 20, 40), (25, 390, 290, 460, 330), (30, 500, 500, 540, 560))
    found = regions(seen, Growth())
    assert (found.xyxy >= 0).all()
    assert (found.xyxy[:, 2] <= 400).all()
    assert (found.xyxy[:, 2:] > found.xyxy[:, :2]).all()
    assert len(regions(sightings())) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(EVERY_FIFTH)), st.floats(0, 300), st.floats(0, 200), st.floats(5, 90), st.floats(5, 90)
        ),
        max_size=12,
    )
)
def test_every_sighting_is_covered_in_its_frame_and_until_the_next_samples(
    rows: list[tuple[int, float, float, float, float]],
) -> None:
    seen = sightings(*[(f, x, y, x + w, y + h) for f, x, y, w, h in rows])
    found = regions(seen, Growth())
    for frame, box in zip(seen.frame_offset.tolist(), seen.xyxy, strict=True):
        for near in range(max(0, frame - 2), min(60, frame + 2) + 1):
            here = found.in_frame(near).xyxy
            inside = (here[:, :2] <= box[:2] + 1e-3).all(axis=1) & (here[:, 2:] >= box[2:] - 1e-3).all(axis=1)
            if near == frame:
                assert inside.any()
            assert len(here)


# --- what was not analysed ---


@pytest.mark.parametrize(
    ("asked", "gaps", "lost", "why"),
    [
        (EVERY_FIFTH, (), [], set()),
        (EVERY_FIFTH, (20,), range(16, 25), {"decode.damaged"}),
        (EVERY_FIFTH, (20, 25), range(16, 30), {"decode.damaged"}),
        (EVERY_FIFTH, (0, 60), [*range(5), *range(56, 61)], {"decode.damaged"}),
        ([0, 5, 10, 30, *range(35, 61, 5)], (), range(11, 30), {"not inferred"}),
        (range(0, 41, 5), (), range(47, 61), {"not inferred"}),
        (range(20, 61, 5), (), range(14), {"not inferred"}),
        ([], (), range(61), {"not inferred"}),
        (EVERY_FIFTH, EVERY_FIFTH, range(61), {"decode.damaged"}),
        (range(0, 61, 20), (), [f for f in range(61) if f % 20], {"not inferred"}),
    ],
)
def test_frames_that_nothing_can_be_said_of(
    asked: Sequence[int], gaps: Sequence[int], lost: Sequence[int], why: set[str]
) -> None:
    missing, reason = not_analysed(samples(asked, gaps), SECOND)
    assert np.flatnonzero(missing).tolist() == list(lost)
    assert set(reason[missing].tolist()) == why
    assert set(reason[~missing].tolist()) <= {""}


def test_wider_steps_may_be_accepted() -> None:
    missing, _ = not_analysed(samples(range(0, 61, 20)), SECOND, reach_s=2.0)
    assert not missing.any()
    missing, _ = not_analysed(samples(range(0, 61, 20), (20,)), SECOND, reach_s=9.0)
    assert np.flatnonzero(missing).tolist() == list(range(1, 40))


def test_every_frame_of_a_slow_video_was_looked_at() -> None:
    second = np.arange(5) * 4.0
    missing, _ = not_analysed(samples(range(5)), second)
    assert not missing.any()


@pytest.mark.parametrize("frames", [[5, 0], [3, 3]])
def test_samples_out_of_order(frames: list[int]) -> None:
    with pytest.raises(MisalignedParts):
        samples(frames)
