"""The client against real Triton servers: numbers, deadlines, deaths, and what it leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framehouse.errors import (
    ConfigError,
    InferenceError,
    InferenceTimeout,
    ModelNotReady,
    TensorMismatch,
    TritonUnavailable,
)
from framehouse.inference import triton as triton_module
from framehouse.inference.regions import SHARED_MEMORY_DIR, region_prefix
from framehouse.inference.server import TritonServer
from framehouse.inference.server_env import ensure_server_env
from framehouse.inference.shm import Region
from framehouse.inference.specs import TritonTarget
from framehouse.inference.triton import TritonClient, connect, disconnect
from real_parts import require

pytestmark = pytest.mark.real("triton")

N = 200_000  # bytes of a test tensor: enough to go through shared memory
SLOW_S = 1.0
ECHO = """
import time
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(pb_utils.get_input_tensor_by_name(r, "pixels").as_numpy()) for r in requests]
    def answer(self, pixels):
        {body}
        return pb_utils.InferenceResponse([pb_utils.Tensor("same_pixels", pixels)])
"""
ECHO_CONFIG = """
backend: "python"
input [ { name: "pixels" data_type: TYPE_UINT8 dims: [ -1 ] } ]
output [ { name: "same_pixels" data_type: TYPE_UINT8 dims: [ -1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""
BODIES = {"echo": "pass", "slow": f"time.sleep({SLOW_S})", "broken": "raise ValueError('boom')"}


@pytest.fixture(scope="module")
def repository(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The self-test, and models that are slow or broken on purpose."""
    root = tmp_path_factory.mktemp("models")
    shutil.copytree(checkout / "triton_models" / "selftest", root / "selftest")
    for name, body in BODIES.items():
        (root / name / "1").mkdir(parents=True)
        (root / name / "config.pbtxt").write_text(f'name: "{name}"{ECHO_CONFIG}')
        (root / name / "1" / "model.py").write_text(ECHO.format(body=body))
    return root


@pytest.fixture(scope="module")
def mortal(checkout: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A server of this file's own, which tests may stop and kill."""
    try:
        python = ensure_server_env(checkout)
    except ConfigError as error:
        require("triton", error.line())
    with TritonServer(python, [repository], work_dir=tmp_path_factory.mktemp("triton")) as server:
        yield server


@pytest.fixture
def server(mortal: TritonServer) -> TritonServer:
    """The same, alive again whatever the test before did."""
    mortal.start()
    mortal.wait_ready(60)
    return mortal


@pytest.fixture
def open_client() -> Iterator[Callable[..., TritonClient]]:
    """A function that opens a client; all are closed at the end."""
    opened: list[TritonClient] = []

    def open_one(server: TritonServer, *, timeout_s: float = 20.0, shared: bool = True, n: int = 4) -> TritonClient:
        opened.append(TritonClient(TritonTarget(server.url, shared, timeout_s, n)))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


def tensor(seed: int = 0, n: int = N) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, n, np.uint8)


def echo(client: TritonClient, seed: int = 0, model: str = "echo") -> None:
    """One round trip with the right numbers."""
    assert np.array_equal(client.infer(model, {"pixels": tensor(seed)})["same_pixels"], tensor(seed))


_earlier: set[str] = set()


def _files() -> list[str]:
    return [path.name for path in SHARED_MEMORY_DIR.glob(region_prefix("input") + "*")]


@pytest.fixture(autouse=True)
def _note_earlier_files() -> None:
    """Clients that other tests left open in this process hold regions too."""
    _earlier.clear()
    _earlier.update(_files())


def our_files() -> list[str]:
    """Regions that the present test has made."""
    return [name for name in _files() if name not in _earlier]


def known_regions(client: TritonClient) -> list[str]:
    return sorted(client._grpc.get_system_shared_memory_status().regions)


def until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("shared", [True, False])
def test_many_in_flight_come_back_with_their_own_numbers(
    server: TritonServer, open_client: Callable[..., TritonClient], shared: bool
) -> None:
    client = open_client(server, shared=shared)
    assert client.uses_shared_memory() is shared
    futures = [client.submit("echo", {"pixels": tensor(seed)}) for seed in range(40)]
    for seed, future in enumerate(futures):
        answer = future.result()
        assert np.array_equal(answer.outputs["same_pixels"], tensor(seed))
        assert answer.finished_s > answer.started_s
    assert len(our_files()) <= (4 if shared else 0)


def test_shared_memory_changes_no_number(triton: TritonServer, open_client: Callable[..., TritonClient]) -> None:
    picture = np.random.default_rng(5).integers(0, 256, (2, 512, 512, 3), np.uint8)
    by_region = open_client(triton).infer("detector", {"image": picture})
    by_bytes = open_client(triton, shared=False).infer("detector", {"image": picture}, version="1")
    assert set(by_region) == {"boxes", "scores", "classes", "count"}
    for name, values in by_region.items():
        assert np.array_equal(values, by_bytes[name]), name


def test_threads_share_a_client(server: TritonServer, open_client: Callable[..., TritonClient]) -> None:
    client, wrong = open_client(server, n=3), []

    def work(first: int) -> None:
        for seed in range(first, first + 10):
            if not np.array_equal(client.infer("echo", {"pixels": tensor(seed)})["same_pixels"], tensor(seed)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(100 * i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert wrong == []


def test_a_process_has_one_client_per_target(server: TritonServer) -> None:
    target = TritonTarget(server.url, True, 20.0, 2)
    client = connect(target)
    assert connect(TritonTarget(server.url, True, 20.0, 2)) is client
    echo(client)
    disconnect()
    assert our_files() == []
    echo(connect(target))
    disconnect()


def test_closing_leaves_nothing_here_or_in_the_server(
    server: TritonServer, open_client: Callable[..., TritonClient]
) -> None:
    client, other = open_client(server), open_client(server)
    echo(client)
    assert our_files() != [] and known_regions(other) != []
    client.close()
    assert our_files() == [] and known_regions(other) == []


# ---------------------------------------------------------------- where shared memory does not work


def test_a_server_that_does_not_see_our_memory_gets_bytes(
    server: TritonServer, open_client: Callable[..., TritonClient], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(triton_module, "Region", partial(Region, directory=tmp_path))  # as on another host
    client = open_client(server)
    assert not client.uses_shared_memory()
    echo(client)
    assert list(tmp_path.iterdir()) == []


def test_wrong_numbers_are_refused(
    server: TritonServer, repository: Path, open_client: Callable[..., TritonClient], checkout: Path
) -> None:
    right = (checkout / "triton_models" / "selftest" / "1" / "model.py").read_text()
    wrong = right.replace("pixels, ", "pixels * 0 + pixels[0], ").replace(
        '"same_pixels": pixels', '"same_pixels": pixels * 0'
    )
    path, loader = repository / "selftest" / "1" / "model.py", open_client(server)
    assert wrong != right
    try:
        path.write_text(wrong)
        loader.load_model("selftest")
        for shared in (True, False):
            with pytest.raises(InferenceError) as caught:
                open_client(server, shared=shared).uses_shared_memory()
            assert (caught.value.code, caught.value.retryable) == ("inference.wrong_numbers", False)
    finally:
        path.write_text(right)
        loader.load_model("selftest")
    assert open_client(server).uses_shared_memory()


def test_without_a_self_test_bytes_are_sent(server: TritonServer, open_client: Callable[..., TritonClient]) -> None:
    client = open_client(server)
    client.unload_model("selftest")
    until(lambda: not client.model_ready("selftest"))
    try:
        echo(client)
        assert not client.uses_shared_memory()
        assert our_files() == []
    finally:
        client.load_model("selftest")


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("model", "version", "inputs", "error", "says"),
    [
        ("nope", "", {"pixels": tensor(n=9)}, ModelNotReady, "nope"),
        ("echo", "7", {"pixels": tensor(n=9)}, ModelNotReady, "version 7"),
        ("echo", "", {"other": tensor(n=9)}, TensorMismatch, "other"),
        ("echo", "", {"pixels": np.zeros(9, np.float32)}, TensorMismatch, "FP32"),
        ("echo", "", {"pixels": np.zeros((3, 3), np.uint8)}, TensorMismatch, "shape"),
        ("broken", "", {"pixels": tensor(n=9)}, InferenceError, "ValueError: boom"),
        ("broken", "", {"pixels": tensor()}, InferenceError, "ValueError: boom"),
    ],
)
def test_errors_are_translated(
    server: TritonServer, open_client: Callable[..., TritonClient], model: str, version: str, inputs: Any,
    error: type[InferenceError], says: str,
) -> None:  # fmt: skip
    client = open_client(server)
    with pytest.raises(InferenceError) as caught:
        client.infer(model, inputs, version=version)
    assert type(caught.value) is error
    assert says in caught.value.message and "\n" not in caught.value.message
    assert caught.value.facts["model"] == model
    echo(client)


def test_no_server(open_client: Callable[..., TritonClient], free_port: Callable[[], int]) -> None:
    client = TritonClient(TritonTarget(f"127.0.0.1:{free_port()}", True, 20.0, 2))
    began = time.monotonic()
    assert not client.server_ready()
    for inputs in ({"pixels": tensor()}, {"pixels": tensor(n=9)}):
        with pytest.raises(TritonUnavailable):
            client.infer("echo", inputs)
    with pytest.raises(TritonUnavailable):
        client.index()
    client.close()
    assert time.monotonic() - began < 5


def test_models_come_and_go(server: TritonServer, open_client: Callable[..., TritonClient]) -> None:
    client = open_client(server)
    assert client.server_ready() and client.model_ready("echo")
    client.unload_model("echo")
    until(lambda: not client.model_ready("echo"))
    with pytest.raises(ModelNotReady):
        client.infer("echo", {"pixels": tensor(n=9)})
    client.load_model("echo")
    echo(client)
    assert {(m.name, m.state) for m in client.index()} >= {("echo", "READY"), ("selftest", "READY")}
    with pytest.raises(InferenceError, match="nope"):
        client.load_model("nope")


# ---------------------------------------------------------------- deadlines and deaths


def test_a_region_that_was_given_up_is_retired_until_the_server_lets_go(
    server: TritonServer, open_client: Callable[..., TritonClient]
) -> None:
    client = open_client(server, timeout_s=SLOW_S / 4, n=1)
    began = time.monotonic()
    with pytest.raises(InferenceTimeout):
        client.infer("slow", {"pixels": tensor()})
    assert time.monotonic() - began < SLOW_S / 2
    assert client._pool.n_retired == 1
    for seed in range(3):  # the one slot goes on in another region while the server still reads the old one
        echo(client, seed)
    assert client._pool.n_retired == 1

    def let_go() -> bool:
        echo(client)
        return client._pool.n_retired == 0

    until(let_go)
    assert len(known_regions(client)) == 1 == len(our_files())


def test_a_stopped_server_shows_at_the_deadline_and_goes_on_after(
    server: TritonServer, open_client: Callable[..., TritonClient]
) -> None:
    client = open_client(server, timeout_s=1.0)
    echo(client)
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        futures = [client.submit("echo", {"pixels": tensor(seed)}) for seed in range(4)]  # each may wait to register
        for future in futures:
            with pytest.raises(InferenceTimeout):
                future.result(timeout=10)
        assert time.monotonic() - began < 8
        assert not client.server_ready(timeout_s=0.2)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    until(client.server_ready)
    for seed in range(10):
        echo(client, seed)


def test_a_killed_server_shows_at_once_and_its_successor_is_used(
    server: TritonServer, open_client: Callable[..., TritonClient]
) -> None:
    client = open_client(server, timeout_s=20.0)
    futures = [client.submit("slow", {"pixels": tensor(seed)}) for seed in range(3)]
    began = time.monotonic()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    for future in futures:
        with pytest.raises(TritonUnavailable):
            future.result(timeout=10)
    assert time.monotonic() - began < 5
    until(lambda: not server.alive())
    server.start()
    server.wait_ready(60)
    until(client.server_ready)
    for seed in range(6):
        echo(client, seed)
    assert client.uses_shared_memory()
    assert client._pool.n_retired == 0


def test_a_server_restarted_between_two_requests_goes_unnoticed(
    server: TritonServer, open_client: Callable[..., TritonClient]
) -> None:
    client = open_client(server)
    for seed in range(3):
        echo(client, seed)
    server.stop()
    server.start()
    server.wait_ready(60)
    until(client.server_ready)
    futures = [client.submit("echo", {"pixels": tensor(seed)}) for seed in range(8)]
    for seed, future in enumerate(futures):
        assert np.array_equal(future.result().outputs["same_pixels"], tensor(seed))
    assert client.uses_shared_memory()
    assert set(known_regions(client)) == set(our_files())


def test_closing_fails_what_is_in_flight(server: TritonServer, open_client: Callable[..., TritonClient]) -> None:
    client = open_client(server)
    future = client.submit("slow", {"pixels": tensor()})
    client.close()
    with pytest.raises(TritonUnavailable):
        future.result(timeout=10)
    with pytest.raises(TritonUnavailable):
        client.infer("echo", {"pixels": tensor(n=9)})
    assert our_files() == []


OWNER = """
import sys, time
import numpy as np
from framehouse.inference.shm import Region
from framehouse.inference.specs import TritonTarget
from framehouse.inference.triton import TritonClient
client = TritonClient(TritonTarget(sys.argv[1], True, 20.0, 2))
client.infer("echo", {"pixels": np.zeros(200_000, np.uint8)})
print("ready", flush=True)
time.sleep(60)
"""


def test_what_a_killed_process_left_is_cleared_by_the_next(
    server: TritonServer, open_client: Callable[..., TritonClient], checkout: Path
) -> None:
    live = open_client(server)
    echo(live)
    with subprocess.Popen([sys.executable, "-c", OWNER, server.url], stdout=subprocess.PIPE, cwd=checkout) as owner:
        assert owner.stdout is not None
        assert any(line == b"ready\n" for line in owner.stdout)
        left = {name for name in known_regions(live) if f"_{owner.pid}_" in name}
        owner.kill()
    assert left and all((SHARED_MEMORY_DIR / name).exists() for name in left)
    open_client(server).uses_shared_memory()
    assert not any((SHARED_MEMORY_DIR / name).exists() for name in left)
    assert not left & set(known_regions(live))
    echo(live)
