"""A catalogue of each kind of store, over its real server: odd names, every change, no bucket."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lakes
from cloud import KINDS, Cloud
from framehouse.errors import SourceNotFound
from framehouse.storage.base import VideoRef
from framehouse.storage.objects import ObjectStore
from framehouse.storage.uris import ObjectUri
from places import Watched

NAMES = [
    "v/a.mp4", "v/a b.mp4", "v/a/b.mp4", "v/a%41.mp4", "v/a?b.mp4", "v/a#b.mp4", "v/a+b&c.mp4", "v/Straße é.mp4",
    "v/\U0001f600.mp4", "v/z.mp4",
]  # fmt: skip


@dataclass
class Below:
    """The objects below `v/`, by key."""

    store: ObjectStore

    @property
    def uri(self) -> str:
        return f"{self.store.uri}/v/"

    def list(self) -> Iterator[VideoRef]:
        for found in self.store.list("v/"):
            uri = ObjectUri(self.store.uri, found.key).uri
            yield VideoRef(uri, found.size_bytes, found.modified_at, found.etag)

    def stat(self) -> VideoRef:
        raise NotImplementedError

    def fetch(self, dest_dir: Path, progress: object = None) -> Any:
        raise NotImplementedError


@pytest.fixture(params=KINDS)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    found: Cloud = request.getfixturevalue(f"{request.param}_cloud")
    return found


def test_a_store_is_followed_through_every_change(cloud: Cloud, tmp_path: Path) -> None:
    store = cloud.new_store()
    place = Below(store)
    watched = Watched.of(tmp_path, uri=place.uri)
    assert watched.scan(place).n_listed == 0
    for number, key in enumerate(NAMES):
        store.write(key, f"video {number}".encode())
    first = watched.scan(place)
    assert (first.n_new, first.n_jobs, first.n_waiting) == (len(NAMES), len(NAMES), 0)
    assert (again := watched.scan(place)).n_same == len(NAMES)
    assert again.n_jobs == 0

    video = lakes.video_name(1)
    watched.lake.write_video(lakes.video(1, uris=[ObjectUri(store.uri, "v/a?b.mp4").uri]))
    watched.done("a%3Fb.mp4", video)
    store.write("v/renamed.mp4", store.read("v/a?b.mp4"))
    store.delete("v/a?b.mp4")
    store.write("v/z.mp4", b"other bytes")
    store.delete("v/a.mp4")
    report = watched.scan(place)
    assert (report.n_new, report.n_changed, report.n_gone, report.n_same) == (1, 1, 2, len(NAMES) - 3)
    by_tag = cloud.kind == "s3"  # only its tags are made of the content
    assert (report.n_recognised, report.n_jobs) == ((1, 1) if by_tag else (0, 2))
    known = watched.lake.read_video(video)
    assert known is not None
    here = {place.uri.rpartition("/")[2]: place.gone_at is None for place in known.locations}
    assert here == {"a%3Fb.mp4": False} | ({"renamed.mp4": True} if by_tag else {})


def test_a_bucket_that_is_not_there_marks_nothing_gone(cloud: Cloud, tmp_path: Path) -> None:
    store = cloud.new_store()
    place = Below(store)
    watched = Watched.of(tmp_path, uri=place.uri)
    store.write("v/a.mp4", b"video")
    watched.scan(place)
    with pytest.raises(SourceNotFound):
        watched.scan(Below(cloud.store("no-such-bucket-here")))
    assert watched.entries.counts()["gone"] == 0
