"""Fetched videos, unfinished downloads and uploads: the large files, each kept while a job may need it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from framehouse.keep.sweep import Found, days, sized, stat_of
from framehouse.room import Room
from framehouse.state.keeping import Keeping
from framehouse.storage.fetched import evict, evict_download, fetched_videos, sidecars_of


@dataclass(frozen=True, slots=True)
class Fetched:
    """Videos that were downloaded. A retry fetches what is gone again.

    Attributes:
        young_s: a file used so lately is left alone: its run may not have told which video it is on.
        room: where less than its floor is free, the least recently used go until there is room.
    """

    folder: Path
    state: Keeping
    older_than_s: float
    largest_bytes: int
    young_s: float
    room: Room
    kind: str = "fetched"

    def find(self) -> Iterator[Found]:
        """Least recently used first: the old ones, then what is over the limit, then what the disk needs."""
        now, ended = time.time(), self.state.last_used()
        files = [
            (max(facts[0], ended.get(video_id, 0.0)), facts[1], path, video_id)
            for path, video_id in fetched_videos(self.folder).items()
            if (facts := stat_of(path))
        ]
        over = sum(size for _, size, _, _ in files) - self.largest_bytes
        missing = self.room.missing_bytes()
        for used_at, size, path, video_id in sorted(files):
            age_s = now - used_at
            reason = self._reason(age_s, over, missing)
            if not reason or age_s <= self.young_s or self.state.is_video_needed(video_id):
                continue
            over, missing = over - size, missing - size
            yield Found(self.kind, str(path), 1, size, reason)

    def _reason(self, age_s: float, over: int, missing: int) -> str:
        if age_s > self.older_than_s:
            return f"last used {days(age_s)} ago"
        if over > 0:
            return f"fetched videos take more than {self.largest_bytes} bytes; last used {days(age_s)} ago"
        return f"the disk is below its floor; last used {days(age_s)} ago" if missing > 0 else ""

    def remove(self, found: Found) -> bool:
        """Remove it, unless a fetch holds it or a job needs it by now."""
        path = Path(found.name)
        video_id = path.name.partition(".")[0]

        def is_unused() -> bool:
            facts = stat_of(path)
            young = facts is not None and time.time() - facts[0] <= self.young_s
            return not young and not self.state.is_video_needed(video_id)

        return evict(path, sidecars_of(self.folder).get(path.name, []), is_unused)


@dataclass(frozen=True, slots=True)
class Downloads:
    """What came of downloads that nobody took up again."""

    folder: Path
    older_than_s: float
    kind: str = "downloads"

    def find(self) -> Iterator[Found]:
        """Unfinished downloads without a byte of news for so long, and sidecars of files that are gone."""
        now = time.time()
        for part in sorted(self.folder.glob("[!.]*.part")):
            changed, size = stat_of(part) or (now, 0)
            if now - changed > self.older_than_s:
                yield Found(self.kind, str(part), 1, size, f"broke off {days(now - changed)} ago")

    def remove(self, found: Found) -> bool:
        """Remove it, unless a fetch works on it."""
        return not Path(found.name).exists() or evict_download(Path(found.name))


@dataclass(frozen=True, slots=True)
class Uploads:
    """Uploads after their last job. A retry of such a job then needs another upload."""

    folder: Path
    state: Keeping
    older_than_s: float
    young_s: float
    kind: str = "uploads"

    def find(self) -> Iterator[Found]:
        """Uploads that no job needs any more, promised ones that never came, and folders without a row."""
        now = time.time()
        for upload in self.state.idle_uploads(now - self.older_than_s):
            files = self.folder / upload.upload_id
            if not self._is_young(files):
                what = "last used" if upload.arrived else "never arrived; its URL expired"
                yield self._found(files, f"{what} {days(now - upload.last_used_at)} ago")
        known = self.state.upload_ids()
        for files in sorted(self.folder.glob("u_*")):
            if files.name not in known and not self._is_young(files):
                yield self._found(files, "no such upload is known")

    def _found(self, files: Path, reason: str) -> Found:
        n_files, n_bytes = sized([files]) if files.exists() else (0, 0)
        return Found(self.kind, str(files), n_files, n_bytes, reason)

    def _is_young(self, files: Path) -> bool:
        """Whether bytes came in lately: a long PUT may outlive its URL."""
        changed = [facts[0] for path in (files, *files.glob("*"), *files.glob(".*")) if (facts := stat_of(path))]
        return time.time() - max(changed, default=0.0) <= self.young_s

    def remove(self, found: Found) -> bool:
        """First the row, so that no job is made of it any more; then the files."""
        files = Path(found.name)
        if files.name in self.state.upload_ids() and not self.state.retire_upload(files.name):
            return False
        if files.exists():
            shutil.rmtree(files)
        return True
