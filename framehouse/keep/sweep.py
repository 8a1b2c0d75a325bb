"""Find what may go, and remove it: one class for each kind of thing, all with the same two questions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """Something that may go, and why.

    Attributes:
        name: path of a file or folder, or what else tells it.
        n_items: files, or rows of the state database.
    """

    kind: str
    name: str
    n_items: int
    n_bytes: int
    reason: str


class Keeper(Protocol):
    """One kind of thing that is kept for a while."""

    @property
    def kind(self) -> str:
        """Its name, for people and machines."""
        ...

    def find(self) -> Iterator[Found]:
        """What may go now; looks and touches nothing."""
        ...

    def remove(self, found: Found) -> bool:
        """Remove it, unless somebody came to use it since: then False. What is gone already counts as removed.

        A death in the midst leaves nothing that another look does not find.
        """
        ...


@dataclass(slots=True)
class Tally:
    """What went of one kind. `n_kept`: came into use between the look and the act."""

    kind: str
    n_items: int = 0
    n_bytes: int = 0
    n_kept: int = 0
    items: list[Found] = field(default_factory=list)


def sweep(
    keepers: Sequence[Keeper], *, dry_run: bool = False, on_found: Callable[[Found], None] = lambda _found: None
) -> list[Tally]:
    """Look at every kind and remove what may go; with `dry_run` only look. One tally a kind, in their order."""
    return [_sweep_kind(keeper, dry_run, on_found) for keeper in keepers]


def _sweep_kind(keeper: Keeper, dry_run: bool, on_found: Callable[[Found], None]) -> Tally:
    tally = Tally(keeper.kind)
    for found in list(keeper.find()):
        if not dry_run and not keeper.remove(found):
            log.info("kept: in use by now", kind=found.kind, name=found.name)
            tally.n_kept += 1
            continue
        on_found(found)
        tally.items.append(found)
        tally.n_items += found.n_items
        tally.n_bytes += found.n_bytes
    if tally.items and not dry_run:
        log.info("pruned", kind=tally.kind, n_items=tally.n_items, n_bytes=tally.n_bytes)
    return tally


def sized(paths: Iterable[Path]) -> tuple[int, int]:
    """(files, bytes) of files and of all files under folders; what vanishes meanwhile counts for nothing."""
    n_files = n_bytes = 0
    for path in paths:
        inner = [file for file in path.rglob("*") if not file.is_dir()] if path.is_dir() else [path]
        for file in inner:
            facts = stat_of(file)
            n_files, n_bytes = (n_files + 1, n_bytes + facts[1]) if facts else (n_files, n_bytes)
    return n_files, n_bytes


def stat_of(path: Path) -> tuple[float, int] | None:
    """(time of change, bytes) of a file; None when it is gone."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_mtime, facts.st_size


def days(seconds: float) -> str:
    """An age for people.

    >>> days(86400 * 8.26), days(5400)
    ('8.3 days', '1.5 hours')
    """
    return f"{seconds / 86400:.1f} days" if seconds >= 86400 else f"{seconds / 3600:.1f} hours"
