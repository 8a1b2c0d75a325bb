"""Trying a file in a process of its own: it may crash, hang or eat memory there, and nothing else comes to harm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framehouse.errors import ConfigError
from framehouse.inference.convert.graph import import_onnx
from framehouse.inference.exports.source import Dim

RUNNER = Path(__file__).with_name("trial_run.py")
MEMORY_BYTES = 16 * 1024**3
"""Address space; onnxruntime reserves far more than it uses."""
_WEIGHTS_COPIES = 6

Fill = tuple[str, Sequence[int], Any]
"""dtype, dims, and what fills them: `noise`, `ones`, `zeros` or numbers."""


@dataclass(frozen=True, slots=True)
class Output:
    """What an output was like in a run."""

    name: str
    dims: tuple[int, ...]
    dtype: str
    finite: bool = True
    low: float = 0.0
    high: float = 0.0
    row_sums: tuple[float, float] = (0.0, 0.0)
    """Lowest and highest sum over the last axis."""
    columns: tuple[tuple[float, float], ...] = ()
    """Lowest and highest value of each place of the last axis, the first 64."""
    pictures: tuple[str, ...] = ()
    """sha256 of each picture's bytes."""

    @property
    def inner(self) -> tuple[int, ...]:
        """Dimensions without the batch."""
        return self.dims[1:]


@dataclass(frozen=True, slots=True)
class Run:
    """One run."""

    outputs: dict[str, Output]
    ms: float
    """Best of three, one thread."""


def try_model(name: str, model: Path, runs: Sequence[Mapping[str, Fill]], *, timeout_s: float) -> list[Run]:
    """Load a model and run it, once for each set of inputs.

    Args:
        name: what people call the file.

    Raises:
        ConfigError: `models.hangs`, `models.crashes`, `models.will_not_run` with onnxruntime's own words.
    """
    import_onnx("onnxruntime")
    order = {
        "model": str(model.absolute()),
        "cpu_s": int(timeout_s) + 1,
        "memory_bytes": MEMORY_BYTES + _WEIGHTS_COPIES * model.stat().st_size,
        "runs": [{key: list(fill) for key, fill in inputs.items()} for inputs in runs],
    }
    answer = _ask(name, order, timeout_s)
    if "error" in answer:
        raise ConfigError(
            f"{name} does not run: {' '.join(answer['error'].split())[:300]}",
            code="models.will_not_run",
            hint="try it with onnxruntime; export it again, with opset=17 and without optimizations",
        )
    return [Run(outputs_of(run), run["ms"]) for run in answer["runs"]]


def outputs_of(facts: Mapping[str, Any]) -> dict[str, Output]:
    """The outputs of one run, as `trial_run.py` tells of them."""
    return {name: _output(name, found) for name, found in facts["outputs"].items()}


def show_dims(dims: Sequence[Dim]) -> str:
    """Dimensions without the batch, for people."""
    return " x ".join(str(dim) for dim in dims)


def _ask(name: str, order: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """The child's answer. It is a leader of its own group, so that nothing of it stays."""
    environment = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    command = [sys.executable, "-I", str(RUNNER), str(os.getpid())]
    with tempfile.TemporaryDirectory(prefix="framehouse-trial-") as folder:
        child = subprocess.Popen(
            command, cwd=folder, env=environment, start_new_session=True, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            said, complaint = child.communicate(json.dumps(order), timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise _hangs(name, timeout_s) from error
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
    if child.returncode == -signal.SIGXCPU or (child.returncode == -signal.SIGKILL and not said):
        raise _hangs(name, timeout_s)
    return _answer(name, child.returncode, said, complaint)


def _answer(name: str, returncode: int, said: str, complaint: str) -> dict[str, Any]:
    if returncode == 0:
        try:
            found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
            return found  # noqa: TRY300
        except (ValueError, IndexError):
            pass
    last = (complaint.strip().splitlines() or [""])[-1][:200]
    how = signal.Signals(-returncode).name if returncode < 0 else f"exit code {returncode}"
    raise ConfigError(
        f"{name} crashes when it is run ({how}){': ' if last else ''}{last}",
        code="models.crashes",
        hint="the file is damaged, or needs more memory than there is; export it again",
    )


def _hangs(name: str, timeout_s: float) -> ConfigError:
    return ConfigError(
        f"{name} gave no answer to one picture within {timeout_s:g} s",
        code="models.hangs",
        hint="is it meant for a GPU? try a smaller --size, or a smaller model",
    )


def _output(name: str, facts: Mapping[str, Any]) -> Output:
    return Output(
        name=name,
        dims=tuple(facts["dims"]),
        dtype=facts["dtype"],
        finite=facts.get("finite", True),
        low=facts.get("low", 0.0),
        high=facts.get("high", 0.0),
        row_sums=tuple(facts.get("row_sums", (0.0, 0.0))),
        columns=tuple((low, high) for low, high in facts.get("columns", ())),
        pictures=tuple(facts["pictures"]),
    )
