"""How a worker comes by its video and its lake: in place, through the bucket, or from where the job has it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from framehouse.config import Settings
from framehouse.errors import ConfigError, LeaseLost, SourceUnavailable
from framehouse.ids import content_sha256, video_id
from framehouse.jobs import at_hand as module
from framehouse.jobs.at_hand import VideoBytes, at_hand, describe_video, find_here, fingerprint, lent
from framehouse.results.lake import Lake
from framehouse.results.opening import open_lake
from framehouse.state import JobRequest
from lakes import plan

CONTENT = b"a video" * 40_000


def nothing() -> None:
    """Neither beat nor check."""


@pytest.fixture
def video(tmp_path: Path) -> VideoBytes:
    """A file that only the run's host has, as the run describes it."""
    path = tmp_path / "run" / "a ü.mp4"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    attempt: Any = SimpleNamespace(job=SimpleNamespace(request=JobRequest(str(path), ("detector",))))
    return describe_video(attempt, video_id(content_sha256(path)), path)


@pytest.fixture
def task(tmp_path: Path) -> Callable[[str], Any]:
    """A function that makes a task over a lake."""

    def make(where: str) -> Any:
        return _Task("j", "/run/a.mp4", where)

    return make


class _Task:
    """Stands for a ChunkTask: `replace` gives another path."""

    def __init__(self, job_id: str, path: str, lake_root: str) -> None:
        self.job_id, self.path, self.lake_root = job_id, path, lake_root


@pytest.fixture(autouse=True)
def replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "replace", lambda task, path: _Task(task.job_id, path, task.lake_root))


@pytest.fixture
def worker(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "worker")


def shared_lake(tmp_path: Path, worker: Settings) -> Lake:
    return open_lake(f"file://{tmp_path / 'shared'}", worker.lake_place[1])


def test_a_file_that_is_seen_is_used_in_place(
    video: VideoBytes, task: Callable[[str], Any], worker: Settings, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    lake.write_plan("j", video.video_id, plan([0]))
    found, seen = at_hand(task(lake.where), video, worker, nothing, nothing)
    assert (found.path, seen) == (video.path, lake)


@pytest.mark.parametrize("other", [b"", b"another size", b"A" + CONTENT[1:], CONTENT[:-1] + b"!"])
def test_another_file_of_the_same_path_is_not_taken(video: VideoBytes, tmp_path: Path, other: bytes) -> None:
    Path(video.path).write_bytes(other)
    assert find_here(video, tmp_path / "nothing here") is None


def test_a_lake_in_a_folder_of_another_host_is_named(
    video: VideoBytes, task: Callable[[str], Any], worker: Settings, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        at_hand(task(str(tmp_path / "elsewhere")), video, worker, nothing, nothing)
    assert caught.value.code == "config.lake_not_shared"


def test_what_only_the_run_has_goes_through_the_bucket_and_is_taken_back(
    video: VideoBytes, task: Callable[[str], Any], worker: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = shared_lake(tmp_path, worker)
    endpoints = SimpleNamespace(dask_address="tcp://x:1")
    monkeypatch.setattr(module, "all_workers", lambda _address, _ask, about: about is not video)
    with lent(SimpleNamespace(lake=lake, endpoints=endpoints), video):  # type: ignore[arg-type]
        hidden = replace(video, path="/not/on/this/host.mp4")
        found, _ = at_hand(task(lake.where), hidden, worker, nothing, nothing)
        assert Path(found.path).read_bytes() == CONTENT
    assert not lake.paths(lake.root / "media")
    with pytest.raises(SourceUnavailable) as caught:
        at_hand(task(lake.where), hidden, worker, nothing, nothing)
    assert caught.value.code == "source.not_on_worker" and caught.value.retryable


@pytest.mark.parametrize("uri", ["https://example.com/a.mp4", "s3://bucket/a.mp4"])
def test_what_anyone_may_fetch_is_not_lent(
    video: VideoBytes, worker: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setattr(module, "all_workers", lambda *_: pytest.fail("nobody need be asked"))
    lake = shared_lake(tmp_path, worker)
    with lent(SimpleNamespace(lake=lake), replace(video, uri=uri)):  # type: ignore[arg-type]
        assert not lake.paths(lake.root / "media")


def test_a_worker_fetches_from_where_the_job_has_it_once(
    video: VideoBytes, task: Callable[[str], Any], worker: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches: list[str] = []

    def open_video(uri: str, settings: Settings, *, allow_private: bool) -> Any:
        def fetch(folder: Path, progress: Callable[[int, int], None]) -> Any:
            progress(1, 2)
            fetches.append(uri)
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{video.video_id}.mp4"
            path.write_bytes(CONTENT)
            return SimpleNamespace(path=path, sha256=content_sha256(path), uri=uri, n_fetched_bytes=len(CONTENT))

        return SimpleNamespace(fetch=fetch)

    monkeypatch.setattr(module, "open_video", open_video)
    lake = Lake(tmp_path / "lake")
    lake.write_plan("j", video.video_id, plan([0]))
    remote = replace(video, path="/not/here.mp4", uri="https://example.com/a.mp4?signature=secret")
    for _ in range(2):
        found, _ = at_hand(task(lake.where), remote, worker, nothing, nothing)
        assert Path(found.path).parent == worker.fetch_dir
    assert len(fetches) == 1
    with pytest.raises(SourceUnavailable) as caught:
        at_hand(task(lake.where), replace(remote, video_id="v_other"), worker, nothing, nothing)
    assert caught.value.code == "source.changed"
    for path in worker.fetch_dir.iterdir():
        path.unlink()

    def lost() -> None:
        raise LeaseLost("the run is another's")

    with pytest.raises(LeaseLost):
        at_hand(task(lake.where), remote, worker, nothing, lost)


def test_no_signature_is_shown(video: VideoBytes) -> None:
    signed = replace(video, uri="https://example.com/a.mp4?signature=secret")
    assert "secret" not in repr(signed) + str(signed)
    assert pickle.loads(pickle.dumps(signed)) == signed


def test_fingerprints(tmp_path: Path) -> None:
    path = tmp_path / "f"
    prints = set()
    for content in (b"", b"a", b"a" * 200_000, b"a" * 199_999 + b"b", b"b" + b"a" * 199_999):
        path.write_bytes(content)
        prints.add(fingerprint(path))
    assert len(prints) == 5
