"""Names of the copies that are taken of the databases before they are changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

Copied = Literal["state", "store"]
_NAME = re.compile(r"(state|store)-v(\d+)-(\d{8}T\d{12}Z)\.(db|duckdb)")
_FOLDER = re.compile(r"(backup|replaced)-[\w.+]+-\d{8}T\d{12}Z")


@dataclass(frozen=True, slots=True)
class Backups:
    """Where a copy goes before a migration. Without one (None instead of this) no database is migrated.

    Attributes:
        folder: made when missing.
        wanted: False migrates without a copy: whoever says so has one.
    """

    folder: Path
    wanted: bool = True

    def new_path(self, what: Copied, version: int) -> Path:
        """A file that is not there yet; `version`: of the schema that is copied."""
        return self.folder / f"{what}-v{version}-{stamp()}{'.db' if what == 'state' else '.duckdb'}"

    def of(self, what: Copied) -> list[Path]:
        """Copies of a database that were taken before migrations, oldest first."""
        found = [(match[3], path) for path in self.folder.glob(f"{what}-v*") if (match := _NAME.fullmatch(path.name))]
        return [path for _, path in sorted(found)]

    def folders(self, what: Literal["backup", "replaced"]) -> list[Path]:
        """What `framehouse db backup` made here, or what `framehouse db restore` took the place of; oldest first."""
        found = [path for path in self.folder.glob(f"{what}-*") if _FOLDER.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.name.rpartition("-")[2])


def stamp() -> str:
    """The time, UTC, as part of a name; later ones sort later."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")


def restore_mark(home: Path) -> Path:
    """A file that is there while a restore puts what it staged in its place: whoever finds it goes on with it."""
    return home / ".restore.json"
