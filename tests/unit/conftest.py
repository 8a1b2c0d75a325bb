"""Unit tests reach no network and do not wait: both raise here."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any, NoReturn

import pytest

_INTERNET = (socket.AF_INET, socket.AF_INET6)
_TOUCHING = ("connect", "connect_ex", "bind", "sendto")


class UnitTestReachedOut(BaseException):
    """A unit test opened a socket or slept. Not an Exception, so that no retry swallows it."""


@pytest.fixture(autouse=True)
def no_sockets_no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets of the internet families and `time.sleep` of the test's own thread raise."""
    for name in _TOUCHING:
        monkeypatch.setattr(socket.socket, name, _guarded(name, getattr(socket.socket, name)))
    monkeypatch.setattr(socket, "getaddrinfo", _refuse_lookup)
    real_sleep = time.sleep

    def sleep(seconds: float) -> None:
        if seconds > 0 and threading.current_thread() is threading.main_thread():
            raise UnitTestReachedOut(f"a unit test slept {seconds} s; pass the clock in, or test it in integration/")
        real_sleep(seconds)

    monkeypatch.setattr(time, "sleep", sleep)


def _guarded(name: str, real: Any) -> Any:
    def call(self: socket.socket, *args: Any) -> Any:
        if self.family in _INTERNET:
            raise UnitTestReachedOut(f"a unit test called socket.{name}{args}; it belongs in integration/")
        return real(self, *args)

    return call


def _refuse_lookup(host: object, *_: object, **__: object) -> NoReturn:
    raise UnitTestReachedOut(f"a unit test looked up {host!r}; it belongs in integration/")
