"""How a model folder came to be here: written beside its config.pbtxt by whoever put it into FRAMEHOUSE_HOME/models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from framehouse.results.files import write_whole

ORIGIN_NAME = "origin.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """The line of descent of one folder; no model reads it, so it is not part of a digest."""

    how: str
    """shipped, added or pulled."""
    name: str = ""
    """Of the manifest's entry."""
    entry: str = ""
    """sha256 of that entry, as it was then."""
    at: str = ""
    """When, ISO 8601 in UTC."""
    accepted: str = ""
    """The notice that was accepted."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path in the folder to sha256 of what its versions hold, as it was installed; configurations may be changed."""


def read_origin(folder: Path, shipped: Path) -> Origin:
    """Of a model folder; one without a record was added by hand."""
    if folder.parent == shipped:
        return Origin("shipped")
    try:
        found = Origin(**json.loads((folder / ORIGIN_NAME).read_text()))
    except (OSError, ValueError, TypeError):
        return Origin("added")
    texts = (found.how, found.name, found.entry, found.at, found.accepted)
    is_right = all(isinstance(text, str) for text in texts) and isinstance(found.files, dict)
    return found if is_right else Origin("added")


def write_origin(folder: Path, origin: Origin) -> None:
    """Put the record into a folder."""
    write_whole(folder / ORIGIN_NAME, (json.dumps(asdict(origin), indent=1) + "\n").encode())


def version_files(folder: Path) -> dict[str, str]:
    """Path to sha256 of the files in the version folders of a model; its profiles are made, and people tune them."""
    inside = (path for path in sorted(folder.glob("*/**/*")) if path.relative_to(folder).parts[0].isdigit())
    found = (path for path in inside if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in found}


def origin_findings(folder: Path, origin: Origin) -> Iterator[str]:
    """What in a folder is not as it was installed."""
    for name, sha256 in origin.files.items():
        path = folder / name
        if not path.is_file():
            yield f"no {name}, which was installed"
        elif _sha256(path) != sha256:
            yield f"{name} is not the file that was installed"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def now() -> str:
    """The present, as an origin states it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
