"""What a run may spend: caps of its job, and of the budget that the job shares with others. A spent cap pauses the job.

Frames are cut before they are handed out, seconds are looked at between batches, bytes before a download: nothing is
asked per frame.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import structlog

from framehouse.errors import BudgetSpent
from framehouse.inference.run import ChunkReceipt, ChunkTask
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.chunks import HeldChunk
from framehouse.results.lake import Lake
from framehouse.results.parts import owed
from framehouse.results.standing import standing
from framehouse.state.budgets import Budgets, job_budget
from framehouse.storage.base import LocalVideo, Progress, Source
from framehouse.storage.local import LocalSource

log = structlog.get_logger(__name__)


def budget_names(attempt: Attempt) -> list[str]:
    """Budgets that a job spends: its own, and the one that it shares."""
    shared = attempt.job.request.budget
    return [job_budget(attempt.job_id), *([shared] if shared else [])]


def spent_error(attempt: Attempt, what: str, detail: str = "") -> BudgetSpent:
    """Why the job pauses, and how it goes on. `what`: frames, seconds or bytes."""
    shared = attempt.job.request.budget
    left = {b.name: b.left.amount(what) for b in Budgets(attempt.state.engine).get(budget_names(attempt))}
    limits = {name: amount for name, amount in left.items() if amount is not None}
    if shared and min(limits, key=lambda name: limits[name], default="") == shared:
        whose, command = f"the budget {shared}", f"framehouse jobs budget {shared} --max-{what} N"
    else:
        whose, command = "its budget", f"framehouse jobs resume {attempt.job_id} --max-{what} N"
    message = f"{whose} of {what} is spent{detail}; what was inferred stays"
    return BudgetSpent(message, code=f"budget.{what}", hint=command, job_id=attempt.job_id)


def fetch_within(attempt: Attempt, source: Source, progress: Progress | None = None) -> LocalVideo:
    """Fetch the video if its bytes may be spent; a file of this machine costs none, nor does one that was fetched.

    Raises:
        BudgetSpent: code `budget.bytes`; nothing was fetched.
    """
    budgets, names = Budgets(attempt.state.engine), budget_names(attempt)
    left = budgets.left(names).n_bytes
    if left is not None and attempt.job.video_id is None and not isinstance(source, LocalSource):
        size = source.stat().size_bytes
        if left == 0 or (size or 0) > left:
            raise spent_error(attempt, "bytes", f": {size or 'unknown'} bytes to fetch, {left} left")
    local = source.fetch(attempt.settings.fetch_dir, progress)
    if left is not None:
        budgets.spend(names, n_bytes=local.n_fetched_bytes)
    return local


@dataclass(slots=True)
class Allowance:
    """The part of the budgets that a run holds while it infers."""

    attempt: Attempt
    budgets: Budgets
    names: list[str]
    noted_s: float
    stop_at: float = 0.0
    n_used: int = 0
    spent: str | None = None
    """`frames` or `seconds`, once the run had to leave something open."""
    is_limited: bool = False
    n_chunks: int = 0
    """Chunks handed out that have not come back."""

    def cut(self, chunks: Sequence[HeldChunk]) -> list[HeldChunk]:
        """The chunks that the budgets allow, the last of them perhaps in part; all of them where nothing limits."""
        if not self.is_limited:
            return list(chunks)
        left = self._spend_time()
        if left is not None:
            self.stop_at = time.time() + left
        costs = [_costs(self.attempt.lake, chunk.task) for chunk in chunks]
        n_owed = sum(int(cost.sum()) for cost in costs)
        granted = self.budgets.reserve(self.names, self.attempt.job_id, n_owed)
        if granted is not None and granted < n_owed:
            self.spent = "frames"
        allowed = n_owed if granted is None else granted
        cut = []
        for chunk, cost in zip(chunks, costs, strict=True):
            n_instants = int(np.searchsorted(np.cumsum(cost), allowed, side="right"))
            allowed -= int(cost[:n_instants].sum())
            task = replace(chunk.task, planned=chunk.task.planned[:n_instants], stop_at=self.stop_at)
            cut.append(replace(chunk, task=task))
            if n_instants < chunk.task.planned.size:
                break
        cut = [chunk for chunk in cut if chunk.task.planned.size]
        self.n_chunks = len(cut)
        return cut

    def note(self, receipt: ChunkReceipt) -> None:
        """Count what a chunk tried, and what it left open because the time was over."""
        self.n_chunks -= 1
        self.n_used += sum(tally.n_tried for tally in receipt.tallies)
        if any(tally.n_open for tally in receipt.tallies):
            self.spent = "seconds"

    @property
    def is_over(self) -> bool:
        """Whether the time is over while chunks are out; asked between chunks."""
        if not self.stop_at or self.n_chunks <= 0:
            return False
        left = self._spend_time()
        if left is None or left > 0:
            return False
        self.spent = "seconds"
        return True

    def _spend_time(self) -> float | None:
        """Note the seconds since the last note; returns those that are left, None without a cap."""
        now = time.monotonic()
        left = self.budgets.spend(self.names, seconds=now - self.noted_s)
        self.noted_s = now
        return left.seconds


@contextmanager
def hold_allowance(attempt: Attempt) -> Iterator[Allowance]:
    """Hold what the run may spend, and give back what it did not. After an error the next run settles it."""
    budgets, names = Budgets(attempt.state.engine), budget_names(attempt)
    is_limited = bool(budgets.get(names))
    allowance = Allowance(attempt, budgets, names, time.monotonic(), is_limited=is_limited)
    try:
        yield allowance
    finally:
        if is_limited:
            allowance._spend_time()
    if is_limited:
        budgets.settle(attempt.job_id, allowance.n_used)
        log.info("allowance settled", job_id=attempt.job_id, n_used=allowance.n_used, spent=allowance.spent)


def _costs(lake: Lake, task: ChunkTask) -> np.ndarray:
    """int64 [K]: how many models each planned instant of the chunk is to be inferred by."""
    costs = np.zeros(task.planned.size, np.int64)
    for spec in task.models:
        held = standing(lake.part_paths(task.video_id, spec.digest, task.chunk.chunk_id))
        open_instants = owed(owed(task.planned, held.loaded), held.left_alone(task.gaps))
        costs += np.isin(task.planned, open_instants)
    return costs
