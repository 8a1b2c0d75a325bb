"""docker/compose.yaml without Docker: each service's own command and environment, as processes of this machine.

What a container would give is given in another way: addresses of services become ports of the loopback address, volumes
and /tmp become folders, the image's programs those of this environment, `tritonserver` the packaged server (with our
python onnxruntime backend for the native one). PostgreSQL and the bucket are not ours: the caller says where they are.
Nothing of our own environment comes along, so what compose.yaml and the Dockerfile do not set is not there, and every
file system is read-only but for those folders and /dev/shm (where the kernel lets us: `Topology.shield`).

`PYTHONPATH=tests python tests/compose_as_processes.py` starts all of it and waits for Ctrl-C.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from framehouse.config import ROOT
from framehouse.inference.regions import drop_regions, region_prefix
from framehouse.inference.server import LAUNCHER, TritonServer, site_packages
from framehouse.inference.server_env import ensure_server_env
from framehouse.ports import free_ports

COMPOSE = ROOT / "docker" / "compose.yaml"
DOCKERFILE = ROOT / "docker" / "app.Dockerfile"
SECRETS = {"POSTGRES_PASSWORD": "pw", "S3_ACCESS_KEY": "key", "S3_SECRET_KEY": "secret", "GRAFANA_PASSWORD": "pw"}
READ_ONLY = """mount --bind "$1" "$1" && mount --bind "$2" /tmp && mount -o remount,bind,ro / || exit 1
cd "$3" && shift 3 && exec "$@" """
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:-|:\?)(?P<text>[^}]*))?\}")
_HEALTHY_S = 150.0
_RESTARTS = 3
_KEPT = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "LANG", "TZ")
"""Of our own environment: they name the processor, not the product."""


class MissingVariable(Exception):
    """compose.yaml asks for a variable that is not set."""


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """`${NAME}`, `${NAME:-default}` and `${NAME:?message}`, as compose replaces them."""

    def value(match: re.Match[str]) -> str:
        found = variables.get(match["name"], "")
        if found:
            return found
        if match["how"] == ":?":
            raise MissingVariable(f"{match['name']}: {match['text']}")
        return match["text"] or "" if match["how"] == ":-" else ""

    return _VARIABLE.sub(value, text)


def read_compose(variables: Mapping[str, str] = SECRETS) -> dict[str, Any]:
    """The document as compose reads it: variables replaced, merges done, extensions gone."""
    document = yaml.safe_load(interpolate(COMPOSE.read_text(), variables))
    return {key: value for key, value in document.items() if not key.startswith("x-")}


def image_environment(dockerfile: Path = DOCKERFILE) -> dict[str, str]:
    """What the last stage sets by ENV."""
    last = re.sub(r"\\\n\s*", " ", dockerfile.read_text()).rpartition("\nFROM ")[2]
    lines = [line.removeprefix("ENV ") for line in last.splitlines() if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in line.split())


@dataclass(slots=True)
class Running:
    """One container's process."""

    service: str
    index: int
    process: subprocess.Popen[bytes]
    log: Path
    environment: dict[str, str]
    prefix: str = ""

    def kill(self) -> None:
        """As the power cut does: the whole group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass(slots=True)
class Topology:
    """The services of compose.yaml, each started and stopped by name."""

    folder: Path
    given: Mapping[str, str]
    """Addresses that others provide: `postgres:5432/framehouse` to `127.0.0.1:5433/db1`."""
    document: dict[str, Any]
    running: dict[tuple[str, int], Running] = field(default_factory=dict)
    is_shielded: bool = field(default=False, init=False)
    """Whether each process has a mount namespace in which only our folder, and /tmp of its own, can be written to."""
    _ports: dict[tuple[str, int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.is_shielded = True
        trial = f"! touch '{ROOT}/.tried' && touch '{self.folder}/.tried' /tmp/.tried"
        tried = subprocess.run([*self.shield("volumes", 0), "sh", "-c", trial], capture_output=True)
        hidden = any(path.is_relative_to("/tmp") for path in (ROOT, Path(sys.prefix), Path(sys.base_prefix)))
        self.is_shielded = tried.returncode == 0 and not hidden

    def shield(self, service: str, index: int) -> list[str]:
        """What a process is run by."""
        if not self.is_shielded:
            return []
        own_tmp = self.volume(f"tmp-{service}-{index}")
        places = [str(self.folder), str(own_tmp), str(ROOT)]
        return ["unshare", "-rm", "--propagation", "private", "sh", "-c", READ_ONLY, "sh", *places]

    def port(self, service: str, number: int, index: int = 0) -> int:
        """The loopback port that stands for a container's port."""
        key = (service, number, index)
        if key not in self._ports:
            self._ports[key] = free_ports(1)[0]
        return self._ports[key]

    def address(self, service: str, number: int, index: int = 0) -> str:
        """host:port of it."""
        return f"127.0.0.1:{self.port(service, number, index)}"

    def start(self, service: str, index: int = 0) -> Running:
        """Start one container's process; waits for nothing."""
        spec = self.document["services"][service]
        argv = [self.localise(str(word), service, index) for word in spec["command"]]
        environment = self.environment(service, index)
        log = self.folder / "logs" / f"{service}-{index + 1}.log"
        log.parent.mkdir(exist_ok=True)
        prefix = ""
        if argv[0] == "tritonserver":
            prefix = region_prefix(f"compose{service.replace('-', '')}")
            argv, environment = self._embedded(argv, environment, prefix)
        elif argv[0] != "python":
            argv = ["python", "-m", *argv]
        words = [sys.executable if word == "python" else word for word in argv]
        with log.open("ab") as output:
            process = self._launch([*self.shield(service, index), *self._owned(words)], environment, output)
        self.running[service, index] = Running(service, index, process, log, environment, prefix)
        return self.running[service, index]

    def restart(self, service: str, index: int = 0) -> None:
        """As an update does it: SIGTERM, its own time to end, a new process. AssertionError: it took longer."""
        running, spec = self.running[service, index], self.document["services"][service]
        running.process.terminate()
        try:
            running.process.wait(float(spec["stop_grace_period"].removesuffix("s")))
        except subprocess.TimeoutExpired:
            running.kill()
            raise AssertionError(f"{service} did not end in time:\n{tail(running.log)}") from None
        finally:
            if running.prefix:
                drop_regions(running.prefix)
        self.start(service, index)

    def tend(self) -> None:
        """Start again what has ended and is to stay, as `restart: unless-stopped` does."""
        for (service, index), running in [*self.running.items()]:
            is_to_stay = self.document["services"][service]["restart"] == "unless-stopped"
            if is_to_stay and running.process.poll() is not None:
                self.start(service, index)

    def wait_healthy(self, *services: str, limit_s: float = _HEALTHY_S) -> None:
        """Wait until the health check of each says so; one that ended is started again, as compose does it.

        A Dask worker, for example, ends when its scheduler says good-bye. AssertionError: too late, or it ends always.
        """
        until, n_ended = time.monotonic() + limit_s, 0
        for (service, index), running in [*self.running.items()]:
            while service in services and self.health(service, index):
                if self.running[service, index].process.poll() is not None:
                    n_ended += 1
                    assert n_ended <= _RESTARTS, f"{service} ended:\n{tail(running.log)}"
                    self.start(service, index)  # `restart: unless-stopped`
                assert time.monotonic() < until, f"{service}: {self.health(service, index)}\n{tail(running.log)}"
                time.sleep(0.5)

    def health(self, service: str, index: int = 0) -> str:
        """What the service's health check complains of; empty when it is healthy."""
        test = [
            self.localise(str(word), service, index)
            for word in self.document["services"][service]["healthcheck"]["test"]
        ]
        assert test[0] == "CMD"
        words, environment = test[1:], self.running[service, index].environment
        if words[0] == "python3":
            script = ROOT / "docker" / Path(words[1]).name
            url = f"http://{self.address(service, 8000, index)}"
            words = [sys.executable, str(script), "--url", url]
        words = [sys.executable if word == "python" else word for word in words]
        words = [*self.shield(service, index), *words]
        done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True)
        return "" if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")

    def run_once(self, service: str) -> None:
        """A service that ends by itself, as `prepare`."""
        running = self.start(service)
        assert running.process.wait(90) == 0, tail(running.log)

    def command(self, *words: str, service: str = "api") -> subprocess.CompletedProcess[str]:
        """`docker compose exec SERVICE framehouse WORDS…`."""
        argv = [*self.shield(service, 0), sys.executable, "-m", "framehouse.cli.main", *words]
        environment = self.environment(service)
        return subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True)

    def environment(self, service: str, index: int = 0) -> dict[str, str]:
        """The environment of a service's process."""
        spec = self.document["services"][service]
        image = {} if "triton" in service else image_environment()
        wanted = {**image, **{k: str(v) for k, v in spec.get("environment", {}).items()}}
        localised = {k: self.localise(v, service, index) for k, v in wanted.items() if k != "PATH"}
        kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
        return {**kept, **localised, "PATH": f"{Path(sys.executable).parent}:{os.defpath}", "PYTHONPATH": str(ROOT)}

    def localise(self, text: str, service: str, index: int) -> str:
        """A word of compose.yaml as it is right here."""
        for there, here in self.given.items():
            text = text.replace(there, here)
        for name, spec in self.document["services"].items():
            for number in map(int, spec.get("expose", [])):
                text = re.sub(rf"(?<![\w.-]){name}:{number}(?!\d)", lambda _: self.address(name, number), text)  # noqa: B023
        for number in map(int, self.document["services"][service].get("expose", [])):
            mine = str(self.port(service, number, index))
            text = re.sub(rf"(?<=[\d]:){number}(?!\d)|^{number}$|(?<=-port=){number}$", mine, text)
        text = re.sub(r"\b0\.0\.0\.0\b", "127.0.0.1", text)
        places = {
            "/data": self.volume("data"), "/added": self.volume("data") / "models", "/engines": self.volume("engines"),
            "/models": ROOT / "triton_models", "/tmp": self._tmp(service, index),
        }  # fmt: skip
        return re.sub(r"(?:^|(?<==))(/data|/added|/engines|/models|/tmp)(?=/|$)", lambda m: str(places[m[1]]), text)

    def _tmp(self, service: str, index: int) -> Path:
        return Path("/tmp") if self.is_shielded else self.volume(f"tmp-{service}-{index}")

    def volume(self, name: str) -> Path:
        """The folder that stands for a volume."""
        path = self.folder / name
        if not path.exists():
            (path / "models").mkdir(parents=True)
        return path

    def stop(self) -> None:
        """SIGTERM to all, in the opposite order, then SIGKILL."""
        for running in reversed(self.running.values()):
            running.process.terminate()
        until = time.monotonic() + 20
        for running in self.running.values():
            try:
                running.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                running.kill()
            if running.prefix:
                drop_regions(running.prefix)

    def logs(self) -> str:
        """The end of every log."""
        return "\n".join(f"==== {path.name}\n{tail(path)}" for path in sorted((self.folder / "logs").glob("*.log")))

    def _owned(self, words: Sequence[str]) -> list[str]:
        """The command, ended by the kernel when we are."""
        return [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *words]

    def _launch(self, words: Sequence[str], environment: dict[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            words, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip

    def _embedded(self, argv: list[str], environment: dict[str, str], prefix: str) -> tuple[list[str], dict[str, str]]:
        """The packaged server in place of the image's: the same arguments, and where its backends are."""
        python = ensure_server_env(ROOT)
        server = TritonServer(python, [], work_dir=self.volume("triton-backends"))
        program = site_packages(python) / "pytriton" / "tritonserver" / "bin" / "tritonserver"
        more = [
            f"--backend-directory={server._assemble_backends()}",
            *(f"--{kind}-address=127.0.0.1" for kind in ("http", "grpc", "metrics")),
            "--allow-gpu-metrics=false",
            f"--backend-config=python,shm-region-prefix-name={prefix}",
        ]
        return [str(program), *argv[1:], *more], {**environment, **_own(server._environment())}


def _own(environment: Mapping[str, str]) -> dict[str, str]:
    names = ("LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    return {name: environment[name] for name in names}


def tail(path: Path, n_lines: int = 40) -> str:
    """The end of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-n_lines:])


@contextmanager
def topology(given: Mapping[str, str], **variables: str) -> Iterator[Topology]:
    """A topology in a folder of its own, whose processes end with it.

    Args:
        given: addresses that others provide.
        variables: of docker/.env.
    """
    folder = Path(tempfile.mkdtemp(prefix="framehouse-compose-", dir="/var/tmp"))
    folder.chmod(0o755)
    made = Topology(folder, given, read_compose({**SECRETS, **variables}))
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


ORDER = (
    "prefect-server",
    "dask-scheduler",
    "triton-1",
    "triton-2",
    "loader",
    "api",
    "dask-worker",
    "runner",
    "prefect-worker",
)


def start_all(made: Topology, **replicas: int) -> None:
    """Everything, in the order in which it can be healthy.

    Args:
        replicas: how many of a service, by its name with _ for -.
    """
    made.run_once("prepare")
    for service in ORDER:
        for index in range(replicas.get(service.replace("-", "_"), 1)):
            if service == "prefect-worker":
                made.wait_healthy("runner")
            made.start(service, index)
        if service in ("prefect-server", "dask-scheduler"):
            made.wait_healthy(service)
    made.wait_healthy(*ORDER)


def main() -> None:
    """Start all of it, say where it is, wait for Ctrl-C."""
    from cloud import SERVERS
    from postgres import postgres_server

    with postgres_server() as new_database, SERVERS["s3"]() as cloud:
        places = {f"postgres:5432/{name}": new_database().rpartition("@")[2] for name in ("framehouse", "prefect")} | {
            "bucket:8333": cloud.gate.url.removeprefix("http://")
        }
        with topology(places) as made:
            start_all(made, dask_worker=2)
            print(f"API http://{made.address('api', 8800)} · Prefect http://{made.address('prefect-server', 4200)}")
            print(f"files and logs in {made.folder}; Ctrl-C ends it", flush=True)
            try:
                signal.pause()
            except KeyboardInterrupt:
                print("stopping")


if __name__ == "__main__":
    main()
