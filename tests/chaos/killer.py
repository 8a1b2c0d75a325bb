"""Picks victims among the processes of one stack, and kills them with SIGKILL."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from local_stack import Stack

KINDS = ("flow", "worker", "triton", "loader", "runner", "prefect", "dask-scheduler", "api")


@dataclass
class Killer:
    """Kills one process of a kind at a time; `log` tells which."""

    stack: Stack
    rng: random.Random
    log: list[str] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)

    def victims(self, kind: str) -> list[int]:
        """Process ids of a kind; none when they are just being restarted."""
        components = self.stack.facts()["components"]
        pids = {name: component["pid"] for name, component in components.items() if component["pid"]}
        if kind == "flow":
            return children(pids.get("runner"), lambda _: True)
        if kind == "worker":
            return children(pids.get("dask-workers"), lambda p: "spawn_main" in " ".join(p.cmdline()))
        return [pids[kind]] if kind in pids else []

    def kill(self, kind: str) -> bool:
        """Kill one of them; False when there was none."""
        victims = [pid for pid in self.victims(kind) if psutil.pid_exists(pid)]
        if not victims:
            return False
        pid = self.rng.choice(victims)
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.log.append(f"{kind} {pid}")
        self.killed[kind] += 1
        return True


def children(root: int | None, is_wanted: Callable[[psutil.Process], bool]) -> list[int]:
    """Descendants of a process."""
    try:
        found = psutil.Process(root).children(recursive=True) if root else []
        return [child.pid for child in found if is_wanted(child)]
    except psutil.NoSuchProcess:
        return []
