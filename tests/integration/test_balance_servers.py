"""Two real Triton servers that share the work: one is killed in mid-chunk and taken up again; no frame is missed."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from chunk_cases import ANSWER, SPEC, assert_whole, chunk_task, gaps, numbered_video
from framehouse.errors import ConfigError
from framehouse.inference.balance import disconnect_all
from framehouse.inference.run import infer_chunk
from framehouse.inference.server import TritonServer
from framehouse.inference.server_env import ensure_server_env
from framehouse.inference.specs import TritonTarget
from real_parts import require

pytestmark = pytest.mark.real("triton")

SLOW = replace(SPEC, model_id="slow/1", slug="slow", triton_model="slow", digest="3" * 32, steps=("slow",))
MODEL = """
import time
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        return [self.reply(pb_utils.get_input_tensor_by_name(r, "image").as_numpy()) for r in requests]
    def reply(self, image):
        time.sleep(0.1)
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in answer(image).items()])
"""
CONFIG = """
name: "slow"
backend: "python"
max_batch_size: 8
input [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
output [
  { name: "boxes" data_type: TYPE_FP32 dims: [ 4, 4 ] }, { name: "scores" data_type: TYPE_FP32 dims: [ 4 ] },
  { name: "classes" data_type: TYPE_INT32 dims: [ 4 ] }, { name: "count" data_type: TYPE_INT32 dims: [ 1 ] }
]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""


@pytest.fixture
def pair(checkout: Path, tmp_path: Path) -> Iterator[list[TritonServer]]:
    """Two servers with the same models."""
    repository = tmp_path / "models"
    shutil.copytree(checkout / "triton_models" / "selftest", repository / "selftest")
    (repository / "slow" / "1").mkdir(parents=True)
    (repository / "slow" / "config.pbtxt").write_text(CONFIG)
    (repository / "slow" / "1" / "model.py").write_text(ANSWER + MODEL)
    try:
        python = ensure_server_env(checkout)
    except ConfigError as error:
        require("triton", error.line())
    with ExitStack() as running:
        yield [
            running.enter_context(TritonServer(python, [repository], work_dir=tmp_path / name)) for name in ("a", "b")
        ]
        disconnect_all()


def test_a_killed_server_costs_no_frame_and_is_taken_up_again(
    pair: list[TritonServer], media_dir: Path, tmp_path: Path
) -> None:
    target = TritonTarget(",".join(server.url for server in pair), True, 20.0, 2)
    task = chunk_task(numbered_video(media_dir), tmp_path / "lake", "all", models=(SLOW,), triton=target)
    task = replace(task, max_frames_per_part=5)
    threading.Timer(0.8, kill, args=(pair[0],)).start()
    receipt = infer_chunk(task)
    assert not pair[0].alive(), "it was to be killed while the chunk was inferred"
    assert_whole(task, receipt)
    assert gaps(task, SLOW) == {} and receipt.tallies[0].n_loaded == task.planned.size

    pair[0].start()
    pair[0].wait_ready(60)
    kill(pair[1])
    other = replace(task, lake_root=str(tmp_path / "other"))
    assert_whole(other, infer_chunk(other))


def kill(server: TritonServer) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
