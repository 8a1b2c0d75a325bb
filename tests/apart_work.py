"""What the tests of test_apart.py have done. A child process imports it by name, so it stays light."""

from __future__ import annotations

import os
import time

from framehouse.apart import Tell
from framehouse.errors import MediaError


def double(n: int, tell: Tell) -> tuple[int, int]:
    tell(n)
    return 2 * n, os.getpid()


def crash(code: int, _tell: Tell) -> None:
    os.kill(os.getpid(), code)


def hang(_task: int, tell: Tell) -> None:
    tell(1)
    time.sleep(600)


def live_long(n: int, tell: Tell) -> str:
    for i in range(n):
        time.sleep(0.25)
        tell(i)
    return "done"


def refuse(_task: int, _tell: Tell) -> None:
    raise MediaError("no", code="media.frame_gap", video_id="v_1")


def break_off(_task: int, _tell: Tell) -> None:
    raise KeyError("inside")


def eat(n_bytes: int, _tell: Tell) -> int:
    return len(bytearray(n_bytes))
