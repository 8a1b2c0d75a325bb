"""What the local stack is made of: one command line and one question "are you ready" for each of its processes."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path

import httpx
import structlog

from framehouse import ports
from framehouse.config import ROOT, Settings
from framehouse.errors import ConfigError
from framehouse.inference.hang import HangWatch
from framehouse.inference.repository import load_specs, resolve
from framehouse.inference.server import TritonServer, free_ports
from framehouse.inference.server_env import ensure_server_env
from framehouse.readiness import READY_DIR, forget_ready, ready_pids
from framehouse.stack.supervisor import Command, Component, Supervisor

log = structlog.get_logger(__name__)

PARTS = ("prefect", "triton", "dask-scheduler", "dask-workers", "loader", "runner", "api")
"""What a stack may be made of."""
_PREFERRED_PREFECT_PORT = 4200
_PREFERRED_DASK_PORT = 8786
_WATCH_S = 2.0
_SILENT_S = 30.0
_STUCK_GRACE_S = 5.0
"""Beyond the deadline of one request: by then whoever waits has given up."""
_DASK_WORKER = "dask-worker"
"""As `framehouse.inference.worker` calls itself; that module is too heavy for us."""


def plan_stack(settings: Settings, root: Path) -> Supervisor:
    """What is to run here: everything that the settings do not place elsewhere."""
    wanted = wanted_parts(settings)
    endpoints: dict[str, str] = {}
    components = [
        *(_prefect(settings, endpoints) if "prefect" in wanted or settings.prefect.api_url else []),
        *(_triton(settings, endpoints) if "triton" in wanted or settings.triton.url else []),
        *(_dask(settings, endpoints) if "dask-scheduler" in wanted or settings.dask.scheduler_address else []),
    ]
    _check_reach(wanted, endpoints)
    environment = {
        "PREFECT_API_URL": endpoints.get("prefect_api_url", ""),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # as framehouse.jobs.heartbeats; that module is too heavy for us
        **_prefect_environment(settings),
    }
    after = "prefect" if not settings.prefect.api_url and "prefect" in wanted else ""
    components += [
        Component("loader", _module("framehouse.loader", {}, settings, root)),
        Component("runner", _module("framehouse.jobs.runner", environment, settings, root), after=after),
    ]
    if "api" in wanted:
        components.append(_api(settings, endpoints, root))
    return Supervisor(settings, [part for part in components if part.name in wanted], endpoints)


def wanted_parts(settings: Settings) -> frozenset[str]:
    """Names of the parts that may run on this host.

    Raises:
        ConfigError: code `config.stack_parts`, a name that is none.
    """
    named = frozenset(filter(None, (part.strip() for part in settings.stack.parts.split(","))))
    if unknown := sorted(named - set(PARTS)):
        raise ConfigError(
            f"{', '.join(unknown)}: no part of the stack", code="config.stack_parts", hint=f"known: {', '.join(PARTS)}"
        )
    return named or frozenset(PARTS)


def _check_reach(wanted: frozenset[str], endpoints: dict[str, str]) -> None:
    """Raises ConfigError `config.stack_parts`: a part that runs here needs one that is nowhere."""
    needs = {"runner": ("prefect_api_url", "triton_url", "dask_address"), "dask-workers": ("dask_address",)}
    settings = {
        "prefect_api_url": "FRAMEHOUSE_PREFECT__API_URL",
        "triton_url": "FRAMEHOUSE_TRITON__URL",
        "dask_address": "FRAMEHOUSE_DASK__SCHEDULER_ADDRESS",
    }
    for part in sorted(wanted & needs.keys()):
        if missing := [settings[name] for name in needs[part] if name not in endpoints]:
            raise ConfigError(
                f"{part} is to run here, and does not know where to turn",
                code="config.stack_parts",
                hint=f"set {', '.join(missing)}",
            )


def _prefect(settings: Settings, endpoints: dict[str, str]) -> list[Component]:
    if settings.prefect.api_url:
        endpoints["prefect_api_url"] = settings.prefect.api_url
        return []
    port = free_port(_PREFERRED_PREFECT_PORT)
    address = f"http://{settings.stack.host}:{port}"
    endpoints["prefect_api_url"] = f"{address}/api"
    argv = [*_PREFECT, "--host", settings.stack.host, "--port", str(port)]
    environment = {
        **_prefect_environment(settings),
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",  # a video that waits its turn is not late; decision 20
        "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",  # loops that find nothing here, but cost CPU
        "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "60",
    }
    command = Command(argv, environment, settings.log_dir / "prefect.log", lambda _: _answers(f"{address}/api/health"))
    return [Component("prefect", command, address)]


def _triton(settings: Settings, endpoints: dict[str, str]) -> list[Component]:
    if settings.triton.url:
        endpoints["triton_url"] = settings.triton.url
        return []
    server = EmbeddedTriton(settings)
    endpoints["triton_url"] = server.address
    return [Component("triton", server, server.address)]


def _dask(settings: Settings, endpoints: dict[str, str]) -> list[Component]:
    """Scheduler and workers; with a scheduler elsewhere the workers, where they are asked for by name."""
    if settings.dask.scheduler_address:
        endpoints["dask_address"] = settings.dask.scheduler_address
        return [_dask_workers(settings, endpoints["dask_address"])] if settings.stack.parts else []
    host = settings.stack.host
    port = free_port(_PREFERRED_DASK_PORT if host != "127.0.0.1" else 0)
    address = f"tcp://{host}:{port}"
    endpoints["dask_address"] = address
    scheduler = [*_DASK, "scheduler", "--host", host, "--port", str(port), "--no-dashboard", "--no-show"]
    return [
        Component(
            "dask-scheduler",
            Command(
                scheduler, _dask_environment(), settings.log_dir / "dask-scheduler.log", lambda _: _listens(port, host)
            ),
            address,
        ),
        _dask_workers(settings, address),
    ]


_PREFECT = [sys.executable, "-m", "framehouse.jobs.prefect_server", "server", "start"]
_DASK = [sys.executable, "-m", "dask"]


def _dask_environment() -> dict[str, str]:
    return {
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "60s",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",  # these four: 15 % of a core for idle workers
        "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
        "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
        "DASK_DISTRIBUTED__WORKER__MEMORY__MONITOR_INTERVAL": "1s",
    }


def _dask_workers(settings: Settings, address: str) -> Component:
    ready_dir = _ready_dir(settings)
    n_workers = settings.dask.n_workers or os.cpu_count() or 1
    workers = [
        *_DASK,
        "worker",
        address,
        *("--host", settings.stack.host, "--nworkers", str(n_workers)),
        *("--nthreads", "1", "--memory-limit", str(settings.dask.worker_memory_bytes), "--no-dashboard"),
        *("--local-directory", str(settings.home / "dask"), "--death-timeout", "60"),
        *("--preload", "framehouse.inference.worker", "--preload", "framehouse.jobs.chunks"),
    ]
    return Component(
        "dask-workers",
        Command(
            workers,
            {**_dask_environment(), READY_DIR: str(ready_dir)},
            settings.log_dir / "dask-workers.log",
            lambda _: len(_alive(ready_pids(ready_dir, _DASK_WORKER))) >= n_workers,
            lambda: forget_ready(ready_dir, _DASK_WORKER),
        ),
    )


def _api(settings: Settings, endpoints: dict[str, str], root: Path) -> Component:
    port = free_port(settings.api.port)
    address = f"http://{settings.api.host}:{port}"
    endpoints["api_url"] = address
    return Component(
        "api", _module("framehouse.api.server", {}, settings, root, name="api", argument=str(port)), address
    )


class EmbeddedTriton:
    """The packaged Triton server as a component; its numbers are checked at each start, and one that hangs is ended."""

    def __init__(self, settings: Settings) -> None:
        settings.added_models_dir.mkdir(parents=True, exist_ok=True)
        self._server = TritonServer(
            ensure_server_env(ROOT),
            settings.model_repositories,
            work_dir=settings.triton_dir,
            ports=free_ports(),
            models=_preloaded(settings),
            host=settings.stack.host,
            config_name=settings.triton.config_name,
            cache_bytes=settings.triton.cache_bytes,
            executions=settings.triton.executions,
        )
        self._started = self._tested = self._was_ready = False
        self._watch = HangWatch(_SILENT_S, settings.triton.request_timeout_s + _STUCK_GRACE_S)
        self._watching = threading.Thread(target=self._end_hanging, name="triton-watch", daemon=True)

    def _end_hanging(self) -> None:
        """The watch's life: a server that was ready and answers nobody any more is killed, and so started again."""
        while True:
            time.sleep(_WATCH_S)
            if not (self._tested and self._server.alive()):
                self._watch.forget()
            elif (fault := self._watch.fault(time.monotonic(), self._server.progress())) is not None:
                log.error("triton hangs, ending it", fault=fault, pid=self._server.pid)
                self._watch.forget()
                self._server.kill()

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
        if not self._started:
            self._watching.start()
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


def _preloaded(settings: Settings) -> list[str]:
    """Triton models that are loaded at the start, steps first.

    Raises:
        ConfigError: a name in the setting `triton.preload` that no card offers.
    """
    specs = load_specs(settings.model_repositories)
    names = [name.strip() for name in settings.triton.preload.split(",") if name.strip()]
    return [step for name in names for step in resolve(specs, name).steps]


def _module(
    module: str, environment: dict[str, str], settings: Settings, root: Path, *, name: str = "", argument: str = ""
) -> Command:
    """A module of ours that says itself when it is ready, by its last name unless another is given."""
    name, ready_dir = name or module.rsplit(".", 1)[-1], _ready_dir(settings)
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH", "")]))
    argv = [sys.executable, "-m", module, *filter(None, [argument])]
    return Command(
        argv,
        {"PYTHONPATH": path, READY_DIR: str(ready_dir), **environment},
        settings.log_dir / f"{name}.log",
        lambda pid: pid in ready_pids(ready_dir, name),
        lambda: forget_ready(ready_dir, name),
    )


def _ready_dir(settings: Settings) -> Path:
    return settings.state_dir / "ready"


def _alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


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
    if preferred and ports.is_free(preferred):
        return preferred
    try:
        return ports.free_ports(1)[0]
    except OSError as error:
        raise ConfigError("no free port on 127.0.0.1", code="config.port") from error


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1.0).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _listens(port: int, host: str) -> bool:
    with socket.socket() as client:
        client.settimeout(0.5)
        return client.connect_ex((host, port)) == 0
