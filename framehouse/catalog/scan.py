"""One look at a catalogue's place: what is new or changed gets a job, what has gone is marked, the rest costs nothing.

The listing and the entries are read side by side, in one order, so that memory does not grow with their number. Nothing
of a file is read here: a job reads it, knows it by its content, and infers only what is owed. Every step is safe to
repeat, so a scan that was killed is simply begun again.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from framehouse.catalog.entries import OBJECT_STORES, Choice, listing, version_of
from framehouse.catalog.merge import Change, merge
from framehouse.results.lake import Lake, VideoLocation
from framehouse.state.catalog_entries import Entries, Entry, Found
from framehouse.storage.base import Source
from framehouse.telemetry import redact_uri

log = structlog.get_logger(__name__)

_BATCH = 500
_MD5_TAG = re.compile(r'"?[0-9a-f]{32}(-\d+)?"?')
"""Entity tags that are made of the content (S3, alone or in parts): equal tag and size mean equal content."""


@dataclass(slots=True)
class ScanReport:
    """What a scan saw and did.

    Attributes:
        n_listed: videos of the listing, before the globs.
        n_left_out: refused by the globs, or by a name longer than a database can index.
        n_same: as at the last scan; nothing was done.
        n_new, n_changed: these have a job now, but for those recognised.
        n_recognised: new here, but with the entity tag of a video that is done: no job, nothing read.
        n_returned: gone before, the same version again: no job where its content is known.
        n_waiting: changed a moment ago, may still be being written: left to the next scan.
        n_gone: not there any more.
        n_jobs: jobs made.
        unreadable: folders that may not be read; what was known of them is kept.
    """

    n_listed: int = 0
    n_left_out: int = 0
    n_same: int = 0
    n_new: int = 0
    n_changed: int = 0
    n_recognised: int = 0
    n_returned: int = 0
    n_waiting: int = 0
    n_gone: int = 0
    n_jobs: int = 0
    elapsed_s: float = 0.0
    unreadable: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def line(self) -> str:
        """For people: what is not zero."""
        counts = [
            ("new", self.n_new), ("changed", self.n_changed), ("returned", self.n_returned), ("gone", self.n_gone),
            ("unchanged", self.n_same), ("still being written", self.n_waiting), ("left out", self.n_left_out),
        ]  # fmt: skip
        seen = ", ".join(f"{n} {what}" for what, n in counts if n) or "nothing there"
        jobs = f"; {self.n_jobs} jobs" if self.n_new or self.n_changed or self.n_returned else ""
        blind = f"; {len(self.unreadable)} folders cannot be read" if self.unreadable else ""
        return f"{seen}{jobs}{blind} ({self.elapsed_s:.1f} s)"


def scan(entries: Entries, source: Source, lake: Lake, choice: Choice) -> ScanReport:
    """Look at a place once and bring the catalogue's entries up to date.

    Raises:
        FramehouseError: the listing failed, before or in the middle. What was found until then stays and is not
            found again; nothing is marked gone.
    """
    started = time.monotonic()
    report = ScanReport()
    entries.learn_contents()

    def unreadable(uri: str, error: OSError) -> None:
        log.warning("folder cannot be read, what is known of it is kept", uri=uri, reason=error.strerror)
        report.unreadable.append(uri)

    work = _Scan(entries, lake, choice, report)
    for change in merge(choice.taken(listing(source, unreadable)), entries.all()):
        work.take(change)
    work.finish()
    report.n_listed, report.n_left_out = choice.n_listed, choice.n_left_out + choice.n_too_long
    report.elapsed_s = round(time.monotonic() - started, 3)
    return report


class _Scan:
    """Gathers changes and writes them in batches; counts."""

    def __init__(self, entries: Entries, lake: Lake, choice: Choice, report: ScanReport) -> None:
        self._entries, self._lake, self._choice, self._report = entries, lake, choice, report
        self._scan_id = secrets.token_hex(8)
        self._found: list[Change] = []
        self._missing: list[str] = []

    def take(self, change: Change) -> None:
        """Count a change, and keep what is to be written."""
        report = self._report
        if change.kind == "same":
            report.n_same += 1
        elif change.kind == "missing" and change.entry is not None:
            self._missing.append(change.entry.place)
        elif change.seen is not None:
            if change.kind != "returned" and not self._choice.is_settled(change.seen.ref, _seconds):
                report.n_waiting += 1
            else:
                self._found.append(change)
        if len(self._found) >= _BATCH or len(self._missing) >= _BATCH:
            self._write()

    def finish(self) -> None:
        """The listing came to its end: what it did not show is gone."""
        self._write()
        while missing := self._entries.missing(self._scan_id, _BATCH):
            gone = [entry for entry in missing if not entry.uri.startswith(tuple(self._report.unreadable))]
            for entry in gone:
                if entry.video_id is not None:
                    self._lake.place_video(entry.video_id, _gone(entry))
            kept = [entry for entry in missing if entry not in gone]
            self._entries.settle_missing(gone, kept)
            self._report.n_gone += len(gone)

    def _write(self) -> None:
        if self._missing:
            self._entries.mark_missing(self._missing, self._scan_id)
            self._missing.clear()
        if not self._found:
            return
        known = self._known_contents(self._found)
        moved: list[str] = []
        found = [self._one(change, known, moved) for change in self._found]
        self._report.n_jobs += self._entries.write(found, moved)
        self._found.clear()

    def _one(self, change: Change, known: dict[tuple[str, int], Entry], moved: list[str]) -> Found:
        """The entry to write, and what the lake is to know of it first."""
        assert change.seen is not None
        uri, ref = change.seen.uri, change.seen.ref
        entry = Entry(change.seen.place, uri, ref.etag, ref.size_bytes, ref.modified_at, seen_at=time.time())
        before = change.entry
        if change.kind == "returned" and before is not None:
            self._report.n_returned += 1
            same = replace(before, gone_at=None)
            if before.video_id is None:  # its job ended without having read it
                return Found(same, ref.uri, version_of(f"{uri}\0{before.gone_at}", ref))
            self._place(same, moved)
            return Found(same)
        if before is not None:
            self._report.n_changed += 1
            if before.video_id is not None and self._lake.place_video(before.video_id, _gone(before)):
                moved.append(before.video_id)
        else:
            self._report.n_new += 1
        twin = known.get((ref.etag, ref.size_bytes)) if ref.etag and ref.size_bytes is not None else None
        if twin is not None:
            self._report.n_recognised += 1
            same = replace(entry, video_id=twin.video_id, job_id=twin.job_id)
            self._place(same, moved)
            return Found(same)
        return Found(entry, ref.uri, version_of(uri, ref))

    def _known_contents(self, changes: Sequence[Change]) -> dict[tuple[str, int], Entry]:
        tags = {
            change.seen.ref.etag
            for change in changes
            if change.seen is not None
            and change.seen.ref.etag
            and change.seen.uri.startswith(OBJECT_STORES)
            and _MD5_TAG.fullmatch(change.seen.ref.etag)
        }
        return self._entries.by_etag(sorted(tags)) if tags else {}

    def _place(self, entry: Entry, moved: list[str]) -> None:
        if entry.video_id is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        place = VideoLocation(redact_uri(entry.uri), entry.etag, entry.size_bytes, entry.modified_at, seen_at=now)
        if self._lake.place_video(entry.video_id, place):
            moved.append(entry.video_id)


def _gone(entry: Entry) -> VideoLocation:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return VideoLocation(redact_uri(entry.uri), entry.etag, entry.size_bytes, entry.modified_at, gone_at=now)


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()
