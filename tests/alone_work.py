"""What the tests of test_alone.py have done. A child process imports it by name, so it stays light."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

from cluster_work import Beat, double, fail

__all__ = ["die", "double", "eat", "fail"]


def die(how: str, beat: Beat) -> None:
    """End this process, after saying how."""
    beat()
    print(f"about to die: {how}", file=sys.stderr, flush=True)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    time.sleep(600)


def eat(n_bytes: int, beat: Beat) -> int:
    """Take memory, 16 MB at a time, ten times a second."""
    held = []
    while sum(map(len, held)) < n_bytes:
        held.append(b"x" * 16 * 1024**2)
        beat()
        time.sleep(0.1)
    return len(held)
