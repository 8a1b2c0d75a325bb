"""What becomes of chunks that are given up, and what is kept of those that kill."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chunk_cases import chunk_task, gaps, numbered_video
from framehouse.alone import Death
from framehouse.cli.quarantine import app
from framehouse.cluster import GivenUp
from framehouse.errors import InferenceTimeout, LeaseLost
from framehouse.inference.run import ChunkTask
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.chunks import HeldChunk
from framehouse.jobs.quarantine import Suspects, give_up
from framehouse.results.lake import Lake
from framehouse.results.quarantine import note_suspect, quarantine_path, quarantined, suspects
from jobs_in_hand import new_attempt

DEATHS = (Death("SIGSEGV", 3.2, "Fatal Python error"), Death("no progress for 180 s", 181.0, ""))


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return new_attempt(tmp_path)


@pytest.fixture
def task(attempt: Attempt, media_dir: Path) -> ChunkTask:
    return chunk_task(numbered_video(media_dir), attempt.lake.root, Fraction(5), chunk=1)


def test_a_chunk_that_kills_leaves_gaps_and_all_that_is_needed_to_see_it_again(
    attempt: Attempt, task: ChunkTask
) -> None:
    receipt = give_up(attempt, task, GivenUp(DEATHS))
    assert receipt.tallies[0].gap_reasons == (("decode.quarantined", 5),)
    assert set(gaps(task).values()) == {"decode.quarantined"}
    (known,) = quarantined(attempt.lake)
    assert (known.video_id, known.chunk_id, known.path) == (task.video_id, task.chunk.chunk_id, task.path)
    assert (known.start_s, known.end_s) == (1.0, 1.967)  # the last pts + 1 tick
    assert list(known.frames) == task.planned.tolist()
    assert known.models == {"numbers/1": "1" * 32}
    assert [(death.cause, death.said) for death in known.deaths] == [(d.cause, d.said) for d in DEATHS]
    assert {"framehouse", "av", "numpy"} <= known.versions.keys()
    assert known.command == f"framehouse quarantine run {known.name}"
    assert known.at


def test_a_known_killer_runs_alone_from_then_on(attempt: Attempt, task: ChunkTask) -> None:
    held = HeldChunk(task, attempt.lease, attempt.settings.state_url)
    assert Suspects(attempt, task.video_id).against(held) is None
    give_up(attempt, task, GivenUp(DEATHS))
    assert Suspects(attempt, task.video_id).against(held) == ()


def test_evidence_outlives_its_run_until_the_chunk_is_done(attempt: Attempt, task: ChunkTask) -> None:
    held = HeldChunk(task, attempt.lease, attempt.settings.state_url)
    first = Suspects(attempt, task.video_id)
    first.note(held, ())
    assert Suspects(attempt, task.video_id).against(held) == ()
    first.note(held, DEATHS[:1])
    found = Suspects(attempt, task.video_id)
    assert found.against(held) == DEATHS[:1]
    assert Suspects(attempt, "v_0").against(held) is None
    found.settled(held)
    assert found.against(held) is None
    assert Suspects(attempt, task.video_id).against(held) is None


def test_more_evidence_is_progress(attempt: Attempt, task: ChunkTask) -> None:
    held = HeldChunk(task, attempt.lease, attempt.settings.state_url)
    attempt.state.begin_attempt(attempt.lease, attempt.job_id)
    assert attempt.state.job(attempt.job_id).stalled_attempts > 0
    Suspects(attempt, task.video_id).note(held, DEATHS[:1])
    assert attempt.state.job(attempt.job_id).stalled_attempts == 0
    attempt.state.break_lease(f"job/{attempt.job_id}")
    with pytest.raises(LeaseLost):
        Suspects(attempt, task.video_id).note(held, DEATHS)


def test_a_note_that_cannot_be_read_is_none(attempt: Attempt, task: ChunkTask) -> None:
    note_suspect(attempt.lake, task.video_id, "c0", [])
    (attempt.lake.root / "suspects" / task.video_id / "c1.json").write_text("{")
    assert suspects(attempt.lake, task.video_id) == {"c0": ()}


def test_a_chunk_that_nothing_answers_leaves_gaps_and_is_no_killer(attempt: Attempt, task: ChunkTask) -> None:
    give_up(attempt, task, GivenUp(error=InferenceTimeout("too late")))
    assert set(gaps(task).values()) == {"inference.timeout"}
    assert list(quarantined(attempt.lake)) == []


def test_a_run_that_has_lost_its_job_gives_nothing_up(attempt: Attempt, task: ChunkTask) -> None:
    attempt.state.break_lease(f"job/{attempt.job_id}")
    with pytest.raises(LeaseLost):
        give_up(attempt, task, GivenUp(DEATHS))
    assert gaps(task) == {}


def test_a_file_that_cannot_be_read_hides_no_other(attempt: Attempt, task: ChunkTask) -> None:
    give_up(attempt, task, GivenUp(DEATHS))
    quarantine_path(attempt.lake, "v_0", "c0").parent.mkdir(parents=True)
    quarantine_path(attempt.lake, "v_0", "c0").write_text("{")
    assert [chunk.video_id for chunk in quarantined(attempt.lake)] == [task.video_id]


def test_the_commands_list_show_and_release(home: Path, task_at: Callable[[Path], tuple[Attempt, ChunkTask]]) -> None:
    attempt, task = task_at(home)
    name = f"{task.video_id}/{task.chunk.chunk_id}"
    give_up(attempt, task, GivenUp(DEATHS))
    line = CliRunner().invoke(app, ["list"]).output
    assert all(text in line for text in (name, "1.0-2.0 s", "5 frames", "SIGSEGV, no progress for 180 s", task.path))
    assert json.loads(CliRunner().invoke(app, ["list", "--json"]).output)[0]["chunk_id"] == task.chunk.chunk_id
    assert json.loads(CliRunner().invoke(app, ["show", name]).output)["deaths"][0]["said"] == "Fatal Python error"
    assert f"framehouse jobs retry {task.job_id}" in CliRunner().invoke(app, ["release", name]).output
    assert CliRunner().invoke(app, ["list"]).output == ""
    assert CliRunner().invoke(app, ["show", name]).exit_code != 0


@pytest.fixture
def task_at(tmp_path: Path, media_dir: Path) -> Callable[[Path], tuple[Attempt, ChunkTask]]:
    def make(home: Path) -> tuple[Attempt, ChunkTask]:
        attempt = new_attempt(tmp_path)
        assert attempt.settings.home == home
        lake = Lake(home / "lake")
        return attempt, chunk_task(numbered_video(media_dir), lake.root, Fraction(5), chunk=1)

    return make
