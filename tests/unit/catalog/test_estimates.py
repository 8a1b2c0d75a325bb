"""Estimates come from speeds that were measured, and say how far they may be off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from framehouse.catalog.backlog import Ask, Debt, ModelDebt
from framehouse.catalog.estimates import PIXEL_S, Speeds, card_speed_s, estimate, measure, together
from framehouse.results.lake import ModelUse, RunRecord
from lakes import DETECTOR, run, video, video_name

PIXELS = 640 * 360
VIDEOS = {video_name(0): video(0)}


def ran(n_frames: int, worked_s: float, frame_s: float = 0.05, n_passed: int = 0, decode_s: float = 0.0) -> RunRecord:
    use = ModelUse("detector/1", DETECTOR, "detections", n_frames, n_frames, 0, {}, n_frames * frame_s, n_frames)
    return replace(run("j"), models=(use,), worked_s=worked_s, n_passed=n_passed, decode_s=decode_s)


def debt(n_frames: int, n_passed: int = 0) -> Debt:
    return Debt(
        video(0), Ask(("detector/1",), "5", 0.4), (ModelDebt("detector/1", DETECTOR, n_frames, 0),), n_passed, 1
    )


def test_without_a_run_the_cards_speak_and_the_band_is_wide() -> None:
    speeds = measure([], {}, {"detector/1": 0.067})
    found = estimate(debt(100), speeds, fetch_bytes=7)
    assert found.n_runs == 0
    assert found.seconds == pytest.approx(2.5 + 6.7, abs=0.01)
    assert found.high_s / found.low_s > 5
    assert (found.n_frames, found.fetch_bytes) == (100, 7)
    assert measure([replace(ran(0, 3.0), models=())], VIDEOS).n_runs == 0, "a run that inferred nothing tells nothing"


@pytest.mark.parametrize(
    ("speed", "seconds"),
    [({}, None), ({"network_ms": 59}, 0.059), ({"server_cpu_ms_per_frame": [{"ms": 67}], "network_ms": 59}, 0.067)],
)
def test_what_a_card_says(speed: dict[str, object], seconds: float | None) -> None:
    assert card_speed_s(speed) == seconds


def test_runs_on_a_line_are_foretold_exactly() -> None:
    runs = [ran(n, 3.0 + 0.6 * 0.05 * n) for n in (10, 50, 100, 400, 800, 1600)]
    speeds = measure(runs, VIDEOS)
    assert (speeds.start_s, speeds.factor) == pytest.approx((3.0, 0.6), rel=1e-6)
    found = estimate(debt(1000), speeds, fetch_bytes=0)
    assert found.seconds == pytest.approx(33.0, abs=0.01)
    assert (found.low_s, found.high_s) == pytest.approx((0.9 * 33, 1.1 * 33), abs=0.01), "never surer than a tenth"


def test_runs_that_scatter_widen_the_band() -> None:
    runs = [ran(n, worked_s) for n, worked_s in [(100, 5), (100, 10), (200, 8), (200, 22), (800, 30), (800, 60)]]
    found = estimate(debt(400), measure(runs, VIDEOS), fetch_bytes=0)
    assert found.low_s < 0.8 * found.seconds
    assert found.high_s > 1.2 * found.seconds
    few = estimate(debt(400), measure(runs[:2], VIDEOS), fetch_bytes=0)
    assert few.high_s / few.low_s >= 4, "two runs say little"


def test_decoding_counts_by_pixels_gone_through() -> None:
    runs = [ran(100, 10.0, n_passed=1000, decode_s=PIXELS * 1000 * 2e-9)]
    speeds = measure(runs, VIDEOS)
    assert speeds.pixel_s == pytest.approx(2e-9)
    assert Speeds({}).pixel_s == PIXEL_S
    less, more = (estimate(debt(10, n_passed), speeds, fetch_bytes=0).seconds for n_passed in (10, 100_000))
    assert more - less == pytest.approx(speeds.factor * 99_990 * PIXELS * 2e-9, rel=1e-3)


def test_work_adds_up_and_starts_pass_side_by_side() -> None:
    speeds = Speeds({"detector/1": 0.05}, start_s=2.0)
    one = estimate(debt(100), speeds, fetch_bytes=5)
    assert together([], speeds, 4).seconds == 0
    assert together([one], speeds, 4).seconds == one.seconds
    all_of_it = together([one] * 5, speeds, 4)
    assert all_of_it.seconds == pytest.approx(5 * one.seconds - 4 * 2.0 * 0.75)
    assert (all_of_it.n_frames, all_of_it.fetch_bytes) == (500, 25)
