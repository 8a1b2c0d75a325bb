"""The local stack of `up`: start its processes, watch them, restart what dies, stop them all.

`python -m framehouse.stack` is the supervisor: a small process that imports nothing heavy. Everything it starts is
bound to its life by the kernel (PR_SET_PDEATHSIG), so that even `kill -9` on it leaves nothing behind. What it knows it
writes to `state/stack.json`: addresses for the other processes, states for `status`.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import structlog

from framehouse.config import ROOT, Settings, load_settings, require_checkout, stack_file
from framehouse.errors import ConfigError, FramehouseError
from framehouse.inference.server import LAUNCHER, TritonServer, free_ports
from framehouse.inference.server_env import ensure_server_env
from framehouse.telemetry import configure_logging

log = structlog.get_logger(__name__)

_LOOK_S = 0.25
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_HEALTHY_S = 60.0
_READY_LIMIT_S = 300.0
_STOP_LIMIT_S = 8.0
_PREFERRED_PREFECT_PORT = 4200


class Process(Protocol):
    """What the supervisor needs of something it keeps alive."""

    def start(self) -> None:
        """Start, without waiting."""

    def is_alive(self) -> bool:
        """Whether the process runs."""

    def is_ready(self) -> bool:
        """Whether it answers; quick, asked again until it does."""

    def stop(self, limit_s: float) -> None:
        """Ask it to end, then end it."""

    @property
    def pid(self) -> int | None:
        """Process id, if started."""


class Command:
    """A child process of the supervisor, its output in a log file."""

    def __init__(
        self, argv: list[str], env: dict[str, str], log_path: Path, is_ready: Callable[[], bool] = lambda: True
    ) -> None:
        self._argv, self._env, self._log_path, self._is_ready = argv, env, log_path, is_ready
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the command; it dies with us."""
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with self._log_path.open("ab") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *self._argv],
                env={**os.environ, **self._env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.poll() is None

    def is_ready(self) -> bool:
        """Whether it answers."""
        return self.is_alive() and self._is_ready()

    def stop(self, limit_s: float) -> None:
        """SIGTERM, then SIGKILL after `limit_s`."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    @property
    def pid(self) -> int | None:
        """Process id, if started."""
        return self._child.pid if self._child else None


@dataclass(slots=True)
class Component:
    """A process with a name, and how it has fared."""

    name: str
    process: Process
    address: str = ""
    after: str = ""
    state: str = "waiting"
    restarts: int = 0
    started_at: float = 0.0
    restart_at: float = 0.0

    def facts(self) -> dict[str, Any]:
        """What `status` shows."""
        return {
            "state": self.state,
            "pid": self.process.pid,
            "address": self.address,
            "restarts": self.restarts,
            "started_at": self.started_at,
        }


@dataclass(slots=True)
class Supervisor:
    """Keeps the components alive until told to stop."""

    settings: Settings
    components: list[Component]
    endpoints: dict[str, str]
    state: str = "starting"
    error: str = ""
    stopping: bool = False
    _written: str = field(default="", init=False)

    def run(self) -> int:
        """Start, watch, stop; returns the exit code."""
        started = time.monotonic()
        try:
            while not self.stopping:
                for component in self.components:
                    self._tend(component)
                if self.state == "starting" and all(c.state == "ready" for c in self.components):
                    self.state = "ready"
                    log.info("stack ready", elapsed_s=round(time.monotonic() - started, 1))
                if self.state == "starting" and time.monotonic() - started > _READY_LIMIT_S:
                    late = ", ".join(c.name for c in self.components if c.state != "ready")
                    raise ConfigError(f"not ready after {_READY_LIMIT_S:.0f} s: {late}", code="config.stack")
                self._write()
                time.sleep(_LOOK_S)
        except FramehouseError as error:
            self.error = error.line()
            log.error("stack failed", error=self.error)
        finally:
            self._stop()
        return 1 if self.error else 0

    def _tend(self, component: Component) -> None:
        now = time.monotonic()
        if component.state == "waiting":
            if not component.after or self._named(component.after).state == "ready":
                self._start(component)
        elif not component.process.is_alive():
            if component.restart_at == 0.0:
                self._note_death(component, now)
            elif now >= component.restart_at:
                component.restart_at = 0.0
                self._start(component)
        elif component.state != "ready" and component.process.is_ready():
            component.state = "ready"
            log.info("component ready", name=component.name, elapsed_s=round(now - component.started_at, 1))

    def _start(self, component: Component) -> None:
        component.process.start()
        component.state = "starting"
        component.started_at = time.monotonic()
        log.info("component started", name=component.name, pid=component.process.pid)

    def _note_death(self, component: Component, now: float) -> None:
        if now - component.started_at > _HEALTHY_S:
            component.restarts = 0
        pause_s = _BACKOFF_S[min(component.restarts, len(_BACKOFF_S) - 1)]
        component.restarts += 1
        component.restart_at = now + pause_s
        component.state = "restarting"
        log.warning("component died, restarting", name=component.name, pause_s=pause_s, restarts=component.restarts)

    def _named(self, name: str) -> Component:
        return next(component for component in self.components if component.name == name)

    def _write(self) -> None:
        facts = {
            "pid": os.getpid(),
            "state": self.state,
            "error": self.error,
            "endpoints": self.endpoints,
            "components": {component.name: component.facts() for component in self.components},
        }
        text = json.dumps(facts, indent=1)
        if text != self._written:
            path = stack_file(self.settings)
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".tmp")
            temporary.write_text(text)
            temporary.replace(path)
            self._written = text

    def _stop(self) -> None:
        self.state = "failed" if self.error else "stopping"
        self._write()
        for component in reversed(self.components):
            if component.process.is_alive():
                component.process.stop(_STOP_LIMIT_S)
            component.state = "stopped"
        if self.error:
            self._write()
        else:
            stack_file(self.settings).unlink(missing_ok=True)


def main() -> int:
    """Be the supervisor until SIGTERM or SIGINT."""
    configure_logging(json=True)
    settings = load_settings()
    root = require_checkout("the local stack")
    with single_instance(settings):
        supervisor = plan_stack(settings, root)

        def stop(_number: int, _frame: object) -> None:
            supervisor.stopping = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        return supervisor.run()


@contextmanager
def single_instance(settings: Settings) -> Iterator[None]:
    """Hold the stack's lock: an OS lock, freed by any death.

    Raises:
        ConfigError: a stack runs on this FRAMEHOUSE_HOME already.
    """
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    with (settings.state_dir / ".stack.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"a stack runs already on {settings.home}", code="config.stack_runs", hint="framehouse status"
            ) from error
        yield


def plan_stack(settings: Settings, root: Path) -> Supervisor:
    """What is to run here: everything that the settings do not place elsewhere."""
    endpoints: dict[str, str] = {}
    components = [
        *_prefect(settings, endpoints),
        *_triton(settings, endpoints),
        *_dask(settings, endpoints),
    ]
    environment = {"PREFECT_API_URL": endpoints["prefect_api_url"], **_prefect_environment(settings)}
    after = "prefect" if not settings.prefect.api_url else ""
    components += [
        Component("loader", _module("framehouse.loader", {}, settings, root)),
        Component("runner", _module("framehouse.jobs.runner", environment, settings, root), after=after),
    ]
    return Supervisor(settings, components, endpoints)


def _prefect(settings: Settings, endpoints: dict[str, str]) -> list[Component]:
    if settings.prefect.api_url:
        endpoints["prefect_api_url"] = settings.prefect.api_url
        return []
    port = free_port(_PREFERRED_PREFECT_PORT)
    address = f"http://127.0.0.1:{port}"
    endpoints["prefect_api_url"] = f"{address}/api"
    argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    environment = {
        **_prefect_environment(settings),
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "30",  # loops that find nothing here, but cost CPU
        "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",
        "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "60",
    }
    command = Command(argv, environment, settings.log_dir / "prefect.log", lambda: _answers(f"{address}/api/health"))
    return [Component("prefect", command, address)]


def _triton(settings: Settings, endpoints: dict[str, str]) -> list[Component]:
    if settings.triton.url:
        endpoints["triton_url"] = settings.triton.url
        return []
    server = EmbeddedTriton(settings)
    endpoints["triton_url"] = server.address
    return [Component("triton", server, server.address)]


def _dask(settings: Settings, endpoints: dict[str, str]) -> list[Component]:
    if settings.dask.scheduler_address:
        endpoints["dask_address"] = settings.dask.scheduler_address
        return []
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    endpoints["dask_address"] = address
    environment = {
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "60s",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",  # these four: 15 % of a core for idle workers
        "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
        "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
        "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "1s",
    }
    dask = [sys.executable, "-m", "dask"]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
    workers = [
        *dask,
        "worker",
        address,
        *("--host", "127.0.0.1", "--nworkers", str(settings.dask.n_workers or os.cpu_count() or 1)),
        *("--nthreads", "1", "--memory-limit", str(settings.dask.worker_memory_bytes), "--no-dashboard"),
        *("--local-directory", str(settings.home / "dask"), "--death-timeout", "60"),
        *("--preload", "framehouse.inference.worker"),
    ]
    logs = settings.log_dir
    return [
        Component(
            "dask-scheduler",
            Command(scheduler, environment, logs / "dask-scheduler.log", lambda: _listens(port)),
            address,
        ),
        Component("dask-workers", Command(workers, environment, logs / "dask-workers.log")),
    ]


class EmbeddedTriton:
    """The packaged Triton server as a component; its numbers are checked at every start."""

    def __init__(self, settings: Settings) -> None:
        self._server = TritonServer(
            ensure_server_env(ROOT), [settings.model_repository], work_dir=settings.triton_dir, ports=free_ports()
        )
        self._started = self._tested = self._was_ready = False

    @property
    def address(self) -> str:
        """host:port of gRPC, the same after a restart."""
        return self._server.url

    def start(self) -> None:
        """Start, on the ports of the last time.

        Raises:
            ConfigError: it has never been ready and has just ended: to start it again would not help.
        """
        if self._started and not self._was_ready:
            raise self._server.death_cause()
        self._started = True
        self._tested = False
        self._server.start()

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._server.alive()

    def is_ready(self) -> bool:
        """Whether every model is loaded and the numeric self-test gave the right numbers.

        Raises:
            ConfigError: `triton.selftest`, wrong numbers.
        """
        if not self._tested and self._server.is_ready():
            self._server.self_test()
            self._tested = self._was_ready = True
        return self._tested

    def stop(self, limit_s: float) -> None:
        """Stop the server and its backends."""
        self._server.stop()

    @property
    def pid(self) -> int | None:
        """Process id, if started."""
        return self._server.pid


def _module(module: str, environment: dict[str, str], settings: Settings, root: Path) -> Command:
    name = module.rsplit(".", 1)[-1]
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    argv = [sys.executable, "-m", module]
    return Command(argv, {"PYTHONPATH": path, **environment}, settings.log_dir / f"{name}.log")


def _prefect_environment(settings: Settings) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_PROFILES_PATH": str(settings.home / "prefect" / "profiles.toml"),
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_CLI_PROMPT": "false",
    }


def free_port(preferred: int = 0) -> int:
    """A free loopback port: the preferred one, else any."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigError("no free port on 127.0.0.1", code="config.port")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1.0).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(0.5)
        return client.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.exit(main())
