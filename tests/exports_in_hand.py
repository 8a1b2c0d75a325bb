"""Files of `tests/data/exports`, tried in this process: what `models add` does in a process of its own, quickly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from framehouse.inference.exports import trial_run
from framehouse.inference.exports.add import feeds_of, per_picture
from framehouse.inference.exports.plan import Plan, Result, Sight, Wishes
from framehouse.inference.exports.recognise import recognise
from framehouse.inference.exports.source import image_input, read_export
from framehouse.inference.exports.trial import Run, outputs_of
from framehouse.inference.exports.wrap import wrap

EXPORTS = Path(__file__).parent / "data" / "exports"
MOST_BYTES = 1 << 20


def session(data: bytes | Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    given = data if isinstance(data, bytes) else str(data)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def look(path: Path, wishes: Wishes) -> Sight:
    """A file read, and run once untouched."""
    export = read_export(path, max_bytes=MOST_BYTES)
    image = image_input(export, wishes.size)
    facts = trial_run.run(np, session(path), feeds_of(export, image))
    return Sight(export, image, per_picture(Run(outputs_of(facts), facts["ms"])), wishes)


@dataclass(frozen=True)
class Wrapped:
    """A fixture with its plan."""

    path: Path
    sight: Sight
    plan: Plan
    data: bytes
    results: dict[str, Result]

    def run(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """What the wrapped file makes of uint8 [N, h, w, 3] RGB."""
        made = session(self.data)
        return dict(zip([port.name for port in made.get_outputs()], made.run(None, {"image": pictures}), strict=True))

    def raw(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """What the untouched file makes of its own inputs."""
        own = session(self.path)
        return dict(zip([port.name for port in own.get_outputs()], own.run(None, inputs), strict=True))


def wrapped(path: Path, **wishes: Any) -> Wrapped:
    sight = look(path, Wishes(**wishes))
    plan = recognise(sight)
    data, results = wrap(sight.export, sight.image, plan)
    return Wrapped(path, sight, plan, data, results)


def pictures_of(sight: Sight, count: int, seed: int = 0) -> np.ndarray:
    """uint8 [N, h, w, 3]: smooth, so that a network sees something, with noise."""
    width, height = sight.image.size
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 4, 3))
    smooth = np.repeat(np.repeat(coarse, -(-height // 4), axis=1), -(-width // 4), axis=2)[:, :height, :width]
    return (smooth * 0.8 + rng.integers(0, 51, smooth.shape)).astype(np.uint8)


def edited(path: Path, folder: Path, change: Any) -> Path:
    """A copy of a file that `change(model)` has changed."""
    model = onnx.load(path)
    change(model)
    target = folder / path.name
    target.write_bytes(model.SerializeToString())
    return target


def without_metadata(path: Path, folder: Path) -> Path:
    return edited(path, folder, lambda model: model.ClearField("metadata_props"))
