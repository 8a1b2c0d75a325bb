"""Where the bytes of a known video can be had now: a place where it was seen, or the copy that was downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from framehouse.config import Settings
from framehouse.errors import FramehouseError, SourceError, SourceNotFound
from framehouse.jobs.sources import open_video
from framehouse.results.lake import VideoRecord
from framehouse.state import Job
from framehouse.storage.local import LocalSource
from framehouse.storage.registry import open_source


@dataclass(frozen=True, slots=True)
class Place:
    """A place, and how far it is trusted. `is_here`: a file of this machine. `is_asked`: it was there just now."""

    uri: str
    allow_private: bool
    is_here: bool
    is_asked: bool


def find_place(video: VideoRecord, jobs: Iterable[Job], settings: Settings, *, ask_remote: bool) -> Place:
    """The first place that has a file of the video's size: what jobs named (it may be signed), then where it was seen,
    files of this machine before all others.

    Args:
        jobs: of the video, newest first.
        ask_remote: ask remote places whether they still have it; without, the first is taken unasked.

    Raises:
        SourceError: none of them has it; of the last that was asked.
    """
    places = _places(video, jobs, settings)
    failure: FramehouseError = SourceNotFound(f"{video.video_id} was seen nowhere", code="source.gone")
    for place in sorted(places, key=lambda place: not place.is_here):
        if not place.is_here and not ask_remote:
            return place
        try:
            facts = open_video(place.uri, settings, allow_private=place.allow_private).stat()
        except FramehouseError as error:
            failure = error
            continue
        if facts.size_bytes is None or facts.size_bytes == video.size_bytes:
            return Place(place.uri, place.allow_private, place.is_here, is_asked=True)
        failure = SourceNotFound(f"{facts.uri}: another file lies there now", code="source.gone")
    if isinstance(failure, SourceError):
        raise failure
    raise SourceNotFound(failure.message, code="source.gone", hint=failure.hint)


def _places(video: VideoRecord, jobs: Iterable[Job], settings: Settings) -> list[Place]:
    named = {job.request.uri: job.request.allow_private for job in jobs}
    seen = {place.uri: settings.source.allow_private_hosts for place in video.locations if place.gone_at is None}
    kept = {path.as_uri(): True for path in sorted(settings.fetch_dir.glob(f"{video.video_id}*")) if path.is_file()}
    return [Place(uri, private, _is_here(uri), is_asked=False) for uri, private in {**seen, **kept, **named}.items()]


def _is_here(uri: str) -> bool:
    try:
        return isinstance(open_source(uri), LocalSource)
    except FramehouseError:
        return False
