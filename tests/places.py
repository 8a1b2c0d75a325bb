"""A place of videos that a test fills, and a catalogue of it with its state and lake in a folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from framehouse.catalog.entries import Choice
from framehouse.catalog.scan import ScanReport, scan
from framehouse.results.lake import Lake
from framehouse.state import State, open_state
from framehouse.state.catalog_entries import Entries
from framehouse.state.catalogs import Catalog, Catalogs, CatalogWish
from framehouse.storage.base import Source, VideoRef

OLD = "2026-01-01T00:00:00+00:00"


@dataclass
class Bucket:
    """Objects by key, listed in the order of their keys; `break_after` lets a listing break off after so many."""

    uri: str = "s3://bucket/v"
    objects: dict[str, VideoRef] = field(default_factory=dict)
    break_after: int | None = None
    error: Exception | None = None

    def put(self, key: str, size: int = 100, modified_at: str | None = OLD, etag: str | None = None) -> None:
        uri = f"{self.uri}/{key}"
        self.objects[uri] = VideoRef(uri, size, modified_at, etag)

    def drop(self, key: str) -> None:
        del self.objects[f"{self.uri}/{key}"]

    def list(self) -> Iterator[VideoRef]:
        for number, uri in enumerate(sorted(self.objects, key=unquote)):
            if number == self.break_after and self.error is not None:
                raise self.error
            yield self.objects[uri]
        if self.error is not None:
            raise self.error

    def stat(self) -> VideoRef:
        raise NotImplementedError

    def fetch(self, dest_dir: Path, progress: object = None) -> Any:
        raise NotImplementedError


@dataclass
class Watched:
    """A catalogue of a place."""

    state: State
    catalog: Catalog
    lake: Lake

    @classmethod
    def of(cls, folder: Path, url: str = "", **wish: Any) -> Watched:
        state = open_state(url or f"sqlite:///{folder / 'state.db'}")
        wished = CatalogWish(**{"name": "videos", "uri": "s3://bucket/v", "models": ("detector",), **wish})
        return cls(state, Catalogs(state.engine).add(wished), Lake(folder / "lake"))

    @property
    def entries(self) -> Entries:
        return Entries(self.state.engine, self.catalog)

    def scan(self, source: Source, *, settle_s: float = 10.0, now_s: float | None = None) -> ScanReport:
        choice = Choice(self.catalog.wish, time.time() if now_s is None else now_s, settle_s)
        return scan(self.entries, source, self.lake, choice)

    def uris(self) -> list[str]:
        """Of the jobs, oldest first."""
        jobs = self.state.list_jobs()
        return [job.request.uri.rpartition("/")[2] for job in sorted(jobs, key=lambda job: job.submitted_at)]

    def done(self, key: str, video_id: str) -> None:
        """The job of a key has read its content and is over."""
        entry = next(entry for entry in self.entries.all() if entry.uri.endswith(f"/{key}"))
        assert entry.job_id is not None
        lease = self.state.acquire(f"job/{entry.job_id}", "test", 60.0)
        assert lease is not None
        self.state.begin_attempt(lease, entry.job_id)
        self.state.note(lease, entry.job_id, video_id=video_id)
        self.state.settle_published(self.state.conclude(entry.job_id, "done", [], lease=lease))
        self.state.release(lease)
