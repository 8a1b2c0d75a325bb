"""How a model does under load: so many clients at once, each with one request under way, against the running servers.

What clients see (frames a second, latencies) is measured here; what the server did meanwhile (batches that it made,
time in its queue, time of its networks) comes from its own statistics.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from framehouse.errors import FramehouseError
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.balance import Client, connect_all
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.statistics import Statistics
from framehouse.inference.triton import Tensor, connect

_COUNT_S = 5.0
_LOOK_S = 0.05
_DISTINCT = 4
"""Different requests that each client sends in turn."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of one setting of clients and batch.

    Attributes:
        elapsed_s: from the first request to the last answer.
        latencies_ms: of the requests that were answered.
        n_failed: requests that were not; `failure` is the last one's line.
        steps: Triton model name -> what the servers did for it meanwhile, anybody else's requests with it.
    """

    concurrency: int
    batch: int
    elapsed_s: float
    latencies_ms: Sequence[float]
    n_failed: int
    failure: str
    steps: Mapping[str, Statistics]

    @property
    def frames_per_s(self) -> float:
        """Answered frames a second, of all clients together."""
        return len(self.latencies_ms) * self.batch / self.elapsed_s

    def percentile_ms(self, percent: float) -> float:
        """Latency that so many percent of the requests kept below; NaN when none was answered."""
        return float(np.percentile(self.latencies_ms, percent)) if self.latencies_ms else float("nan")


def noise_requests(spec: ModelSpec, batch: int, n: int, seed: int = 0) -> list[Mapping[str, Tensor]]:
    """Requests of a model, each with `batch` pictures of noise at its own size."""
    shape, random = (batch, spec.framing.height, spec.framing.width, 3), np.random.default_rng(seed)
    return [ADAPTERS[spec.family].to_inputs(random.integers(0, 256, shape, np.uint8)) for _ in range(n)]


def load_test(target: TritonTarget, spec: ModelSpec, *, concurrency: int, batch: int, seconds: float) -> Load:
    """Load a model's servers for some seconds.

    Raises:
        InferenceError: the model cannot be had, or its first request fails.
    """
    requests = noise_requests(spec, batch, concurrency * _DISTINCT)
    clients = [requests[i::concurrency] for i in range(concurrency)]
    return load_model(target, spec.triton_model, spec.triton_version, spec.steps, clients, seconds=seconds)


def load_model(
    target: TritonTarget,
    model: str,
    version: str,
    steps: Sequence[str],
    clients: Sequence[Sequence[Mapping[str, Tensor]]],
    *,
    seconds: float,
) -> Load:
    """The same for a Triton model by name.

    Args:
        steps: models that it needs, itself last; their statistics are told.
        clients: for each client the requests that it sends in turn, all of one batch size.
    """
    wide = replace(target, in_flight=max(1, len(clients)))
    client = connect_all(wide)
    client.ensure_loaded(steps)
    n_earlier = _statistics(wide, steps)[steps[-1]].n_requests
    client.infer(model, clients[0][0], version=version)  # the first one shakes hands
    before = _settled(wide, steps, n_earlier + 1)
    lanes = [_Lane(client, model, version, requests) for requests in clients]
    began_s = time.perf_counter()
    threads = [threading.Thread(target=lane.run, args=(began_s + seconds,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed_s = time.perf_counter() - began_s
    after = _settled(wide, steps, before[steps[-1]].n_requests + sum(len(lane.latencies_ms) for lane in lanes))
    return Load(
        len(clients),
        len(next(iter(clients[0][0].values()))),
        elapsed_s,
        [latency for lane in lanes for latency in lane.latencies_ms],
        sum(lane.n_failed for lane in lanes),
        next((lane.failure for lane in lanes if lane.failure), ""),
        {step: after[step].since(before[step]) for step in steps},
    )


@dataclass(slots=True)
class _Lane:
    """One client: a request, its answer, the next request."""

    client: Client
    model: str
    version: str
    requests: Sequence[Mapping[str, Tensor]]
    latencies_ms: list[float] = field(default_factory=list)
    n_failed: int = 0
    failure: str = ""

    def run(self, until_s: float) -> None:
        n_sent = 0
        while (sent_s := time.perf_counter()) < until_s:
            inputs = self.requests[n_sent % len(self.requests)]
            n_sent += 1
            try:
                self.client.infer(self.model, inputs, version=self.version)
            except FramehouseError as error:
                self.n_failed, self.failure = self.n_failed + 1, error.line()
            else:
                self.latencies_ms.append(1000 * (time.perf_counter() - sent_s))


def _settled(target: TritonTarget, steps: Sequence[str], n_requests: int) -> dict[str, Statistics]:
    """The statistics once they know of all requests: a server answers first and counts then."""
    found, until_s = _statistics(target, steps), time.perf_counter() + _COUNT_S
    while time.perf_counter() < until_s:
        time.sleep(_LOOK_S)
        earlier, found = found, _statistics(target, steps)
        if found == earlier and found[steps[-1]].n_requests >= n_requests:
            break
    return found


def _statistics(target: TritonTarget, steps: Sequence[str]) -> dict[str, Statistics]:
    """Of all servers together."""
    servers = [connect(one) for one in target.each()]
    found = {step: [one for server in servers for one in server.statistics(step).values()] for step in steps}
    return {step: sum(versions, Statistics()) for step, versions in found.items()}
