"""Files that age: results that can be made again, damaged parts, logs, and what interrupted writes left."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from framehouse.backups import Backups
from framehouse.keep.sweep import Found, days, sized, stat_of
from framehouse.store.snapshots import claim, remove_database, snapshots


@dataclass(frozen=True, slots=True)
class Aged:
    """Files of a folder that have not changed for a while.

    Attributes:
        patterns: globs below the folder.
        why: what is said about them, before their age.
    """

    kind: str
    folder: Path
    patterns: tuple[str, ...]
    older_than_s: float
    why: str

    def find(self) -> Iterator[Found]:
        """Every matching file that is old enough, by name."""
        now = time.time()
        for path in sorted({path for pattern in self.patterns for path in self.folder.glob(pattern)}):
            facts = stat_of(path)
            if facts and path.is_file() and now - facts[0] > self.older_than_s:
                yield Found(self.kind, str(path), 1, facts[1], f"{self.why} {days(now - facts[0])} ago")

    def remove(self, found: Found) -> bool:
        """Remove it, unless it was touched meanwhile."""
        path = Path(found.name)
        facts = stat_of(path)
        if facts and time.time() - facts[0] <= self.older_than_s:
            return False
        path.unlink(missing_ok=True)
        return True


@dataclass(frozen=True, slots=True)
class Logs:
    """Logs of processes, which keep them open: the end of a large one goes to `<name>.1`, the rest is freed."""

    folders: tuple[Path, ...]
    older_than_s: float
    largest_bytes: int
    kind: str = "logs"

    def find(self) -> Iterator[Found]:
        """Logs that are too large or too old."""
        now = time.time()
        for path in sorted(path for folder in self.folders for path in folder.glob("*.log*") if path.is_file()):
            changed, size = stat_of(path) or (now, 0)
            if now - changed > self.older_than_s and (size or path.suffix != ".log"):
                yield Found(self.kind, str(path), 1, size, f"last line {days(now - changed)} ago")
            elif path.suffix == ".log" and size > self.largest_bytes:
                kept = self.largest_bytes // 4
                reason = f"larger than {self.largest_bytes} bytes; the last {kept} stay"
                yield Found(self.kind, str(path), 1, size - kept, reason)

    def remove(self, found: Found) -> bool:
        """Free its bytes. A log that a process may still hold open is emptied, never taken away from it."""
        path = Path(found.name)
        changed, size = stat_of(path) or (0.0, 0)
        if path.suffix != ".log":
            path.unlink(missing_ok=True)
        elif size > self.largest_bytes and time.time() - changed <= self.older_than_s:
            self._keep_end(path, size)
            os.truncate(path, 0)
        elif size:
            os.truncate(path, 0)
        return True

    def _keep_end(self, path: Path, size: int) -> None:
        draft = path.with_name(f".{path.name}.1.tmp")
        with path.open("rb") as log_file, draft.open("wb") as kept:
            log_file.seek(size - self.largest_bytes // 4)
            log_file.readline(65536)
            shutil.copyfileobj(log_file, kept)
        draft.replace(path.with_name(f"{path.name}.1"))


@dataclass(frozen=True, slots=True)
class Results:
    """Results files `<job>-<time>.json.gz`, each made again when it is asked for."""

    folder: Path
    older_than_s: float
    young_s: float
    kind: str = "results"

    def find(self) -> Iterator[Found]:
        """Those not asked for lately, and those of a run that a retry of the job has replaced."""
        now, newest = time.time(), dict[str, str]()
        paths = sorted(self.folder.glob("[!.]*.json.gz"))
        for path in paths:
            newest[path.name.partition("-")[0]] = path.name
        for path in paths:
            changed, size = stat_of(path) or (now, 0)
            if now - changed > self.older_than_s:
                yield Found(self.kind, str(path), 1, size, f"last asked for {days(now - changed)} ago")
            elif newest[path.name.partition("-")[0]] != path.name and now - changed > self.young_s:
                yield Found(self.kind, str(path), 1, size, "the job was done again since")

    def remove(self, found: Found) -> bool:
        """Remove it; who has it open reads on."""
        Path(found.name).unlink(missing_ok=True)
        return True


@dataclass(frozen=True, slots=True)
class OldSnapshots:
    """Database files that are neither published nor rest for the next publish: readers held them when they were due."""

    folder: Path
    kind: str = "snapshots"

    def find(self) -> Iterator[Found]:
        """All but the two newest."""
        for path in snapshots(self.folder)[:-2]:
            changed, size = stat_of(path) or (0.0, 0)
            yield Found(self.kind, str(path), 1, size, f"replaced {days(time.time() - changed)} ago")

    def remove(self, found: Found) -> bool:
        """Remove it, unless somebody reads it."""
        path = Path(found.name)
        if not path.exists():
            return True
        with claim(path) as mine:
            if mine:
                remove_database(path)
        return mine


@dataclass(frozen=True, slots=True)
class OldBackups:
    """All but the newest backups of each kind: copies before migrations, whole backups, what a restore replaced."""

    backups: Backups
    n_kept: int
    kind: str = "backups"

    def find(self) -> Iterator[Found]:
        """Those that newer ones stand in for."""
        backups = self.backups
        for paths in (backups.of("state"), backups.of("store"), backups.folders("backup"), backups.folders("replaced")):
            for path in paths[: -self.n_kept]:
                n_files, n_bytes = sized([path])
                yield Found(self.kind, str(path), n_files, n_bytes, f"there are {self.n_kept} newer ones")

    def remove(self, found: Found) -> bool:
        """Remove it."""
        path = Path(found.name)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        return True
