"""Asking a store again: what its answers mean, and how long to wait after which."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from framehouse.errors import SourceError, SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.telemetry import redact

log = structlog.get_logger(__name__)

T = TypeVar("T")

CHANGED = "source.changed"
THROTTLED = "source.throttled"
_THROTTLES = frozenset({429, 503})
_LATER = frozenset({408, 425})


@dataclass(frozen=True, slots=True)
class Patience:
    """How a store that is busy is asked again: waits that double, each cut by chance to between half and whole.

    Args:
        n_tries: questions in all while the store asks for less of them (503, 429).
        n_tries_broken: questions in all while it fails otherwise or cannot be reached.
        first_s: the first wait, before chance.
        longest_s: no wait is longer, but for one that the store itself asks for.
        total_s: no wait begins that would end later than this after the first question.
    """

    n_tries: int = 7
    n_tries_broken: int = 3
    first_s: float = 0.5
    longest_s: float = 16.0
    total_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep


PATIENCE = Patience()


def patiently(call: Callable[[], T], patience: Patience = PATIENCE) -> T:
    """The answer of `call`, asked again while it raises SourceUnavailable and there is hope.

    Raises:
        SourceUnavailable: the last one, when patience ends; code `source.changed` at once.
    """
    started_s, n_asked = time.monotonic(), 0
    while True:
        try:
            return call()
        except SourceUnavailable as error:
            n_asked += 1
            limit = patience.n_tries if error.code == THROTTLED else patience.n_tries_broken
            wait_s = _wait_s(error, n_asked, patience)
            if error.code == CHANGED or n_asked >= limit:
                raise
            if time.monotonic() + wait_s - started_s > patience.total_s:
                raise
            log.warning("asking again", reason=error.message, n_asked=n_asked, wait_s=round(wait_s, 2))
            patience.sleep(wait_s)


def _wait_s(error: SourceUnavailable, n_asked: int, patience: Patience) -> float:
    whole_s = min(patience.longest_s, patience.first_s * 2.0 ** (n_asked - 1))
    asked_s = error.facts.get("retry_after_s")
    least_s = float(asked_s) if isinstance(asked_s, int | float) else 0.0
    return max(least_s, whole_s * random.uniform(0.5, 1.0))  # noqa: S311  no secret


def error_of(status: int, where: str, said: str, *, retry_after: str | None = None) -> SourceError:
    """The error that an answer of a store means.

    Args:
        status: HTTP status, not 2xx.
        where: URI of the object, without secrets.
        said: the store's own word for it, one line.
        retry_after: its header of that name.
    """
    line = f"{where}: {said} ({status})"
    if status in (404, 410):
        return SourceNotFound(line, uri=where, status=status)
    if status in (401, 403, 407, 451):
        return SourceForbidden(line, uri=where, status=status)
    if status == 412:
        return changed(where)
    if status in _THROTTLES:
        wait_s = int(retry_after) if retry_after is not None and retry_after.isdecimal() else None
        return SourceUnavailable(
            line, code=THROTTLED, hint="the store asks for fewer requests; retry later",
            uri=where, status=status, retry_after_s=wait_s,
        )  # fmt: skip
    if status in _LATER or status >= 500:
        return SourceUnavailable(line, uri=where, status=status)
    return SourceError(line, code="source.unexpected_answer", hint="check the address", uri=where, status=status)


def changed(where: str) -> SourceUnavailable:
    """The error for an object that is another by now."""
    return SourceUnavailable(
        f"{where}: the object changed while it was read", code=CHANGED, hint="wait until it is written completely",
        uri=where,
    )  # fmt: skip


def one_line(text: object, longest: int = 200) -> str:
    """A third party's message as one short line without its URLs' queries."""
    return " ".join(redact(str(text)).split())[:longest]
