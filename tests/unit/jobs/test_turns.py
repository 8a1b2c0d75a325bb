"""Shares of the workers: the arithmetic, and who counts as a neighbour."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framehouse.jobs import turns
from framehouse.jobs.turns import Turns, share_of
from framehouse.state import JobRequest, State
from jobs_in_hand import new_state

PRIORITIES = st.lists(st.integers(-100, 100), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("n_slots", "priority", "others", "expected"),
    [
        (4, 0, [], 4),
        (4, -100, [], 4),
        (4, 0, [0], 2),
        (4, 0, [0, 0], 2),
        (4, 0, [0, 0, 0], 1),
        (6, 5, [5, 5], 2),
        (4, 0, [0] * 999, 1),
        (1, 0, [100], 1),
        (16, 10, [0], 11),
        (16, 0, [10], 6),
        (4, 100, [0], 4),
        (4, 0, [100], 1),
    ],
)
def test_shares(n_slots: int, priority: int, others: list[int], expected: int) -> None:
    assert share_of(n_slots, priority, others) == expected


@given(n_slots=st.integers(1, 256), priorities=PRIORITIES)
def test_all_shares_together(n_slots: int, priorities: list[int]) -> None:
    """Every slot is somebody's, nobody has none, no more than one chunk each is handed out above the slots."""
    shares = [share_of(n_slots, p, priorities[:i] + priorities[i + 1 :]) for i, p in enumerate(priorities)]
    assert min(shares) >= 1
    assert n_slots <= sum(shares) <= n_slots + len(shares)
    ordered = [share for _, share in sorted(zip(priorities, shares, strict=True))]
    assert ordered == sorted(ordered), "more priority is never less"


def infer(state: State, video: str, priority: int = 0, ttl_s: float = 60.0) -> str:
    """A job whose run holds its video."""
    job_id = state.submit(JobRequest(f"{video}.mp4", ("detector",), priority=priority))
    state.assign_run(job_id, f"run of {job_id}", expected=None)
    assert state.acquire(f"video/{video}", f"run of {job_id}", ttl_s) is not None
    return job_id


def test_neighbours_are_the_jobs_that_hold_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_ASK_S", 0.0)
    state = new_state(tmp_path)
    mine = Turns(state, infer(state, "long"), 0)
    assert mine.share(8) == 8
    infer(state, "dead", ttl_s=-1.0)
    fetching = state.submit(JobRequest("fetched.mp4", ("detector",)))
    state.acquire(f"job/{fetching}", "a run that fetches", 60.0)
    assert mine.share(8) == 8, "who does not infer takes no slot"
    short = infer(state, "short")
    assert mine.share(8) == 4
    infer(state, "urgent", priority=10)
    assert mine.share(8) == 2
    state.break_lease("video/short", owner=f"run of {short}")
    state.break_lease("video/urgent")
    assert mine.share(8) == 8, "alone again"


def test_the_state_is_asked_at_most_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: now_s))
    state = new_state(tmp_path)
    mine = Turns(state, infer(state, "long"), 0)
    assert mine.share(8) == 8
    infer(state, "short")
    now_s = 100.9
    assert mine.share(8) == 8
    now_s = 101.0
    assert mine.share(8) == 4
