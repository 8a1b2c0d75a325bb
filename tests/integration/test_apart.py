"""A crash, a hang or a greedy file in the process apart costs the work in hand and nothing else."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import apart_work
from apart_work import break_off, crash, double, eat, hang, live_long, refuse
from framehouse.apart import Apart
from framehouse.errors import MediaError


@pytest.fixture(scope="module", autouse=True)
def reachable() -> Iterator[None]:
    """The child imports what it is to do by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(apart_work.__file__).parent))
        yield


@pytest.fixture(scope="module")
def apart(reachable: None) -> Iterator[Apart]:
    with Apart(stall_s=10, memory_bytes=2 * 1024**3) as one:
        yield one


def test_the_process_is_kept_for_the_next_piece_of_work(apart: Apart) -> None:
    told: list[int] = []
    first, second = apart.do(double, 4, told.append), apart.do(double, 5)
    assert (first[0], second[0], told) == (8, 10, [4])
    assert first[1] == second[1] != os.getpid()


def test_errors_come_as_they_were_raised(apart: Apart) -> None:
    with pytest.raises(MediaError) as caught:
        apart.do(refuse, 0)
    assert (caught.value.code, caught.value.facts) == ("media.frame_gap", {"video_id": "v_1"})
    with pytest.raises(RuntimeError, match="KeyError: 'inside'"):
        apart.do(break_off, 0)
    assert apart.do(double, 1)[0] == 2


@pytest.mark.parametrize("code", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_is_named_and_the_next_piece_gets_a_fresh_process(apart: Apart, code: int) -> None:
    before = apart.do(double, 1)[1]
    with pytest.raises(MediaError, match=signal.Signals(code).name) as caught:
        apart.do(crash, code)
    assert caught.value.code == "media.crashed"
    assert apart.do(double, 3)[0] == 6
    assert apart.do(double, 3)[1] != before


def test_a_hang_is_ended_but_not_what_shows_life() -> None:
    with Apart(stall_s=1) as one:
        one.do(double, 1)
        assert one.do(live_long, 6) == "done"
        with pytest.raises(MediaError) as caught:
            one.do(hang, 0)
        assert caught.value.code == "media.stalled"


def test_memory_is_limited(apart: Apart) -> None:
    with pytest.raises(RuntimeError, match="MemoryError"):
        apart.do(eat, 3 * 1024**3)


def test_close_ends_work_in_hand() -> None:
    one = Apart(stall_s=60)
    one.do(double, 1)
    ended: list[str] = []

    def wait() -> None:
        try:
            one.do(hang, 0)
        except MediaError as error:
            ended.append(error.code)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    one.close()
    thread.join(10)
    assert ended == ["media.crashed"]
