"""`make bench`: what the pipeline costs, against the bare stages of the same run on the same video.

*Pipeline efficiency* = ideal time / wall time from the first chunk's start to the rows published, where the ideal is
(CPU seconds of the decoding that is needed + of single-thread inference, alone on the machine) / cores. Writes
bench/<time>.json; the last line is the efficiency.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import av
import cv2
import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from framehouse.config import ROOT
from framehouse.ids import content_sha256, video_id
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.run import ChunkTask, infer_chunk
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.samples import sample_videos
from framehouse.state import Job, open_state
from framehouse.telemetry import configure_logging
from framehouse.video.decode import FrameBatch, decode
from framehouse.video.index import VideoIndex
from framehouse.video.probe import probe
from framehouse.video.sampling import chunks, frames_of_chunk, parse_infer_fps, plan_frames
from local_stack import Stack, running_stack
from media import bench_video

INFER_FPS = "5"
CORES = os.cpu_count() or 1


def main() -> int:
    """Measure, print, write the JSON."""
    arguments = _arguments()
    cache = ROOT / ".framehouse-test"
    samples = sample_videos(cache / "samples")
    video = cache / f"bench_{arguments.seconds}s.mp4"
    if not video.exists():
        bench_video(samples["bikes.mp4"], video, seconds=arguments.seconds)
    index = probe(video)
    plan = plan_frames(index, parse_infer_fps(INFER_FPS))
    spec = resolve(load_specs([ROOT / "triton_models"]), "detector")
    n_frames = len(plan.frame_offset)
    say(f"{video.name}: {index.stream.width}x{index.stream.height}, {index.duration_s:.0f} s, {n_frames} of "
        f"{index.n_frames} frames at {INFER_FPS} fps; {CORES} cores, {_cpu()}")  # fmt: skip

    figures: dict[str, Any] = {"n_frames": n_frames, "n_source_frames": index.n_frames, "cores": CORES}
    figures["demux"] = measured("demux: the container's index", lambda: probe(video))
    figures["full_decode"] = measured("decode every frame, convert the wanted", lambda: full_decode(video, plan, spec))
    figures["our_decode"] = measured("decode what is needed", lambda: our_decode(video, index, plan, spec))
    pictures = wanted_pictures(video, index, plan, spec, limit=64)
    alone = [inference_ms("onnxruntime, 1 thread, no server", pictures, 1)]
    n_loop = min(arguments.loop_frames, n_frames)
    figures["loop"] = measured(
        f"the loop people write, first {n_loop} frames", lambda: plain_loop(video, plan.frame_offset[:n_loop], spec)
    )
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder) / "home") as stack:
        warm_up(stack, samples["carphone_pristine.mp4"])
        figures["core"] = measured(
            "our core on 2 processes: decode, Triton, parts", lambda: core_only(stack, video, index, plan, spec, folder)
        )
        figures["pipeline"] = pipeline(stack, video)
        alone.append(inference_ms("onnxruntime, 1 thread, again", pictures, 1))
    alone.append(inference_ms("onnxruntime, 1 thread, again", pictures, 1))
    busy_ms = inference_ms(f"onnxruntime, {CORES} processes x 1 thread at once", pictures, CORES)
    figures["inference"] = {"alone_ms": alone, "cpu_s_per_frame": median(alone) / 1e3, "all_cores_busy_ms": busy_ms}
    summary = summarise(figures, n_frames, n_loop)
    write(figures, summary)
    return 0


def measured(name: str, act: Callable[[], object]) -> dict[str, float]:
    """Wall and CPU seconds of an act; children that ended count."""
    wall, cpu = time.perf_counter(), _cpu_s()
    act()
    found = {"wall_s": time.perf_counter() - wall, "cpu_s": _cpu_s() - cpu}
    say(f"  {name:<48} {found['wall_s']:7.2f} s wall  {found['cpu_s']:7.2f} s CPU")
    return found


def inference_ms(name: str, pictures: np.ndarray, n_processes: int) -> float:
    """CPU milliseconds a frame of the ONNX file alone, one thread, frame by frame, in so many processes at once."""
    with get_context("spawn").Pool(n_processes) as pool:
        found = float(np.mean(pool.map(direct_inference, [pictures] * n_processes, chunksize=1)))
    say(f"  {name:<48} {found:7.1f} ms CPU a frame")
    return found


def full_decode(video: Path, plan: Any, spec: ModelSpec) -> int:
    """PyAV: decode all, reformat only the sampled frames."""
    wanted, n = set(plan.pts.tolist()), 0
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            if frame.pts in wanted:
                frame.reformat(spec.framing.width, spec.framing.height, "rgb24").to_ndarray()
                n += 1
    assert n == len(wanted)
    return n


def our_decode(video: Path, index: VideoIndex, plan: Any, spec: ModelSpec) -> int:
    """framehouse.video.decode over all chunks, in this process."""
    return sum(len(batch) for batch in _batches(video, index, plan, spec))


def wanted_pictures(video: Path, index: VideoIndex, plan: Any, spec: ModelSpec, limit: int) -> np.ndarray:
    """The first pictures that the model would get: uint8 [limit, h, w, 3]."""
    found = []
    for batch in _batches(video, index, plan, spec):
        found.append(batch.pictures[spec.framing])
        if len(found) >= limit:
            break
    return np.concatenate(found)


def _batches(video: Path, index: VideoIndex, plan: Any, spec: ModelSpec) -> Iterator[FrameBatch]:
    for chunk in chunks(index):
        for item in decode(video, index.stream, chunk, frames_of_chunk(plan, chunk), [spec.framing]):
            assert isinstance(item, FrameBatch), item
            yield item


def direct_inference(pictures: np.ndarray) -> float:
    """The same ONNX file without a server, frame by frame, one thread: CPU milliseconds a frame."""
    session = _session(1)
    session.run(None, {"image": pictures[:1]})
    began = time.process_time()
    for picture in pictures:
        session.run(None, {"image": picture[None]})
    return 1e3 * (time.process_time() - began) / len(pictures)


def _session(n_threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = ROOT / "triton_models" / "detector_network" / "1" / "model.onnx"
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def plain_loop(video: Path, wanted: np.ndarray, spec: ModelSpec) -> None:
    """OpenCV read(), resize, onnxruntime with its defaults: what a person writes first."""
    path = ROOT / "triton_models" / "detector_network" / "1" / "model.onnx"
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    capture = cv2.VideoCapture(str(video))
    due = set(wanted.tolist())
    for i in range(int(wanted[-1]) + 1):
        ok, picture = capture.read()
        assert ok
        if i in due:
            resized = cv2.cvtColor(cv2.resize(picture, (spec.framing.width, spec.framing.height)), cv2.COLOR_BGR2RGB)
            session.run(None, {"image": resized[None]})
    capture.release()


def core_only(stack: Stack, video: Path, index: VideoIndex, plan: Any, spec: ModelSpec, folder: str) -> None:
    """infer_chunk in as many processes as there are cores; neither Dask nor Prefect."""
    target = TritonTarget(stack.facts()["endpoints"]["triton_url"], True, 60.0, 4)
    tasks = [
        ChunkTask(
            job_id="bench", video_id=video_id(content_sha256(video)), path=str(video), stream=index.stream,
            chunk=chunk, planned=frames_of_chunk(plan, chunk), first_pts=int(index.pts[0]), models=(spec,),
            lake_root=f"{folder}/core", triton=target,
        )
        for chunk in chunks(index)
    ]  # fmt: skip
    with get_context("spawn").Pool(CORES) as pool:
        pool.map(_ready, range(CORES), chunksize=1)
        began = time.perf_counter()
        pool.map(infer_chunk, tasks, chunksize=1)
        _core_wall.append(time.perf_counter() - began)


_core_wall: list[float] = []


def _ready(_: int) -> None:
    """Each process once: quiet, imports done."""
    import pandas  # noqa: F401

    configure_logging(level="warning")
    time.sleep(1.0)


def warm_up(stack: Stack, video: Path) -> None:
    """One small video first: imports, caches, the handshake."""
    stack.ok("run", str(video), "--fps", "2")


def pipeline(stack: Stack, video: Path) -> dict[str, float]:
    """`framehouse run` on the video; times from the logs and the state database."""
    submitted = time.time()
    out = json.loads(stack.ok("run", str(video), "--fps", INFER_FPS, "--json"))
    command_s = time.time() - submitted
    job = open_state(f"sqlite:///{stack.home / 'state' / 'state.db'}").job(out[0]["job_id"])
    assert job.status == "done", job
    found = _phases(stack, job)
    say(f"  {'the pipeline: first chunk to rows published':<48} {found['wall_s']:7.2f} s wall")
    say(f"  {'start latency: submitted to first chunk':<48} {found['start_latency_s']:7.2f} s")
    return {**found, "command_s": command_s}


def _phases(stack: Stack, job: Job) -> dict[str, float]:
    """When the first chunk began, the last ended, the load was asked for, and the rows were out."""
    ended = [event for event in _events(stack, "dask-workers") if event["event"] == "chunk inferred"
             and event["video_id"] == job.video_id]  # fmt: skip
    parts = [event for event in _events(stack, "dask-workers") if event["event"] == "part written"
             and event["video_id"] == job.video_id]  # fmt: skip
    first = min(_epoch(event) - event["elapsed_s"] for event in ended)
    last = max(_epoch(event) for event in ended)
    asked = next(_epoch(e) for e in _events(stack, "runner") if e.get("hop") == "load" and e["job_id"] == job.job_id)
    assert job.finished_at is not None
    return {
        "wall_s": job.finished_at - first,
        "start_latency_s": first - job.submitted_at,
        "chunks_wall_s": last - first,
        "prefect_s": asked - last,
        "load_s": job.finished_at - asked,
        "parts_s": sum(event["elapsed_s"] for event in parts),
    }


def _events(stack: Stack, component: str) -> Iterator[dict[str, Any]]:
    for line in (stack.home / "logs" / f"{component}.log").read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def _epoch(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def summarise(figures: dict[str, Any], n_frames: int, n_loop: int) -> dict[str, float]:
    """Efficiency, and where the rest went, in shares of the pipeline's wall time."""
    ideal_s = (figures["our_decode"]["cpu_s"] + n_frames * figures["inference"]["cpu_s_per_frame"]) / CORES
    run, core_s = figures["pipeline"], _core_wall[0]
    wall_s = run["wall_s"]
    loop_fps = n_loop / figures["loop"]["wall_s"]
    parts_s = run["parts_s"] / CORES
    summary = {
        "ideal_s": ideal_s,
        "wall_s": wall_s,
        "frames_per_s": n_frames / wall_s,
        "loop_frames_per_s": loop_fps,
        "ratio_to_loop": n_frames / wall_s / loop_fps,
        "decode_saved": 1 - figures["our_decode"]["cpu_s"] / figures["full_decode"]["cpu_s"],
        "lost_triton_share": (core_s - ideal_s - parts_s) / wall_s,
        "lost_parts_share": parts_s / wall_s,
        "lost_dask_share": (run["chunks_wall_s"] - core_s) / wall_s,
        "lost_prefect_share": run["prefect_s"] / wall_s,
        "lost_load_share": run["load_s"] / wall_s,
        "start_latency_s": run["start_latency_s"],
        "efficiency": ideal_s / wall_s,
    }
    say(f"\nideal {ideal_s:.2f} s, pipeline {wall_s:.2f} s: {summary['frames_per_s']:.1f} frames/s, "
        f"{summary['ratio_to_loop']:.2f} x the plain loop ({loop_fps:.1f} frames/s)")  # fmt: skip
    say("lost: " + ", ".join(
        f"{name[5:-6]} {100 * value:.1f} %" for name, value in summary.items() if name.startswith("lost_")
    ))  # fmt: skip
    say(f"start latency {summary['start_latency_s']:.2f} s")
    busy_s = (figures["our_decode"]["cpu_s"] + n_frames * figures["inference"]["all_cores_busy_ms"] / 1e3) / CORES
    summary["efficiency_against_busy_cores"] = busy_s / wall_s
    alone_ms, busy_ms = 1e3 * figures["inference"]["cpu_s_per_frame"], figures["inference"]["all_cores_busy_ms"]
    say(
        f"with all cores busy this machine infers a frame in {busy_ms:.0f} ms instead of {alone_ms:.0f}: "
        f"against that ideal the efficiency is {busy_s / wall_s:.2f}"
    )
    return summary


def write(figures: dict[str, Any], summary: dict[str, float]) -> None:
    """bench/<time>.json with machine and commit; then the line that counts."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    now = datetime.now(UTC)
    path = ROOT / "bench" / f"{now:%Y%m%dT%H%M%S}.json"
    path.parent.mkdir(exist_ok=True)
    machine = {"cpu": _cpu(), "cores": CORES, "python": platform.python_version(), "system": platform.platform()}
    document = {"at": now.isoformat(), "commit": commit, "machine": machine, "summary": summary, "stages": figures}
    path.write_text(json.dumps(document, indent=1))
    say(f"written: {path.relative_to(ROOT)}")
    say(f"pipeline efficiency {summary['efficiency']:.2f}")


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the pipeline against its bare stages.")
    parser.add_argument("--seconds", type=int, default=80, help="length of the video; 60 or more")
    parser.add_argument("--loop-frames", type=int, default=120, help="frames for the plain loop")
    return parser.parse_args()


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
