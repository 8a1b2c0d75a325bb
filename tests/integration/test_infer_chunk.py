"""`infer_chunk` on a real Triton server: deaths, stops and repeats change no row (cases in tests/chunk_cases.py)."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from chunk_cases import ANSWER, SMALL, SPEC, assert_whole, chunk_task, gaps, loaded, numbered_video, parts_of
from framehouse.errors import ConfigError, InferenceTimeout, ModelNotReady, TritonUnavailable
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.run import ChunkTask, infer_chunk
from framehouse.inference.server import TritonServer
from framehouse.inference.server_env import ensure_server_env
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.triton import connect, disconnect
from framehouse.results.lake import Lake
from framehouse.results.parts import part_paths
from real_parts import require

pytestmark = pytest.mark.real("triton")

MODEL = """
import time
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        return [self.reply(pb_utils.get_input_tensor_by_name(r, "image").as_numpy()) for r in requests]
    def reply(self, image):
        {body}
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in answer(image).items()])
"""
CONFIG = """
name: "NAME"
backend: "python"
max_batch_size: 8
input [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
output [
  { name: "boxes" data_type: TYPE_FP32 dims: [ 4, 4 ] }, { name: "scores" data_type: TYPE_FP32 dims: [ 4 ] },
  { name: "classes" data_type: TYPE_INT32 dims: [ 4 ] }, { name: "count" data_type: TYPE_INT32 dims: [ 1 ] }
]
instance_group [ { count: 2 kind: KIND_CPU } ]
"""
BODIES = {
    "numbers": "pass",
    "small": "pass",
    "slow": "time.sleep(0.05)",
    "picky": "assert 4 not in numbers(image), 'not four'",
}
SLOW = replace(SPEC, model_id="slow/1", slug="slow", triton_model="slow", digest="3" * 32)
PICKY = replace(SPEC, model_id="picky/1", slug="picky", triton_model="picky", digest="4" * 32, max_batch=4)


@pytest.fixture(scope="module")
def mortal(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A server of this file's own, with models that read the number of a picture; tests may stop and kill it."""
    repository = tmp_path_factory.mktemp("models")
    shutil.copytree(checkout / "triton_models" / "selftest", repository / "selftest")
    for name, body in BODIES.items():
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(CONFIG.replace("NAME", name))
        (repository / name / "1" / "model.py").write_text(ANSWER + MODEL.format(body=body))
    try:
        python = ensure_server_env(checkout)
    except ConfigError as error:
        require("triton", error.line())
    with TritonServer(python, [repository], work_dir=tmp_path_factory.mktemp("triton")) as server:
        yield server
    disconnect()


@pytest.fixture
def server(mortal: TritonServer) -> TritonServer:
    """The same, alive again whatever the test before did."""
    mortal.start()
    mortal.wait_ready(60)
    return mortal


@pytest.fixture
def make_task(server: TritonServer, media_dir: Path, tmp_path: Path) -> Callable[..., ChunkTask]:
    """A function that makes the task of one chunk; `models`, `shared`, `timeout_s` and any field may be changed."""

    def make(fps: object = "all", *, shared: bool = True, timeout_s: float = 20.0, **changes: object) -> ChunkTask:
        target = TritonTarget(server.url, shared, timeout_s, 3)
        lake = changes.pop("lake", tmp_path / "lake")
        return chunk_task(numbered_video(media_dir), lake, fps, triton=target, **changes)  # type: ignore[arg-type]

    return make


def table(task: ChunkTask, spec: ModelSpec = SPEC) -> list[tuple[object, ...]]:
    """Every instant and its rows without times, sorted: equal for equal results."""
    found: list[tuple[object, ...]] = []
    for part in parts_of(task, spec):
        columns = {name: values.tolist() for name, values in part.rows.columns().items()}
        found += zip(part.rows.frame_offset.tolist(), *columns.values(), strict=True)
    return sorted(found)


def until(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


@pytest.mark.parametrize("shared", [True, False])
def test_every_planned_instant_gets_the_rows_of_its_own_frame(
    make_task: Callable[..., ChunkTask], shared: bool
) -> None:
    sparse = make_task(Fraction(5), shared=shared)
    assert_whole(sparse, infer_chunk(sparse))
    assert connect(sparse.triton).uses_shared_memory() is shared
    task = make_task(shared=shared, models=(SPEC, SMALL), max_frames_per_part=8)
    receipt = infer_chunk(task)
    assert_whole(task, receipt)
    assert [tally.n_inferred for tally in receipt.tallies] == [25, 30]
    again = infer_chunk(task)
    assert_whole(task, again)
    assert (again.n_decoded, [tally.n_inferred for tally in again.tallies]) == (0, [0, 0])


def test_a_refused_frame_is_a_gap_also_in_a_batch(make_task: Callable[..., ChunkTask]) -> None:
    task = make_task(models=(PICKY, SPEC))
    receipt = infer_chunk(task)
    assert gaps(task, PICKY) == {4: "inference.error"}
    assert [(tally.n_loaded, tally.n_gaps) for tally in receipt.tallies] == [(29, 1), (30, 0)]
    assert infer_chunk(task).tallies[0].gap_reasons == (("inference.error", 1),)


def test_a_model_that_is_not_there_is_worth_another_try(make_task: Callable[..., ChunkTask]) -> None:
    task = make_task(models=(SPEC, replace(SMALL, triton_model="nope")))
    with pytest.raises(ModelNotReady) as caught:
        infer_chunk(task)
    assert caught.value.retryable
    assert gaps(task) == {}


def test_a_server_killed_midway_costs_only_what_was_in_flight(
    make_task: Callable[..., ChunkTask], server: TritonServer, tmp_path: Path
) -> None:
    undisturbed = make_task(lake=tmp_path / "calm", models=(SLOW,))
    infer_chunk(undisturbed)
    task = make_task(models=(SLOW,), max_frames_per_part=4)
    assert server.pid is not None
    killer = threading.Thread(target=kill_after_a_part, args=(task, server.pid))
    killer.start()
    began = time.monotonic()
    with pytest.raises(TritonUnavailable):
        infer_chunk(task)
    assert time.monotonic() - began < 10
    killer.join()
    kept = loaded(task, SLOW)
    assert 4 <= len(kept) < 30
    until(lambda: not server.alive())
    with pytest.raises(TritonUnavailable):
        infer_chunk(task)
    server.start()
    server.wait_ready(60)
    until(connect(task.triton).server_ready)
    receipt = infer_chunk(task)
    assert_whole(task, receipt)
    assert receipt.tallies[0].n_inferred == 30 - len(kept)
    assert table(task, SLOW) == table(undisturbed, SLOW)


def kill_after_a_part(task: ChunkTask, pid: int) -> None:
    parts_dir = Lake(Path(task.lake_root)).parts_dir(task.video_id, SLOW.digest)
    until(lambda: bool(part_paths(parts_dir)))
    os.kill(pid, signal.SIGKILL)


def test_a_stopped_server_shows_at_the_deadline(make_task: Callable[..., ChunkTask], server: TritonServer) -> None:
    task = make_task(timeout_s=1.0)
    connect(task.triton).uses_shared_memory()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(InferenceTimeout):
            infer_chunk(task)
        assert time.monotonic() - began < 6
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert gaps(task) == {}
    until(connect(task.triton).server_ready)
    assert_whole(task, infer_chunk(task))


WORKER = """
import pickle, sys
from framehouse.inference.run import infer_chunk
infer_chunk(pickle.load(sys.stdin.buffer))
"""


def start_worker(task: ChunkTask, checkout: Path) -> subprocess.Popen[bytes]:
    worker = subprocess.Popen([sys.executable, "-c", WORKER], stdin=subprocess.PIPE, cwd=checkout)
    assert worker.stdin is not None
    worker.stdin.write(pickle.dumps(task))
    worker.stdin.close()
    return worker


def test_a_killed_worker_loses_only_what_had_no_part(make_task: Callable[..., ChunkTask], checkout: Path) -> None:
    task = make_task(models=(SLOW,), max_frames_per_part=4)
    parts_dir = Lake(Path(task.lake_root)).parts_dir(task.video_id, SLOW.digest)
    with start_worker(task, checkout) as worker:
        until(lambda: len(part_paths(parts_dir)) >= 2)
        worker.kill()
    kept = loaded(task, SLOW)
    assert 8 <= len(kept) < 30
    receipt = infer_chunk(task)
    assert_whole(task, receipt)
    assert receipt.tallies[0].n_inferred == 30 - len(kept)


def test_two_workers_at_once_on_one_chunk_agree(make_task: Callable[..., ChunkTask], checkout: Path) -> None:
    task = make_task(models=(SLOW,), max_frames_per_part=4)
    with start_worker(task, checkout) as first, start_worker(task, checkout) as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)
    assert {row[:2] for row in table(task, SLOW)} == {(i, i) for i in range(30)}
    assert len(set(table(task, SLOW))) == 30
    assert infer_chunk(task).tallies[0].n_inferred == 0


def test_the_detector_sees_a_real_video(
    triton: TritonServer, sample_videos: dict[str, Path], checkout: Path, tmp_path: Path
) -> None:
    spec = resolve(load_specs([checkout / "triton_models"]), "detector")
    target = TritonTarget(triton.url, True, 20.0, 4)
    bikes = next(path for path in sample_videos.values() if path.name == "bikes.mp4")
    task = chunk_task(bikes, tmp_path, Fraction(5), chunk=3, models=(spec,), triton=target)
    receipt = infer_chunk(task)
    assert (receipt.tallies[0].n_loaded, receipt.tallies[0].n_gaps) == (task.planned.size, 0)
    rows: list[Any] = [part.rows for part in parts_of(task, spec)]
    seen = {name for row in rows for name in row.where(row.confidence >= 0.4).class_name}
    assert "car" in seen
    by_bytes = replace(task, lake_root=str(tmp_path / "bytes"), triton=replace(target, shared_memory=False))
    infer_chunk(by_bytes)
    assert table(task, spec) == table(by_bytes, spec) != []
