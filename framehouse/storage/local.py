"""Files and folders of this machine. A file is used where it lies; nothing is copied."""

from __future__ import annotations

import errno
import os
import stat as stat_bits
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from framehouse import ids
from framehouse.errors import SourceError, SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.storage.base import VIDEO_SUFFIXES, LocalVideo, Progress, VideoRef, iso_utc, too_large
from framehouse.storage.uris import quoted, unquoted
from framehouse.storage.walk import walk_videos

log = structlog.get_logger(__name__)


def path_uri(path: Path) -> str:
    """`file://` URI of a path, made absolute. Letters of any script and spaces stay readable.

    Percent-encoded are only `%`, `?`, `#`, control characters and bytes that are not UTF-8.

    >>> path_uri(Path("/videos/Straße 1#a.mp4"))
    'file:///videos/Straße 1%23a.mp4'
    """
    return "file://" + quoted(str(path.absolute()))


def uri_path(uri: str) -> Path:
    """Absolute path of a `file://` URI or of a plain path (`~` allowed).

    >>> uri_path("file:///videos/a%23b.mp4")
    PosixPath('/videos/a#b.mp4')

    Raises:
        SourceNotFound: a `file://` URI of another host.
    """
    if not uri.lower().startswith("file://"):
        return Path(uri).expanduser().absolute()
    host, slash, rest = uri[len("file://") :].partition("/")
    if host not in ("", "localhost"):
        raise SourceNotFound(f"{uri}: a file:// URI of another host ({host})", hint="use file:///absolute/path")
    return Path(unquoted(slash + rest))


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A file, or a folder with the videos under it."""

    path: Path

    @property
    def uri(self) -> str:
        """`file://` URI."""
        return path_uri(self.path)

    def list(self) -> Iterator[VideoRef]:
        """The file itself, or every video under the folder, by uri; hidden names are left out, links are followed."""
        if not stat_bits.S_ISDIR(_stat(self.path).st_mode):
            yield self.stat()
            return
        n_found = 0
        for ref in self.walk(_skipped):
            n_found += 1
            yield ref
        if not n_found:
            raise SourceNotFound(
                f"{self.path}: no video in this folder",
                code="source.no_videos",
                hint=f"looked for {' '.join(sorted(VIDEO_SUFFIXES))}",
                uri=self.uri,
            )

    def walk(self, unreadable: Callable[[str, OSError], None]) -> Iterator[VideoRef]:
        """Every video under the folder, by uri; `unreadable` is told of each folder below that may not be read.

        Raises:
            SourceForbidden, SourceNotFound: the folder itself, at its beginning or at its end.
        """
        with os_errors(self.path), os.scandir(self.path):
            pass
        yield from walk_videos(self.path, quoted, self.uri.removesuffix("/") + "/", unreadable)
        _stat(self.path)  # a folder that was removed meanwhile looks empty

    def stat(self) -> VideoRef:
        """Size and time of the file."""
        facts = _file_stat(self.path)
        return VideoRef(self.uri, facts.st_size, iso_utc(facts.st_mtime), None)

    def read(self, max_bytes: int) -> bytes:
        """All bytes of a small file.

        Raises:
            SourceError: code `source.too_large`.
        """
        size_bytes = _file_stat(self.path).st_size
        if size_bytes > max_bytes:
            raise too_large(self.uri, size_bytes, max_bytes)
        with os_errors(self.path):
            return self.path.read_bytes()

    def fetch(self, dest_dir: Path, progress: Progress | None = None) -> LocalVideo:
        """Hash the file where it lies; `dest_dir` is not used.

        Raises:
            SourceUnavailable: code `source.changed`, when the file changed while it was read.
        """
        before = _file_stat(self.path)
        with os_errors(self.path):
            sha256 = ids.content_sha256(self.path, _reporter(progress, before.st_size))
        if _identity(_file_stat(self.path)) != _identity(before):
            raise SourceUnavailable(
                f"{self.path}: the file changed while it was read",
                code="source.changed",
                hint="wait until it is written completely",
                uri=self.uri,
            )
        return LocalVideo(self.path, self.uri, before.st_size, sha256, None, iso_utc(before.st_mtime), 0)


def _reporter(progress: Progress | None, total: int) -> Callable[[int], None] | None:
    return None if progress is None else lambda done: progress(done, total)


def _identity(facts: os.stat_result) -> tuple[int, int, int, int]:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _skipped(uri: str, error: OSError) -> None:
    log.warning("folder skipped", uri=uri, reason=error.strerror)


def _file_stat(path: Path) -> os.stat_result:
    facts = _stat(path)
    if not stat_bits.S_ISREG(facts.st_mode):
        what = "a folder" if stat_bits.S_ISDIR(facts.st_mode) else "not a regular file"
        raise SourceError(f"{path}: {what}, not a video file", code="source.not_a_file", uri=path_uri(path))
    return facts


def _stat(path: Path) -> os.stat_result:
    with os_errors(path):
        return path.stat()


@contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """OSError in this block comes out as one of ours."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceNotFound(f"{path}: no such file", uri=str(path)) from error
    except PermissionError as error:
        raise SourceForbidden(
            f"{path}: permission denied", hint="check the file's permissions", uri=str(path)
        ) from error
    except ValueError as error:  # a NUL in the name
        raise SourceNotFound(f"{str(path)!r}: not a file name", uri=repr(str(path))) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise SourceNotFound(f"{path}: {error.strerror}", uri=str(path)) from error
        raise SourceUnavailable(f"{path}: {error.strerror}", uri=str(path)) from error
