"""What the videos of a listing are called in a catalogue, and which of them it takes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from framehouse.catalog.globs import matcher
from framehouse.catalog.merge import Seen
from framehouse.errors import SourceNotFound
from framehouse.state.catalogs import CatalogWish
from framehouse.storage.base import Source, VideoRef
from framehouse.storage.local import LocalSource

_SIGNATURE = re.compile(r"(x-(amz|goog|ms|oss)-.*|signature|sig|se|st|sp|sv|sr|skoid|sktid|ske|sks|skv|expires|"
                        r"key-pair-id|policy|awsaccesskeyid|googleaccessid|token|api_key)", re.IGNORECASE)  # fmt: skip
"""Query parameters that change from one signing to the next."""

OBJECT_STORES = ("s3://", "gs://", "az://")
"""Their listings are sorted by key; special characters of a key are written %3F in a uri, which sorts elsewhere."""

MAX_URI_BYTES = 2500
"""PostgreSQL indexes nothing longer."""


def entry_uri(uri: str) -> str:
    """The name of a video in a catalogue: its uri without what a signature adds.

    >>> entry_uri("https://h/v.mp4?id=3&X-Amz-Signature=abc&X-Amz-Expires=60")
    'https://h/v.mp4?id=3'
    """
    if not uri.lower().startswith(("http://", "https://")):
        return uri
    parts = urlsplit(uri)
    kept = [(name, value) for name, value in parse_qsl(parts.query, True) if not _SIGNATURE.fullmatch(name)]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(kept), ""))


def version_of(uri: str, ref: VideoRef) -> str:
    """Digest (32 hex) of a place and what lies there: the same version is never submitted twice."""
    facts = (uri, ref.etag or ref.modified_at or "", str(ref.size_bytes))
    return hashlib.sha256("\0".join(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def listing(source: Source, unreadable: Callable[[str, OSError], None]) -> Iterator[VideoRef]:
    """The videos of a source; an empty place gives none.

    Args:
        unreadable: told of folders that may not be read; what was known of them is not gone.

    Raises:
        FramehouseError: as `Source.list`, at any moment.
    """
    if isinstance(source, LocalSource) and source.path.is_dir():
        yield from source.walk(unreadable)
        return
    try:
        yield from source.list()
    except SourceNotFound as error:
        if error.code != "source.no_videos":
            raise


class Choice:
    """Which videos of a listing a catalogue takes; counts the others.

    Args:
        wish: of the catalogue.
        now_s: seconds since the epoch.
        settle_s: a file without an entity tag must have been left alone for so long: it may still be being written.
    """

    def __init__(self, wish: CatalogWish, now_s: float, settle_s: float) -> None:
        self._below = _below(wish.uri)
        self._takes = matcher(wish.include, wish.exclude)
        self._now_s, self._settle_s = now_s, settle_s
        self.n_listed = self.n_left_out = self.n_too_long = 0

    def taken(self, refs: Iterator[VideoRef]) -> Iterator[Seen]:
        """The taken ones, by their name in the catalogue; those of a list are sorted first."""
        chosen: Iterator[Seen] = (_seen(ref) for ref in refs)
        if self._below is None:
            chosen = iter(sorted(chosen, key=lambda seen: seen.place))
        return (seen for seen in chosen if self._is_taken(seen.uri))

    def is_settled(self, ref: VideoRef, modified_s: Callable[[str], float]) -> bool:
        """Whether the file has been left alone long enough. An object of a store is always whole."""
        if ref.etag is not None or ref.modified_at is None:
            return True
        return abs(self._now_s - modified_s(ref.modified_at)) >= self._settle_s

    def _is_taken(self, uri: str) -> bool:
        self.n_listed += 1
        if len(uri) * 4 > MAX_URI_BYTES and len(uri.encode()) > MAX_URI_BYTES:
            self.n_too_long += 1
            return False
        path = uri.removeprefix(self._below) if self._below else urlsplit(uri).path
        if self._takes(unquote(path).lstrip("/")):
            return True
        self.n_left_out += 1
        return False


def _seen(ref: VideoRef) -> Seen:
    uri = entry_uri(ref.uri)
    return Seen(unquote(uri) if uri.startswith(OBJECT_STORES) else uri, uri, ref)


def _below(uri: str) -> str | None:
    """What the uris of a place begin with; None for a list, whose videos may lie anywhere and in any order."""
    return None if uri.lower().startswith(("http://", "https://", "list+")) else uri.rstrip("/") + "/"
