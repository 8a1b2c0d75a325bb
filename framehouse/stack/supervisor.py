"""Keeps processes alive: start, watch, restart, stop; and tells the others about them in `state/stack.json`."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import structlog

from framehouse.config import Settings, stack_file
from framehouse.errors import ConfigError, FramehouseError
from framehouse.inference.server import LAUNCHER

log = structlog.get_logger(__name__)

_LOOK_S = 0.25
_BACKOFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_HEALTHY_S = 60.0
_READY_LIMIT_S = 300.0
_STOP_LIMIT_S = 8.0
_STOP_ALL_LIMIT_S = 25.0
"""`framehouse down` waits 40 s; Triton takes what it needs of them."""


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
        self,
        argv: list[str],
        env: dict[str, str],
        log_path: Path,
        is_ready: Callable[[int], bool] = lambda _pid: True,
        before_start: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            is_ready: asked with the process id, quick.
            before_start: takes away what an earlier process left that would make the new one look ready.
        """
        self._argv, self._env, self._log_path = argv, env, log_path
        self._is_ready, self._before_start = is_ready, before_start
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the command; it dies with us."""
        self._before_start()
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
        return self._child is not None and self.is_alive() and self._is_ready(self._child.pid)

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
        if text == self._written:
            return
        path = stack_file(self.settings)
        temporary = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text)
            temporary.replace(path)
        except OSError as error:  # a full disk, say: no reason to let everything down
            log.warning("cannot write what the stack is doing", path=str(path), error=error.strerror)
            return
        self._written = text

    def _stop(self) -> None:
        self.state = "failed" if self.error else "stopping"
        self._write()
        deadline = time.monotonic() + _STOP_ALL_LIMIT_S
        for component in reversed(self.components):
            if component.process.is_alive():
                component.process.stop(max(1.0, min(_STOP_LIMIT_S, deadline - time.monotonic())))
            component.state = "stopped"
        if self.error:
            self._write()
        else:
            stack_file(self.settings).unlink(missing_ok=True)


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
