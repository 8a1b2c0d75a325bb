"""Measures: counters that every process of an installation adds to, so that one `/metrics` shows every hop of all.

Runs, the loader and the HTTP server gather what they did in a `Tally` and add it in one transaction, about once a chunk
or once in some seconds; Dask workers tell their run in receipts. A measure that cannot be written ends no work.
"""

from __future__ import annotations

import json
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite

from framehouse.state.opening import writing
from framehouse.state.schema import job_costs, measures

log = structlog.get_logger(__name__)

_HOP_S = (0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0)
_ANSWER_S = (0.005, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0)
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Measure:
    """A counter, or with `buckets` (upper bounds, ascending) a histogram; `labels` are the names that it has.

    `known`: values of its only label that are shown as 0 before anything was counted: Prometheus cannot tell that a
    series that appears with 1 was 0 before.
    """

    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    known: tuple[str, ...] = ()


MEASURES: dict[str, Measure] = {
    "framehouse_jobs_ended_total": Measure(
        "Jobs whose work ended, by outcome.", ("outcome",), (), ("done", "failed", "cancelled")
    ),
    "framehouse_job_seconds": Measure("From submission until a snapshot holds the rows, of done jobs.", (), _HOP_S),
    "framehouse_hop_seconds": Measure("How long hops took, also those that failed.", ("hop",), _HOP_S),
    "framehouse_errors_total": Measure("Hops that failed, each try counted.", ("hop", "code")),
    "framehouse_retries_total": Measure("Things tried again.", ("what",), (), ("job", "hop", "chunk")),
    "framehouse_fetched_bytes_total": Measure("Bytes of videos moved here."),
    "framehouse_chunks_total": Measure("Chunks that came to an end.", ("outcome",), (), ("inferred", "given_up")),
    "framehouse_chunk_seconds": Measure("How long chunks took on their worker.", (), _HOP_S),
    "framehouse_frames_decoded_total": Measure("Frames that came out of the decoder."),
    "framehouse_frames_passed_total": Measure("Frames that the decoder went through for them."),
    "framehouse_frames_total": Measure("Frames settled by runs: inferred or gap.", ("model", "outcome")),
    "framehouse_gaps_total": Measure("Frames without an answer, by reason.", ("model", "reason")),
    "framehouse_decode_seconds_total": Measure("Seconds spent in the decoder."),
    "framehouse_infer_seconds_total": Measure("Seconds in which a request to the model was unanswered.", ("model",)),
    "framehouse_model_load_seconds_total": Measure("Seconds that chunks waited until models were loaded.", ("model",)),
    "framehouse_worker_cpu_seconds_total": Measure("CPU seconds of the workers' processes while they had a chunk."),
    "framehouse_parts_bytes_total": Measure("Bytes of parts written."),
    "framehouse_loads_total": Measure("Wishes that the loader has loaded, by kind.", ("kind",)),
    "framehouse_publish_seconds": Measure("How long it took to load and publish what was asked for.", (), _HOP_S),
    "framehouse_api_requests_total": Measure("Answered requests.", ("route", "method", "status")),
    "framehouse_api_request_seconds": Measure("How long answers took, by route.", ("route",), _ANSWER_S),
}
"""Every measure there is. `code` and `reason` are error codes, `route` is a template, never a path with names in it."""


NO_MODEL = ""
"""In place of a digest: what a job has cost before its models came in."""


@dataclass(slots=True)
class JobCost:
    """What one model of a job has cost so far, all attempts together; as `job_costs` has it.

    Attributes:
        cpu_s: CPU seconds of the worker, the model's share of each chunk; and the seconds of inference of a model that
            a CPU serves.
        gpu_s: seconds of inference of a model that a GPU serves.
    """

    n_frames: int = 0
    infer_s: float = 0.0
    decode_s: float = 0.0
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    fetch_bytes: int = 0


_Key = tuple[str, str]


@dataclass(slots=True)
class Tally:
    """What a process did since it last told. Safe for threads."""

    counts: dict[_Key, float] = field(default_factory=dict)
    costs: dict[tuple[str, str, str], JobCost] = field(default_factory=dict)
    """By (job_id, model_id, model_digest)."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str, by: float = 1.0, **labels: str) -> None:
        """Add to a counter; its labels are those of `MEASURES`."""
        if by:
            self._add(name, _labels(name, labels), by)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a value to a histogram."""
        bounds = MEASURES[name].buckets
        above = bisect_left(bounds, value)
        bound = f"{bounds[above]:g}" if above < len(bounds) else "+Inf"
        shown = _labels(name, labels)
        self._add(f"{name}_bucket", _labels_text({**labels, "le": bound}), 1.0)
        self._add(f"{name}_sum", shown, value)
        self._add(f"{name}_count", shown, 1.0)

    def cost(self, job_id: str, model_id: str, model_digest: str, more: JobCost) -> None:
        """Add to what a model of a job has cost."""
        with self._lock:
            cost = self.costs.setdefault((job_id, model_id, model_digest), JobCost())
            for name in JobCost.__slots__:
                setattr(cost, name, getattr(cost, name) + getattr(more, name))

    def take(self) -> Tally:
        """All of it; nothing is left."""
        with self._lock:
            taken = Tally(self.counts, self.costs)
            self.counts, self.costs = {}, {}
        return taken

    def add(self, other: Tally) -> None:
        """Add what another has."""
        for (name, labels), value in other.counts.items():
            self._add(name, labels, value)
        for key, cost in other.costs.items():
            self.cost(*key, cost)

    def _add(self, name: str, labels: str, by: float) -> None:
        with self._lock:
            self.counts[name, labels] = self.counts.get((name, labels), 0.0) + by


def write_tally(engine: sa.Engine, tally: Tally) -> bool:
    """Add what a process did, and empty the tally; False when the database could not take it: then it keeps it."""
    taken = tally.take()
    if not taken.counts and not taken.costs:
        return True
    try:
        with writing(engine) as connection:
            add_counts(connection, taken.counts)
            add_costs(connection, taken.costs)
    except sa.exc.OperationalError as error:  # busy or away
        log.warning("measures not written", n_measures=len(taken.counts), error=type(error).__name__)
        tally.add(taken)
        return False
    return True


def add_counts(connection: sa.Connection, counts: Mapping[_Key, float]) -> None:
    """Add to counters inside the caller's transaction; in the order of their names, so that no two wait for each
    other."""
    rows = [{"name": name, "labels": labels, "value": value} for (name, labels), value in sorted(counts.items())]
    insert = _insert(connection, measures)
    upsert = insert.on_conflict_do_update(
        index_elements=["name", "labels"], set_={"value": measures.c.value + insert.excluded.value}
    )
    for start in range(0, len(rows), _AT_ONCE):
        connection.execute(upsert, rows[start : start + _AT_ONCE])


def add_costs(connection: sa.Connection, costs: Mapping[tuple[str, str, str], JobCost]) -> None:
    """Add to what models of jobs have cost, inside the caller's transaction."""
    columns = JobCost.__slots__
    insert = _insert(connection, job_costs)
    upsert = insert.on_conflict_do_update(
        index_elements=["job_id", "model_digest"],
        set_={name: job_costs.c[name] + insert.excluded[name] for name in columns},
    )
    rows = [
        {"job_id": job_id, "model_id": model_id, "model_digest": digest, **asdict(cost)}
        for (job_id, model_id, digest), cost in sorted(costs.items())
    ]
    if rows:
        connection.execute(upsert, rows)


def read_measures(engine: sa.Engine) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Name -> labels -> value, by name; buckets of histograms are cumulative, as Prometheus has them."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(measures).order_by(measures.c.name, measures.c.labels)).all()
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for name, labels, value in rows:
        with suppress(ValueError):
            found.setdefault(name, {})[tuple(json.loads(labels).items())] = float(value)
    for name, measure in MEASURES.items():
        if measure.buckets and f"{name}_bucket" in found:
            found[f"{name}_bucket"] = dict(_cumulative(found[f"{name}_bucket"], measure.buckets))
    return found


def read_costs(engine: sa.Engine, job_id: str) -> dict[str, JobCost]:
    """What each model digest of a job has cost so far."""
    query = sa.select(job_costs).where(job_costs.c.job_id == job_id)
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return {row["model_digest"]: JobCost(**{name: row[name] for name in JobCost.__slots__}) for row in rows}


def _cumulative(
    found: Mapping[tuple[tuple[str, str], ...], float], bounds: tuple[float, ...]
) -> Iterator[tuple[tuple[tuple[str, str], ...], float]]:
    series: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for labels, value in found.items():
        rest = tuple(label for label in labels if label[0] != "le")
        series.setdefault(rest, {})[dict(labels)["le"]] = value
    for rest, values in series.items():
        total = 0.0
        for bound in (*(f"{bound:g}" for bound in bounds), "+Inf"):
            total += values.get(bound, 0.0)
            yield (*rest, ("le", bound)), total


def _labels(name: str, labels: Mapping[str, str]) -> str:
    if set(labels) != set(MEASURES[name].labels):
        raise ValueError(f"{name} has the labels {MEASURES[name].labels}, not {tuple(labels)}")
    return _labels_text(labels)


def _labels_text(labels: Mapping[str, str]) -> str:
    return json.dumps(labels, sort_keys=True, ensure_ascii=False)


def _insert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    build = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return build(table)
