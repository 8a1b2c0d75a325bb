"""A listing beside what is stored, both by place: what is new, changed, back, the same, and missing.

Nothing is kept but the two places where the readers stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from framehouse.errors import SourceError
from framehouse.state.catalog_entries import Entry
from framehouse.storage.base import VideoRef

Kind = Literal["new", "changed", "returned", "same", "missing"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A video of the listing. `uri` is its name in the catalogue; `ref.uri` may have a signature more.

    `place` is what listings are sorted by: a store sorts its keys as they are, not as they are written in a uri.
    """

    place: str
    uri: str
    ref: VideoRef


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one place.

    new: no entry. changed: another version than its entry's. returned: gone before, the same version now. same: as
    before. missing: not in the listing; `seen` is None then. `entry` is None for what is new.
    """

    kind: Kind
    seen: Seen | None
    entry: Entry | None


def merge(listing: Iterable[Seen], stored: Iterable[Entry]) -> Iterator[Change]:
    """What became of each place, in order; a place that was gone and still is gives nothing.

    Args:
        listing: by place; one that comes twice counts once.
        stored: by place, each once.

    Raises:
        SourceError: code `source.unordered`, the listing is not in order.
    """
    entries = iter(stored)
    entry = next(entries, None)
    for seen in _in_order(listing):
        while entry is not None and entry.place < seen.place:
            yield from _missing(entry)
            entry = next(entries, None)
        if entry is not None and entry.place == seen.place:
            yield Change(_kind(entry, seen.ref), seen, entry)
            entry = next(entries, None)
        else:
            yield Change("new", seen, None)
    while entry is not None:
        yield from _missing(entry)
        entry = next(entries, None)


def is_same_version(entry: Entry, ref: VideoRef) -> bool:
    """By entity tag and size where both have a tag, else by size and time."""
    if entry.size_bytes != ref.size_bytes:
        return False
    if entry.etag is not None and ref.etag is not None:
        return entry.etag == ref.etag
    return entry.modified_at == ref.modified_at


def _kind(entry: Entry, ref: VideoRef) -> Kind:
    if not is_same_version(entry, ref):
        return "changed"
    return "same" if entry.gone_at is None else "returned"


def _missing(entry: Entry) -> Iterator[Change]:
    if entry.gone_at is None:
        yield Change("missing", None, entry)


def _in_order(listing: Iterable[Seen]) -> Iterator[Seen]:
    last = ""
    for seen in listing:
        if seen.place < last:
            raise SourceError(f"the listing is not in order: {seen.place} came after {last}", code="source.unordered")
        if seen.place != last:
            yield seen
        last = seen.place
