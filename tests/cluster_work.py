"""What the tasks of test_cluster.py do. Dask workers import it by name, so it stays light."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from framehouse.errors import InferenceError, InferenceTimeout, TritonUnavailable
from framehouse.inference.run import ChunkTask
from framehouse.video.decode import FrameGap, decode
from framehouse.video.framing import stretched

Beat = Callable[[], None]


def double(number: int, beat: Beat) -> int:
    beat()
    return 2 * number


def is_at_most(process: int) -> bool:
    """Whether the worker that is asked has a process id of at most this."""
    return os.getpid() <= process


def slow_double(number: int, beat: Beat) -> int:
    for _ in range(10):
        time.sleep(0.05)
        beat()
    return 2 * number


def steady(task: Deadly, beat: Beat) -> int:
    """Three seconds, a beat every tenth of one; counts its runs as `maybe_die` does."""
    runs = Path(task.folder) / str(task.number)
    runs.mkdir(exist_ok=True)
    (runs / str(len(list(runs.iterdir())))).touch()
    for _ in range(30):
        time.sleep(0.1)
        beat()
    return task.number


def fail(kind: str, _beat: Beat) -> None:
    if kind == "final":
        raise InferenceError("a shape", code="inference.shape", hint="look", model="detector/1", second=1.5)
    if kind == "retryable":
        raise TritonUnavailable("nobody at 127.0.0.1:1")
    raise PermissionError(13, "not yours", "/lake")


@dataclass(frozen=True, slots=True)
class Deadly:
    """A task that ends its worker process, so often; `folder` counts its runs, one file each."""

    number: int
    folder: str
    deaths: int = 0
    by: str = "kill"


def maybe_die(task: Deadly, beat: Beat) -> int:
    runs = Path(task.folder) / str(task.number)
    runs.mkdir(exist_ok=True)
    n_before = len(list(runs.iterdir()))
    (runs / str(n_before)).touch()
    if n_before < task.deaths:
        if task.by == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if task.by == "timeout":
            raise InferenceTimeout("a request passed its deadline")
        time.sleep(600)  # no beat: the watchdog's business
    beat()
    return task.number


def fail_or_work(task: Deadly, beat: Beat) -> int:
    """Fails at once for good, or takes two seconds; counts its runs as `maybe_die` does."""
    (Path(task.folder) / str(task.number)).mkdir(exist_ok=True)
    if task.deaths:
        raise TritonUnavailable("nobody at 127.0.0.1:1")
    for _ in range(20):
        time.sleep(0.1)
        beat()
    return task.number


@dataclass(frozen=True, slots=True)
class Receipt:
    n_decoded: int
    n_gaps: int
    rss_bytes: int
    """Of the worker."""


def decode_chunk(task: ChunkTask, beat: Beat) -> Receipt:
    """`infer_chunk` without a model: every planned frame of the chunk is decoded and let go."""
    n_decoded = n_gaps = 0
    items = decode(
        Path(task.path), task.stream, task.chunk, task.planned, [stretched((64, 60))], batch_size=8, beat=beat
    )
    with closing(items):
        for item in items:
            if isinstance(item, FrameGap):
                n_gaps += 1
            else:
                n_decoded += item.frame_offset.size
    return Receipt(n_decoded, n_gaps, psutil.Process().memory_info().rss)
