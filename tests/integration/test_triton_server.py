"""The embedded server as a process: it starts, proves its numbers, dies cleanly, and leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from framehouse.errors import ConfigError, TritonUnavailable
from framehouse.inference.convert.graph import GraphBuilder, Port
from framehouse.inference.profiles import profile_text
from framehouse.inference.regions import SHARED_MEMORY_DIR
from framehouse.inference.server import HOST, TritonPorts, TritonServer, free_ports
from framehouse.inference.server_env import ensure_server_env
from real_parts import require

pytestmark = pytest.mark.real("triton")

Start = Callable[..., TritonServer]
ADD_CONFIG = """
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "left" data_type: TYPE_FP32 dims: [ -1 ] }, { name: "right" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "total" data_type: TYPE_FP32 dims: [ -1 ] }, { name: "gap" data_type: TYPE_FP32 dims: [ -1 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
"""
TEXT_CONFIG = """
backend: "onnxruntime"
input [ { name: "text" data_type: TYPE_STRING dims: [ -1 ] } ]
output [ { name: "same" data_type: TYPE_STRING dims: [ -1 ] } ]
"""
BATCHED = "dynamic_batching { max_queue_delay_microseconds: 200000 }\n"


@pytest.fixture(scope="module")
def python(checkout: Path) -> Path:
    try:
        return ensure_server_env(checkout)
    except ConfigError as error:
        require("triton", error.line())


@pytest.fixture
def selftest_only(checkout: Path, tmp_path: Path) -> Path:
    """A small repository, quick to start."""
    repository = tmp_path / "models"
    shutil.copytree(checkout / "triton_models" / "selftest", repository / "selftest")
    return repository


@pytest.fixture
def server(python: Path, selftest_only: Path, tmp_path: Path) -> Iterator[TritonServer]:
    """A server of the small repository, not started."""
    server = TritonServer(python, [selftest_only], work_dir=tmp_path / "triton")
    yield server
    if server.pid is not None:
        os.kill(server.pid, signal.SIGKILL)  # a clean stop takes three seconds; it has tests of its own
    server.stop()


def up(server: TritonServer) -> TritonServer:
    server.start()
    server.wait_ready(60)
    server.self_test()
    return server


def family(pid: int | None) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def ended(processes: list[psutil.Process], within_s: float = 2) -> bool:
    """Whether all are gone, or wait for nothing but to be reaped by whoever inherited them."""
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return not any(is_running(process) for process in alive)


def is_running(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def regions_of(pid: int) -> list[str]:
    return [
        path.name for path in SHARED_MEMORY_DIR.iterdir() if re.search(rf"framehouse_\d+_{pid}_\d+_triton", path.name)
    ]


def post(server: TritonServer, path: str, body: dict[str, object]) -> tuple[int, dict[str, object]]:
    assert server.ports is not None
    connection = http.client.HTTPConnection(HOST, server.ports.http, timeout=30)
    connection.request("POST", path, json.dumps(body))
    response = connection.getresponse()
    answer = json.loads(response.read() or b"{}")
    connection.close()
    return response.status, answer


def ask(server: TritonServer, model: str, body: dict[str, object]) -> tuple[int, dict[str, object]]:
    return post(server, f"/v2/models/{model}/infer", body)


def floats(**tensors: list[list[float]]) -> list[dict[str, object]]:
    return [
        {"name": name, "datatype": "FP32", "shape": list(np.shape(rows)), "data": rows}
        for name, rows in tensors.items()
    ]


# ---------------------------------------------------------------- life and death


_earlier: set[str] = set()


@pytest.fixture(autouse=True)
def _note_earlier_regions() -> None:
    """Another server of this process may be alive: the run's own, of the `triton` fixture."""
    _earlier.clear()
    _earlier.update(regions_of(os.getpid()))


def own_regions() -> list[str]:
    """Shared memory of this process that the present test has made."""
    return sorted(set(regions_of(os.getpid())) - _earlier)


def test_the_detector_answers_and_a_stop_leaves_nothing(python: Path, checkout: Path, tmp_path: Path) -> None:
    with TritonServer(python, [checkout / "triton_models"], work_dir=tmp_path, models=["detector"]) as server:
        processes = family(server.pid)
        assert len(processes) == 5  # the server, two networks, suppression, self-test
        assert own_regions()
        picture = {"name": "image", "datatype": "UINT8", "shape": [1, 512, 512, 3], "data": [128] * (512 * 512 * 3)}
        status, answer = ask(server, "detector", {"inputs": [picture]})
        outputs = {output["name"]: output["shape"] for output in answer["outputs"]}
        assert status == 200
        assert outputs == {"boxes": [1, 100, 4], "scores": [1, 100], "classes": [1, 100], "count": [1, 1]}
    assert not server.alive()
    assert ended(processes)
    assert own_regions() == []


def test_a_killed_server_takes_its_helpers_along_and_starts_again_on_its_ports(server: TritonServer) -> None:
    up(server)
    ports, processes = server.ports, family(server.pid)
    processes[0].kill()
    assert ended(processes, 5)
    assert not server.alive()
    assert own_regions() == []
    up(server)
    assert server.ports == ports


def test_start_and_stop_do_nothing_the_second_time(server: TritonServer) -> None:
    up(server)
    pid = server.pid
    server.start()
    assert server.pid == pid
    server.stop()
    server.stop()
    assert server.pid is None


def test_it_outlives_the_thread_that_started_it(server: TritonServer) -> None:
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    time.sleep(0.2)
    server.wait_ready(60)
    assert server.alive()


def test_it_dies_with_its_owner_and_the_next_start_sweeps(
    python: Path, selftest_only: Path, tmp_path: Path, server: TritonServer
) -> None:
    script = (
        "import sys; from pathlib import Path; from framehouse.inference.server import TritonServer\n"
        f"python, models, work = Path({str(python)!r}), Path({str(selftest_only)!r}), Path({str(tmp_path)!r})\n"
        "server = TritonServer(python, [models], work_dir=work)\n"
        "server.start(); server.wait_ready(60); print('ready', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        while "ready" not in owner.stdout.readline().split():
            assert owner.poll() is None
        processes = psutil.Process(owner.pid).children(recursive=True)
        assert len(processes) == 2
        left_behind = SHARED_MEMORY_DIR / f"{regions_of(owner.pid)[0]}x"  # Triton itself tidies up when it can
        left_behind.touch()
        owner.kill()
    assert ended(processes, 5)
    assert left_behind.exists()
    up(server)
    assert regions_of(owner.pid) == []


def test_a_stop_kills_a_server_that_does_not_listen(server: TritonServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framehouse.inference.server._STOP_TIMEOUT_S", 0.5)
    up(server)
    processes = family(server.pid)
    os.kill(processes[0].pid, signal.SIGSTOP)
    server.stop()
    assert ended(processes)
    assert own_regions() == []


def test_a_dead_helper_ends_the_server(server: TritonServer) -> None:
    """Triton would answer every request to that model with an error, for ever, and call itself ready."""
    up(server)
    processes = family(server.pid)
    processes[1].kill()
    assert ended(processes, 5)
    assert not server.alive()


def test_a_server_that_was_stopped_is_not_judged_by_what_it_cannot_reap(server: TritonServer) -> None:
    """A helper may be at its end, as after an unload, when somebody stops the server; it may go on any moment."""
    up(server)
    processes = family(server.pid)
    processes[0].suspend()
    try:
        processes[1].kill()
        time.sleep(1.5)  # longer than a dead helper is tolerated
        assert server.alive()
    finally:
        processes[0].resume()
    assert ended(processes, 5), "this helper was not Triton's to end"


def test_models_come_and_go_without_a_restart(server: TritonServer, selftest_only: Path) -> None:
    up(server)
    body = {"inputs": floats(left=[[1.0, 2.0]], right=[[3.0, 4.0]])}
    assert ask(server, "add", body)[0] != 200
    add_model(selftest_only, "add", ADD_CONFIG, adding())
    add_model(selftest_only, "broken", ADD_CONFIG, b"this is no model")
    assert post(server, "/v2/repository/models/add/load", {})[0] == 200
    assert ask(server, "add", body)[0] == 200
    status, answer = post(server, "/v2/repository/models/broken/load", {})
    assert (status >= 400, "onnxruntime cannot load" in str(answer["error"])) == (True, True)
    assert post(server, "/v2/repository/models/add/unload", {})[0] == 200
    deadline = time.monotonic() + 10
    while len(family(server.pid)) > 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(family(server.pid)) == 2
    time.sleep(1.5)  # longer than a dead helper is tolerated: those that Triton ended are not dead ones
    server.self_test()


# ---------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"same_pixels": pixels', '"same_pixels": np.full_like(pixels, pixels[0])'),  # what numpy 2 did
        ('"same_floats": floats', '"same_floats": floats[:0]'),  # and this
        ("floats.sum(dtype=np.float64)", "floats.sum(dtype=np.float64) + 0.5"),
    ],
)
def test_wrong_numbers_are_refused(server: TritonServer, selftest_only: Path, right: str, wrong: str) -> None:
    model = selftest_only / "selftest" / "1" / "model.py"
    assert right in model.read_text()
    model.write_text(model.read_text().replace(right, wrong))
    server.start()
    server.wait_ready(60)
    with pytest.raises(ConfigError) as refused:
        server.self_test()
    assert refused.value.code == "triton.selftest"
    assert not server.alive()


def test_a_taken_port_is_one_clear_error(server: TritonServer) -> None:
    up(server).stop()
    assert server.ports is not None
    with socket.create_server((HOST, server.ports.grpc)), pytest.raises(ConfigError) as refused:
        server.start()
    assert refused.value.code == "triton.port"
    assert str(server.ports.grpc) in refused.value.message


def test_a_port_taken_at_the_last_moment_is_replaced(server: TritonServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else takes a port between our finding it free and Triton's opening it."""
    with socket.create_server((HOST, 0)) as taken:
        stolen, other = taken.getsockname()[1], free_ports()
        answers = [TritonPorts(other.http, stolen, other.metrics), free_ports()]
        monkeypatch.setattr("framehouse.inference.server.free_ports", lambda: answers.pop(0))
        monkeypatch.setattr("framehouse.inference.server._check_free", lambda _: None)
        up(server)
        assert server.ports is not None
        assert server.ports.grpc != stolen


def test_a_broken_file_is_one_clear_error(server: TritonServer, selftest_only: Path) -> None:
    add_model(selftest_only, "broken", ADD_CONFIG, b"this is no model")
    server.start()
    with pytest.raises(ConfigError) as refused:
        server.wait_ready(60)
    assert refused.value.code == "triton.model"
    assert refused.value.facts["model"] == "broken"
    assert "\n" not in refused.value.line()
    assert not server.alive()


def test_a_configuration_that_does_not_fit_the_file_names_both(server: TritonServer, selftest_only: Path) -> None:
    add_model(selftest_only, "add", ADD_CONFIG.replace('"gap"', '"product"'), adding())
    server.start()
    with pytest.raises(ConfigError, match=r"product TYPE_FP32.*gap"):
        server.wait_ready(60)


def test_a_profile_replaces_the_configuration_and_one_that_computes_elsewhere_is_refused(
    python: Path, selftest_only: Path, tmp_path: Path
) -> None:
    """With --model-config-name=cpu: `add` has a configs/cpu.pbtxt and runs twice; what wants OpenVINO is not had."""
    add_model(selftest_only, "add", ADD_CONFIG, adding())
    (selftest_only / "add" / "configs").mkdir()
    (selftest_only / "add" / "configs" / "cpu.pbtxt").write_text(profile_text(ADD_CONFIG, "cpu"))
    add_model(selftest_only, "elsewhere", ADD_CONFIG, adding())
    (selftest_only / "elsewhere" / "configs").mkdir()
    (selftest_only / "elsewhere" / "configs" / "cpu.pbtxt").write_text(profile_text(ADD_CONFIG, "cpu-openvino"))
    models = ["add", "selftest"]
    server = TritonServer(python, [selftest_only], work_dir=tmp_path / "triton", models=models, config_name="cpu")
    try:
        up(server)
        assert server._request("GET", "/v2/models/add/config")["instance_group"][0]["count"] == 2
        with pytest.raises(ValueError, match="this server has no openvino"):
            server._request("POST", "/v2/repository/models/elsewhere/load", {})
    finally:
        server.kill()
        server.stop()


def test_a_folder_without_models_is_refused(python: Path, tmp_path: Path) -> None:
    for repository in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ConfigError) as refused:
            TritonServer(python, [repository], work_dir=tmp_path / "work").start()
        assert refused.value.code == "triton.repository"


def test_a_slow_model_ends_the_wait_at_the_deadline(server: TritonServer, selftest_only: Path) -> None:
    model = selftest_only / "selftest" / "1" / "model.py"
    text = model.read_text()
    model.write_text(text.replace("import numpy", "import time\n\ntime.sleep(20)\nimport numpy", 1))
    server.start()
    started = time.monotonic()
    with pytest.raises(TritonUnavailable, match="not ready after 1 s"):
        server.wait_ready(1)
    assert time.monotonic() - started < 3


def test_paths_with_spaces_work(python: Path, selftest_only: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a place with spaces & 'quotes'"
    shutil.copytree(selftest_only, folder / "my models")
    with TritonServer(python, [folder / "my models"], work_dir=folder / "triton work") as server:
        assert server.alive()
        assert server.log_path.stat().st_size > 0


# ---------------------------------------------------------------- the onnxruntime backend


def add_model(repository: Path, name: str, config: str, content: bytes) -> None:
    (repository / name / "1").mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(f'name: "{name}"\n{config}')
    (repository / name / "1" / "model.onnx").write_bytes(content)


def adding() -> bytes:
    builder = GraphBuilder("adding")
    builder.op("Add", ["left", "right"], "total")
    builder.op("Sub", ["left", "right"], "gap")
    ports = [Port(name, "float32", ("batch", "length")) for name in ("left", "right", "total", "gap")]
    return builder.model(ports[:2], ports[2:], {})


def copying_text() -> bytes:
    builder = GraphBuilder("text")
    builder.op("Identity", ["text"], "same")
    return builder.model([Port("text", "string", ("length",))], [Port("same", "string", ("length",))], {})


@pytest.fixture(scope="module")
def adder(python: Path, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A server with `add`, `add_together` (dynamic batching) and `text`."""
    repository = tmp_path_factory.mktemp("models")
    shutil.copytree(checkout / "triton_models" / "selftest", repository / "selftest")
    add_model(repository, "add", ADD_CONFIG, adding())
    add_model(repository, "add_together", ADD_CONFIG + BATCHED, adding())
    add_model(repository, "text", TEXT_CONFIG, copying_text())
    with TritonServer(python, [repository], work_dir=tmp_path_factory.mktemp("work")) as server:
        yield server


def test_only_what_is_asked_for_comes_back(adder: TritonServer) -> None:
    inputs = floats(left=[[1.0, 2.0]], right=[[0.5, 5.0]])
    status, answer = ask(adder, "add", {"inputs": inputs, "outputs": [{"name": "gap"}]})
    assert status == 200
    assert [(output["name"], output["data"]) for output in answer["outputs"]] == [("gap", [0.5, -3.0])]


@pytest.mark.parametrize("model", ["add", "add_together"])
def test_a_bad_request_does_not_fail_its_neighbours(adder: TritonServer, model: str) -> None:
    answers: dict[int, tuple[int, dict[str, object]]] = {}

    def send(number: int) -> None:
        right = [[1.0, 2.0, 3.0]] if number == 2 else [[1.0, 2.0]]
        answers[number] = ask(adder, model, {"inputs": floats(left=[[number, 0.0]], right=right)})

    threads = [threading.Thread(target=send, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status, answer = answers.pop(2)
    assert status >= 400
    assert "onnxruntime" in str(answer["error"])
    for number, (status, answer) in answers.items():
        totals = {output["name"]: output["data"] for output in answer["outputs"]}["total"]
        assert (status, totals) == (200, [number + 1.0, 2.0])


def test_requests_are_joined_only_where_the_model_says_so(adder: TritonServer) -> None:
    def counts(model: str) -> tuple[int, int]:
        assert adder.ports is not None
        connection = http.client.HTTPConnection(HOST, adder.ports.http, timeout=30)
        connection.request("GET", f"/v2/models/{model}/stats")
        stats = json.loads(connection.getresponse().read())["model_stats"][0]
        connection.close()
        return int(stats["inference_count"]), int(stats["execution_count"])

    done: dict[str, int] = {}
    for model in ("add", "add_together"):
        before = counts(model)
        body = {"inputs": floats(left=[[1.0, 2.0]], right=[[3.0, 4.0]])}
        threads = [threading.Thread(target=ask, args=(adder, model, body)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        deadline = time.monotonic() + 10
        while counts(model)[0] < before[0] + 4 and time.monotonic() < deadline:
            time.sleep(0.05)  # Triton counts after it has answered
        done[model] = counts(model)[1] - before[1]
    assert done["add"] == 4
    assert done["add_together"] < 4


def test_text_goes_through(adder: TritonServer) -> None:
    words = ["Grüße", "", "a b"]
    status, answer = ask(
        adder, "text", {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [3], "data": words}]}
    )
    assert status == 200
    assert answer["outputs"][0]["data"] == words
