"""Where the weights in `triton_models/` come from, and the proof: made again from the original package, they are equal.

Packages are named with their sha256 and fetched by the registry's ordinary client; each file in them is checked too.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from framehouse.errors import ConfigError, SourceUnavailable
from framehouse.inference.convert.centernet import SIDE, convert_centernet
from framehouse.inference.convert.graph import import_onnx

log = structlog.get_logger(__name__)

_FETCH_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class NpmPackage:
    """One release of a package, known by the hash of its archive."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a file of the model repository is made."""

    target: str
    """Path inside the model repository."""
    package: NpmPackage
    files: Mapping[str, str]
    """Path inside the archive to sha256; the first one is what the converter is given."""
    convert: Callable[[Path], bytes]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found; it did not fail, so the file is equal to the one in the repository."""

    name: str
    target: Path
    sha256: str
    size_bytes: int
    same_bytes: bool
    """False where another onnx release writes the same graph differently; the outputs were compared then."""
    written: bool


RECIPES: dict[str, Recipe] = {
    "detector": Recipe(
        target="detector_network/1/model.onnx",
        package=NpmPackage(
            "@vladmandic/human", "3.3.6", "425e9c51dbbca0c8934362b170cb0d54c2529c11c654b3c03092b16e9d6ad3f7"
        ),
        files={
            "package/models/centernet.json": "bfb942eaacc5becf738d536663bc4580a0ae9e560722306e6d4dd7fe4a09de05",
            "package/models/centernet.bin": "1b635a15009071f506f9f2b3519b31c072c534888989f30d269ffd44734ef7ef",
        },
        convert=convert_centernet,
    ),
}


def rebuild(name: str, repository: Path, *, archive: Path | None = None) -> Rebuilt:
    """Make a model's weights again from their package, and compare them with the file in the repository.

    A file that is missing in the repository is written.

    Args:
        name: key of `RECIPES`.
        repository: the model repository.
        archive: the package's archive, when it is at hand already; otherwise `npm pack` gets it.

    Raises:
        ConfigError: unknown name (`zoo.unknown`), onnx missing, no npm (`zoo.npm`), a hash that is not the pinned one
            (`zoo.hash`), or weights that differ (`zoo.differs`).
        SourceUnavailable: the package cannot be fetched (`zoo.fetch`).
    """
    recipe = RECIPES.get(name)
    if recipe is None:
        raise ConfigError(f"no recipe for {name!r}; known: {', '.join(RECIPES)}", code="zoo.unknown")
    import_onnx()
    with tempfile.TemporaryDirectory(prefix="framehouse-zoo-") as folder:
        fetched = archive or fetch(recipe.package, Path(folder))
        _check_hash(fetched.name, _sha256(fetched), recipe.package.sha256)
        sources = [_extract(fetched, member, digest, Path(folder)) for member, digest in recipe.files.items()]
        made = recipe.convert(sources[0])
    target = repository / recipe.target
    is_new = not target.exists()
    if is_new:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(made)
    same_bytes = made == target.read_bytes()
    if not same_bytes:
        _compare(name, made, target.read_bytes())
    digest = hashlib.sha256(made).hexdigest()
    log.info("model rebuilt", model=name, sha256=digest, same_bytes=same_bytes)
    return Rebuilt(name, target, digest, len(made), same_bytes, is_new)


def fetch(package: NpmPackage, folder: Path) -> Path:
    """Get a package's archive with npm; runs none of its scripts.

    Raises:
        ConfigError: npm is not installed.
        SourceUnavailable: npm could not get it.
    """
    npm = shutil.which("npm")
    wanted = f"{package.name}@{package.version}"
    if npm is None:
        raise ConfigError(
            f"npm is needed to get {wanted}",
            code="zoo.npm",
            hint="install npm, or give the archive that npm pack makes",
        )
    command = [npm, "pack", wanted, "--ignore-scripts", "--silent", "--pack-destination", str(folder)]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise SourceUnavailable(f"npm pack {wanted} took more than {_FETCH_TIMEOUT_S:g} s", code="zoo.fetch") from error
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode != 0 or not archives:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SourceUnavailable(f"npm pack {wanted} failed: {said}", code="zoo.fetch")
    return archives[0]


def _extract(archive: Path, member: str, sha256: str, folder: Path) -> Path:
    """One checked file out of an archive; files of one folder stay beside each other."""
    path = folder / Path(member).name
    with tarfile.open(archive) as tar:
        source = tar.extractfile(member)
        if source is None:
            raise ConfigError(f"{archive.name} has no file {member}", code="zoo.hash")
        path.write_bytes(source.read())
    _check_hash(member, _sha256(path), sha256)
    return path


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_hash(name: str, found: str, pinned: str) -> None:
    if found != pinned:
        raise ConfigError(f"{name} has sha256 {found}, expected {pinned}", code="zoo.hash")


def _compare(name: str, made: bytes, committed: bytes) -> None:
    """Same outputs, to the last bit, for pictures of noise.

    Raises:
        ConfigError: code `zoo.differs`.
    """
    noise = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    ours, theirs = _run(made, noise), _run(committed, noise)
    if not np.array_equal(ours, theirs):
        raise ConfigError(
            f"{name}: rebuilt weights differ from the repository's by up to {np.abs(ours - theirs).max():g}",
            code="zoo.differs",
        )


def _run(model: bytes, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = import_onnx("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: pictures})[0])
