from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from framehouse.errors import SourceUnavailable
from framehouse.room import Room, WhenRoom, free_bytes, wait_while_fetching


def room(*free: int, floor: int = 100) -> Room:
    """A room whose disk has these bytes free, one after the other; the last for good."""
    answers: Iterator[int] = chain(free[:-1], repeat(free[-1]))
    return Room(Path("/anywhere"), floor, lambda _folder: next(answers))


@pytest.mark.parametrize(
    ("free", "floor", "need", "missing"),
    [(100, 100, 0, 0), (99, 100, 0, 1), (150, 100, 50, 0), (150, 100, 60, 10), (0, 0, 10**12, 0)],
)
def test_what_is_missing(free: int, floor: int, need: int, missing: int) -> None:
    assert room(free, floor=floor).missing_bytes(need) == missing
    assert bool(room(free, floor=floor).shortage(need)) == bool(missing)


def test_a_shortage_is_told_in_one_line() -> None:
    text = room(1_200_000_000, floor=2_000_000_000).shortage()
    assert text == "1.2 GB free on the disk of FRAMEHOUSE_HOME, the floor is 2.0 GB"


def test_waiting_ends_with_room_or_with_the_limit() -> None:
    assert room(50, 50, 50, 50, 200).wait(60.0, poll_s=0) == ""
    assert "floor" in room(50).wait(0.0, poll_s=0)


def test_nothing_begins_while_there_is_no_room() -> None:
    structlog.reset_defaults()  # other tests may have silenced what is only worth knowing
    given: list[int] = []
    asked: list[int] = []

    def free(_folder: Path) -> int:
        asked.append(len(given))
        return 50 if len(given) == 2 and asked.count(2) < 5 else 200

    with capture_logs() as logs:
        for item in WhenRoom([1, 2, 3], Room(Path("/anywhere"), 100, free), poll_s=0):
            given.append(item)
    assert given == [1, 2, 3]
    assert asked.count(2) >= 5
    assert [entry["event"] for entry in logs] == [
        "paused: the disk is below its floor", "there is room again, going on",
    ]  # fmt: skip


def test_a_download_waits_and_gives_up_retryably() -> None:
    wait_while_fetching(room(50, 50, 50, 200), 60.0, poll_s=0)(1, 2)
    with pytest.raises(SourceUnavailable) as caught:
        wait_while_fetching(room(50), 0.0, poll_s=0)(1, 2)
    assert (caught.value.code, caught.value.retryable) == ("source.disk_full", True)


def test_the_disk_of_a_folder_to_be(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "yet") > 0
