"""Vectors of texts without a server: the text model's ONNX file, run here by onnxruntime (extra `models`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from framehouse.errors import ConfigError, InferenceError
from framehouse.inference.adapters.base import Tensor

_FILE = "model.onnx"


class ModelHere:
    """Takes the place of a server's client for one text model.

    Args:
        folder: the model's version folder, which holds `model.onnx`.

    Raises:
        ConfigError: code `search.no_text_vectors`, onnxruntime is not installed or the file is missing or broken.
    """

    def __init__(self, folder: Path) -> None:
        self._session = _session(folder / _FILE)

    def ensure_loaded(self, models: Sequence[str]) -> None:
        """Nothing to do: the file is open."""

    def infer(self, model: str, inputs: Mapping[str, NDArray[Any]], *, version: str = "") -> dict[str, Tensor]:
        """Outputs by name.

        Raises:
            InferenceError: the network refuses its input.
        """
        names = [output.name for output in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
        except Exception as error:  # onnxruntime's errors share no class
            raise InferenceError(f"{model}: {error}".splitlines()[0], model=model) from error


@lru_cache(maxsize=2)
def _session(path: Path) -> Any:
    try:
        import onnxruntime  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ConfigError(
            "no model server answers, and onnxruntime is not installed", code="search.no_text_vectors",
            hint='framehouse up, or: pip install "framehouse[models]"',
        ) from error  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no class
        raise ConfigError(
            f"{path.name} of {path.parent.parent.name} cannot be opened: {error}".splitlines()[0],
            code="search.no_text_vectors", hint="framehouse models check",
        ) from error  # fmt: skip
