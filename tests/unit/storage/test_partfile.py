from __future__ import annotations

import threading
from pathlib import Path

import pytest

from framehouse import ids
from framehouse.errors import SourceError
from framehouse.storage.partfile import Identity, PartFile

ONE = Identity("request", etag='"1"', size_bytes=10)


def test_who_waited_gets_a_part_of_its_own_and_not_the_finished_file(tmp_path: Path) -> None:
    waiting = threading.Event()

    def begin_again() -> None:
        waiting.set()
        with PartFile.open(tmp_path, "k") as part:
            assert part.size == 0
            part.begin(Identity("other"))
            part.append(b"other")

    thread = threading.Thread(target=begin_again)
    with PartFile.open(tmp_path, "k") as part:
        thread.start()
        waiting.wait(5)
        part.begin(ONE)
        part.append(b"0123456789")
        thread.join(0.2)  # by now it waits for the lock
        finished = part.finish(".mp4")
    thread.join(5)
    assert not thread.is_alive()
    assert finished.read_bytes() == b"0123456789"
    assert (tmp_path / "k.part").read_bytes() == b"other"


def test_what_an_earlier_process_wrote_is_hashed_too(tmp_path: Path) -> None:
    with PartFile.open(tmp_path, "k") as part:
        part.begin(ONE)
        part.append(b"01234")
    with PartFile.open(tmp_path, "k") as part:
        assert (part.size, part.identity) == (5, ONE)
        part.append(b"56789")
        finished = part.finish("")
    assert ids.video_id(ids.content_sha256(finished)) == finished.name
    with PartFile.open(tmp_path, "k") as part:
        assert part.finished == part.finish("") == finished


def test_an_empty_part_leaves_nothing(tmp_path: Path) -> None:
    with PartFile.open(tmp_path / "new" / "folder", "k") as part:
        assert part.finished is None
        with pytest.raises(SourceError):
            part.finish("")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("identity", "request_", "validator"),
    [
        (Identity("a", '"strong"', "Mon"), "b", '"strong"'),
        (Identity("a", 'W/"weak"', "Mon"), "a", "Mon"),
        (Identity("a", 'W/"weak"', "Mon"), "b", None),
        (Identity("a", None, "Mon"), "a", "Mon"),
        (Identity("a", None, None), "a", None),
    ],
)
def test_what_proves_that_bytes_are_of_the_present_file(
    identity: Identity, request_: str, validator: str | None
) -> None:
    assert identity.validator(request_) == validator


@pytest.mark.parametrize("text", ["", "{", "[]", '{"request": "r", "unknown": 1}', "\x00"])
def test_a_sidecar_that_cannot_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "k.json").write_text(text)
    with PartFile.open(tmp_path, "k") as part:
        assert part.identity is None
