"""The client of one Triton server over gRPC: the only importer of tritonclient.

Inputs go through system shared memory where a handshake has shown that the server reads what we wrote, as bytes in the
request otherwise; outputs always come back in the answer. Several requests are in flight, each with a deadline, so that
a dead or stopped server shows within `request_timeout_s` and never hangs a caller.
"""

from __future__ import annotations

import atexit
import os
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray
from tritonclient import grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from framehouse.errors import InferenceError, InferenceTimeout, ModelNotReady, TensorMismatch, TritonUnavailable
from framehouse.inference.regions import SHARED_MEMORY_DIR, sweep
from framehouse.inference.shm import Region, RegionPool, room_for
from framehouse.inference.specs import TritonTarget
from framehouse.inference.statistics import Statistics, read_statistics

log = structlog.get_logger(__name__)

Tensor = NDArray[Any]

SELF_TEST_MODEL = "selftest"
_SELF_TEST_VALUES = 4096
_CONTROL_TIMEOUT_S = 10.0
_LOAD_TIMEOUT_S = 120.0
_RETRY_HANDSHAKE_S = 30.0
_SHARED_FROM_BYTES = 64 * 1024
_MAX_MESSAGE_BYTES = 2**31 - 1
_CHANNEL_ARGS = [
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
    (
        "grpc.initial_reconnect_backoff_ms",
        100,
    ),  # a restarted server is found within a second; the default grows to 120 s
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Pings are rarer than every server allows (300 s), but with them gRPC sets TCP_USER_TIMEOUT: a connection whose far
    # side vanished without a word is given up after 20 s, not after the 15 minutes of the kernel.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model made of one request."""

    outputs: dict[str, Tensor]
    """Every output by name; read-only arrays."""
    started_s: float
    """`time.perf_counter` when the request was sent."""
    finished_s: float
    """`time.perf_counter` when the answer was here."""


@dataclass(frozen=True, slots=True)
class ModelState:
    """One line of the server's model index."""

    name: str
    version: str
    state: str
    """READY, LOADING, UNLOADING, UNAVAILABLE, or empty when it was never loaded."""
    reason: str


@dataclass(frozen=True, slots=True)
class _Request:
    model: str
    version: str
    inputs: Mapping[str, Tensor]
    deadline_s: float
    priority: int = 0
    future: Future[Answer] = field(default_factory=Future)
    started_s: float = field(default_factory=time.perf_counter)


class TritonClient:
    """Requests to one server. Safe for threads; after a fork, make a new one (`connect` does)."""

    def __init__(self, target: TritonTarget) -> None:
        """Connect lazily: nothing is sent before the first call."""
        self._target = target
        self._grpc = grpc.InferenceServerClient(target.url, channel_args=_CHANNEL_ARGS)
        self._pool = RegionPool(self._register, self._unregister, max_retired=4 * target.in_flight)
        self._lock = threading.Lock()
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._handshake_lock = threading.Lock()
        self._shared: bool | None = None
        self._handshake_again_s = float("inf")

    def submit(
        self, model: str, inputs: Mapping[str, Tensor], *, version: str = "", priority: int = 0
    ) -> Future[Answer]:
        """Send a request; blocks while `in_flight` requests to this model are unanswered.

        Args:
            model: Triton's model name.
            inputs: tensors by name, batch first; must not change before the answer.
            version: Triton's model version; empty leaves it to the model's version policy.
            priority: of the job; above 0 goes before others in the server's queue, below 0 after them, where the
                model's configuration has levels. The server also learns the deadline: what is too late it refuses.

        Returns:
            A future that always ends, at the deadline at the latest. Its error is one of the InferenceError family:
            TritonUnavailable*, InferenceTimeout*, ModelNotReady*, TensorMismatch, or InferenceError (* = retryable).
        """
        now = time.perf_counter()
        request = _Request(model, version, inputs, deadline_s=now + self._target.request_timeout_s, priority=priority)
        request.future.set_running_or_notify_cancel()
        slots = self._slots_of(model)
        if not slots.acquire(timeout=self._target.request_timeout_s):
            request.future.set_exception(InferenceTimeout("no request slot came free", model=model))
            return request.future
        request.future.add_done_callback(lambda _: slots.release())
        try:
            self._send(request, self._region_for(inputs))
        except InferenceError as error:
            request.future.set_exception(error)
        return request.future

    def infer(self, model: str, inputs: Mapping[str, Tensor], *, version: str = "") -> dict[str, Tensor]:
        """Send a request and wait for its outputs; raises what `submit` describes."""
        return self.submit(model, inputs, version=version).result().outputs

    def uses_shared_memory(self) -> bool:
        """Whether inputs go through shared memory; the first call shakes hands with the server.

        Raises:
            InferenceError: no server, or (code "inference.wrong_numbers") one that returns other numbers than it got.
        """
        with self._handshake_lock:
            if self._shared is None or time.perf_counter() > self._handshake_again_s:
                self._handshake_again_s = float("inf")
                self._shared = self._shake_hands()
            return self._shared

    def server_ready(self, *, timeout_s: float = 2.0) -> bool:
        """Whether a server answers and calls itself ready."""
        try:
            return bool(self._grpc.is_server_ready(client_timeout=timeout_s))
        except InferenceServerException:
            return False

    def model_ready(self, model: str, *, version: str = "", timeout_s: float = _CONTROL_TIMEOUT_S) -> bool:
        """Whether the server would take a request for the model; raises TritonUnavailable, InferenceTimeout."""
        return bool(_translated(model, self._grpc.is_model_ready, model, version, client_timeout=timeout_s))

    def load_model(self, model: str, *, config: str | None = None, timeout_s: float = _LOAD_TIMEOUT_S) -> None:
        """Load, or load again, a model of the server's repository (explicit model control).

        Args:
            model: its folder's name.
            config: a model configuration as JSON that replaces the one in the folder.
            timeout_s: loading goes on in the server after it.

        Raises:
            InferenceError: the server says why it cannot.
        """
        _translated(model, self._grpc.load_model, model, config=config, client_timeout=timeout_s)

    def unload_model(self, model: str, *, timeout_s: float = _CONTROL_TIMEOUT_S) -> None:
        """Unload a model; requests that it has are answered first. An unknown model is fine."""
        _translated(model, self._grpc.unload_model, model, client_timeout=timeout_s)

    def ensure_loaded(self, models: Sequence[str], *, timeout_s: float = _LOAD_TIMEOUT_S) -> None:
        """Load what the server has not loaded yet, in the order given: steps before what uses them.

        Raises:
            InferenceError: for good: code `inference.model_broken`, the server cannot load it and says why; code
                `inference.model_not_loaded`, a server that takes no orders has not loaded it.
            TritonUnavailable, InferenceTimeout: no answer.
        """
        for model in models:
            if self.model_ready(model):
                continue
            try:
                self.load_model(model, timeout_s=timeout_s)
            except (TritonUnavailable, InferenceTimeout):
                raise
            except InferenceError as error:
                raise _not_loadable(model, self._target.url, error) from error
            log.info("model loaded", model=model, url=self._target.url)

    def index(self, *, timeout_s: float = _CONTROL_TIMEOUT_S) -> list[ModelState]:
        """Every model version of the server's repository."""
        found = _translated("", self._grpc.get_model_repository_index, client_timeout=timeout_s)
        return [ModelState(m.name, m.version, m.state, m.reason) for m in found.models]

    def statistics(
        self, model: str = "", *, timeout_s: float = _CONTROL_TIMEOUT_S
    ) -> dict[tuple[str, str], Statistics]:
        """What the server has done since it loaded them, by (model, version): of one model, or of every loaded one.

        Raises:
            ModelNotReady: the model is unknown.
            TritonUnavailable, InferenceTimeout: no answer.
        """
        found = _translated(model, self._grpc.get_inference_statistics, model, client_timeout=timeout_s)
        return {(one.name, one.version): read_statistics(one) for one in found.model_stats}

    def close(self) -> None:
        """Give regions back to the system and the server, and close the connection; requests in flight fail."""
        for name in self._pool.close():
            try:
                self._unregister(name)
            except InferenceError:
                break
        self._grpc.close()

    # ---- one request

    def _slots_of(self, model: str) -> threading.BoundedSemaphore:
        with self._lock:
            return self._slots.setdefault(model, threading.BoundedSemaphore(self._target.in_flight))

    def _region_for(self, inputs: Mapping[str, Tensor]) -> Region | None:
        shareable = all(tensor.dtype != np.object_ for tensor in inputs.values())
        large = sum(tensor.nbytes for tensor in inputs.values()) >= _SHARED_FROM_BYTES
        return self._pool.take(room_for(inputs)) if shareable and large and self.uses_shared_memory() else None

    def _send(self, request: _Request, region: Region | None) -> None:
        left_s = request.deadline_s - time.perf_counter()
        try:
            inputs = _as_bytes(request.inputs) if region is None else _as_references(request.inputs, region)
            self._grpc.async_infer(
                request.model,
                inputs,
                lambda result, error: self._answered(request, region, result, error),  # called by keyword
                model_version=request.version,
                client_timeout=max(left_s, 0.001),
                priority=level_of(request.priority),
                timeout=max(int(left_s * 1e6), 1000),
            )
        except InferenceServerException as error:
            self._abandon(region)
            raise _translate(error, request.model) from error
        except ValueError as error:  # gRPC's word for a closed channel
            self._abandon(region)
            raise TritonUnavailable(f"connection closed: {error}", model=request.model) from error

    def _abandon(self, region: Region | None) -> None:
        if region is not None:
            self._pool.retire(region)

    def _answered(
        self, request: _Request, region: Region | None, result: Any, error: InferenceServerException | None
    ) -> None:
        """Runs in gRPC's thread: must not block, must settle the future."""
        if region is not None and error is not None and _region_unknown(error):
            self._send_again(request, region)
            return
        if region is not None:
            (self._pool.give_back if _has_let_go(error) else self._pool.retire)(region)
        if error is not None:
            request.future.set_exception(_translate(error, request.model))
            return
        try:
            answer = Answer(_outputs(result), request.started_s, time.perf_counter())
        except (ValueError, TypeError) as cause:
            request.future.set_exception(TensorMismatch(f"unreadable answer: {cause}", model=request.model))
            return
        request.future.set_result(answer)

    def _send_again(self, request: _Request, region: Region) -> None:
        """The server was restarted: this frame goes as bytes, the next ones after a new handshake."""
        log.info("server knows no region of ours, registering again", url=self._target.url)
        self._pool.forget_server()
        self._pool.give_back(region)
        self._shared = None
        try:
            self._send(request, None)
        except InferenceError as error:
            request.future.set_exception(error)

    # ---- shared memory

    def _register(self, region: Region) -> None:
        try:
            self._grpc.register_system_shared_memory(
                region.name, region.key, region.size_bytes, client_timeout=self._control_timeout_s()
            )
        except InferenceServerException as error:
            if error.status() != "StatusCode.ALREADY_EXISTS":
                raise _translate(error, "") from error

    def _unregister(self, name: str) -> bool:
        try:
            self._grpc.unregister_system_shared_memory(name, client_timeout=self._control_timeout_s())
        except InferenceServerException as error:
            failure = _translate(error, "")
            if failure.retryable:
                raise failure from error
            return False  # "currently in use": the server has not finished the request that we gave up
        return True

    def _control_timeout_s(self) -> float:
        return min(_CONTROL_TIMEOUT_S, self._target.request_timeout_s)

    def _shake_hands(self) -> bool:
        """Send tensors nobody can guess to the self-test model; True when shared memory brought them over whole."""
        tensors = _self_test_tensors()
        try:
            reason = self._try_shared(tensors) if self._target.shared_memory else "not asked for"
            if reason and not self._same_numbers(tensors, _as_bytes(tensors)):
                raise InferenceError(
                    f"Triton at {self._target.url} computes wrong numbers",
                    code="inference.wrong_numbers",
                    hint="its Python models need numpy 1; build the server environment again: make setup",
                )
        except ModelNotReady:
            reason = f"the server has no model {SELF_TEST_MODEL}"
            self._handshake_again_s = time.perf_counter() + _RETRY_HANDSHAKE_S
        log.info("triton handshake", url=self._target.url, shared_memory=not reason, reason=reason)
        if not reason:
            self._drop_ownerless()
        return not reason

    def _try_shared(self, tensors: Mapping[str, Tensor]) -> str:
        """Empty when shared memory works, else why not."""
        try:
            region = Region(room_for(tensors))
        except OSError as error:
            return f"no shared memory here: {error}"
        try:
            self._register(region)
            same = self._same_numbers(tensors, _as_references(tensors, region))
            self._unregister(region.name)
        except InferenceError as error:
            if error.retryable:
                raise
            return error.message
        finally:
            region.discard()
        return "" if same else "the server read other bytes"

    def _same_numbers(self, tensors: Mapping[str, Tensor], inputs: list[Any]) -> bool:
        try:
            outputs = _outputs(self._grpc.infer(SELF_TEST_MODEL, inputs, client_timeout=self._control_timeout_s()))
        except InferenceServerException as error:
            raise _translate(error, SELF_TEST_MODEL) from error
        except ValueError:  # an answer whose bytes do not fill its shape: numpy 2 under an old Python backend
            return False
        echoed = all(np.array_equal(outputs[f"same_{name}"], tensor) for name, tensor in tensors.items())
        sums = [tensor.sum(dtype=np.float64) for tensor in tensors.values()]
        return echoed and np.array_equal(outputs["sums"], sums)

    def _drop_ownerless(self) -> None:
        """Unlink the regions of dead processes and make the server forget them."""
        sweep()
        try:
            known = self._grpc.get_system_shared_memory_status(client_timeout=self._control_timeout_s()).regions
            for name in known:
                if name.startswith("framehouse_") and not (SHARED_MEMORY_DIR / name).exists():
                    self._unregister(name)
        except InferenceServerException as error:
            raise _translate(error, "") from error


def connect(target: TritonTarget) -> TritonClient:
    """The client of this process for a target: made at the first call, the same one after it."""
    with _clients_lock:
        key = (os.getpid(), target)
        if key not in _clients:
            _clients[key] = TritonClient(target)
        return _clients[key]


def disconnect() -> None:
    """Close every client that `connect` made in this process; runs at its exit too."""
    with _clients_lock:
        mine = [key for key in _clients if key[0] == os.getpid()]
        for key in mine:
            _clients.pop(key).close()


_clients: dict[tuple[int, TritonTarget], TritonClient] = {}
_clients_lock = threading.Lock()
atexit.register(disconnect)


def level_of(priority: int) -> int:
    """Triton's priority level for a job's priority: 1 above 0, 3 below it, else 0, which is the model's default.

    A model without levels, or with fewer, takes its default for what it does not know.
    """
    return 1 if priority > 0 else 3 if priority < 0 else 0


def _not_loadable(model: str, url: str, error: InferenceError) -> InferenceError:
    if "explicit model load" in error.message:  # the server runs without model control
        return InferenceError(
            f"the Triton server at {url} has not loaded {model} and takes no orders to",
            code="inference.model_not_loaded",
            hint="start it with --model-control-mode=explicit, or load the model there",
            model=model,
        )
    return InferenceError(
        f"the Triton server cannot load {error.message}",
        code="inference.model_broken",
        hint="framehouse models check; the server's log says more",
        model=model,
    )


def _self_test_tensors() -> dict[str, Tensor]:
    """Inputs of the self-test model (`triton_models/selftest`); its float sums are exact in any order."""
    pixels = np.frombuffer(secrets.token_bytes(_SELF_TEST_VALUES), np.uint8)
    return {"floats": pixels[::-1].astype(np.float32) - np.float32(0.5), "pixels": pixels}


def _as_bytes(inputs: Mapping[str, Tensor]) -> list[Any]:
    """InferInputs that carry their tensors."""
    made = []
    for name, tensor in inputs.items():
        made.append(_declared(name, tensor))
        made[-1].set_data_from_numpy(tensor)
    return made


def _as_references(inputs: Mapping[str, Tensor], region: Region) -> list[Any]:
    """InferInputs that point into the region, which is filled here."""
    made = []
    for name, offset in region.fill(inputs).items():
        made.append(_declared(name, inputs[name]))
        made[-1].set_shared_memory(region.name, inputs[name].nbytes, offset)
    return made


def _declared(name: str, tensor: Tensor) -> Any:
    return grpc.InferInput(name, list(tensor.shape), np_to_triton_dtype(tensor.dtype))


def _outputs(result: Any) -> dict[str, Tensor]:
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


def _region_unknown(error: InferenceServerException) -> bool:
    return "Unable to find shared memory region" in (error.message() or "")


def _has_let_go(error: InferenceServerException | None) -> bool:
    """Whether the server itself has answered, and so reads the region no more."""
    return error is None or error.status() not in _NO_ANSWER


_NO_ANSWER = {f"StatusCode.{name}" for name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "ABORTED")}
_BY_STATUS: dict[str, type[InferenceError]] = {
    "StatusCode.UNAVAILABLE": TritonUnavailable,
    "StatusCode.CANCELLED": TritonUnavailable,
    "StatusCode.DEADLINE_EXCEEDED": InferenceTimeout,
    "StatusCode.NOT_FOUND": ModelNotReady,
    "StatusCode.INVALID_ARGUMENT": TensorMismatch,
}
_BY_WORDS: tuple[tuple[str, type[InferenceError]], ...] = (
    ("unknown model", ModelNotReady),
    ("is not ready", ModelNotReady),
    ("request timeout expired", InferenceTimeout),  # it waited in the server's queue until its deadline
    ("stub process", TritonUnavailable),  # a Python model's process died; Triton starts it again
)


def _translate(error: InferenceServerException, model: str) -> InferenceError:
    """Our error for tritonclient's."""
    status, text = (
        error.status() or "",
        " ".join((error.message() or "no reason given").split("\n", 1)[0].split())[:300],
    )
    by_words = (kind for words, kind in _BY_WORDS if words in text.lower())
    kind = next(by_words, _BY_STATUS.get(status, InferenceError))
    return kind(f"{model}: {text}" if model else text, model=model or None)


def _translated(model: str, call: Any, *args: Any, **options: Any) -> Any:
    try:
        return call(*args, **options)
    except InferenceServerException as error:
        raise _translate(error, model) from error
