"""How a run ends: its record in the lake, its outcome in the state, and its rows asked for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import structlog

from framehouse.errors import FramehouseError, InferenceError, ResultsError, SourceError
from framehouse.inference.run import ChunkReceipt, ModelTally
from framehouse.inference.specs import ModelSpec
from framehouse.jobs.allowance import spent_error
from framehouse.jobs.attempt import Attempt
from framehouse.jobs.plans import PlanRef
from framehouse.results.indexes import read_index
from framehouse.results.lake import Estimate, Lake, ModelUse, RunRecord
from framehouse.state import Job, State
from framehouse.state.measures import NO_MODEL, JobCost, read_costs
from framehouse.state.records import JobStatus
from framehouse.telemetry import redact_uri
from framehouse.tracing import job_span
from framehouse.video.sampling import FramePlan, gap_intervals

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Totals:
    """Receipts of a video's chunks, added up per model."""

    models: tuple[ModelSpec, ...]
    n_planned: int
    decode_s: float = 0.0
    n_settled: int = 0
    loaded: Counter[str] = field(default_factory=Counter)
    gaps: dict[str, Counter[str]] = field(default_factory=dict)
    infer_s: Counter[str] = field(default_factory=Counter)
    inferred: Counter[str] = field(default_factory=Counter)
    n_passed: int = 0
    spent: str | None = None
    """`frames` or `seconds` when the job's budget is spent before its plan is settled."""

    def add(self, receipt: ChunkReceipt) -> None:
        """Count one chunk in."""
        self.decode_s += receipt.decode_s
        self.n_passed += receipt.n_passed
        for tally in receipt.tallies:
            self._add_tally(tally)

    def _add_tally(self, tally: ModelTally) -> None:
        self.loaded[tally.model_digest] += tally.n_loaded
        self.gaps.setdefault(tally.model_digest, Counter()).update(dict(tally.gap_reasons))
        self.infer_s[tally.model_digest] += tally.infer_s  # type: ignore[assignment]
        self.inferred[tally.model_digest] += tally.n_inferred
        self.n_settled += tally.n_loaded + tally.n_gaps

    def uses(self) -> tuple[ModelUse, ...]:
        """What each model did with the plan."""
        return tuple(
            ModelUse(
                model_id=spec.model_id,
                model_digest=spec.digest,
                kind=spec.kind,
                n_planned=self.n_planned,
                n_loaded=self.loaded[spec.digest],
                n_gaps=sum(self.gaps.get(spec.digest, Counter()).values()),
                gap_reasons=dict(self.gaps.get(spec.digest, Counter())),
                infer_s=float(self.infer_s[spec.digest]),
                n_inferred=self.inferred[spec.digest],
            )
            for spec in self.models
        )


def conclude_run(attempt: Attempt, ref: PlanRef, totals: Totals) -> None:
    """Write the run record and hand the rows to the loader; the job is done when a snapshot holds them.

    One whose budget is spent pauses instead: what it has is loaded all the same.

    Raises:
        InferenceError: `inference.too_many_gaps`, the failure budget is spent; what was loaded stays and is loaded.
        LeaseLost: another run holds the job now.
    """
    attempt.state.require(attempt.lease)  # before the record: it may be another run's by now
    if totals.spent is not None:
        _pause_run(attempt, ref, totals, totals.spent)
        return
    uses = totals.uses()
    error = over_budget(attempt.lake, ref.job_id, uses, attempt.settings.jobs.max_gap_share)
    outcome: JobStatus = "failed" if error else "done"
    _write_run(attempt, ref, totals, uses, outcome, error)
    attempt.state.conclude(
        attempt.job_id,
        outcome,
        [(ref.video_id, use.model_digest) for use in uses],
        lease=attempt.lease,
        error=_columns(error),
    )
    if error:
        began_s = attempt.job.submitted_at
        job_span(attempt.job_id, began_s, time.time(), error.code, video_id=ref.video_id, status=outcome)
        raise error


def _pause_run(attempt: Attempt, ref: PlanRef, totals: Totals, what: str) -> None:
    cost = {use.model_digest: use for use in totals.uses()}
    uses = tuple(
        replace(use, infer_s=cost[use.model_digest].infer_s, n_inferred=cost[use.model_digest].n_inferred)
        for use in uses_so_far(attempt.lake, attempt.job_id, totals.models)
    )
    n_settled = sum(use.n_loaded + use.n_gaps for use in uses)
    error = spent_error(attempt, what, f" at {n_settled} of {sum(use.n_planned for use in uses)} frames x models")
    _write_run(attempt, ref, totals, uses, "paused", error)
    pairs = [(ref.video_id, use.model_digest) for use in uses]
    attempt.state.pause(attempt.lease, attempt.job_id, pairs, (error.code, error.message, error.hint))


def _write_run(
    attempt: Attempt,
    ref: PlanRef,
    totals: Totals,
    uses: tuple[ModelUse, ...],
    outcome: JobStatus,
    error: FramehouseError | None,
) -> None:
    attempt.lake.write_run(
        replace(
            _record(attempt.job, outcome, error, hop="infer"),
            video_id=ref.video_id,
            models=with_costs(attempt.state, attempt.job_id, uses),
            decode_s=totals.decode_s,
            n_bytes=ref.n_bytes,
            worked_s=time.monotonic() - attempt.began_s,
            n_passed=totals.n_passed,
        )
    )


def conclude_early(
    state: State,
    lake: Lake,
    job: Job,
    outcome: JobStatus,
    error: FramehouseError | None,
    models: Sequence[ModelSpec] = (),
) -> None:
    """End a job without its run: failed, or cancelled. Parts that it wrote are loaded, so nothing done is lost.

    Args:
        models: those of its request that are known; the record says what of the plan the parts hold of each.
    """
    if state.job(job.job_id).outcome is not None:
        return
    uses = with_costs(state, job.job_id, uses_so_far(lake, job.job_id, models))
    record = replace(_record(job, outcome, error, hop=job.hop), models=uses)
    lake.write_run(record)
    loads = _pairs_with_parts(lake, record)
    state.conclude(job.job_id, outcome, loads, error=_columns(error))
    code = error.code if error else None
    job_span(job.job_id, job.submitted_at, time.time(), code, video_id=job.video_id or "", status=outcome)
    state.break_lease(f"job/{job.job_id}")


def with_costs(state: State, job_id: str, uses: Sequence[ModelUse]) -> tuple[ModelUse, ...]:
    """What the models did, with what all attempts of the job have cost; they share the bytes that were fetched."""
    costs = read_costs(state.engine, job_id)
    n_bytes, n = costs.get(NO_MODEL, JobCost()).fetch_bytes, len(uses)
    found = [(use, costs.get(use.model_digest, JobCost())) for use in uses]
    return tuple(
        replace(
            use,
            n_paid=cost.n_frames,
            cpu_s=round(cost.cpu_s, 4),
            gpu_s=round(cost.gpu_s, 4),
            fetch_bytes=n_bytes // n + (n_bytes % n if i == 0 else 0),
        )
        for i, (use, cost) in enumerate(found)
    )


def uses_so_far(lake: Lake, job_id: str, models: Sequence[ModelSpec]) -> tuple[ModelUse, ...]:
    """What the lake's parts hold of a job's plan, for each model; zeros for a job that ended before its plan."""
    uses = [ModelUse(spec.model_id, spec.digest, spec.kind) for spec in models]
    try:
        stored = lake.read_plan(job_id)
        if stored is None:
            return tuple(uses)
        video_id, plan = stored
        return tuple(_counted(lake, video_id, plan, use) for use in uses)
    except ResultsError as error:  # that the job ended is to be told all the same
        log.warning("what the job holds cannot be counted", job_id=job_id, code=error.code, cause=error.message)
        return tuple(uses)


def _counted(lake: Lake, video_id: str, plan: FramePlan, use: ModelUse) -> ModelUse:
    loaded, gaps = lake.settled(video_id, use.model_digest)
    n_loaded, n_gaps = (int(np.isin(plan.frame_offset, held).sum()) for held in (loaded, gaps))
    return replace(use, n_planned=len(plan.frame_offset), n_loaded=n_loaded, n_gaps=n_gaps)


def over_budget(lake: Lake, job_id: str, uses: Iterable[ModelUse], max_gap_share: float) -> InferenceError | None:
    """The error of the first model with more than this share of gaps; None when all are within it."""
    for use in uses:
        if use.n_gaps > max_gap_share * use.n_planned:
            most = max(use.gap_reasons.items(), key=lambda item: item[1])
            second = _first_gap_s(lake, job_id, use.model_digest)
            where = "" if second is None else f", first at {second:.1f} s"
            return InferenceError(
                f"{use.model_id}: {use.n_gaps} of {use.n_planned} planned frames are gaps{where}, "
                f"most of them {most[0]}",
                code="inference.too_many_gaps",
                hint="what was loaded stays; see the inferences table for each gap's reason",
                n_gaps=use.n_gaps,
                n_planned=use.n_planned,
                second=second,
            )
    return None


def _first_gap_s(lake: Lake, job_id: str, model_digest: str) -> float | None:
    """Second of the video at which the first planned frame is a gap; None when the lake does not say."""
    try:
        stored = lake.read_plan(job_id)
        if stored is None:
            return None
        video_id, plan = stored
        _, gaps = lake.settled(video_id, model_digest)
        intervals = gap_intervals(plan, gaps, read_index(lake, video_id))
    except ResultsError as error:
        log.warning("the first gap cannot be told", job_id=job_id, code=error.code, cause=error.message)
        return None
    return intervals[0][0] if intervals else None


def _record(job: Job, outcome: str, error: FramehouseError | None, hop: str | None) -> RunRecord:
    second = error.facts.get("second") if error else None
    return RunRecord(
        job_id=job.job_id,
        video_id=job.video_id,
        uri=redact_uri(job.request.uri),
        status=outcome,
        infer_fps=job.request.infer_fps,
        confidence=job.request.confidence,
        models=(),
        submitted_at=_iso(job.submitted_at),
        started_at=_iso(job.started_at),
        finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        attempt=job.attempt,
        error_code=error.code if error else None,
        error_message=error.message if error else None,
        error_hint=error.hint if error else None,
        error_hop=hop if error else None,
        error_second=float(second) if isinstance(second, int | float) else None,
        decode_s=0.0,
        n_bytes=0,
        estimate=None if job.estimate is None else Estimate(**job.estimate),
        frames=job.request.frames,
    )


def _pairs_with_parts(lake: Lake, record: RunRecord) -> list[tuple[str, str]]:
    if record.video_id is None:
        return []
    return [(record.video_id, digest) for digest in lake.digests_of(record.video_id)]


def _columns(error: FramehouseError | None) -> tuple[str, str, str] | None:
    return (error.code, error.message, error.hint) if error else None


def _iso(epoch_s: float | None) -> str | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds")


def is_for_another_run(error: BaseException, job: Job, max_attempts: int) -> bool:
    """Whether a failed run says nothing about its job: our own engine was away for longer than tasks try again.

    Such a job stays owed, and the reconciler makes another run of it, until so many in a row have got nowhere.
    """
    is_engine = isinstance(error, FramehouseError) and error.retryable and not isinstance(error, SourceError)
    return is_engine and job.stalled_attempts < max_attempts


def facts_of(error: BaseException) -> FramehouseError:
    """Any exception as one of ours; what is not ours is a defect and keeps its type's name."""
    if isinstance(error, FramehouseError):
        return error
    shown: Mapping[str, str] = {"error_type": type(error).__name__}
    lines = str(error).split("\n")
    return FramehouseError(
        f"{type(error).__name__}: {next((line for line in lines if line.strip()), 'no message')}",
        code="framehouse.internal",
        hint="this is a defect of Framehouse; the log has the details",
        **shown,
    )
