"""How a run ends: counts, the failure budget, and the record."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from chunk_cases import SMALL, SPEC
from framehouse.errors import InferenceError, LeaseLost, TruncatedVideo
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.outcome import Totals, conclude_early, conclude_run, facts_of, over_budget
from framehouse.results.lake import Lake, ModelUse, RunRecord
from framehouse.results.parts import PartHeader, write_part
from framehouse.results.records.boxes import Detections
from framehouse.video.index import StreamFacts, VideoIndex
from framehouse.video.sampling import FramePlan, plan_frames
from jobs_in_hand import VIDEO, new_attempt, receipt, store

RATE = 10
STREAM = StreamFacts("mp4", "h264", 64, 60, 0, Fraction(1, 1000), "exact")


def index(n_frames: int) -> VideoIndex:
    pts = np.arange(n_frames, dtype=np.int64) * (1000 // RATE) + 5000  # the first frame is not at zero
    return VideoIndex(STREAM, pts, np.arange(n_frames) % 10 == 0, packet=np.arange(n_frames))


def every_frame(n_frames: int) -> FramePlan:
    return plan_frames(index(n_frames), "all")


def put(lake: Lake, digest: str, loaded: list[int], gaps: dict[int, str], n_frames: int = 100) -> None:
    """One part with these frames of the video."""
    frames = np.array(sorted([*loaded, *gaps]), np.int64)
    write_part(
        lake.parts_dir(VIDEO, digest),
        PartHeader(VIDEO, "c000000000", "m/1", digest, "detections", "j"),
        frame_offset=frames,
        pts=index(n_frames).pts[frames],
        time_offset_s=frames / RATE,
        gap_reason=np.array([gaps.get(int(frame)) for frame in frames], np.object_),
        infer_s=np.zeros(frames.size, np.float32),
        rows=Detections.empty(),
    )


def run_of(attempt: Attempt) -> RunRecord:
    record = attempt.lake.read_run(attempt.job_id)
    assert record is not None
    return record


# ---------------------------------------------------------------- totals


def test_totals_of_nothing() -> None:
    totals = Totals((SPEC,), 10)
    assert totals.uses() == (ModelUse("numbers/1", SPEC.digest, "detections", 10, 0, 0, {}, 0.0),)
    assert totals.n_settled == 0
    assert Totals((), 10).uses() == ()


def test_receipts_are_added_up_for_each_model() -> None:
    totals = Totals((SPEC, SMALL), 30)
    totals.add(receipt("c0", (SPEC.digest, 9, {"decode.failed": 1}), (SMALL.digest, 10, {})))
    totals.add(receipt("c1", (SPEC.digest, 7, {"decode.failed": 2, "decode.missing": 1}), (SMALL.digest, 10, {})))
    totals.add(receipt("c2"))
    large, small = totals.uses()
    assert (large.n_planned, large.n_loaded, large.n_gaps) == (30, 16, 4)
    assert large.gap_reasons == {"decode.failed": 3, "decode.missing": 1}
    assert (small.model_id, small.n_loaded, small.n_gaps, small.gap_reasons) == ("small/1", 20, 0, {})
    assert (large.infer_s, totals.decode_s, totals.n_settled) == (1.0, 0.75, 40)


# ---------------------------------------------------------------- the budget


@pytest.mark.parametrize(
    ("n_planned", "n_gaps", "share", "is_over"),
    [
        (0, 0, 0.05, False),
        (100, 0, 0.0, False),
        (100, 1, 0.0, True),
        (100, 5, 0.05, False),  # exactly the budget is within it
        (100, 6, 0.05, True),
        (20, 1, 0.05, False),
        (19, 1, 0.05, True),
        (1000, 50, 0.05, False),
        (1000, 51, 0.05, True),
        (100, 100, 1.0, False),
        (3, 1, 1 / 3, False),
    ],
)
def test_the_budget(tmp_path: Path, n_planned: int, n_gaps: int, share: float, is_over: bool) -> None:
    reasons = {"decode.failed": n_gaps} if n_gaps else {}
    use = ModelUse("m/1", "d", "detections", n_planned, n_planned - n_gaps, n_gaps, reasons)
    error = over_budget(Lake(tmp_path), "j", [ModelUse("ok/1", "e", "detections", n_planned, n_planned), use], share)
    assert (error is not None) == is_over
    if error is not None:
        assert (error.code, error.facts["n_gaps"]) == ("inference.too_many_gaps", n_gaps)
        assert error.message.startswith(f"m/1: {n_gaps} of {n_planned} ")
        assert "decode.failed" in error.message
        assert error.facts["second"] is None


def test_a_run_within_the_budget_is_done_when_its_rows_are_out(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    ref = store(attempt, index(20), every_frame(20))
    totals = Totals((SPEC, SMALL), 20)
    totals.add(receipt("c0", (SPEC.digest, 19, {"decode.failed": 1}), (SMALL.digest, 20, {})))
    conclude_run(attempt, ref, totals)
    job, record = attempt.state.job(attempt.job_id), run_of(attempt)
    assert (job.status, job.outcome) == ("running", "done")
    assert (record.status, record.video_id, record.n_bytes, record.decode_s) == ("done", VIDEO, 77, 0.25)
    assert record.models == totals.uses()
    assert (record.error_code, record.error_hop, record.error_second) == (None, None, None)
    loads = attempt.state.loads_after(0)
    assert [(load.kind, load.model_digest) for load in loads] == [
        ("parts", SPEC.digest), ("parts", SMALL.digest), ("job", None),
    ]  # fmt: skip
    assert attempt.state.settle_published(loads[-1].seq) == [attempt.job_id]


def test_too_many_gaps_name_the_second_of_the_first(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    ref = store(attempt, index(200), every_frame(200))
    gaps = dict.fromkeys(range(124, 140), "decode.failed")
    put(attempt.lake, SPEC.digest, [f for f in range(200) if f not in gaps], gaps, 200)
    totals = Totals((SPEC,), 200)
    totals.add(receipt("c0", (SPEC.digest, 184, {"decode.failed": 16})))
    with pytest.raises(InferenceError, match=r"16 of 200 planned frames are gaps, first at 12\.4 s, most of them dec"):
        conclude_run(attempt, ref, totals)
    job, record = attempt.state.job(attempt.job_id), run_of(attempt)
    assert (job.status, job.error_code) == ("failed", "inference.too_many_gaps")
    assert (record.status, record.error_hop) == ("failed", "infer")
    assert record.error_second == pytest.approx(12.4)
    assert "12.4 s" in str(record.error_message)
    assert [load.kind for load in attempt.state.loads_after(0)] == ["parts", "job"]  # what was loaded is published


def test_a_run_that_lost_its_job_concludes_nothing(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    ref = store(attempt, index(20), every_frame(20))
    attempt.state.break_lease(attempt.lease.name)
    assert attempt.state.acquire(attempt.lease.name, "another", 60.0) is not None
    with pytest.raises(LeaseLost):
        conclude_run(attempt, ref, Totals((SPEC,), 20))
    assert attempt.state.job(attempt.job_id).outcome is None
    assert attempt.state.loads_after(0) == []


# ---------------------------------------------------------------- ends without a run


def test_an_early_end_before_the_plan(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    attempt.enter("probe")
    error = TruncatedVideo("cut short", second=3.5)
    job = attempt.state.job(attempt.job_id)
    conclude_early(attempt.state, attempt.lake, job, "failed", error, (SPEC,))
    record, job = run_of(attempt), attempt.state.job(attempt.job_id)
    assert (job.status, job.error_code, job.error_hint) == ("failed", "media.truncated", error.hint)
    assert (record.error_code, record.error_hop, record.error_second) == ("media.truncated", "probe", 3.5)
    assert record.models == (ModelUse("numbers/1", SPEC.digest, "detections"),)
    assert not attempt.state.is_held(attempt.lease.name)


def test_an_early_end_after_the_plan_counts_what_the_parts_hold(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    store(attempt, index(40), plan_frames(index(40), Fraction(5)))  # every second frame
    put(attempt.lake, SPEC.digest, [0, 1, 2, 3], {4: "decode.failed", 5: "decode.failed"}, 40)
    put(attempt.lake, SPEC.digest, [6], {8: "decode.failed"}, 40)
    put(attempt.lake, "9" * 32, [0], {}, 40)
    job = attempt.state.job(attempt.job_id)
    conclude_early(attempt.state, attempt.lake, job, "cancelled", None, (SPEC, SMALL))
    record = run_of(attempt)
    large, small = record.models
    assert (record.status, record.video_id, record.error_code) == ("cancelled", VIDEO, None)
    assert (large.n_planned, large.n_loaded, large.n_gaps) == (20, 3, 2)
    assert (small.model_digest, small.n_planned, small.n_loaded, small.n_gaps) == (SMALL.digest, 20, 0, 0)
    wanted = {load.model_digest for load in attempt.state.loads_after(0) if load.kind == "parts"}
    assert wanted == {SPEC.digest, "9" * 32}  # nothing done is lost


def test_the_first_end_counts(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    job = attempt.state.job(attempt.job_id)
    conclude_early(attempt.state, attempt.lake, job, "cancelled", None)
    conclude_early(attempt.state, attempt.lake, job, "failed", TruncatedVideo("too late"))
    assert (attempt.state.job(job.job_id).status, run_of(attempt).status) == ("cancelled", "cancelled")
    assert len(attempt.state.loads_after(0)) == 1


def test_a_cancelled_run_that_still_lives_can_write_no_more(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    ref = store(attempt, index(20), every_frame(20))
    conclude_early(attempt.state, attempt.lake, attempt.state.job(attempt.job_id), "cancelled", None)
    assert not attempt.state.renew(attempt.lease, 60.0)
    with pytest.raises(LeaseLost):
        conclude_run(attempt, ref, Totals((SPEC,), 20))
    assert attempt.state.job(attempt.job_id).status == "cancelled"
    assert run_of(attempt).status == "cancelled"


def test_a_damaged_plan_does_not_keep_the_end_from_being_told(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    store(attempt, index(20), every_frame(20))
    attempt.lake.plan_path(attempt.job_id).write_bytes(b"rot")
    job = attempt.state.job(attempt.job_id)
    conclude_early(attempt.state, attempt.lake, job, "failed", TruncatedVideo("cut"), (SPEC,))
    assert run_of(attempt).models == (ModelUse("numbers/1", SPEC.digest, "detections"),)


def test_a_secret_in_the_address_is_not_recorded(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path)
    request = dataclasses.replace(attempt.job.request, uri="https://me:pw@h/v.mp4?sig=secret")
    job = dataclasses.replace(attempt.job, request=request)
    conclude_early(attempt.state, attempt.lake, job, "cancelled", None)
    assert run_of(attempt).uri == "https://h/v.mp4"


# ---------------------------------------------------------------- errors that are not ours


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("bad\nsecond line"), "ValueError: bad"),
        (KeyError(), "KeyError: no message"),
        (KeyboardInterrupt(), "KeyboardInterrupt: no message"),
        (ValueError("\n"), "ValueError: no message"),
    ],
)
def test_a_foreign_error_becomes_one_line(error: BaseException, message: str) -> None:
    ours = facts_of(error)
    assert (ours.code, ours.message, ours.retryable) == ("framehouse.internal", message, False)
    assert ours.facts == {"error_type": type(error).__name__}
    assert ours.hint


def test_an_error_of_ours_stays_itself() -> None:
    error = TruncatedVideo("cut")
    assert facts_of(error) is error
