"""The embedded Triton server: started, proven right, watched and stopped as a child of this process.

Use::

    python = ensure_server_env(checkout)                        # framehouse.inference.server_env
    with TritonServer(python, [checkout / "triton_models"], work_dir=home / "triton") as server:
        ...                                                     # ready and self-tested; gRPC at server.url
    # or by hand, and once more after a death, on the same ports:
    server.start(); server.wait_ready(120.0); server.self_test(); server.alive(); server.stop()

The server runs under explicit model control, so that models can be loaded and unloaded while it runs: at the start
those that it is told, by default every folder of the repositories. Its models are found by name, for example the
ensemble `detector`: input `image`, uint8
[N, 512, 512, 3] RGB, N up to 8; outputs `boxes` float32 [N, 100, 4] (x1, y1, x2, y2 in input pixels), `scores` float32
[N, 100], `classes` int32 [N, 100], `count` int32 [N, 1].

It dies with its owner: the kernel kills it when the thread that started it ends, so a thread does nothing else but
keep it; Triton's helper processes (one per python model instance) are in its process group and are killed when it is
gone. When the owner itself is killed they see that their server is gone and end by themselves, within a second. When a
helper dies the server is killed too, because Triton does not replace it.
"""

from __future__ import annotations

import contextlib
import filecmp
import http.client
import itertools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
import structlog

from framehouse import ports as free
from framehouse.errors import ConfigError, TritonUnavailable
from framehouse.inference.hang import ServerProgress, read_progress
from framehouse.inference.regions import drop_regions, region_prefix, start_ticks, sweep
from framehouse.inference.server_env import python_library_dir, site_packages

log = structlog.get_logger(__name__)

HOST = "127.0.0.1"
SELF_TEST_MODEL = "selftest"
_BACKENDS = Path(__file__).parent / "triton_backend"
LAUNCHER = _BACKENDS / "launch.py"
_READY_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.05
_LOOK_TIMEOUT_S = 1.0
_HELPER_LOOK_MS = 500
_SELF_TEST_TIMEOUT_S = 10.0
_METRICS_TIMEOUT_S = 5.0
_LARGEST_LOG_BYTES = 16 * 1024**2
_PYTHON_MODEL_BYTES = 4 * 1024**2
"""Shared memory that each python model instance starts with; it grows as it needs."""
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_@%+=:,./-]+")
_FAILURE = re.compile(
    r"(?:failed to load(?: model)?|Poll failed for model directory) '(?P<model>[^']+)'.*?: (?P<reason>.+?)(?:\\n|\"?$)",
    re.MULTILINE,
)
_COMPLAINT = re.compile(r"^E.*\] \"(?!Cuda)(?P<text>.+?)(?:\\n|\"?$)", re.MULTILINE)
_TAKEN = re.compile(r"failed to start (?P<service>\w+) service: .*'(?P<address>[^']+)' already in use")
_serial = itertools.count()


@dataclass(frozen=True, slots=True)
class TritonPorts:
    """Loopback ports of one server."""

    http: int
    grpc: int
    metrics: int


def free_ports() -> TritonPorts:
    """Three ports that are free now; another process may take them before they are used."""
    return TritonPorts(*free.free_ports(3))


class TritonServer:
    """One embedded server. It may be started again after it died or was stopped, and keeps its ports."""

    def __init__(
        self,
        python: Path,
        repositories: Sequence[Path],
        *,
        work_dir: Path,
        ports: TritonPorts | None = None,
        models: Sequence[str] | None = None,
        host: str = HOST,
        config_name: str = "",
        cache_bytes: int = 0,
        executions: int = 0,
    ) -> None:
        """
        Args:
            python: of the server's environment, from `ensure_server_env`.
            repositories: model repository folders; each model in one of them only. One must hold `selftest`.
            work_dir: for the log and the backends; made when missing. One server at a time.
            ports: None takes free ones at the first start.
            models: Triton model names to load at the start, with all their steps; the self-test is always among them.
                None loads everything. The others are loaded when a client asks (`TritonClient.ensure_loaded`).
            host: address of the gRPC endpoint; beyond loopback, anyone there may use it.
            config_name: models that have a configs/<name>.pbtxt run with it; empty takes config.pbtxt.
            cache_bytes: size of the response cache, for the models whose configuration asks for one; 0 for none.
            executions: networks that compute at once, of the models whose configuration has a rate_limiter that wants
                the resource `core`; 0 for no limit.
        """
        self._host = host
        self._config_name = config_name
        self._cache_bytes, self._executions = cache_bytes, executions
        self._models = models
        self.ports = ports
        self._ports_are_known = ports is not None
        self.log_path = work_dir / "triton.log"
        self._python = python
        self._repositories = [Path(repository) for repository in repositories]
        self._work_dir = work_dir
        self._prefix = region_prefix(f"triton{next(_serial)}")
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._log_start = 0
        self._plain_dir: tempfile.TemporaryDirectory[str] | None = None

    @property
    def url(self) -> str:
        """host:port of the gRPC endpoint."""
        return f"{self._host}:{self._known_ports().grpc}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self.alive() else None

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready(_READY_TIMEOUT_S)
            self.self_test()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process; does nothing when it runs. Clears shared memory that dead servers left.

        Raises:
            ConfigError: no models (`triton.repository`), or a given port is taken (`triton.port`).
        """
        if self.alive():
            return
        self.stop()
        models = self._wanted_models()
        self.ports = self.ports or free_ports()
        _check_free(self.ports)
        swept = sweep()
        command, environment = self._command(models), self._environment()
        self._log_start = self._open_log(command)
        started = threading.Event()
        self._keeper = threading.Thread(
            target=self._keep, args=(command, environment, started), name="triton-keeper", daemon=True
        )
        self._keeper.start()
        started.wait()
        log.info("triton started", pid=self.pid, grpc_port=self.ports.grpc, n_models=len(models), n_swept=len(swept))

    def wait_ready(self, deadline_s: float) -> None:
        """Wait until every model answers.

        Raises:
            ConfigError: the server ended, with its reason (`triton.model`, `triton.port` or `triton.start`).
            TritonUnavailable: not ready in time; the message ends in the last line of its log.
        """
        started = time.monotonic()
        while not self.is_ready():
            if not self.alive() and not self._start_elsewhere():
                raise self.death_cause()
            if time.monotonic() - started > deadline_s:
                raise TritonUnavailable(
                    f"Triton is not ready after {deadline_s:g} s: {self._last_line()}", hint=f"log: {self.log_path}"
                )
            time.sleep(_POLL_S)
        self._ports_are_known = True
        log.info("triton ready", elapsed_s=round(time.monotonic() - started, 3))

    def self_test(self) -> None:
        """Send known numbers through a python model and compare what comes back.

        Raises:
            ConfigError: code `triton.selftest`; the server has been stopped.
        """
        try:
            answer = self._request("POST", f"/v2/models/{SELF_TEST_MODEL}/infer", _self_test_request())
            fault = self_test_fault(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            fault = f"no answer: {error}"
        if fault is not None:
            self.stop()
            raise ConfigError(
                f"the Triton server gives wrong numbers and was stopped: {fault}",
                code="triton.selftest",
                hint="delete .venv-triton, so that it is built again",
            )

    def alive(self) -> bool:
        """Whether the process runs; says nothing about its models."""
        return self._keeper is not None and self._keeper.is_alive()

    def stop(self) -> None:
        """End the server, its helpers and its shared memory: asked first, killed after 10 s. Twice is fine."""
        keeper, process = self._keeper, self._process
        if keeper is not None and process is not None:
            if keeper.is_alive():
                _signal(process.pid, signal.SIGTERM)
                keeper.join(_STOP_TIMEOUT_S)
            if keeper.is_alive():
                _signal(process.pid, signal.SIGKILL)
                keeper.join()
            log.info("triton stopped", pid=process.pid, exit_code=process.returncode)
        self._keeper = self._process = None
        drop_regions(self._prefix)
        if self._plain_dir is not None:
            self._plain_dir.cleanup()
            self._plain_dir = None

    def _wanted_models(self) -> list[str]:
        found = find_models(self._repositories)
        if self._models is None:
            return found
        missing = sorted(set(self._models) - set(found))
        if missing:
            raise ConfigError(f"no model {', '.join(missing)} in the repositories", code="triton.repository")
        return list(dict.fromkeys([SELF_TEST_MODEL, *self._models]))

    def _start_elsewhere(self) -> bool:
        """Start again on other ports, when somebody took one of those that we had found free and told nobody yet."""
        if self._ports_are_known or _TAKEN.search(self._log_text()) is None:
            return False
        self.ports = None
        self.start()
        return True

    def _known_ports(self) -> TritonPorts:
        if self.ports is None:
            raise TritonUnavailable("the Triton server has not been started")
        return self.ports

    def _keep(self, command: list[str], environment: dict[str, str], started: threading.Event) -> None:
        """The keeper's life: start the process, wait for its end, kill what is left of its group, reap it."""
        with self.log_path.open("ab") as output:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._process = process
        started.set()
        _wait_for_end(process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        drop_regions(self._prefix)

    def _command(self, models: Sequence[str]) -> list[str]:
        ports = self._known_ports()
        program = site_packages(self._python) / "pytriton" / "tritonserver" / "bin" / "tritonserver"
        return [
            *(str(self._python), "-I", "-S", str(LAUNCHER), str(os.getpid()), str(program)),
            *(f"--model-repository={self._plain(path)}" for path in self._repositories),
            f"--backend-directory={self._plain(self._assemble_backends())}",
            "--model-control-mode=explicit",
            *(f"--load-model={model}" for model in models),
            *([f"--model-config-name={self._config_name}"] if self._config_name else []),
            *self._limits(),
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={int(_STOP_TIMEOUT_S / 2)}",
            *(f"--http-address={HOST}", f"--http-port={ports.http}"),
            *(f"--grpc-address={self._host}", f"--grpc-port={ports.grpc}"),
            *(f"--metrics-address={HOST}", f"--metrics-port={ports.metrics}", "--allow-gpu-metrics=false"),
            f"--backend-config=python,shm-region-prefix-name={self._prefix}",
            f"--backend-config=python,shm-default-byte-size={_PYTHON_MODEL_BYTES}",
        ]

    def _limits(self) -> list[str]:
        caches = site_packages(self._python) / "pytriton" / "tritonserver" / "caches"
        cache = [f"--cache-directory={self._plain(caches)}", f"--cache-config=local,size={self._cache_bytes}"]
        rate = ["--rate-limit=execution_count", f"--rate-limit-resource=core:{self._executions}"]
        return [*(cache if self._cache_bytes else []), *(rate if self._executions else [])]

    def _environment(self) -> dict[str, str]:
        site = site_packages(self._python)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return inherited | {
            "LD_LIBRARY_PATH": f"{site / 'nvidia_pytriton.libs'}:{python_library_dir()}",
            "PATH": f"{self._python.parent}:{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": str(site),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def _assemble_backends(self) -> Path:
        """The backend folder that the server wants: its own python backend and ours (copies: it refuses links)."""
        packaged = site_packages(self._python) / "pytriton" / "tritonserver"
        backends = self._work_dir / "backends"
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub = "triton_python_backend_stub"
        files = {f"python/{path.name}": path for path in (packaged / "backends" / "python").iterdir() if path.is_file()}
        files[f"python/{stub}"] = packaged / "python_backend_stubs" / version / stub
        files["onnxruntime/model.py"] = _BACKENDS / "onnxruntime" / "model.py"
        for name, source in files.items():
            _copy(source, backends / name)
        return backends

    def _plain(self, path: Path) -> Path:
        """The path, or a link to it: Triton passes paths through a shell unquoted, so spaces would break them."""
        absolute = path.absolute()
        if _PLAIN_PATH.fullmatch(str(absolute)):
            return absolute
        if self._plain_dir is None:
            self._plain_dir = tempfile.TemporaryDirectory(prefix="framehouse-triton-", ignore_cleanup_errors=True)
        link = Path(self._plain_dir.name) / f"path{len(list(Path(self._plain_dir.name).iterdir()))}"
        link.symlink_to(absolute)
        return link

    def _open_log(self, command: Sequence[str]) -> int:
        """Begin a new run in the log; returns where it begins. A large log makes room first."""
        self._work_dir.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > _LARGEST_LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("a") as file:
            file.write(f"==== {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {' '.join(command)}\n")
            return file.tell()

    def _log_text(self) -> str:
        """What the present run has logged."""
        with self.log_path.open("rb") as file:
            file.seek(self._log_start)
            return file.read().decode(errors="replace")

    def _last_line(self) -> str:
        lines = [line.strip() for line in self._log_text().splitlines() if line.strip()]
        return lines[-1] if lines else "nothing in its log"

    def death_cause(self) -> ConfigError:
        """Why the last run ended while it was starting, by its log: `triton.model`, `triton.port` or `triton.start`."""
        text = self._log_text()
        failure, taken, complaint = _FAILURE.search(text), _TAKEN.search(text), _COMPLAINT.search(text)
        if failure is not None:
            return ConfigError(
                f"Triton cannot load the model {failure['model']}: {failure['reason']}",
                code="triton.model",
                hint=f"run: framehouse models check; log: {self.log_path}",
                model=failure["model"],
            )
        if taken is not None:
            return ConfigError(f"{taken['address']} is taken ({taken['service']})", code="triton.port")
        said = complaint["text"] if complaint is not None else self._last_line()
        return ConfigError(
            f"Triton ended while it was starting: {said}", code="triton.start", hint=f"log: {self.log_path}"
        )

    def is_ready(self) -> bool:
        """Whether the server answers and every model is loaded; one quick look."""
        try:
            self._request("GET", "/v2/health/ready", timeout_s=_LOOK_TIMEOUT_S)
        except (OSError, http.client.HTTPException, ValueError):
            return False
        return True

    def progress(self) -> ServerProgress | None:
        """What the server says about its requests; None when it does not answer."""
        connection = http.client.HTTPConnection(HOST, self._known_ports().metrics, timeout=_METRICS_TIMEOUT_S)
        try:
            connection.request("GET", "/metrics")
            return read_progress(connection.getresponse().read().decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def kill(self) -> None:
        """End a server that hangs, at once; whoever watches it starts it again."""
        if (pid := self.pid) is not None:
            _signal(pid, signal.SIGKILL)

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, timeout_s: float = _SELF_TEST_TIMEOUT_S
    ) -> dict[str, Any]:
        """One HTTP exchange with the server; ValueError for any status but 200."""
        connection = http.client.HTTPConnection(HOST, self._known_ports().http, timeout=timeout_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise ValueError(f"HTTP {response.status} {content[:200].decode(errors='replace')}")
        return dict(json.loads(content)) if content else {}


def find_models(repositories: Sequence[Path]) -> list[str]:
    """Names of the model folders (those with a config.pbtxt), sorted.

    Raises:
        ConfigError: code `triton.repository`: a folder is missing, there is no model, a model is there twice, or the
            self-test is not there.
    """
    names: list[str] = []
    for repository in repositories:
        if not repository.is_dir():
            raise ConfigError(f"no model repository {repository}", code="triton.repository")
        names += [config.parent.name for config in repository.glob("*/config.pbtxt")]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"models in two repositories: {', '.join(twice)}", code="triton.repository")
    if SELF_TEST_MODEL not in names:
        where = ", ".join(str(repository) for repository in repositories)
        raise ConfigError(
            f"no model {SELF_TEST_MODEL} in {where}", code="triton.repository", hint="it is part of triton_models/"
        )
    return sorted(names)


_FLOATS = [index * 0.5 - 7.0 for index in range(64)]
_PIXELS = [(index * 37) % 256 for index in range(256)]


def _self_test_request() -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "floats", "datatype": "FP32", "shape": [len(_FLOATS)], "data": _FLOATS},
            {"name": "pixels", "datatype": "UINT8", "shape": [len(_PIXELS)], "data": _PIXELS},
        ]
    }


def self_test_fault(answer: dict[str, Any]) -> str | None:
    """What is wrong in the answer to the self-test; None when every number is right."""
    expected = {"same_floats": _FLOATS, "same_pixels": _PIXELS, "sums": [sum(_FLOATS), sum(_PIXELS)]}
    outputs = {output["name"]: output.get("data") for output in answer.get("outputs", [])}
    for name, numbers in expected.items():
        if outputs.get(name) != numbers:
            return f"{name} came back as {str(outputs.get(name))[:60]} instead of {str(numbers)[:60]}"
    return None


def _check_free(ports: TritonPorts) -> None:
    for port in (ports.http, ports.grpc, ports.metrics):
        if not free.is_free(port):
            raise ConfigError(
                f"port {port} is taken", code="triton.port", hint="another server runs, or choose other ports"
            )


def _copy(source: Path, path: Path) -> None:
    """A copy where there is no equal one, put in place at once so that two starts do not meet half a file."""
    if path.is_file() and filecmp.cmp(source, path, shallow=False):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.copy(source, fresh)
    fresh.replace(path)


def _wait_for_end(pid: int) -> None:
    """Return when the process has ended (unreaped), or when one of its helpers has: Triton never replaces a helper
    that died, answers every request to its model with an error and still calls itself ready. So it must start anew.
    """
    watched = os.pidfd_open(pid)
    try:
        ended = select.poll()
        ended.register(watched, select.POLLIN)
        dead_before: set[int] = set()
        while not ended.poll(_HELPER_LOOK_MS):
            dead = set() if _is_stopped(pid) else _dead_children(pid)
            if dead & dead_before:  # Triton itself reaps at once the helpers that it ends
                log.warning("triton helper died", pid=pid, helper_pids=sorted(dead & dead_before))
                return
            dead_before = dead
    finally:
        os.close(watched)


def _is_stopped(pid: int) -> bool:
    """Whether a process was stopped (SIGSTOP, a debugger): it reaps nobody until it goes on."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    return False


def _dead_children(pid: int) -> set[int]:
    """Children of a process that ended and were not reaped."""
    children: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children.update(int(child) for child in path.read_text().split())
    return {child for child in children if start_ticks(child) is None}


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
