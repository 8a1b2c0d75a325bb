"""What a chunk needs where it is worked on: the lake, and the bytes of its video. Every host has its own way to them.

The run says where they are for it. A worker that sees the same file uses it in place. Another fetches the video into
its own FRAMEHOUSE_HOME, once for all its processes: from where the job has it, or from the lake's bucket, into which
the run puts what only its own host has.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from framehouse.cluster import all_workers
from framehouse.config import Settings, load_settings
from framehouse.errors import ConfigError, SourceNotFound, SourceUnavailable
from framehouse.ids import video_id as id_of
from framehouse.inference.run import ChunkTask
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.sources import open_video
from framehouse.results.lake import Lake
from framehouse.results.opening import open_lake
from framehouse.storage.base import VIDEO_SUFFIXES, LocalVideo

log = structlog.get_logger(__name__)

_SAMPLE_BYTES = 64 * 1024
_BEAT_S = 1.0


@dataclass(frozen=True, slots=True)
class VideoBytes:
    """A video as a worker looks for it.

    Attributes:
        path: where the run's host has it.
        fingerprint: of `fingerprint`, so that another file of this path and size is not taken for it.
        uri: where anyone may fetch it, perhaps signed; empty when only the run's host can.
    """

    video_id: str
    path: str
    size_bytes: int
    fingerprint: str
    uri: str = field(repr=False)
    allow_private: bool


def describe_video(attempt: Attempt, video_id: str, path: Path) -> VideoBytes:
    """What the run tells the workers of its video."""
    request = attempt.job.request
    is_remote = "://" in request.uri and not request.uri.lower().startswith("file:")
    return VideoBytes(
        video_id, str(path), path.stat().st_size, fingerprint(path), request.uri if is_remote else "",
        request.allow_private,
    )  # fmt: skip


def fingerprint(path: Path) -> str:
    """Digest of the first and the last bytes of a file: tells files apart, proves nothing."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(_SAMPLE_BYTES))
        file.seek(max(0, path.stat().st_size - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]


def find_here(video: VideoBytes, fetch_dir: Path) -> Path | None:
    """The video on this host: at the run's own path, or fetched before."""
    for path in (Path(video.path), *sorted(fetch_dir.glob(f"{video.video_id}*"))):
        try:
            if path.stat().st_size == video.size_bytes and fingerprint(path) == video.fingerprint:
                return path
        except OSError:  # not there, or not ours to read
            continue
    return None


def at_hand(
    task: ChunkTask, video: VideoBytes, settings: Settings, beat: Callable[[], None], check: Callable[[], None]
) -> tuple[ChunkTask, Lake]:
    """The task with the path that the video has on this host, and the lake as this host opens it.

    Args:
        beat: called while a fetch goes on, which has time limits of its own.
        check: called there too; what it raises ends the fetch, and another goes on with it.

    Raises:
        ConfigError: code `config.lake_not_shared`, the lake is a folder that this host does not have.
        SourceError: the video cannot be had from here; code `source.not_on_worker` when there is no place to ask.
    """
    lake = open_lake(task.lake_root, settings.lake_place[1])
    if lake.bucket is None and not lake.has(lake.plan_path(task.job_id)):
        raise ConfigError(
            f"this worker does not see the lake in {lake.root}",
            code="config.lake_not_shared",
            hint="set FRAMEHOUSE_LAKE__URL to a bucket that all hosts reach: docs/guide/several-hosts.md",
        )
    path = find_here(video, settings.fetch_dir)
    if path is None:
        with _beating(beat):
            path = _fetch(video, lake, settings, check)
    return replace(task, path=str(path)), lake


def is_at_hand(video: VideoBytes) -> bool:
    """Asked of a worker: whether it has the video without fetching it."""
    return find_here(video, load_settings().fetch_dir) is not None


@contextmanager
def lent(attempt: Attempt, video: VideoBytes) -> Iterator[None]:
    """Put the video into the lake's bucket for as long as the block lasts, if a worker could not have it otherwise.

    Nothing is put where the lake is a folder, or every worker sees the file, or anyone may fetch it.
    """
    bucket = attempt.lake.bucket
    if bucket is None or (video.uri and "?" not in video.uri):  # what is signed may expire before they ask
        yield
        return
    if all_workers(attempt.endpoints.dask_address, is_at_hand, video):
        yield
        return
    log.info("video put into the bucket", video_id=video.video_id, n_bytes=video.size_bytes)
    bucket.put(_media_key(video), Path(video.path))
    try:
        yield
    finally:
        bucket.delete(_media_key(video))


def _fetch(video: VideoBytes, lake: Lake, settings: Settings, check: Callable[[], None]) -> Path:
    """Fetched into this host's own folder; other processes that ask for the same wait."""
    found: LocalVideo | None = None
    if lake.bucket is not None:
        with suppress(SourceNotFound):  # not lent: it is to be had elsewhere
            found = _fetched(f"{lake.bucket.uri}/{_media_key(video)}", video, settings, check)
    if found is None and not video.uri:
        raise SourceUnavailable(
            "the video lies on the host of the run alone", code="source.not_on_worker", video_id=video.video_id,
            hint="a retry puts it into the bucket; see docs/guide/several-hosts.md",
        )  # fmt: skip
    found = found or _fetched(video.uri, video, settings, check)
    if id_of(found.sha256) != video.video_id:
        raise SourceUnavailable(f"{found.uri}: another video by now", code="source.changed", video_id=video.video_id)
    log.info("video fetched by a worker", video_id=video.video_id, n_bytes=found.n_fetched_bytes)
    return found.path


def _fetched(uri: str, video: VideoBytes, settings: Settings, check: Callable[[], None]) -> LocalVideo:
    source = open_video(uri, settings, allow_private=video.allow_private)
    return source.fetch(settings.fetch_dir, lambda _done, _total: check())


@contextmanager
def _beating(beat: Callable[[], None]) -> Iterator[None]:
    """Beat from a thread: a fetch that waits for another process's says nothing, and has time limits of its own."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(_BEAT_S):
            beat()

    thread = threading.Thread(target=go_on, name="fetch-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _media_key(video: VideoBytes) -> str:
    suffix = Path(video.path).suffix.lower()
    return f"media/{video.video_id}{suffix if suffix in VIDEO_SUFFIXES else ''}"
