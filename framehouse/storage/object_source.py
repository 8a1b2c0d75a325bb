"""Videos of an object store: one object, or all below a prefix."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import structlog

from framehouse.errors import SourceError, SourceNotFound, SourceUnavailable
from framehouse.storage.backoff import CHANGED
from framehouse.storage.base import VIDEO_SUFFIXES, LocalVideo, Progress, SourceLimits, VideoRef, too_large
from framehouse.storage.objects import ObjectFacts, ObjectStore
from framehouse.storage.partfile import Identity, PartFile
from framehouse.storage.uris import ObjectUri

log = structlog.get_logger(__name__)

_CHANGES = 4
"""How often an object may change under a fetch before the fetch gives up."""


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """One object (`s3://bucket/a.mp4`) or the videos below a prefix (`s3://bucket/a/`, `s3://bucket`).

    A key without a slash at its end that names no object means the prefix: `s3://bucket/a` is `s3://bucket/a/`.
    """

    place: ObjectUri
    open_store: Callable[[], ObjectStore]
    limits: SourceLimits = field(default_factory=SourceLimits)

    @property
    def uri(self) -> str:
        """The readable form; it holds no secret."""
        return self.place.uri

    @property
    def is_prefix(self) -> bool:
        """Whether the URI alone says that many are meant."""
        return not self.place.key or self.place.key.endswith("/")

    @property
    def looks_like_one(self) -> bool:
        """Whether the URI alone says that one video is meant."""
        return PurePosixPath(self.place.key).suffix.lower() in VIDEO_SUFFIXES and not self.is_prefix

    def read(self, max_bytes: int) -> bytes:
        """All bytes of a small object.

        Raises:
            SourceError: code `source.too_large`.
        """
        store = self.open_store()
        size_bytes = store.stat(self.place.key).size_bytes
        if size_bytes > max_bytes:
            raise too_large(self.uri, size_bytes, max_bytes)
        return store.read(self.place.key)

    def list(self) -> Iterator[VideoRef]:
        """The object, or the videos below the prefix by key, page by page; hidden names are left out."""
        store, key, missing = self.open_store(), self.place.key, None
        if not self.is_prefix:
            try:
                yield self._ref(store.stat(key))
            except SourceNotFound as error:
                key, missing = f"{key}/", error
            else:
                return
        n_found = 0
        for facts in store.list(key):
            if _is_video(facts.key.removeprefix(key)):
                n_found += 1
                yield self._ref(facts)
        if n_found == 0:
            raise missing or SourceNotFound(
                f"{self.uri}: no video below this prefix",
                code="source.no_videos",
                hint=f"looked for {' '.join(sorted(VIDEO_SUFFIXES))}",
                uri=self.uri,
            )

    def stat(self) -> VideoRef:
        """What the store knows of the object."""
        return self._ref(self._stat(self.open_store()))

    def fetch(self, dest_dir: Path, progress: Progress | None = None) -> LocalVideo:
        """Download into `dest_dir`, going on where an earlier fetch of the same version stopped.

        Length, and the store's checksum where it has one, are checked.

        Raises:
            SourceError: `source.too_large`, `source.disk_full`, `source.not_a_file` …
            SourceUnavailable: broke off, changed again and again, or other bytes than the store's checksum says
                (`source.checksum`); what came is kept for the next call, where it is right.
        """
        started_s = time.monotonic()
        store = self.open_store()
        with PartFile.open(dest_dir, hashlib.sha256(self.uri.encode()).hexdigest()[:32]) as part:
            n_bytes = self._download(store, part, progress)
            suffix = PurePosixPath(self.place.key).suffix.lower()
            path = part.finish(suffix if suffix in VIDEO_SUFFIXES else "")
            identity = part.identity or Identity("")
        log.info("video fetched", uri=self.uri, n_bytes=n_bytes, elapsed_s=round(time.monotonic() - started_s, 3))
        return LocalVideo(
            path=path,
            uri=self.uri,
            size_bytes=path.stat().st_size,
            sha256=identity.sha256,
            etag=identity.etag,
            modified_at=identity.last_modified,
            n_fetched_bytes=n_bytes,
        )

    def _download(self, store: ObjectStore, part: PartFile, progress: Progress | None) -> int:
        """Bring `part` up to the whole object; returns the bytes moved."""
        total_s = self.limits.total_timeout_s
        deadline_s = float("inf") if total_s is None else time.monotonic() + total_s
        n_bytes = 0
        for n_changes in range(1, _CHANGES + 1):
            facts = self._stat(store)
            if self._takes_up(part, facts):
                return n_bytes
            try:
                for piece in store.open_range(self.place.key, part.size, etag=facts.etag):
                    part.append(piece)
                    n_bytes += len(piece)
                    self._check_going_on(part, deadline_s)
                    if progress is not None:
                        progress(part.size, facts.size_bytes)
            except SourceUnavailable as error:
                if error.code != CHANGED or n_changes == _CHANGES:
                    raise
                log.warning("object changed under the fetch", uri=self.uri, at_bytes=part.size)
            else:
                break
        if part.size != facts.size_bytes:
            raise SourceUnavailable(
                f"{self.uri}: {part.size} bytes came, the store said {facts.size_bytes}",
                uri=self.uri,
                at_bytes=part.size,
            )
        return n_bytes

    def _takes_up(self, part: PartFile, facts: ObjectFacts) -> bool:
        """Make `part` ready for what is missing; True when nothing is."""
        request = hashlib.sha256(self.uri.encode()).hexdigest()
        wanted = Identity(request, facts.etag, facts.modified_at, facts.size_bytes, checksum=facts.checksum)
        mine = part.identity
        if mine is None or mine.validator(request) is None or not mine.agrees(wanted) or part.size > facts.size_bytes:
            part.begin(wanted)
            return facts.size_bytes == 0
        return part.finished is not None or part.size == facts.size_bytes

    def _stat(self, store: ObjectStore) -> ObjectFacts:
        if self.is_prefix:
            raise SourceError(f"{self.uri}: a prefix, not a video", code="source.not_a_file", uri=self.uri)
        facts = store.stat(self.place.key)
        if facts.size_bytes > self.limits.max_bytes:
            raise too_large(self.uri, facts.size_bytes, self.limits.max_bytes)
        return facts

    def _check_going_on(self, part: PartFile, deadline_s: float) -> None:
        if part.size > self.limits.max_bytes:
            part.clear()
            raise too_large(self.uri, self.limits.max_bytes + 1, self.limits.max_bytes)
        if time.monotonic() > deadline_s:
            raise SourceUnavailable(
                f"{self.uri}: not here after {self.limits.total_timeout_s} s", code="source.too_slow", uri=self.uri
            )

    def _ref(self, facts: ObjectFacts) -> VideoRef:
        uri = ObjectUri(self.place.store, facts.key).uri
        return VideoRef(uri, facts.size_bytes, facts.modified_at, facts.etag)


def _is_video(key: str) -> bool:
    parts = key.split("/")
    return PurePosixPath(parts[-1]).suffix.lower() in VIDEO_SUFFIXES and not any(part.startswith(".") for part in parts)
