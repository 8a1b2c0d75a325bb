"""`make bench-costs`: what each stage costs, in CPU seconds and bytes; docs/scaling.md is calculated from it.

Three acts on one stack: many videos of two frames (what a job costs that infers nearly nothing), one 1080p30 video by
two models (what frames cost), and a made lake of a million boxes (what loading costs). Writes docs/scaling-costs.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from framehouse.config import ROOT
from framehouse.inference.repository import load_specs, resolve
from framehouse.results.lake import Lake
from framehouse.samples import sample_videos
from framehouse.state import open_state
from framehouse.store.publish import LoadEntry, Publisher, current_snapshot
from framehouse.video.decode import decode
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, frames_of_chunk, parse_infer_fps, plan_frames
from lakes import DETECTOR, plan, put_part, run, video_name
from lakes import video as made_video
from local_stack import Stack, running_stack
from media import CFR, bench_video, write

COSTS = ROOT / "docs" / "scaling-costs.json"
N_SHORT = 24
SECONDS = 64
MODELS = ("detector", "clip/1")


def main() -> int:
    """Measure all, write the file."""
    cache = ROOT / ".framehouse-test"
    samples = sample_videos(cache / "samples")
    video = cache / f"bench_{SECONDS}s.mp4"
    if not video.exists():
        bench_video(samples["bikes.mp4"], video, seconds=SECONDS)
    costs: dict[str, Any] = {"decode_cpu_s_per_hour": decoding(video), "video_bytes_per_hour": per_hour(video)}
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder) / "home") as stack:
        stack.ok("run", str(samples["carphone_pristine.mp4"]), "--fps", "2", *words(MODELS))  # warm
        costs["job_cpu_s"] = jobs(stack, Path(folder))
        costs |= frames(stack, video)
    costs |= loading()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    machine = {"cores": os.cpu_count(), "cpu": _cpu(), "load_before": os.getloadavg()[2]}
    document = {"at": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit[:12], "machine": machine, "costs": costs}
    COSTS.write_text(json.dumps(document, indent=1) + "\n")
    print(COSTS.read_text())
    return 0


def words(models: tuple[str, ...]) -> list[str]:
    """`--model NAME` for each."""
    return [word for model in models for word in ("--model", model)]


def per_hour(video: Path) -> int:
    """Bytes of an hour of such video."""
    return round(video.stat().st_size * 3600 / SECONDS)


def decoding(video: Path) -> dict[str, float]:
    """Rate of sampling -> CPU seconds of decoding and scaling an hour of 1080p30, one thread, for one model."""
    index, spec = probe(video), resolve(load_specs([ROOT / "triton_models"]), "detector")
    found = {}
    for rate in ("1", "5"):
        plan, began = plan_frames(index, parse_infer_fps(rate)), time.process_time()
        for chunk in chunks(index):
            for _ in decode(video, index.stream, chunk, frames_of_chunk(plan, chunk), [spec.framing]):
                pass
        found[rate] = round((time.process_time() - began) * 3600 / index.duration_s, 1)
    return found


def cpu_s(stack: Stack) -> Counter[str]:
    """Component -> CPU seconds of its processes so far, those that ended too."""
    found: Counter[str] = Counter()
    for name, component in stack.facts()["components"].items():
        root = psutil.Process(component["pid"])
        for process in [root, *root.children(recursive=True)]:
            times = process.cpu_times()
            found[name] += times.user + times.system + times.children_user + times.children_system
    return found


def jobs(stack: Stack, folder: Path) -> dict[str, float]:
    """Component -> CPU seconds that a job of one chunk and two frames costs, without what the stack takes at rest."""
    began = cpu_s(stack)
    time.sleep(10.0)
    idle = {name: (seconds - began[name]) / 10.0 for name, seconds in cpu_s(stack).items()}
    videos = [
        write(folder, replace(CFR, name=f"short_{i}.mp4", n_frames=12, first_number=40 * i)) for i in range(N_SHORT)
    ]
    before, since = cpu_s(stack), time.monotonic()
    stack.ok("run", *map(str, videos), "--fps", "1", timeout_s=600)
    time.sleep(3.0)  # what Prefect and the loader do afterwards belongs to the jobs
    after, lasted_s = cpu_s(stack), time.monotonic() - since
    return {
        name: round(max(0.0, after[name] - before[name] - idle[name] * lasted_s) / N_SHORT, 3) for name in sorted(after)
    }


def frames(stack: Stack, video: Path) -> dict[str, Any]:
    """What a frame costs a model in Triton and in the workers, and what it leaves behind."""
    infer: dict[str, float] = {}
    part_bytes: dict[str, float] = {}
    parts, state = stack.home / "lake" / "parts", open_state(f"sqlite:///{stack.home / 'state' / 'state.db'}")
    for model in MODELS:
        before, n_bytes = cpu_s(stack), _size(parts)
        (job,) = json.loads(stack.ok("run", str(video), "--fps", "5", "--model", model, "--json", timeout_s=600))
        after = cpu_s(stack)
        n = state.job(job["job_id"]).n_planned
        infer[model] = round((after["triton"] - before["triton"]) / n, 4)
        part_bytes[model] = round((_size(parts) - n_bytes) / n, 1)
    return {"infer_cpu_s_per_frame": infer, "part_bytes_per_frame": part_bytes}


def loading(n_parts: int = 50, frames_per_part: int = 10_000) -> dict[str, float]:
    """A million boxes (2 a frame on average) of one model, 50 videos, loaded and published."""
    with tempfile.TemporaryDirectory() as folder:
        lake, store = Lake(Path(folder) / "lake"), Path(folder) / "store"
        log = []
        for number in range(n_parts):
            job_id, video_id = f"j_{number}", video_name(number)
            lake.add_video(made_video(number, frames_per_part))
            lake.write_plan(job_id, video_id, plan(range(frames_per_part)))
            lake.write_run(run(job_id, number, n_planned=frames_per_part))
            put_part(lake, range(frames_per_part), number=number)
            log += [
                LoadEntry(2 * number + 1, "job", job_id=job_id),
                LoadEntry(2 * number + 2, "parts", video_id, DETECTOR),
            ]
        began = time.process_time()
        with Publisher(store, lake) as publisher:
            publisher.apply_and_publish(log)
            once_s = time.process_time() - began
            publisher.apply_and_publish([])  # the other file is brought up
        n_frames = n_parts * frames_per_part
        return {
            "load_cpu_s_per_million_frames": round(once_s * 1e6 / n_frames, 2),
            "database_bytes_per_frame": round(current_snapshot(store).stat().st_size / n_frames, 1),
        }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


if __name__ == "__main__":
    np.seterr(all="raise")
    sys.exit(main())
