"""Run a stranger's ONNX file once, in a process of its own: `python -I trial_run.py OWNER_PID < order.json`.

The order: `model` (path), `cpu_s`, `memory_bytes`, `runs`: a list of runs, each the inputs by name with dtype, dims and
what fills them: `noise`, `ones`, `zeros` or a list of numbers. The answer, one JSON line on stdout: `runs`, each
with `outputs` by name (dims, dtype, finite, low, high, columns: highest and lowest of each column of the last axis,
row_sums: lowest and highest sum over the last axis, sha256 of each picture's bytes) and `ms`, the best of three; or
`error`.

Limits are set before anything is loaded, and the process dies with its owner. It imports nothing of Framehouse.
"""

import ctypes
import hashlib
import json
import os
import resource
import signal
import sys
import time
from typing import Any

PR_SET_PDEATHSIG = 1
TRIES = 3
MOST_COLUMNS = 64


def main() -> None:
    """Read the order from stdin, write the answer to stdout."""
    order = json.load(sys.stdin)
    limit(int(sys.argv[1]), order)
    import numpy as np  # noqa: PLC0415  after the limits
    import onnxruntime as ort  # noqa: PLC0415

    try:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = ort.InferenceSession(order["model"], options, providers=["CPUExecutionProvider"])
        answer: dict[str, Any] = {"runs": [run(np, session, inputs) for inputs in order["runs"]]}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
    print(json.dumps(answer))


def limit(owner: int, order: dict[str, Any]) -> None:
    """Die with the owner; no core file, no large file, bounded memory and time."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != owner:
        sys.exit("the owner is gone")
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 1 << 20),
        (resource.RLIMIT_CPU, order["cpu_s"]),
        (resource.RLIMIT_AS, order["memory_bytes"]),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))


def run(np: Any, session: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """One run, timed."""
    feeds = {name: filled(np, *given) for name, given in inputs.items()}
    best_s = float("inf")
    for _ in range(TRIES):
        started = time.perf_counter()
        arrays = session.run(None, feeds)
        best_s = min(best_s, time.perf_counter() - started)
    names = [port.name for port in session.get_outputs()]
    outputs = {name: described(np, array) for name, array in zip(names, arrays, strict=True)}
    return {"outputs": outputs, "ms": round(best_s * 1000, 3)}


def filled(np: Any, dtype: str, dims: list[int], content: Any) -> Any:
    """An input: `noise` is the same for the same picture of a batch, whatever the batch's size."""
    if content == "noise":
        random = np.random.default_rng(0)
        scale = 255 if dtype == "uint8" else 1
        return (random.random(dims) * scale).astype(dtype)
    if content in ("ones", "zeros"):
        return np.full(dims, content == "ones", dtype)
    return np.array(content, dtype).reshape(dims)


def described(np: Any, array: Any) -> dict[str, Any]:
    """What can be said of an output without sending it."""
    facts: dict[str, Any] = {"dims": list(array.shape), "dtype": str(array.dtype)}
    facts["pictures"] = [hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest() for part in array[:16]]
    if array.size == 0 or array.dtype.kind not in "fiu":
        return facts
    wide = array.astype(np.float64)
    facts["finite"] = bool(np.isfinite(wide).all())
    wide = np.nan_to_num(wide, nan=0.0, posinf=1e30, neginf=-1e30)
    facts.update(low=float(wide.min()), high=float(wide.max()))
    if array.ndim >= 2:
        rows = wide.reshape(-1, array.shape[-1])
        sums = rows.sum(axis=1)
        facts["row_sums"] = [float(sums.min()), float(sums.max())]
        facts["columns"] = [[float(low), float(high)] for low, high in zip(rows.min(0), rows.max(0), strict=True)][
            :MOST_COLUMNS
        ]
    return facts


if __name__ == "__main__":
    main()
