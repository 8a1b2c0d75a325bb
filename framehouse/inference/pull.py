"""`framehouse models pull`: an entry of the pinned manifest becomes model folders in FRAMEHOUSE_HOME/models.

::

    models/.pulling/<name>/<sha256>   files that are here and right; kept until the entry is installed
    models/.pulling/<name>/stage/     the folders being put together
    models/<folder>/                  renamed into place: steps first, what people ask for last

So a pull that is killed leaves nothing that anybody could ask for, and the next one goes on with what it had.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from framehouse.errors import ConfigError
from framehouse.inference.pull_fetch import PullSource, fetch_file
from framehouse.inference.pull_install import Installed, find_installed, install
from framehouse.inference.pull_manifest import PinnedFile, find_entry
from framehouse.results.files import make_folder
from framehouse.storage.base import Progress

log = structlog.get_logger(__name__)

WORK_NAME = ".pulling"
_STAGE_NAME = "stage"
_LOCK_NAME = "lock"

FileProgress = Callable[[PinnedFile], Progress]
"""Called with a file that is about to be fetched; gives what is called with its bytes."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull left."""

    installed: Installed
    was_here: bool
    """Nothing was done: the very same entry was installed already."""


def pull(
    name: str,
    roots: Sequence[Path],
    source: PullSource,
    *,
    accept: bool = False,
    manifest: Path | None = None,
    progress: FileProgress | None = None,
) -> Pulled:
    """Fetch, verify and install an entry; the second call finds it installed.

    Args:
        name: of the entry.
        roots: model repositories, the shipped one first; the last one is where it goes.
        source: where files come from.
        accept: the entry's notice, if it has one, is accepted.
        manifest: folder of the entries; None takes the ones that ship.
        progress: told of each file and of its bytes.

    Raises:
        ConfigError: `models.unknown`; `models.licence`, a notice is not accepted; or as `pull_install.install`.
        SourceError: as `pull_fetch.fetch_file`.
    """
    entry = find_entry(name, manifest)
    found = find_installed(entry, roots)
    if found is not None:
        return Pulled(found, was_here=True)
    if entry.notice and not accept:
        raise ConfigError(
            f"{name}: {' '.join(entry.notice.split())}",
            code="models.licence",
            hint=f"if you accept that: framehouse models pull {name} --accept-licence",
        )
    work = roots[-1] / WORK_NAME
    with _locked(work):
        found = find_installed(entry, roots)
        if found is not None:  # another pull was quicker
            return Pulled(found, was_here=True)
        files = [fetch_file(entry, file, work / name, source, progress and progress(file)) for file in entry.files]
        install(entry, files, work / name / _STAGE_NAME, roots)
        shutil.rmtree(work / name)
    found = find_installed(entry, roots)
    if found is None:
        raise ConfigError(f"{name}: removed while it was pulled", code="models.exists", hint="pull again")
    log.info("model pulled", model=name, folders=list(found.folders))
    return Pulled(found, was_here=False)


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    """One pull at a time; an OS lock, freed by any death."""
    make_folder(work)
    with (work / _LOCK_NAME).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("waiting for another pull")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
