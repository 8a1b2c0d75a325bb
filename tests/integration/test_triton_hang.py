"""A Triton server that hangs: found out by its own figures, ended by its watch, started again by the supervisor."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from framehouse.config import Settings, TritonSettings
from framehouse.errors import ConfigError
from framehouse.inference.server_env import ensure_server_env
from framehouse.inference.specs import TritonTarget
from framehouse.inference.triton import Answer, TritonClient
from framehouse.stack import Component, Supervisor, components
from framehouse.stack.components import EmbeddedTriton
from real_parts import require

pytestmark = [pytest.mark.real("triton"), pytest.mark.timeout(300)]

MODEL = """
import time
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        values = [pb_utils.get_input_tensor_by_name(r, "x").as_numpy() for r in requests]
        if any((value < 0).any() for value in values):
            time.sleep(100_000)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", value)]) for value in values]
"""
CONFIG = """
name: "sleeper"
backend: "python"
max_batch_size: 1
input [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""


@pytest.fixture(scope="module")
def triton(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[EmbeddedTriton, Callable[[], None]]]:
    """The component, kept alive by a supervisor and impatient; and a function that waits until it is ready."""
    try:
        ensure_server_env(checkout)
    except ConfigError as error:
        require("triton", error.line())
    home = tmp_path_factory.mktemp("hang")
    shutil.copytree(checkout / "triton_models" / "selftest", home / "repository" / "selftest")
    (home / "repository" / "sleeper" / "1").mkdir(parents=True)
    (home / "repository" / "sleeper" / "1" / "model.py").write_text(MODEL)
    (home / "repository" / "sleeper" / "config.pbtxt").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(components, "_WATCH_S", 0.25)
        patch.setattr(components, "_SILENT_S", 3.0)
        patch.setattr(components, "_STUCK_GRACE_S", 1.0)
        settings = Settings(
            home=home,
            triton=TritonSettings(model_repository=home / "repository", preload="", request_timeout_s=3.0),
        )
        server = EmbeddedTriton(settings)
        component = Component("triton", server, server.address)
        supervisor = Supervisor(settings, [component], {})
        thread = threading.Thread(target=supervisor.run)
        thread.start()

        def wait_ready() -> None:
            deadline = time.monotonic() + 60
            while component.state != "ready":
                assert time.monotonic() < deadline, component
                time.sleep(0.05)

        try:
            wait_ready()
            yield server, wait_ready
        finally:
            supervisor.stopping = True
            thread.join()


@pytest.fixture
def client(triton: tuple[EmbeddedTriton, Callable[[], None]]) -> Iterator[TritonClient]:
    opened = TritonClient(TritonTarget(triton[0].address, False, 30.0, 4))
    opened.ensure_loaded(["sleeper"])
    yield opened
    opened.close()


def ask(client: TritonClient, value: float) -> Future[Answer]:
    return client.submit("sleeper", {"x": np.array([[value]], np.float32)})


def wait_gone(pid: int, limit_s: float) -> float:
    began = time.monotonic()
    while Path(f"/proc/{pid}").exists() and time.monotonic() - began < limit_s:
        time.sleep(0.05)
    return time.monotonic() - began


def works_again(triton: tuple[EmbeddedTriton, Callable[[], None]], dead: int, client: TritonClient) -> None:
    server, wait_ready = triton
    deadline = time.monotonic() + 60
    while server.pid in (None, dead):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    wait_ready()
    client.ensure_loaded(["sleeper"])
    assert ask(client, 5.0).result().outputs["y"].tolist() == [[5.0]]


def test_a_model_that_sleeps_for_ever_while_others_wait(
    triton: tuple[EmbeddedTriton, Callable[[], None]], client: TritonClient
) -> None:
    assert ask(client, 1.0).result().outputs["y"].tolist() == [[1.0]]
    pid = triton[0].pid
    assert pid is not None
    waiting = [ask(client, -1.0)]
    time.sleep(1.0)  # so that it is not overtaken: then nobody would be waiting
    waiting += [ask(client, 2.0) for _ in range(3)]
    assert wait_gone(pid, 25.0) < 25.0, "nobody noticed"
    assert all(future.exception(timeout=30) is not None for future in waiting)
    works_again(triton, pid, client)


def test_a_server_that_stands_still(triton: tuple[EmbeddedTriton, Callable[[], None]], client: TritonClient) -> None:
    pid = triton[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert wait_gone(pid, 40.0) < 40.0, "nobody noticed"
    works_again(triton, pid, client)


def test_a_server_that_is_slow_or_idle_is_left_alone(
    triton: tuple[EmbeddedTriton, Callable[[], None]], client: TritonClient
) -> None:
    pid = triton[0].pid
    deadline = time.monotonic() + 6.0  # twice as long as a silent one has
    while time.monotonic() < deadline:
        assert ask(client, 3.0).result().outputs["y"].tolist() == [[3.0]]
        time.sleep(0.5)
    time.sleep(5.0)
    assert triton[0].pid == pid
