"""`make bench-api`: what the HTTP server takes with 50 clients at once: polls, submissions, uploads of 1 MB.

The server is the real process on the loopback address with a key made, and no engine behind it: jobs stay queued, so
the figures are the server's and not the machine's other work. The clients are one process beside it, so on a machine
with few cores both share them; `server CPU` is the share that is the server's own. Writes bench/api-<time>.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from framehouse.config import ROOT, Settings
from framehouse.state import open_state
from framehouse.state.keys import Keys
from local_stack import clean_environment
from postgres import free_port

UPLOAD = os.urandom(1_000_000)
START_TIMEOUT_S = 60.0
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one kind of request came to."""

    name: str
    n_requests: int
    n_refused: int
    requests_per_s: float
    p50_ms: float
    p95_ms: float
    max_ms: float
    server_cpu_ms: float


class Connection:
    """One client: HTTP/1.1 over one kept connection, as thin as can be, because it shares the server's cores."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key

    async def open(self) -> Connection:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def ask(
        self, method: str, path: str, body: bytes = b"", content: str = "application/json"
    ) -> tuple[int, Any]:
        """One request; its status and what its JSON body says."""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: {content}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        await self._writer.drain()
        answer = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        status, length = int(answer.split(" ", 2)[1]), int(answer.split("content-length: ")[1].split("\r\n")[0])
        return status, json.loads(await self._reader.readexactly(length))

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


Request = Callable[[Connection], Awaitable[tuple[int, Any]]]


async def measure(
    name: str, server: psutil.Process, clients: list[Connection], make: Callable[[], Request | None], seconds: float
) -> tuple[Figures, list[Any]]:
    """All clients at once, each its next request when its last is answered, until the time is over or none is left."""
    times_s: list[float] = []
    said: list[Any] = []
    refused: list[Any] = []
    until = time.perf_counter() + seconds

    async def go_on(client: Connection) -> None:
        while time.perf_counter() < until and (request := make()) is not None:
            began = time.perf_counter()
            status, body = await request(client)
            times_s.append(time.perf_counter() - began)
            (said if status < 300 else refused).append(body)

    cpu, began = _cpu_s(server), time.perf_counter()
    await asyncio.gather(*(go_on(client) for client in clients))
    elapsed_s = time.perf_counter() - began
    p50, p95, longest = (1e3 * float(x) for x in np.quantile(times_s, [0.5, 0.95, 1.0]))
    found = Figures(
        name, len(times_s), len(refused), len(times_s) / elapsed_s, p50, p95, longest,
        1e3 * (_cpu_s(server) - cpu) / len(times_s),
    )  # fmt: skip
    print(
        f"{name:<28} {found.requests_per_s:8.0f} requests/s   p50 {p50:7.1f} ms   p95 {p95:7.1f} ms   "
        f"max {longest:7.1f} ms   server CPU {found.server_cpu_ms:5.2f} ms   {found.n_refused} of "
        f"{found.n_requests} refused" + (f": {refused[0]}" if refused else ""), flush=True
    )  # fmt: skip
    return found, said


async def run(port: int, key: str, server: psutil.Process, arguments: argparse.Namespace) -> list[Figures]:
    """The phases, one after another."""
    clients = [await Connection(port, key).open() for _ in range(arguments.clients)]
    number, seconds = count(), arguments.seconds

    def submit() -> Request:
        body = {
            "input_url": f"http://example.org/{next(number)}.mp4", "infer_fps": 5,
            "models": [{"model_id": "detector", "model_version": "1", "inference_type": "object-detection"}],
        }  # fmt: skip
        return lambda client: client.ask("POST", "/videoinfer", json.dumps(body).encode())

    submitted, jobs = await measure("submit", server, clients, submit, seconds)
    job_ids = [job["job_id"] for job in jobs]
    polls = count()

    def poll() -> Request:
        job_id = job_ids[next(polls) % len(job_ids)]
        return lambda client: client.ask("GET", f"/videoinfer?job_id={job_id}")

    polled, _ = await measure("poll", server, clients, poll, seconds)

    left = iter(range(arguments.uploads))

    def promise() -> Request | None:
        if next(left, None) is None:
            return None
        return lambda client: client.ask("POST", "/video_upload_signed_url", b'{"file_name": "a.mp4"}')

    promised, answers = await measure("upload URL", server, clients, promise, seconds)
    places = iter([urlsplit(answer["signed_url"]) for answer in answers])

    def upload() -> Request | None:
        place = next(places, None)
        if place is None:
            return None
        octets = "application/octet-stream"
        return lambda client: client.ask("PUT", f"{place.path}?{place.query}", UPLOAD, octets)

    uploaded, _ = await measure("upload of 1 MB", server, clients, upload, 10 * seconds)
    again, _ = await measure(f"submit after {len(job_ids)} jobs", server, clients, submit, seconds)
    for client in clients:
        client.close()
    return [submitted, polled, promised, uploaded, again]


@contextmanager
def serving(home: Path) -> Iterator[tuple[int, str, psutil.Process]]:
    """The server's own process; its port and a key."""
    settings = Settings(home=home)
    state = open_state(settings.state_url)
    key, _ = Keys(state.engine).create("bench", max_waiting_jobs=1_000_000)
    state.close()
    port = free_port()
    with (home / "api.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "framehouse.api.server", str(port)], env=clean_environment(home), stderr=log
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health").raise_for_status()
                break
            except httpx.HTTPError:
                assert server.poll() is None and time.monotonic() < deadline, (home / "api.log").read_text()
                time.sleep(0.2)
        yield port, key, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> int:
    """Measure, print, write the JSON."""
    parser = argparse.ArgumentParser(description="Measure the HTTP server under concurrent clients.")
    parser.add_argument("--clients", type=int, default=50, help="clients at once")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a phase")
    parser.add_argument("--uploads", type=int, default=400, help="files of 1 MB")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{arguments.clients} clients, {os.cpu_count()} cores shared with them, load before {load:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (port, key, server):
        figures = asyncio.run(run(port, key, server, arguments))
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    now = datetime.now(UTC)
    path = ROOT / "bench" / f"api-{now:%Y%m%dT%H%M%S}.json"
    path.parent.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load_before": load}
    document = {"at": now.isoformat(), "commit": commit, "machine": machine, "clients": arguments.clients,
                "figures": [asdict(one) for one in figures]}  # fmt: skip
    path.write_text(json.dumps(document, indent=1))
    print(f"written: {path.relative_to(ROOT)}", flush=True)
    return 1 if any(one.n_refused for one in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
