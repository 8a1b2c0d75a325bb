"""`make bench-scaling`: the same videos through 1, 2 and 4 Dask workers; from a folder, and from a store that is slow.

*Efficiency* = frames a second with n workers / (min(n, cores) × frames a second with 1). Triton runs on the same cores,
so a machine with few of them shows where its cores end, not where the code does: the second table has a store that
lets every request wait and sends slowly, where the time goes into waiting, which runs can share: there are as many run
slots as workers.

Writes bench/<time>-scaling.json; the last line is the efficiency of two workers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from framehouse.config import ROOT
from framehouse.samples import sample_videos
from framehouse.state import open_state
from local_stack import Stack, running_stack
from media import bench_video

CORES = os.cpu_count() or 1
INFER_FPS = "5"
_PIECE_BYTES = 256 * 1024


class _Slow(SimpleHTTPRequestHandler):
    """Serves files after a wait, at a limited rate: an object store far away."""

    def __init__(self, *args: Any, latency_s: float, rate_bytes: float, **kwargs: Any) -> None:
        self.latency_s, self.rate_bytes = latency_s, rate_bytes
        super().__init__(*args, **kwargs)

    def log_message(self, *_args: object) -> None: ...

    def send_head(self) -> Any:
        time.sleep(self.latency_s)
        return super().send_head()

    def copyfile(self, source: BinaryIO, target: BinaryIO) -> None:  # type: ignore[override]
        while piece := source.read(_PIECE_BYTES):
            target.write(piece)
            time.sleep(len(piece) / self.rate_bytes)


@contextmanager
def slow_store(folder: Path, latency_s: float, rate_bytes: float) -> Iterator[str]:
    """Serve a folder; each connection waits and is limited by itself, as in an object store."""
    handler = partial(_Slow, directory=str(folder), latency_s=latency_s, rate_bytes=rate_bytes)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def make_videos(folder: Path, n_videos: int, seconds: int) -> list[Path]:
    """The same pictures so many times, each file with content of its own."""
    cache = ROOT / ".framehouse-test"
    original = cache / f"bench_{seconds}s.mp4"
    if not original.exists():
        bench_video(sample_videos(cache / "samples")["bikes.mp4"], original, seconds=seconds)
    found = []
    for i in range(n_videos):
        note = f"copy {i}".encode()
        path = folder / f"video_{i:02d}.mp4"
        path.write_bytes(original.read_bytes() + (8 + len(note)).to_bytes(4, "big") + b"free" + note)
        found.append(path)
    return found


def one_run(places: list[str], n_workers: int) -> dict[str, float]:
    """A stack with so many workers and as many run slots does all the videos; from the first chunk to the last row."""
    settings = {"FRAMEHOUSE_DASK__N_WORKERS": str(n_workers), "FRAMEHOUSE_PREFECT__RUN_SLOTS": str(n_workers)}
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder) / "home", **settings) as stack:
        warm_up(stack)
        began, cpu = time.time(), _stack_cpu_s(stack)
        jobs = json.loads(stack.ok("run", *places, "--fps", INFER_FPS, "--json", timeout_s=1800))
        cpu = _stack_cpu_s(stack) - cpu
        state = open_state(f"sqlite:///{stack.home / 'state' / 'state.db'}")
        records = [state.job(job["job_id"]) for job in jobs]
        assert all(record.status == "done" for record in records), records
        n_frames = sum(record.n_planned for record in records)
        wall_s = max(float(record.finished_at or 0) for record in records) - began
        busy = cpu / wall_s / CORES
    return {"n_workers": n_workers, "n_frames": n_frames, "wall_s": wall_s, "frames_per_s": n_frames / wall_s,
            "cores_busy": busy}  # fmt: skip


def warm_up(stack: Stack) -> None:
    """One small video first: imports, caches, the handshake."""
    stack.ok("run", str(sample_videos(ROOT / ".framehouse-test" / "samples")["carphone_pristine.mp4"]), "--fps", "2")


def _stack_cpu_s(stack: Stack) -> float:
    """CPU seconds of the stack's processes so far, those that ended too."""
    import psutil

    total = 0.0
    for component in stack.facts()["components"].values():
        if not component["pid"]:
            continue
        root = psutil.Process(component["pid"])
        for process in [root, *root.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system + (times.children_user + times.children_system)
    return total


def table(title: str, runs: list[dict[str, float]]) -> list[float]:
    """Print one table; the efficiency of each row."""
    say(f"\n{title}")
    say(f"{'workers':>8}{'seconds':>10}{'frames/s':>10}{'cores busy':>12}{'speed-up':>10}{'efficiency':>12}")
    found = []
    for run in runs:
        speedup = run["frames_per_s"] / runs[0]["frames_per_s"]
        found.append(speedup / min(run["n_workers"], CORES))
        say(f"{run['n_workers']:>8.0f}{run['wall_s']:>10.1f}{run['frames_per_s']:>10.2f}{run['cores_busy']:>12.0%}"
            f"{speedup:>10.2f}{found[-1]:>12.2f}")  # fmt: skip
    return found


def main() -> int:
    """Measure, print, write the JSON."""
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="framehouse-scaling-") as scratch:
        videos = make_videos(Path(scratch), given.videos, given.seconds)
        size = videos[0].stat().st_size
        kind = f"{given.seconds} s of 1080p30, {size / 1e6:.0f} MB each"
        say(f"{given.videos} videos, {kind}, {INFER_FPS} frames a second; {CORES} cores, {platform.machine()}")
        near = [one_run([str(video) for video in videos], n) for n in given.workers]
        efficiency = table("videos in a folder", near)
        rate = size / given.download_s
        with slow_store(Path(scratch), given.latency_s, rate) as address:
            far = [one_run([address + video.name for video in videos], n) for n in given.workers]
        table(
            f"videos in a store that answers after {given.latency_s:g} s and sends {rate / 1e6:.1f} MB/s a connection",
            far,
        )
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    now = datetime.now(UTC)
    path = ROOT / "bench" / f"{now:%Y%m%dT%H%M%S}-scaling.json"
    path.parent.mkdir(exist_ok=True)
    document = {"at": now.isoformat(), "commit": commit, "cores": CORES, "folder": near, "slow_store": far}
    path.write_text(json.dumps(document, indent=1))
    say(f"written: {path.relative_to(ROOT)}")
    two = dict(zip([run["n_workers"] for run in near], efficiency, strict=True)).get(2, float("nan"))
    say(f"efficiency of two workers {two:.2f}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=24, help="length of each")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--latency-s", type=float, default=0.3, help="wait of each request to the slow store")
    parser.add_argument("--download-s", type=float, default=20.0, help="time that one video needs from the slow store")
    return parser.parse_args()


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
