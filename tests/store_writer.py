"""Processes that write or read a store, for tests that kill them. Run as `python store_writer.py COMMAND ARGUMENTS`.

Each publish runs in a child forked from a process that has everything imported and nothing open, so that a kill costs
milliseconds and not an interpreter's start.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import structlog

import framehouse
from framehouse.results.lake import Lake
from framehouse.store.checksum import tables_checksum
from framehouse.store.connection import fetch, reading
from framehouse.store.publish import LoadEntry, Publisher, read_seq

_PACKAGE = str(Path(framehouse.__file__).parent)


def log_entry(lake: Lake, seq: int) -> LoadEntry:
    """A log over everything in the lake, each thing once; after that it starts again."""
    jobs, keys = lake.job_ids(), lake.part_keys()
    at = (seq - 1) % (len(jobs) + len(keys))
    return LoadEntry(seq, "job", job_id=jobs[at]) if at < len(jobs) else LoadEntry(seq, "parts", *keys[at - len(jobs)])


def held_after(lake: Lake, seq: int, frames_per_part: int) -> tuple[int, int]:
    """(jobs, inferences) that a snapshot of this number must hold, in a lake with one part per video."""
    entries = {log_entry(lake, n).key for n in range(1, seq + 1)}
    n_jobs = sum(key[0] == "job" for key in entries)
    return n_jobs, (len(entries) - n_jobs) * frames_per_part


def publish_up_to(store: Path, lake: Lake, last: int, step: int = 8) -> int:
    """Publish the log up to `last`, `step` entries at a time; returns the number that was reached."""
    with Publisher(store, lake) as publisher:
        while publisher.published_seq < last:
            first = publisher.published_seq + 1
            publisher.apply_and_publish([log_entry(lake, s) for s in range(first, min(first + step, last + 1))])
        return publisher.published_seq


def facts(store: Path) -> dict[str, Any]:
    with reading(store) as connection:
        held = fetch(connection, "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM inferences)")
        return {"seq": read_seq(connection), "held": list(held[0]), "tables": tables_checksum(connection)}


def in_child(work: Callable[[], Any]) -> Any:
    """Result of `work` in a forked child; None when it was killed.

    Raises:
        RuntimeError: the child failed in another way.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(write_end, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    if status:
        raise RuntimeError(f"the child ended with status {status}")
    return json.loads(answer)


def die_at_line(n: int) -> None:
    """Kill this process when the n-th line of the package is about to run."""
    left = n

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        if event == "line":
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def die_after(seconds: float) -> None:
    """Kill this process at a moment that may lie inside DuckDB."""

    def kill() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()


def count_lines(work: Callable[[], Any]) -> int:
    """Lines of the package that `work` runs."""
    n = 0

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal n
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        n += event == "line"
        return trace

    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
    return n


def kill_many(store: Path, lake: Lake, n_kills: int, seed: int) -> dict[str, Any]:
    """Publish and be killed, again and again, on one store; what was seen after each kill."""
    rng = random.Random(seed)
    started = time.monotonic()
    n_lines = in_child(lambda: count_lines(lambda: publish_up_to(store.with_name("measured"), lake, 4)))
    run_s = (time.monotonic() - started) / 2  # tracing takes about half
    seen: list[dict[str, Any]] = []
    last, n_killed = 0, 0
    for attempt in range(n_kills * 3):
        last += 2
        line = rng.randrange(1, n_lines) if attempt % 2 else 0

        def work(line: int = line, last: int = last) -> int:
            if line:
                die_at_line(line)
            else:
                die_after(rng.uniform(0, run_s))
            return publish_up_to(store, lake, last)

        n_killed += in_child(work) is None
        if (store / "CURRENT").exists():
            seen.append(in_child(lambda: facts(store)))
        if n_killed == n_kills:
            break
    in_child(lambda: publish_up_to(store, lake, last))
    seen.append(in_child(lambda: facts(store)))
    return {"killed": n_killed, "seen": seen, "last": last, "files": sorted(p.name for p in store.iterdir())}


def hold(store: Path) -> None:
    """Keep a snapshot open until a line comes in, then say what it still holds."""
    with reading(store) as connection:
        before = read_seq(connection), tables_checksum(connection)
        print("open", flush=True)
        sys.stdin.readline()
        print(json.dumps([before == (read_seq(connection), tables_checksum(connection)), before[0]]), flush=True)


def read_on(store: Path) -> None:
    """Read again and again until a line comes in; print the numbers seen."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    seen: list[int] = []
    print("open", flush=True)
    while not stop.is_set():
        with reading(store) as connection:
            seen.append(read_seq(connection))
            connection.execute("SELECT count(*) FROM detections").fetchall()
    print(json.dumps(seen), flush=True)


def write_forever(store: Path, lake: Lake) -> None:
    """Be the writer until killed."""
    with Publisher(store, lake):
        print(os.getpid(), flush=True)
        time.sleep(600)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    command, folder = sys.argv[1], Path(sys.argv[2])
    if command == "kill_many":
        print(json.dumps(kill_many(folder, Lake(Path(sys.argv[3])), int(sys.argv[4]), int(sys.argv[5]))))
    elif command == "write_forever":
        write_forever(folder, Lake(Path(sys.argv[3])))
    else:
        {"hold": hold, "read_on": read_on}[command](folder)
