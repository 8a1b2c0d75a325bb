"""What hops tell of themselves: how long they took, how they failed, what chunks did, what it all costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prefect.context import TaskRunContext
from structlog.contextvars import bound_contextvars

from framehouse.errors import BudgetSpent, FramehouseError, LeaseLost
from framehouse.inference.run import ChunkReceipt, ModelTally
from framehouse.inference.specs import ModelSpec
from framehouse.jobs.attempt import Attempt
from framehouse.state.measures import NO_MODEL, JobCost, Tally, write_tally
from framehouse.tracing import span

_TELL_S = 2.0


@dataclass(slots=True)
class Hop:
    """A hop under way. What it counts is told every two seconds and at its end."""

    attempt: Attempt
    tally: Tally = field(default_factory=Tally)
    told_s: float = field(default_factory=time.monotonic)

    def fetched(self, n_bytes: int) -> None:
        """Bytes were moved here; the models of the job share what they cost."""
        self.tally.count("framehouse_fetched_bytes_total", n_bytes)
        if n_bytes:
            self.tally.cost(self.attempt.job_id, "", NO_MODEL, JobCost(fetch_bytes=n_bytes))

    def chunk_again(self) -> None:
        """A chunk is tried another time."""
        self.tally.count("framehouse_retries_total", what="chunk")

    def chunk_ended(self, models: tuple[ModelSpec, ...], receipt: ChunkReceipt, *, given_up: bool = False) -> None:
        """Count what a chunk did."""
        tally = self.tally
        tally.count("framehouse_chunks_total", outcome="given_up" if given_up else "inferred")
        if not given_up:
            tally.observe("framehouse_chunk_seconds", receipt.wall_s)
        tally.count("framehouse_frames_decoded_total", receipt.n_decoded)
        tally.count("framehouse_frames_passed_total", receipt.n_passed)
        tally.count("framehouse_decode_seconds_total", receipt.decode_s)
        tally.count("framehouse_worker_cpu_seconds_total", receipt.cpu_s)
        tally.count("framehouse_parts_bytes_total", receipt.n_bytes)
        on_gpu = {spec.digest for spec in models if spec.on_gpu}
        n_tried = sum(model.n_tried for model in receipt.tallies)
        for model in receipt.tallies:
            self._model(model, receipt, model.n_tried / n_tried if n_tried else 0.0, model.model_digest in on_gpu)
        if time.monotonic() - self.told_s > _TELL_S:
            self.tell()

    def tell(self) -> None:
        """Write what was counted."""
        self.told_s = time.monotonic()
        write_tally(self.attempt.state.engine, self.tally)

    def _model(self, model: ModelTally, receipt: ChunkReceipt, share: float, on_gpu: bool) -> None:
        tally, name = self.tally, model.model_id
        tally.count("framehouse_frames_total", model.n_inferred, model=name, outcome="inferred")
        tally.count("framehouse_frames_total", sum(n for _, n in model.new_gaps), model=name, outcome="gap")
        for reason, n_gaps in model.new_gaps:
            tally.count("framehouse_gaps_total", n_gaps, model=name, reason=reason)
        tally.count("framehouse_infer_seconds_total", model.infer_s, model=name)
        tally.count("framehouse_model_load_seconds_total", model.load_s, model=name)
        cpu_s, gpu_s = (0.0, model.infer_s) if on_gpu else (model.infer_s, 0.0)
        cost = JobCost(model.n_inferred, model.infer_s, receipt.decode_s * share, cpu_s + receipt.cpu_s * share, gpu_s)
        tally.cost(self.attempt.job_id, name, model.model_digest, cost)


@contextmanager
def in_hop(attempt: Attempt, hop: str, **facts: str | int) -> Iterator[Hop]:
    """Note that a hop begins, and measure it to its end; raises what `Attempt.enter` and the block raise."""
    here, began_s = Hop(attempt), time.monotonic()
    bound = {name: value for name, value in facts.items() if name == "video_id"}
    with bound_contextvars(hop=hop, job_id=attempt.job_id, **bound), span(hop, attempt.job_id, **facts):
        attempt.enter(hop, **facts)
        if _tries() > 1:
            here.tally.count("framehouse_retries_total", what="hop")
        try:
            yield here
        except (LeaseLost, BudgetSpent):  # no failure: another run goes on, or the job rests
            raise
        except BaseException as error:
            code = error.code if isinstance(error, FramehouseError) else "framehouse.internal"
            here.tally.count("framehouse_errors_total", hop=hop, code=code)
            raise
        finally:
            here.tally.observe("framehouse_hop_seconds", time.monotonic() - began_s, hop=hop)
            here.tell()


def _tries() -> int:
    """Which try of its Prefect task this is, from 1; 1 outside of a task."""
    context = TaskRunContext.get()
    return context.task_run.run_count if context else 1
