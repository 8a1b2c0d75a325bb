"""A portrait out of a package that carries it, for the tests of faces and of where they look."""

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
ASTRONAUT = "skimage/data/astronaut.png"
_SHA256 = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"


def astronaut(cache: Path) -> NDArray[Any]:
    """Eileen Collins by NASA (public domain), uint8 [512, 512, 3] RGB: one face of 105 pixels that looks at us.

    Fetched once (13.7 MB) and kept in the folder `cache`.

    Raises:
        SourceUnavailable: the package cannot be fetched.
    """
    kept = cache / Path(ASTRONAUT).name
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".stills-") as folder:
            files_of(PACKAGE, {ASTRONAUT: _SHA256}, Path(folder))[0].replace(kept)
    coded = np.frombuffer(kept.read_bytes(), np.uint8)
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
