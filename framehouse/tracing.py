"""OpenTelemetry traces: one for each job, from the call that submitted it to the parts and the published snapshot.

Off, and free, unless OTEL_EXPORTER_OTLP_ENDPOINT (or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) is set; then the extra `otel`
is needed. The trace's id is made from the job's, so that processes which never meet (API, run, worker, loader) write
into the same trace. Each process has a tracer of its own, made at its first span: one made before a fork would export
nothing after it.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

log = structlog.get_logger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_DELAY_MS = 1000
_here: ContextVar[str] = ContextVar("framehouse_span", default="")
_pinned: ContextVar[tuple[int, int] | None] = ContextVar("framehouse_span_ids", default=None)
_lock = threading.Lock()
_providers: dict[int, Any] = {}
"""By process: a child of a fork makes its own."""


def is_on() -> bool:
    """Whether spans go anywhere."""
    return any(os.environ.get(name) for name in _ENDPOINTS)


def trace_id(job_id: str) -> str:
    """32 hex digits: the trace of a job.

    >>> trace_id("j_1") == trace_id("j_1") != trace_id("j_2")
    True
    """
    return hashlib.sha256(f"framehouse {job_id}".encode()).hexdigest()[:32]


def here() -> str:
    """The span that the caller is in, to be handed to another process; empty outside of one."""
    return _here.get()


@contextmanager
def span(name: str, job_id: str, parent: str = "", /, **attributes: str | int) -> Iterator[None]:
    """A span of a job's trace for the length of a block; its error's code is noted.

    Args:
        parent: as `here` gave it in another process; else the span that the caller is in, else the job's own.
        attributes: facts; the job's id is among them anyway.
    """
    if not is_on():
        yield
        return
    trace = trace_id(job_id)
    parent = next((one for one in (parent, _here.get()) if one.startswith(trace)), f"{trace}-{_root_id(job_id)}")
    one = _start(name, job_id, parent, attributes)
    context = one.get_span_context()
    token = _here.set(f"{context.trace_id:032x}-{context.span_id:016x}")
    try:
        yield
    except BaseException as error:
        _note_error(one, error)
        raise
    finally:
        _here.reset(token)
        one.end()


def job_span(
    job_id: str, began_s: float, ended_s: float, error_code: str | None = None, /, **attributes: str | int
) -> None:
    """The span of a whole job, the root of its trace; written once it is over. Times are seconds since the epoch."""
    if not is_on():
        return
    token = _pinned.set((int(trace_id(job_id), 16), int(_root_id(job_id), 16)))
    try:
        one = _start("job", job_id, "", attributes, began_s)
    finally:
        _pinned.reset(token)
    if error_code:
        _set_error(one, error_code, "")
    one.end(int(ended_s * 1e9))


def past_span(name: str, job_id: str, began_s: float, ended_s: float, /, **attributes: str | int) -> None:
    """A span of a job that is over already; times as `job_span`."""
    if is_on():
        parent = f"{trace_id(job_id)}-{_root_id(job_id)}"
        _start(name, job_id, parent, attributes, began_s).end(int(ended_s * 1e9))


def flush(timeout_s: float = 3.0) -> None:
    """Send what this process has not sent yet; for one that ends without its exit handlers."""
    if provider := _providers.get(os.getpid()):
        provider.force_flush(int(timeout_s * 1000))


def _root_id(job_id: str) -> str:
    return hashlib.sha256(f"framehouse {job_id}".encode()).hexdigest()[32:48]


def _start(name: str, job_id: str, parent: str, attributes: dict[str, Any], began_s: float | None = None) -> Any:
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.context import Context  # noqa: PLC0415

    context = Context()
    if parent:
        ids = trace.SpanContext(int(parent[:32], 16), int(parent[33:], 16), True, trace.TraceFlags(1))
        context = trace.set_span_in_context(trace.NonRecordingSpan(ids), context)
    facts = {f"framehouse.{key}": value for key, value in {"job_id": job_id, **attributes}.items() if value != ""}
    start_ns = None if began_s is None else int(began_s * 1e9)
    return _provider().get_tracer("framehouse").start_span(name, context, attributes=facts, start_time=start_ns)


def _note_error(one: Any, error: BaseException) -> None:
    _set_error(one, str(getattr(error, "code", type(error).__name__)), str(getattr(error, "message", "")))


def _set_error(one: Any, code: str, message: str) -> None:
    from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

    one.set_attribute("error.type", code)
    one.set_status(Status(StatusCode.ERROR, message or code))


def _provider() -> Any:
    with _lock:
        if os.getpid() not in _providers:
            _providers[os.getpid()] = _made_provider()
        return _providers[os.getpid()]


def _made_provider() -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415
    except ModuleNotFoundError:
        log.warning("traces are asked for and OpenTelemetry is missing: pip install 'framehouse[otel]'")
        from opentelemetry.trace import NoOpTracerProvider  # noqa: PLC0415  Prefect brings the API without the SDK

        return NoOpTracerProvider()

    class Ids(RandomIdGenerator):
        """Random ids, but for the root of a job's trace."""

        def generate_span_id(self) -> int:
            pinned = _pinned.get()
            return pinned[1] if pinned else super().generate_span_id()

        def generate_trace_id(self) -> int:
            pinned = _pinned.get()
            return pinned[0] if pinned else super().generate_trace_id()

    resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or "framehouse"})
    provider = TracerProvider(resource=resource, id_generator=Ids())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=5), schedule_delay_millis=_DELAY_MS))
    return provider
