"""What every place of videos can do: list, stat, fetch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from framehouse.errors import SourceError

Progress = Callable[[int, int | None], None]
"""Called with (bytes so far, bytes in all or None); often, so the receiver throttles."""

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".flv"}
    | {".wmv", ".ogv", ".mxf", ".h264", ".264", ".h265", ".hevc"}
)
"""Names that count as videos when a folder is listed, lower case. A file named outright may have any name."""


@dataclass(frozen=True, slots=True)
class VideoRef:
    """A video that is somewhere, not yet fetched.

    `uri` opens it again; it may carry a signature, so it goes to the state database and nowhere else.
    """

    uri: str
    size_bytes: int | None
    modified_at: str | None
    etag: str | None


@dataclass(frozen=True, slots=True)
class LocalVideo:
    """A video whose bytes are on this machine.

    `uri` may be shown and stored: no user, no query. `n_fetched_bytes` counts what this fetch moved: 0 when the file
    was used in place or was already here. `modified_at` is ISO 8601 in UTC.
    """

    path: Path
    uri: str
    size_bytes: int
    sha256: str
    etag: str | None
    modified_at: str | None
    n_fetched_bytes: int


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """How far an untrusted source is trusted.

    Args:
        allow_private: connect to loopback, private, link-local and reserved addresses too.
        private_networks: such networks that are allowed all the same, in CIDR form.
        max_bytes: larger files are refused, before the download where the length is known.
        stall_timeout_s: no byte for so long ends a download.
        total_timeout_s: the whole download may take no longer; None sets no limit.
        max_redirects: redirects followed, each with its address checked.
        schemes: what a URL and the ones it redirects to may begin with.
    """

    allow_private: bool = False
    private_networks: tuple[str, ...] = ()
    max_bytes: int = 200 * 1024**3
    stall_timeout_s: float = 30.0
    total_timeout_s: float | None = None
    max_redirects: int = 5
    schemes: tuple[str, ...] = ("http", "https")


class Source(Protocol):
    """A place with one video (a file, a URL) or many (a folder, a bucket).

    All methods raise SourceNotFound, SourceForbidden, SourceUnavailable (worth another try) or SourceError.
    """

    @property
    def uri(self) -> str:
        """What opens this source again."""
        ...

    def list(self) -> Iterator[VideoRef]:
        """The videos here, ordered by uri; at least one, or SourceNotFound with code `source.no_videos`."""
        ...

    def stat(self) -> VideoRef:
        """Facts of the one video that `uri` names, without its bytes."""
        ...

    def fetch(self, dest_dir: Path, progress: Progress | None = None) -> LocalVideo:
        """Make the bytes of the one video local: in place, or as a file of `dest_dir` named by its content.

        Calling it again resumes what an earlier call left, and costs nothing when the bytes are here.
        """
        ...


def too_large(shown: str, size_bytes: int, max_bytes: int) -> SourceError:
    """The error for a file above the limit."""
    return SourceError(
        f"{shown}: {size_bytes} bytes or more, the limit is {max_bytes}",
        code="source.too_large",
        hint="raise FRAMEHOUSE_SOURCE__MAX_BYTES",
        uri=shown,
    )


def iso_utc(seconds: float) -> str:
    """ISO 8601 text of a Unix time, in UTC, whole seconds.

    >>> iso_utc(0.0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
