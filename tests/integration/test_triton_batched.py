"""The profile `cpu-batched` on a real server: batches, levels, deadlines, cache, limit, and the load test."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException
from typer.testing import CliRunner

from framehouse.cli.main import app
from framehouse.errors import ConfigError, InferenceTimeout
from framehouse.inference.load_test import load_test, noise_requests
from framehouse.inference.profiles import BATCHED
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.server import TritonServer
from framehouse.inference.server_env import ensure_server_env
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.statistics import Statistics
from framehouse.inference.triton import TritonClient, _translate, level_of
from framehouse.repositories import Repositories
from real_parts import require

pytestmark = pytest.mark.real("triton")

BUSY_S = 2.0
MODELS = ("selftest", "tags", "clip", "clip_text")
SLOW = f"""
import time
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        time.sleep({BUSY_S} if pb_utils.get_input_tensor_by_name(requests[0], "x").as_numpy()[0, 0] == 0 else 0.1)
        given = [pb_utils.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("same", array)]) for array in given]
"""
SLOW_CONFIG = """
name: "slow"
backend: "python"
max_batch_size: 1
input [ { name: "x" data_type: TYPE_UINT8 dims: [ 1 ] } ]
output [ { name: "same" data_type: TYPE_UINT8 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
ENSEMBLE_CONFIG = """
name: "around_slow"
platform: "ensemble"
max_batch_size: 1
input [ { name: "x" data_type: TYPE_UINT8 dims: [ 1 ] } ]
output [ { name: "same" data_type: TYPE_UINT8 dims: [ 1 ] } ]
ensemble_scheduling { step [ {
  model_name: "slow" model_version: 1
  input_map { key: "x" value: "x" } output_map { key: "same" value: "same" }
} ] }
"""


@pytest.fixture(scope="module")
def repository(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of ours, and one that takes its time, with the queue of the profile."""
    root = tmp_path_factory.mktemp("models")
    for name in MODELS:
        shutil.copytree(checkout / "triton_models" / name, root / name)
    queue = (root / "tags" / "configs" / f"{BATCHED}.pbtxt").read_text()
    queue = queue[queue.index("dynamic_batching") : queue.index("parameters")]
    (root / "slow" / "1").mkdir(parents=True)
    (root / "slow" / "1" / "model.py").write_text(SLOW)
    (root / "slow" / "config.pbtxt").write_text(SLOW_CONFIG + queue.replace("[ 4, 8 ]", "[ 1 ]"))
    (root / "around_slow" / "1").mkdir(parents=True)
    (root / "around_slow" / "config.pbtxt").write_text(ENSEMBLE_CONFIG)
    return root


@pytest.fixture(scope="module")
def server(checkout: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    try:
        python = ensure_server_env(checkout)
    except ConfigError as error:
        require("triton", error.line())
    work_dir = tmp_path_factory.mktemp("triton")
    with TritonServer(
        python, [repository], work_dir=work_dir, config_name=BATCHED, cache_bytes=4 * 1024**2, executions=1
    ) as running:
        yield running


@pytest.fixture
def open_client(server: TritonServer) -> Iterator[Callable[..., TritonClient]]:
    opened: list[TritonClient] = []

    def open_one(timeout_s: float = 60.0, n: int = 16) -> TritonClient:
        opened.append(TritonClient(TritonTarget(server.url, True, timeout_s, n)))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


@pytest.fixture
def tags(repository: Path) -> ModelSpec:
    return resolve(load_specs(Repositories.of(repository, config_name=BATCHED)), "tags")


def one(number: int) -> dict[str, Any]:
    return {"x": np.full((1, 1), number, np.uint8)}


def counted(client: TritonClient, model: str) -> Statistics:
    return sum(client.statistics(model).values(), Statistics())


def done_since(client: TritonClient, model: str, earlier: Statistics, n_requests: int) -> Statistics:
    """What the server did since, once it has counted so many requests: it answers first."""
    deadline = time.monotonic() + 30.0
    while (done := counted(client, model).since(earlier)).n_requests < n_requests:
        assert time.monotonic() < deadline, done
        time.sleep(0.02)
    return done


def test_requests_of_many_clients_become_batches_with_the_same_numbers(
    open_client: Callable[..., TritonClient], tags: ModelSpec
) -> None:
    client, requests = open_client(), noise_requests(tags, 1, 24)
    alone = [client.infer("tags", inputs, version="1") for inputs in requests]
    assert set(done_since(client, "tags", Statistics(), 24).batches) == {1}
    before = counted(client, "tags")
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(lambda inputs: client.infer("tags", inputs, version="1"), requests))
    done = done_since(client, "tags", before, 24)
    assert (done.n_frames, done.n_requests) == (24, 24)
    assert max(done.batches) > 1
    assert sum(size * n for size, n in done.batches.items()) == 24
    assert done.n_executions == sum(done.batches.values()) < 24
    for mine, theirs in zip(alone, together, strict=True):
        np.testing.assert_allclose(mine["confidences"], theirs["confidences"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("model", ["slow", "around_slow"])
def test_an_urgent_request_overtakes_those_that_wait(open_client: Callable[..., TritonClient], model: str) -> None:
    client, order = open_client(), []
    lock = threading.Lock()

    def note(number: int) -> Callable[[Any], None]:
        def add(_future: Any) -> None:
            with lock:
                order.append(number)

        return add

    futures = []
    for number, priority in enumerate((0, -5, -5, 0, 0, 9, 9)):
        futures.append(client.submit(model, one(number), priority=priority))
        futures[-1].add_done_callback(note(number))
        if number == 0:
            time.sleep(0.2)  # it has the instance; the others wait
    answers = [int(future.result().outputs["same"][0, 0]) for future in futures]
    assert answers == list(range(7))
    assert order[0] == 0
    assert [set(order[i : i + 2]) for i in (1, 3, 5)] == [{5, 6}, {3, 4}, {1, 2}]


@pytest.mark.parametrize(("priority", "level"), [(100, 1), (1, 1), (0, 0), (-1, 3), (-100, 3)])
def test_levels(priority: int, level: int) -> None:
    assert level_of(priority) == level


def test_what_waits_too_long_is_refused_and_not_computed(open_client: Callable[..., TritonClient]) -> None:
    patient, hasty = open_client(), open_client(timeout_s=0.5)
    before = counted(patient, "slow")
    first = [patient.submit("slow", one(n)) for n in range(3)]
    late = [hasty.submit("slow", one(10 + n)) for n in range(4)]
    for future in late:
        with pytest.raises(InferenceTimeout):
            future.result()
    assert [int(future.result().outputs["same"][0, 0]) for future in first] == [0, 1, 2]
    assert patient.infer("slow", one(3))["same"][0, 0] == 3, "the queue is empty again"
    assert done_since(patient, "slow", before, 4).n_executions == 4


def test_the_server_refuses_by_itself(open_client: Callable[..., TritonClient]) -> None:
    """A client that would wait for ever still gets its answer, and that is a timeout of ours."""
    from tritonclient import grpc

    client = open_client()
    busy = client.submit("slow", one(0))
    time.sleep(0.2)
    asked = grpc.InferInput("x", [1, 1], "UINT8")
    asked.set_data_from_numpy(one(1)["x"])
    with pytest.raises(InferenceServerException) as caught:
        client._grpc.infer("slow", [asked], timeout=1000)
    assert isinstance(_translate(caught.value, "slow"), InferenceTimeout)
    busy.result()


def test_a_text_that_comes_again_is_not_computed_again(open_client: Callable[..., TritonClient]) -> None:
    client, tokens = open_client(), {"tokens": np.arange(24, dtype=np.int64)[None]}
    before = counted(client, "clip_text")
    first, second = (client.infer("clip_text", tokens)["embedding"] for _ in range(2))
    done = done_since(client, "clip_text", before, 2)
    assert np.array_equal(first, second)
    assert (done.n_executions, done.n_cache_hits, done.n_requests) == (1, 1, 2)


def test_networks_take_turns_where_one_may_run(server: TritonServer, tags: ModelSpec) -> None:
    """Two instances of tags, one core to be had: while one computes, the other waits; and everything is answered."""
    target = TritonTarget(server.url, True, 60.0, 4)
    load = load_test(target, tags, concurrency=4, batch=8, seconds=1.0)
    step = load.steps["tags"]
    assert load.n_failed == 0
    assert step.n_frames == 8 * len(load.latencies_ms)
    assert step.execution_s <= 1.25 * load.elapsed_s, "executions overlapped"


def test_the_command_tells_what_clients_and_server_saw(
    server: TritonServer, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FRAMEHOUSE_TRITON__URL", server.url)
    monkeypatch.setenv("FRAMEHOUSE_TRITON__MODEL_REPOSITORY", str(repository))
    words = ["models", "load-test", "tags", "--concurrency", "1,8", "--batch", "1", "--seconds", "0.5"]
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    one_client, eight = json.loads(done.stdout)["loads"]
    assert set(one_client["steps"]["tags"]["batches"]) == {"1"}
    assert max(int(size) for size in eight["steps"]["tags"]["batches"]) > 1
    for load in (one_client, eight):
        assert load["n_failed"] == 0
        assert load["n_requests"] == load["steps"]["tags"]["n_frames"] > 0
        assert 0 < load["latency_ms"]["p50"] <= load["latency_ms"]["p95"] <= load["latency_ms"]["p99"]
    table = CliRunner().invoke(app, words)
    assert "frames:runs" in table.stdout
    refused = CliRunner().invoke(app, ["models", "load-test", "tags", "--batch", "9"])
    assert refused.exit_code != 0
    assert isinstance(refused.exception, ConfigError)


def test_statistics_add_up() -> None:
    earlier = Statistics(n_frames=3, n_executions=2, n_requests=3, queue_s=0.5, execution_s=0.25, batches={1: 1, 2: 1})
    later = Statistics(
        n_frames=9, n_executions=4, n_requests=5, queue_s=1.0, execution_s=0.5, batches={1: 2, 2: 1, 4: 1}
    )
    since = later.since(earlier)
    assert since == Statistics(
        n_frames=6, n_executions=2, n_requests=2, queue_s=0.5, execution_s=0.25, batches={1: 1, 4: 1}
    )
    assert earlier + since == later
    assert Statistics().queue_ms == Statistics().execution_ms == 0.0
