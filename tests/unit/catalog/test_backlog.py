"""What is owed, from a lake alone: rates, models, gaps, failed jobs, parts of videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from chunk_cases import SPEC
from framehouse.catalog.backlog import (
    Debt,
    Selection,
    asks_of,
    debts_of,
    outdated,
    read_history,
    selected_videos,
)
from framehouse.inference.specs import ModelSpec
from framehouse.results.indexes import write_index
from framehouse.results.lake import Lake, ModelUse, RunRecord
from framehouse.video.index import StreamFacts, VideoIndex
from lakes import DETECTOR, FIRST_PTS, TIME_BASE, put_part, run, video, video_name

N_FRAMES = 300
DETECT = replace(SPEC, model_id="detector/1", slug="detector", digest=DETECTOR)
CLIP = replace(SPEC, model_id="clip/1", slug="clip", digest="c" * 32)
SPECS = {spec.model_id: spec for spec in (DETECT, CLIP)}
AT_5 = list(range(0, N_FRAMES, 6))
"""Frames of the plan at 5 frames a second: the rate is 29.97, and no frame is far enough off to slip."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Two videos of ten seconds, a key frame every second."""
    made = Lake(tmp_path)
    stream = StreamFacts("mp4", "h264", 640, 360, 0, TIME_BASE, "exact")
    pts = FIRST_PTS + np.arange(N_FRAMES, dtype=np.int64) * 1001
    index = VideoIndex(stream, pts, np.arange(N_FRAMES) % 30 == 0, packet=np.arange(N_FRAMES))
    for number in (0, 1):
        write_index(made, video_name(number), index)
        made.write_video(video(number, N_FRAMES))
    return made


def job(
    job_id: str, specs: Sequence[ModelSpec] = (DETECT,), fps: str = "5", status: str = "done", **changes: object
) -> RunRecord:
    uses = tuple(ModelUse(spec.model_id, spec.digest, spec.kind) for spec in specs)
    return replace(
        run(job_id, status=status), models=uses, infer_fps=fps, submitted_at=f"2026-11-23T08:00:00+00:00{job_id}",
        **changes,  # type: ignore[arg-type]
    )  # fmt: skip


def owed_to(lake: Lake, runs: Sequence[RunRecord], **wish: object) -> list[Debt]:
    selection = Selection(**wish)  # type: ignore[arg-type]
    debts, left_out = debts_of(lake, video(0, N_FRAMES), asks_of(runs, SPECS, selection), SPECS, selection)
    assert left_out == []
    return debts


def counts(debts: Sequence[Debt]) -> list[dict[str, tuple[int, int]]]:
    """Of each job to be: model -> (never tried, gaps)."""
    return [{model.model_id: (model.n_new, model.n_gaps) for model in debt.models} for debt in debts]


def test_without_jobs_nothing_is_owed(lake: Lake) -> None:
    assert owed_to(lake, []) == []
    assert owed_to(lake, [], models=("clip/1",)) == [], "nobody ever asked anything of it"


def test_a_whole_job_owes_nothing_and_one_that_lacks_frames_those(lake: Lake) -> None:
    put_part(lake, AT_5)
    assert owed_to(lake, [job("a")]) == []
    put_part(lake, AT_5[:10], digest="c" * 32)
    (debt,) = owed_to(lake, [job("a", [DETECT, CLIP])])
    assert counts([debt]) == [{"clip/1": (len(AT_5) - 10, 0)}], "the detector has nothing to do in it"


def test_a_failed_job_is_tried_again_as_itself_unless_a_later_one_replaced_it(lake: Lake) -> None:
    put_part(lake, AT_5[:20])
    failed = job("a", status="failed")
    (debt,) = owed_to(lake, [failed])
    assert (debt.ask.job_id, counts([debt])) == ("a", [{"detector/1": (30, 0)}])
    (debt,) = owed_to(lake, [failed, job("b", [DETECT, CLIP])])
    assert debt.ask.job_id is None
    (debt,) = owed_to(lake, [failed, job("b", [CLIP], fps="1"), job("c", fps="1")][:1], infer_fps="5")
    assert debt.ask.job_id is None, "another wish makes another job"


def test_cancelled_jobs_are_wanted_no_more_and_unfinished_ones_are_on_their_way(lake: Lake) -> None:
    for status in ("cancelled", "paused", "queued", "running"):
        assert owed_to(lake, [job("a", status=status)]) == []


def test_a_finer_rate_owes_what_lies_between(lake: Lake) -> None:
    put_part(lake, AT_5)
    (debt,) = owed_to(lake, [job("a")], infer_fps="10")
    assert counts([debt]) == [{"detector/1": (50, 0)}]
    (debt,) = owed_to(lake, [job("a")], infer_fps="all")
    assert counts([debt]) == [{"detector/1": (N_FRAMES - len(AT_5), 0)}]
    assert debt.n_passed == N_FRAMES - 0
    assert debt.read_bytes == video(0).size_bytes


def test_a_new_model_takes_the_rates_of_earlier_jobs_once(lake: Lake) -> None:
    put_part(lake, AT_5)
    debts = owed_to(lake, [job("a", fps="1"), job("b", fps="5")], models=("clip/1",))
    assert counts(debts) == [{"clip/1": (50, 0)}], "what is asked at 1 lies in the plan at 5"
    assert debts[0].ask.infer_fps == "5"
    debts = owed_to(lake, [job("a", fps="2"), job("b", fps="5")], models=("clip/1",))
    assert [debt.ask.infer_fps for debt in debts] == ["5", "2"]
    assert sum(debt.n_owed for debt in debts) == 60, "no instant twice"


@pytest.mark.parametrize(
    ("policy", "n_gaps"), [("every", 3), ("all", 2), ("model", 1), ("none", 0)]
)  # fmt: skip
def test_gaps_are_owed_alone_as_the_policy_has_it(lake: Lake, policy: str, n_gaps: int) -> None:
    put_part(lake, AT_5, gaps={6: "inference.error", 60: "decode.damaged", 120: "decode.quarantined"})
    debts = owed_to(lake, [job("a")], gaps=policy)
    assert counts(debts) == ([{"detector/1": (0, n_gaps)}] if n_gaps else [])
    assert sum(debt.n_passed for debt in debts) <= 7 + 1 + 1, "nothing else is even decoded"


def test_a_part_of_a_video(lake: Lake) -> None:
    put_part(lake, AT_5, gaps={6: "inference.error", 60: "decode.damaged"})
    (debt,) = owed_to(lake, [job("a")], seconds=(2.0, 3.0))
    assert (debt.ask.frames, counts([debt])) == ((60, 90), [{"detector/1": (0, 1)}])
    assert owed_to(lake, [job("a")], seconds=(2.1, 3.0)) == []
    (debt,) = owed_to(lake, [job("a")], frames=(6, 7))
    assert counts([debt]) == [{"detector/1": (0, 1)}]
    (debt,) = owed_to(lake, [job("a")], seconds=(1.9, float("inf")))
    assert debt.ask.frames == (57, N_FRAMES)


def test_a_job_about_a_part_wants_no_more_than_that(lake: Lake) -> None:
    (debt,) = owed_to(lake, [job("a", frames=(60, 90))])
    assert counts([debt]) == [{"detector/1": (5, 0)}]


def test_what_an_earlier_model_gave_is_not_owed_by_the_present_one(lake: Lake) -> None:
    put_part(lake, AT_5, digest="e" * 32)
    earlier = [job("a", [replace(DETECT, digest="e" * 32)])]
    assert owed_to(lake, earlier) == []
    assert outdated(earlier, SPECS) == ["detector/1"]
    assert counts(owed_to(lake, earlier, models=("detector/1",))) == [{"detector/1": (50, 0)}]


def test_a_rate_above_the_source_is_left_out_with_the_reason(lake: Lake) -> None:
    selection = Selection(infer_fps="60")
    debts, left_out = debts_of(lake, video(0, N_FRAMES), asks_of([job("a")], SPECS, selection), SPECS, selection)
    assert debts == []
    assert [left.code for left in left_out] == ["media.fps_exceeds_source"]


def test_which_videos_are_meant(lake: Lake) -> None:
    one, two = video_name(0), video_name(1)
    lake.write_run(job("a", status="failed"))
    lake.write_run(job("b", video_id=two))
    lake.write_run(job("x", status="failed", video_id=None, uri="/gone.mp4"))
    history = read_history(lake)
    assert [run.job_id for run in history.unseen] == ["x"]

    def meant(**wish: object) -> list[str]:
        return [record.video_id for record in selected_videos(lake, history, Selection(**wish))]  # type: ignore[arg-type]

    assert sorted(meant()) == sorted([one, two])
    assert meant(only_failed=True) == [one]
    assert meant(video_ids=frozenset([two])) == [two]
    assert meant(video_ids=frozenset()) == []
    assert meant(since=datetime(2026, 11, 23, 8, 0, 1, tzinfo=UTC)) == []
    assert len(meant(since=datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC))) == 2
