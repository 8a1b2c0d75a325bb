"""What every storage source must do: list, stat, fetch, resume, missing, forbidden, unicode and spaces, checksum.

A new source adds a `Place` and a line in `PLACES`; nothing else.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cloud import CLOUDS, KINDS, Cloud
from framehouse.errors import SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.storage.base import Source, SourceLimits
from framehouse.storage.registry import Clients, open_source
from framehouse.storage.uris import quoted
from httpserver import Site, serve

CONTENT = random.Random(1).randbytes(700_001)
NAMES = ["plain.mp4", "with space.mp4", "Straße 夏 é.mp4", "per%cent&amp+plus.mp4", "quest?ion#hash.mp4"]
LIMITS = SourceLimits(allow_private=True, stall_timeout_s=5.0)


class LocalPlace:
    """Files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, name: str, content: bytes) -> Source:
        (self.folder / name).write_bytes(content)
        return self.at(name)

    def at(self, name: str) -> Source:
        return self.open(str(self.folder / name))

    def open(self, uri: str) -> Source:
        return open_source(uri, LIMITS)

    @contextmanager
    def forbidden(self, name: str) -> Iterator[Source]:
        self.put(name, CONTENT)
        (self.folder / name).chmod(0)
        is_root = os.geteuid() == 0
        try:
            if is_root:  # root may read every file; another user may not
                os.seteuid(65534)
            yield self.at(name)
        finally:
            if is_root:
                os.seteuid(0)


class HttpPlace:
    """One server, every path the same content."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.site.mode = "404"

    def put(self, name: str, content: bytes) -> Source:
        self.site.content, self.site.mode = content, "ok"
        return self.at(name)

    def at(self, name: str) -> Source:
        return self.open(self.site.url(name) + "?X-Amz-Signature=secret")

    def open(self, uri: str) -> Source:
        return open_source(uri, LIMITS)

    @contextmanager
    def forbidden(self, name: str) -> Iterator[Source]:
        self.site.mode = "403"
        yield self.at(name)


class CloudPlace:
    """A bucket of a real server."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.store = cloud, cloud.new_store()

    def put(self, name: str, content: bytes) -> Source:
        self.store.write(f"in/{name}", content)
        return self.at(name)

    def at(self, name: str) -> Source:
        return self.open(f"{self.store.uri}/{quoted(f'in/{name}')}")

    def open(self, uri: str) -> Source:
        return open_source(uri, LIMITS, Clients({self.store.uri: self.cloud.connect}))

    @contextmanager
    def forbidden(self, name: str) -> Iterator[Source]:
        self.put(name, CONTENT)
        self.cloud.gate.refuse(self.cloud.refusal("forbidden"))
        yield self.at(name)
        self.cloud.gate.open()


class _Killed(Exception):
    """Stands for the process that dies in mid-download."""


Place = LocalPlace | HttpPlace | CloudPlace


@contextmanager
def _local(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "videos"
    folder.mkdir()
    yield LocalPlace(folder)


@contextmanager
def _http(_tmp_path: Path) -> Iterator[Place]:
    with serve(CONTENT) as site:
        yield HttpPlace(site)


PLACES = {"local": _local, "http": _http}


@pytest.fixture(params=[*PLACES, *CLOUDS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param in KINDS:
        yield CloudPlace(request.getfixturevalue(f"{request.param}_cloud"))
        return
    with PLACES[request.param](tmp_path) as place:
        yield place


def test_list_names_the_one_video_and_its_uri_opens_it_again(place: Place, tmp_path: Path) -> None:
    source = place.put("a.mp4", CONTENT)
    refs = list(source.list())
    assert [ref.size_bytes for ref in refs] == [len(CONTENT)]
    assert place.open(refs[0].uri).fetch(tmp_path / "in").path.read_bytes() == CONTENT


def test_stat_tells_length_and_time_without_the_bytes(place: Place) -> None:
    ref = place.put("a.mp4", CONTENT).stat()
    assert ref.size_bytes == len(CONTENT)
    assert ref.modified_at is not None
    assert ref.modified_at.endswith("+00:00")


@pytest.mark.parametrize("content", [b"", b"x", CONTENT], ids=["empty", "one", "many"])
def test_fetch_gives_the_bytes_their_sum_and_length(place: Place, tmp_path: Path, content: bytes) -> None:
    seen: list[tuple[int, int | None]] = []
    source = place.put("a.mp4", content)
    video = source.fetch(tmp_path / "in", lambda done, total: seen.append((done, total)))
    assert video.path.read_bytes() == content
    assert video.sha256 == hashlib.sha256(content).hexdigest()
    assert video.size_bytes == len(content) == source.stat().size_bytes
    if content:
        assert seen[-1] == (len(content), len(content))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("name", NAMES)
def test_names_of_any_script_with_spaces_and_signs(place: Place, tmp_path: Path, name: str) -> None:
    source = place.put(name, CONTENT)
    assert source.fetch(tmp_path / "in").sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert place.open(source.uri).stat().size_bytes == len(CONTENT)


def test_fetch_again_costs_no_bytes_and_gives_the_same_file(place: Place, tmp_path: Path) -> None:
    source = place.put("a.mp4", CONTENT)
    first = source.fetch(tmp_path / "in")
    again = source.fetch(tmp_path / "in")
    assert again.n_fetched_bytes == 0
    assert (again.path, again.sha256, again.size_bytes) == (first.path, first.sha256, first.size_bytes)


def test_changed_content_is_fetched_anew(place: Place, tmp_path: Path) -> None:
    place.put("a.mp4", CONTENT).fetch(tmp_path / "in")
    if isinstance(place, HttpPlace):
        place.site.etag = '"two"'
    other = place.put("a.mp4", CONTENT[::-1]).fetch(tmp_path / "in")
    assert other.sha256 == hashlib.sha256(CONTENT[::-1]).hexdigest()
    assert other.path.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("place", ["http", *CLOUDS], indirect=True)  # local: used in place
def test_resume_moves_only_what_is_missing(place: Place, tmp_path: Path) -> None:
    source = place.put("a.mp4", CONTENT)

    def die_midway(done: int, _total: int | None) -> None:
        if done > len(CONTENT) // 2:
            raise _Killed

    with pytest.raises(_Killed):
        source.fetch(tmp_path / "in", die_midway)
    video = source.fetch(tmp_path / "in")
    assert video.path.read_bytes() == CONTENT
    assert 0 < video.n_fetched_bytes < len(CONTENT) // 2
    assert video.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("act", ["stat", "fetch", "list"])
def test_missing(place: Place, tmp_path: Path, act: str) -> None:
    with pytest.raises(SourceNotFound) as caught:
        _do(place.at("nothing here.mp4"), act, tmp_path / "in")
    _is_one_clean_line(caught.value.line())
    assert caught.value.code == "source.not_found"
    assert _left(tmp_path / "in") == []


def test_forbidden(place: Place, tmp_path: Path) -> None:
    with place.forbidden("locked.mp4") as source, pytest.raises(SourceForbidden) as caught:
        source.fetch(tmp_path / "in")
    _is_one_clean_line(caught.value.line())
    assert _left(tmp_path / "in") == []


def test_what_is_shown_and_stored_holds_no_secret(place: Place, tmp_path: Path) -> None:
    video = place.put("a.mp4", CONTENT).fetch(tmp_path / "in")
    assert "secret" not in video.uri
    assert all(b"secret" not in path.read_bytes() for path in tmp_path.rglob("*.json"))


def test_only_errors_worth_another_try_say_so() -> None:
    assert [error.retryable for error in (SourceNotFound, SourceForbidden, SourceUnavailable)] == [False, False, True]


def _do(source: Source, act: str, dest: Path) -> None:
    if act == "stat":
        source.stat()
    elif act == "list":
        list(source.list())
    else:
        source.fetch(dest)


def _is_one_clean_line(line: str) -> None:
    assert "\n" not in line
    assert "secret" not in line
    assert "?" not in line.partition("(")[0]


def _left(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []
