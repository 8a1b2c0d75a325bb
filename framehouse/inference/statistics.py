"""What a Triton server counts of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a server has done for a model since it was loaded; seconds are sums.

    Attributes:
        n_frames: rows of batches, answered from the cache or computed.
        n_executions: times that the model ran; fewer than requests where they are joined to batches.
        n_requests: answered well; `queue_s`, `compute_s` (input, inference and output) and `request_s` (arrival to
            answer) are theirs: what an execution takes counts for each request in it.
        n_failed: requests that were not.
        n_cache_hits: requests answered from the cache.
        execution_s: of all executions, copying in and out included; 0 for an ensemble.
        batches: rows of an execution -> executions of that many; empty for an ensemble.
    """

    n_frames: int = 0
    n_executions: int = 0
    n_requests: int = 0
    n_failed: int = 0
    n_cache_hits: int = 0
    queue_s: float = 0.0
    compute_s: float = 0.0
    request_s: float = 0.0
    execution_s: float = 0.0
    batches: Mapping[int, int] = field(default_factory=dict)

    @property
    def queue_ms(self) -> float:
        """Milliseconds that a request waited in the server's queue, on average."""
        return 1000 * self.queue_s / self.n_requests if self.n_requests else 0.0

    @property
    def execution_ms(self) -> float:
        """Milliseconds of an execution, on average."""
        return 1000 * self.execution_s / self.n_executions if self.n_executions else 0.0

    def __add__(self, other: Statistics) -> Statistics:
        return self._with(other, 1)

    def since(self, earlier: Statistics) -> Statistics:
        """What came after an earlier look."""
        return self._with(earlier, -1)

    def _with(self, other: Statistics, sign: int) -> Statistics:
        sums = {
            name: getattr(self, name) + sign * getattr(other, name)
            for name in (one.name for one in fields(self) if one.name != "batches")
        }
        sizes = {size: self.batches.get(size, 0) + sign * other.batches.get(size, 0)
                 for size in sorted({*self.batches, *other.batches})}  # fmt: skip
        return Statistics(**sums, batches={size: n for size, n in sizes.items() if n})


def read_statistics(found: Any) -> Statistics:
    """One model version of Triton's answer (`ModelStatistics` of its gRPC protocol), which has nanoseconds."""
    times, batches = found.inference_stats, found.batch_stats
    return Statistics(
        found.inference_count,
        found.execution_count,
        times.success.count,
        times.fail.count,
        times.cache_hit.count,
        times.queue.ns / 1e9,
        _compute_s(times),
        times.success.ns / 1e9,
        sum(map(_compute_s, batches)),
        {batch.batch_size: batch.compute_infer.count for batch in batches},
    )


def _compute_s(times: Any) -> float:
    return float(times.compute_input.ns + times.compute_infer.ns + times.compute_output.ns) / 1e9
