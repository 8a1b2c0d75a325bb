"""What a frame costs: every model on a real Triton server, by instances, threads and pictures a request.

    python scripts/measure_models.py [NAME...] [--frames 24] [--pulled ocr moderation]

For each of three ways to use the cores a server of its own is started over a copy of the repository whose config.pbtxt
files say so. The pictures are frames of the sample videos, framed as a job frames them, asked again until a second has
passed. CPU is what the server and its helpers used, so other work on the machine blurs it less than time on the wall.
Prints the `[speed]` tables of the cards. Those that the cards have were taken in the same way at a load below 5; at one
of 8 on two cores the CPU figures came out up to twice as large, and could not tell which way is best.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.model_config import find_folders, read_config
from framehouse.inference.pull import pull
from framehouse.inference.pull_fetch import PullSource
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.server import TritonServer
from framehouse.inference.server_env import ensure_server_env
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.triton import TritonClient
from framehouse.samples import sample_videos
from framehouse.video.decode import FrameBatch, decode
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, frames_of_chunk, plan_frames

ROOT = Path(__file__).resolve().parents[1]
WAYS = ((1, 1), (2, 1), (1, 2))
"""(instances, threads of each)."""
BATCHES = (1, 4, 8)
IN_FLIGHT = 4
LEAST_S = 1.0
"""The kernel counts CPU in hundredths of a second."""
WARM_UP = 4


@dataclass(frozen=True, slots=True)
class Figure:
    """Milliseconds a frame of one model in one way."""

    instances: int
    threads: int
    batch: int
    cpu_ms: float
    wall_ms: float

    def line(self) -> str:
        """As a card has it; `ms` is CPU time in the server, `wall_ms` with four requests in flight."""
        return (
            f"  {{ instances = {self.instances}, threads = {self.threads}, batch = {self.batch}, "
            f"ms = {self.cpu_ms:.3g}, wall_ms = {self.wall_ms:.3g} }},"
        )


def main(arguments: Sequence[str]) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="What a frame costs, by instances, threads and pictures a request.")
    parser.add_argument("names", nargs="*", help="slugs; default: all that ship")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--pulled", nargs="*", default=[], help="entries of the manifest to pull and measure too")
    asked = parser.parse_args(arguments)
    started = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="measure-") as scratch:
        added = Path(scratch) / "added"
        added.mkdir()
        for name in asked.pulled:
            pull(name, [ROOT / "triton_models", added], PullSource(), accept=True)
        figures: dict[str, list[Figure]] = {}
        for instances, threads in WAYS:
            roots = [copied(root, Path(scratch) / f"{instances}x{threads}", instances, threads)
                     for root in (ROOT / "triton_models", added)]  # fmt: skip
            specs = load_specs(roots)
            names = asked.names or sorted({spec.slug for spec in specs.values()})
            with TritonServer(ensure_server_env(ROOT), roots, work_dir=roots[0].parent / "triton", models=[]) as server:
                for name in names:
                    spec = resolve(specs, name)
                    figures.setdefault(spec.model_id, []).extend(
                        measured(server, roots, spec, instances, threads, asked.frames)
                    )
        show(figures, started)
    return 0


def copied(root: Path, to: Path, instances: int, threads: int) -> Path:
    """A copy of a repository in which every model has so many instances, and every network so many threads."""
    made = to / root.name
    shutil.copytree(root, made)
    for path in made.glob("*/config.pbtxt"):
        text = re.sub(r"(instance_group \[ \{ count: )\d+", rf"\g<1>{instances}", path.read_text())
        threaded = r'(key: "intra_op_thread_count" value: \{ string_value: ")\d+'
        path.write_text(re.sub(threaded, rf"\g<1>{threads}", text))
    return made


def measured(
    server: TritonServer, roots: Sequence[Path], spec: ModelSpec, instances: int, threads: int, n_frames: int
) -> list[Figure]:
    """Every batch size that the model takes."""
    target = TritonTarget(server.url, shared_memory=False, request_timeout_s=120.0, in_flight=IN_FLIGHT)
    client, pictures = TritonClient(target), pictures_for(spec, n_frames)
    client.ensure_loaded(spec.steps)
    found, most = [], largest_batch(roots, spec)
    for batch in BATCHES:
        pieces = [pictures[i : i + batch] for i in range(0, len(pictures) - batch + 1, batch)]
        if batch > most:
            continue
        for piece in pieces[: max(1, WARM_UP // batch)]:
            ask(client, spec, [piece])
        cpu_s, began_s, n = cpu_of(server), time.perf_counter(), 0
        while (wall_s := time.perf_counter() - began_s) < LEAST_S:
            ask(client, spec, pieces)
            n += batch * len(pieces)
        cpu_s = cpu_of(server) - cpu_s
        found.append(Figure(instances, threads, batch, 1000 * cpu_s / n, 1000 * wall_s / n))
        sys.stderr.write(f"{spec.model_id} {found[-1].line().strip()}\n")
    client.close()
    return found


def largest_batch(roots: Sequence[Path], spec: ModelSpec) -> int:
    """Pictures that the server's model takes in one request."""
    config = read_config(find_folders(roots), spec.triton_model)
    return max(1, int(config.get("max_batch_size", [1])[0]))


def ask(client: TritonClient, spec: ModelSpec, pieces: Sequence[NDArray[np.uint8]]) -> None:
    """Send the pictures, four requests in flight, and wait for the answers."""
    adapter, waiting = ADAPTERS[spec.family], []
    for piece in pieces:
        if len(waiting) == IN_FLIGHT:
            waiting.pop(0).result()
        waiting.append(client.submit(spec.triton_model, adapter.to_inputs(piece), version=spec.triton_version))
    for future in waiting:
        future.result()


def pictures_for(spec: ModelSpec, n: int) -> NDArray[np.uint8]:
    """The first frames of a sample video at five a second: the one with a face, which is what costs `gaze` most."""
    name = "carphone_pristine.mp4" if spec.kind == "gazes" else "bikes.mp4"
    video = sample_videos(ROOT / ".framehouse" / "samples")[name]
    index, found = probe(video), []
    for chunk in chunks(index):
        planned = frames_of_chunk(plan_frames(index, Fraction(10)), chunk)
        for item in decode(video, index.stream, chunk, planned, [spec.framing], batch_size=8):
            if isinstance(item, FrameBatch):
                found.append(item.pictures[spec.framing].copy())
    pictures = np.concatenate(found)
    return pictures[np.arange(n) % len(pictures)]


def cpu_of(server: TritonServer) -> float:
    """Seconds of CPU that the server and its helpers have used."""
    parent = psutil.Process(server.pid)
    spent = [process.cpu_times() for process in (parent, *parent.children(recursive=True))]
    return sum(times.user + times.system for times in spent)


def show(figures: dict[str, list[Figure]], load: float) -> None:
    """The tables, for the cards."""
    day, after = datetime.now(UTC).date(), os.getloadavg()[0]
    machine = f"{os.cpu_count()} CPU cores, {day}, load {min(load, after):.1f} to {max(load, after):.1f}"
    for model_id, rows in figures.items():
        say(f'# {model_id}\n[speed]\nmachine = "{machine}"\nserver_cpu_ms_per_frame = [')
        say("\n".join(row.line() for row in rows) + "\n]")


def say(text: str) -> None:
    """A line on stdout."""
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
