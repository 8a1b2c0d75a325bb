"""Lists of videos: a text or JSON file of addresses, behind `list+<where the file is>`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from framehouse.errors import SourceError, SourceNotFound
from framehouse.storage.base import LocalVideo, Progress, VideoRef
from framehouse.storage.local import path_uri, uri_path
from framehouse.storage.uris import CLOUD_SCHEMES, ObjectUri, object_uri, scheme_of
from framehouse.telemetry import redact_uri

PREFIX = "list+"
MAX_BYTES = 64 * 1024 * 1024
"""Of a list; some 500,000 addresses."""
_WEB = ("http", "https")


@dataclass(frozen=True, slots=True)
class ListSource:
    """The videos that a list names, in its order. None of them is looked at.

    A line is an address; empty lines and ones that begin with `#` are left out. JSON is a list of addresses, or of
    objects with `uri` (or `url`) and, if known, `size_bytes`, `etag` and `modified_at`; or an object with such a list
    as `videos`. An address without a scheme is relative to the list. A list out of the web names http(s) addresses
    only, one in a store also objects of stores, one of this machine whatever there is.
    """

    where: str
    read: Callable[[], bytes]

    @property
    def uri(self) -> str:
        """`list+` and where the list is."""
        return PREFIX + self.where

    def list(self) -> Iterator[VideoRef]:
        """What the list says; sizes and times only where it tells them."""
        refs = self._refs()
        if not refs:
            raise SourceNotFound(f"{redact_uri(self.uri)}: names no video", code="source.no_videos")
        return iter(refs)

    def stat(self) -> VideoRef:
        """A list is no video.

        Raises:
            SourceError: always.
        """
        raise self._no_video()

    def fetch(self, dest_dir: Path, progress: Progress | None = None) -> LocalVideo:
        """A list is no video.

        Raises:
            SourceError: always.
        """
        raise self._no_video()

    def _refs(self) -> tuple[VideoRef, ...]:
        try:
            entries = _entries(self.read().decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise self._bad(str(error)) from error
        return tuple(self._ref(number, entry) for number, entry in entries)

    def _ref(self, number: int, entry: Any) -> VideoRef:
        facts: dict[str, Any] = entry if isinstance(entry, dict) else {"uri": entry}
        address, size = facts.get("uri") or facts.get("url"), facts.get("size_bytes")
        if not isinstance(address, str) or not address.strip() or not isinstance(size, int | None):
            raise self._bad(f"entry {number} names no address")
        told = [value if isinstance(value, str) else None for value in (facts.get("modified_at"), facts.get("etag"))]
        return VideoRef(self._resolved(number, address.strip()), size, *told)

    def _resolved(self, number: int, address: str) -> str:
        home, scheme = scheme_of(self.where), scheme_of(address) if "://" in address else ""
        if home == "file":
            return address if scheme else path_uri(uri_path(self.where).parent / Path(address).expanduser())
        if not scheme and home in _WEB:
            return urljoin(self.where, address)
        if not scheme:
            place = object_uri(self.where)
            return ObjectUri(place.store, (place.key.rpartition("/")[0] + "/" + address).lstrip("/")).uri
        if scheme not in _WEB + (CLOUD_SCHEMES if home in CLOUD_SCHEMES else ()):
            raise self._bad(f"entry {number} is a {scheme}:// address, which a list from {home}:// may not name")
        return address

    def _bad(self, why: str) -> SourceError:
        shown = redact_uri(self.uri)
        return SourceError(
            f"{shown}: no list of videos ({why})", code="source.bad_list", hint="one address a line", uri=shown
        )

    def _no_video(self) -> SourceError:
        shown = redact_uri(self.uri)
        return SourceError(f"{shown}: a list, not a video", code="source.not_a_file", hint="", uri=shown)


def _entries(text: str) -> Iterator[tuple[int, Any]]:
    """(number, entry) of each; lines are numbered as an editor does."""
    if text.lstrip()[:1] in ("[", "{"):
        found = json.loads(text)
        videos = found.get("videos") if isinstance(found, dict) else found
        if not isinstance(videos, list):
            raise ValueError("its JSON holds no list")
        return iter(tuple(enumerate(videos, 1)))
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return iter(tuple((number, line) for number, line in lines if line and not line.startswith("#")))
