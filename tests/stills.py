"""Pictures out of a package that carries them, for the tests of faces, looks, points and tags."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from framehouse.packages import PypiWheel, files_of

PACKAGE = PypiWheel(
    "scikit-image",
    "0.26.0",
    "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
    ("3.11", "manylinux_2_28"),
)
SHA256 = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
}
"""`astronaut`: Eileen Collins by NASA, 512 x 512, public domain. `chelsea`: a cat, 451 x 300, by Stefan van der Walt,
CC0. `coffee`: an espresso, 600 x 400, by Rachel Michetti, CC0."""


def astronaut(cache: Path) -> NDArray[Any]:
    """One face of 105 pixels that looks at us."""
    return still("astronaut.png", cache)


def still(name: str, cache: Path) -> NDArray[Any]:
    """One of the pictures, uint8 [H, W, 3] RGB.

    Fetched once (13.7 MB) and kept in the folder `cache`.

    Raises:
        SourceUnavailable: the package cannot be fetched.
    """
    if not all((cache / each).exists() for each in SHA256):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".stills-") as folder:
            wanted = {f"skimage/data/{each}": sha256 for each, sha256 in SHA256.items()}
            for found in files_of(PACKAGE, wanted, Path(folder)):
                found.replace(cache / found.name)
    coded = np.frombuffer((cache / name).read_bytes(), np.uint8)
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
