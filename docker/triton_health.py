"""Whether a Triton server is well: it answers, its numbers are right, none of its helpers is dead.

`python3 triton_health.py [--url http://127.0.0.1:8000] [--end]`; exit code 0 when well. Triton does not replace a
helper process of the python backend that died: it goes on calling itself ready and answers every request to that model
with an error. With --end a server that can only be mended by a new start is told to stop, so that whoever watches the
container starts it again; one that is still loading is left alone. Runs in the server's image: nothing but the standard
library of Python 3.10.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

FLOATS = [index * 0.5 - 7.0 for index in range(64)]
PIXELS = [(index * 37) % 256 for index in range(256)]
SERVER = "tritonserver"
HELPER = "triton_python_b"
"""As the kernel cuts the name of triton_python_backend_stub."""


def main() -> int:
    """Say what is wrong, on stderr."""
    parser = argparse.ArgumentParser(description="Whether a Triton server is well.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of its HTTP endpoint")
    parser.add_argument("--end", action="store_true", help="stop a server that only a new start can mend")
    options = parser.parse_args()
    try:
        ask(f"{options.url}/v2/health/ready")
    except (OSError, ValueError) as error:
        print(f"not ready: {error}", file=sys.stderr)
        return 1
    fault = wrong_numbers(options.url) or dead_helper()
    if fault and options.end:
        end_server()
    if fault:
        print(fault, file=sys.stderr)
    return 1 if fault else 0


def ask(url: str, body: dict | None = None) -> dict:
    """One HTTP exchange; OSError or ValueError when there is no good answer."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as answer:  # noqa: S310 - ours
        content = answer.read()
    return json.loads(content) if content else {}


def wrong_numbers(url: str) -> str:
    """What comes back of known numbers that is not right; empty when all of it is."""
    floats = {"name": "floats", "datatype": "FP32", "shape": [len(FLOATS)], "data": FLOATS}
    pixels = {"name": "pixels", "datatype": "UINT8", "shape": [len(PIXELS)], "data": PIXELS}
    try:
        answer = ask(f"{url}/v2/models/selftest/infer", {"inputs": [floats, pixels]})
        outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    except (OSError, ValueError, KeyError) as error:
        return f"the self-test was not answered: {error}"
    expected = {"same_floats": FLOATS, "same_pixels": PIXELS, "sums": [sum(FLOATS), sum(PIXELS)]}
    return "" if outputs == expected else f"wrong numbers: {str(outputs)[:100]}"


def dead_helper() -> str:
    """A helper that ended and that the server does not miss: seen twice, because it reaps those that it ends itself."""
    dead = zombies()
    if dead:
        time.sleep(0.5)
    still = sorted(dead & zombies())
    return f"dead helpers of the python backend: {still}" if still else ""


def zombies() -> set[int]:
    """Process ids of ended helpers that nobody has reaped."""
    return {pid for pid, name, state in processes() if name == HELPER and state == "Z"}


def end_server() -> None:
    """Ask the server to stop: it finishes what it has begun."""
    for pid, name, _ in processes():
        if name == SERVER:
            os.kill(pid, signal.SIGTERM)


def processes() -> list[tuple[int, str, str]]:
    """(process id, name, state) of everything in this container."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, tail = path.read_text().rpartition(")")
        except OSError:
            continue
        found.append((int(path.parent.name), head.partition("(")[2], tail.split()[0]))
    return found


if __name__ == "__main__":
    sys.exit(main())
