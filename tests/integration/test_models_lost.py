"""A model that dies midway, is unloaded midway, or is gone from the server: named in time, and never a hang."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chunk_cases import ANSWER, SPEC, assert_whole, chunk_task, gaps, loaded, numbered_video
from framehouse.config import ROOT
from framehouse.errors import ConfigError, ModelNotReady, TritonUnavailable
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
import os, time
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
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
BODIES = {
    "numbers": "pass",
    "slow": "time.sleep(0.05)",
    "dying": "numbers(image)[0] == 20 and os._exit(7)",
    "missing": "pass",
}
SLOW = replace(SPEC, model_id="slow/1", slug="slow", triton_model="slow", digest="3" * 32, steps=("slow",))
DYING = replace(SPEC, model_id="dying/1", slug="dying", triton_model="dying", digest="4" * 32, steps=("dying",))
GONE = replace(SPEC, model_id="missing/1", slug="missing", triton_model="missing", digest="5" * 32, steps=("missing",))
NUMBERS = replace(SPEC, steps=("numbers",))
MakeTask = Callable[..., ChunkTask]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "triton_models" / "selftest", folder / "selftest")
    for name, body in BODIES.items():
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "config.pbtxt").write_text(CONFIG.replace("NAME", name))
        (folder / name / "1" / "model.py").write_text(ANSWER + MODEL.format(body=body))
    return folder


@pytest.fixture(scope="module")
def mortal(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    try:
        python = ensure_server_env(ROOT)
    except ConfigError as error:
        require("triton", error.line())
    with TritonServer(python, [repository], work_dir=tmp_path_factory.mktemp("triton"), models=[]) as server:
        yield server
    disconnect()


@pytest.fixture
def make_task(mortal: TritonServer, media_dir: Path, tmp_path: Path) -> MakeTask:
    """A function that makes the task of a chunk of 30 numbered frames; the server is alive."""
    mortal.start()
    mortal.wait_ready(60)

    def make(*models: ModelSpec, **changes: object) -> ChunkTask:
        target = TritonTarget(mortal.url, True, 20.0, 2)
        return chunk_task(numbered_video(media_dir), tmp_path, "all", triton=target, models=models, **changes)

    return make


def test_a_model_that_kills_itself_at_a_frame_is_named_and_what_came_before_stays(make_task: MakeTask) -> None:
    task = make_task(DYING, max_frames_per_part=4)
    began = time.monotonic()
    with pytest.raises(TritonUnavailable) as caught:
        infer_chunk(task)
    assert time.monotonic() - began < 25
    assert caught.value.retryable
    kept = loaded(task, DYING)
    assert set(kept) <= set(range(20))
    assert len(kept) >= 12
    assert gaps(task, DYING) == {}, "another try may mend it: no frame is given up"


def test_a_model_unloaded_midway_stops_and_the_next_try_loads_it_again(make_task: MakeTask) -> None:
    task = make_task(SLOW, NUMBERS, max_frames_per_part=4)
    client = connect(task.triton)

    def unload_after_a_part() -> None:
        parts_dir, deadline = Lake(Path(task.lake_root)).parts_dir(task.video_id, SLOW.digest), time.monotonic() + 20
        while not part_paths(parts_dir) and time.monotonic() < deadline:
            time.sleep(0.01)
        client.unload_model("slow")

    unloader = threading.Thread(target=unload_after_a_part)
    unloader.start()
    with pytest.raises(ModelNotReady):
        infer_chunk(task)
    unloader.join()
    assert 4 <= len(loaded(task, SLOW)) < 30
    assert gaps(task, SLOW) == {}
    assert loaded(task, NUMBERS) == list(range(30)), "the other model of the job is not held up"
    receipt = infer_chunk(task)
    assert_whole(task, receipt)
    assert [tally.n_loaded for tally in receipt.tallies] == [30, 30]


def test_a_model_that_the_server_lost_leaves_gaps_that_say_so(make_task: MakeTask, repository: Path) -> None:
    task = make_task(GONE, NUMBERS)
    (repository / "missing").rename(repository.parent / "taken-away")
    try:
        receipt = infer_chunk(task)
        assert gaps(task, GONE) == dict.fromkeys(range(30), "inference.model_broken")
        assert [(tally.n_loaded, tally.n_gaps) for tally in receipt.tallies] == [(0, 30), (30, 0)]
    finally:
        (repository.parent / "taken-away").rename(repository / "missing")
    assert infer_chunk(task).tallies[0].n_loaded == 30, "a later run tries the gaps again"
