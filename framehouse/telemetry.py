"""Structured logs: events with fields, to stderr or a file, never with a secret in them.

Every module takes its logger with `structlog.get_logger(__name__)`. A process calls `configure_logging` once, at its
edge. A signed URL is a password, so each string of an event passes `redact`, and every URL loses its query and user.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_SECRET_KEY = re.compile(
    r"(api[-_]?key|secret|token(?!iz)|passw|signature|credential|authorization|^auth$|cookie|^sig$|access[-_]?key|private[-_]?key)",
    re.IGNORECASE,
)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>\\]+", re.IGNORECASE)
_PAIR = re.compile(
    r"(?P<key>[\w-]*(?:api[-_]?key|secret|token(?!iz)|passw(?:or)?d|signature|credential|access[-_]?key)[\w-]*|\bsig)"
    r"(?P<sign>[\"']?\s*[=:]\s*[\"']?)(?P<value>[^\s&\"',;)}\]]+)",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"(?P<key>(?:proxy-)?authorization|(?:set-)?cookie)(?P<sign>[\"']?\s*[=:]\s*[\"']?)[^\"'\r\n]+", re.I
)
_BEARER = re.compile(r"\b(?P<key>bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


def redact_uri(uri: str) -> str:
    """`scheme://host[:port]/path` of a URL, without user, query or fragment; a plain path comes back unchanged.

    >>> redact_uri("https://me:pw@example.com:8443/a b.mp4?X-Amz-Signature=abc#t")
    'https://example.com:8443/a b.mp4'
    >>> redact_uri("/videos/what? really.mp4")
    '/videos/what? really.mp4'
    """
    if "://" not in uri:
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:
        return f"{uri.partition('://')[0]}://{HIDDEN}"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def redact(text: str) -> str:
    """A text without URL queries, key=value secrets, Authorization and Cookie values.

    >>> redact("GET https://h/v.mp4?api_key=1 failed, token=abc")
    'GET https://h/v.mp4 failed, token=[hidden]'
    """
    text = _URL.sub(lambda match: redact_uri(match[0]), text)
    text = _HEADER.sub(rf"\g<key>\g<sign>{HIDDEN}", text)
    text = _PAIR.sub(rf"\g<key>\g<sign>{HIDDEN}", text)
    return _BEARER.sub(rf"\g<key> {HIDDEN}", text)


def _redacted(key: str, value: object) -> object:
    if _SECRET_KEY.search(key):
        return HIDDEN
    if isinstance(value, int | float | bool | None):
        return value
    if isinstance(value, Mapping):
        return {name: _redacted(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item) for item in value]
    return redact(_as_text(value))


def _as_text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)


def hide_secrets(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Structlog processor: every field redacted by its name and by its content."""
    return {key: _redacted(key, value) for key, value in event.items()}


def configure_logging(*, json: bool = False, level: str = "info", file: Path | None = None) -> None:
    """Send every event of this process to stderr or to a file; call it once, at the edge.

    Args:
        json: one JSON object a line instead of readable text.
        level: debug, info, warning, error or critical; anything else counts as info.
        file: appended to, its folder made; None writes to stderr (never to stdout, which is for results).
    """
    stream = sys.stderr if file is None else _opened(file)
    colours = file is None and stream.isatty()
    last: list[Processor] = (
        [structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]
        if json
        else [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            hide_secrets,
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS.get(level.lower(), 20)),
        logger_factory=_StreamFactory(stream, follow_stderr=file is None),
        cache_logger_on_first_use=False,
    )


def _opened(file: Path) -> TextIO:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("a", encoding="utf-8", buffering=1)


class _StreamFactory:
    """Makes print loggers; stderr is looked up at each call, because tests and forked runs replace it."""

    def __init__(self, stream: TextIO, *, follow_stderr: bool) -> None:
        self._stream = stream
        self._follow_stderr = follow_stderr

    def __call__(self, *_args: Any) -> structlog.PrintLogger:
        return structlog.PrintLogger(sys.stderr if self._follow_stderr else self._stream)

    def close(self) -> None:
        """Close a log file."""
        if not self._follow_stderr:
            self._stream.close()
