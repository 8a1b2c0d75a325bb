"""The figures of an installation: the same for `/metrics`, Prometheus and `framehouse status`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from framehouse.config import Settings, read_stack_file
from framehouse.errors import StoreError
from framehouse.inference.servers import Servers
from framehouse.inference.statistics import Statistics
from framehouse.jobs.housekeeping import publish_lag
from framehouse.jobs.parts import parts_of
from framehouse.room import free_bytes
from framehouse.state import State
from framehouse.state.measures import MEASURES, read_measures
from framehouse.state.tallies import take_tallies
from framehouse.store.query import run_query
from framehouse.store.snapshots import current_snapshot

Labels = tuple[tuple[str, str], ...]
_FRAMES = (
    "SELECT model_id, count(*) FILTER (status = 'loaded') AS loaded, count(*) FILTER (status = 'gap') AS gap "
    "FROM inferences GROUP BY model_id ORDER BY model_id"
)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its samples by name and labels (a histogram has names that end in _bucket, _sum and _count)."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    text: str
    samples: Mapping[tuple[str, Labels], float]


def figures(settings: Settings, state: State, servers: Servers) -> Iterator[Family]:
    """Every figure, as it is now.

    Args:
        servers: connections to Triton that the process keeps.
    """
    now = time.time()
    yield from _of_state(settings, state, now)
    yield from _of_measures(state)
    yield _family("framehouse_part_up", "Parts of the local stack that are ready.",
                  {(("part", part),): float(said == "ready") for part, said in parts_of(settings).items()})  # fmt: skip
    components = read_stack_file(settings).get("components", {})
    yield _family("framehouse_part_restarts_total", "How often the supervisor has started parts again.",
                  {(("part", name),): float(part.get("restarts", 0)) for name, part in components.items()},
                  "counter")  # fmt: skip
    yield from _of_triton(settings, servers)
    yield from _of_disk(settings)
    yield from _of_store(settings, now)


def _family(
    name: str, text: str, values: Mapping[Labels, float], kind: Literal["gauge", "counter"] = "gauge"
) -> Family:
    return Family(name, kind, text, {(name, labels): value for labels, value in values.items()})


def _of_state(settings: Settings, state: State, now: float) -> Iterator[Family]:
    tallies, lag = take_tallies(state.engine, now), publish_lag(settings, state)
    yield _family("framehouse_jobs", "Jobs by status.", {(("status", k),): n for k, n in tallies.jobs.items()})
    plain = {
        "framehouse_unfinished_planned": ("Frames x models that unfinished jobs planned.", tallies.n_planned),
        "framehouse_unfinished_settled": ("Those of them that are settled.", tallies.n_settled),
        "framehouse_oldest_queued_seconds": (
            "Age of the oldest queued job.", 0.0 if tallies.oldest_queued_at is None else now - tallies.oldest_queued_at
        ),
        "framehouse_load_log": ("Wishes in the loader's log.", tallies.n_loads),
        "framehouse_loads_waiting": ("Wishes that no published snapshot holds.", lag.n_waiting),
        "framehouse_load_wait_seconds": ("Age of the oldest of them.", lag.oldest_s),
        "framehouse_leases": ("Live leases: jobs and videos being worked on.", tallies.n_leases),
        "framehouse_uploads_awaited": ("Uploads that were promised and did not arrive.", tallies.n_uploads_awaited),
        "framehouse_deliveries_pending": ("Webhook deliveries to be tried.", tallies.n_deliveries_pending),
    }  # fmt: skip
    for name, (text, value) in plain.items():
        yield _family(name, text, {(): value})


def _of_measures(state: State) -> Iterator[Family]:
    found = read_measures(state.engine)
    for name, measure in MEASURES.items():
        suffixes = ("_bucket", "_sum", "_count") if measure.buckets else ("",)
        samples = {
            (name + suffix, labels): value
            for suffix in suffixes for labels, value in found.get(name + suffix, {}).items()
        }  # fmt: skip
        if not measure.buckets and not measure.labels:
            samples = samples or {(name, ()): 0.0}
        samples = {**{(name, ((measure.labels[0], value),)): 0.0 for value in measure.known}, **samples}
        yield Family(name, "histogram" if measure.buckets else "counter", measure.text, samples)


def _of_triton(settings: Settings, servers: Servers) -> Iterator[Family]:
    url = settings.triton.url or read_stack_file(settings).get("endpoints", {}).get("triton_url", "")
    answers = servers.ask(url)
    yield _family("framehouse_triton_up", "Triton servers that answer.",
                  {(("server", server),): float(models is not None) for server, models in answers.items()})  # fmt: skip
    models: dict[Labels, Statistics] = {
        (("server", server), ("triton_model", model), ("version", version)): done
        for server, found in answers.items() for (model, version), done in (found or {}).items()
    }  # fmt: skip
    tables = {
        "framehouse_triton_requests_total": ("Requests that the server answered.", "n_requests"),
        "framehouse_triton_failures_total": ("Requests that the server failed.", "n_failed"),
        "framehouse_triton_executions_total": ("Runs of the network, each of a batch.", "n_executions"),
        "framehouse_triton_queue_seconds_total": ("Seconds that requests waited for an instance.", "queue_s"),
        "framehouse_triton_compute_seconds_total": ("Seconds of input, inference and output.", "compute_s"),
        "framehouse_triton_request_seconds_total": ("Seconds from arrival to answer.", "request_s"),
    }
    for name, (text, attribute) in tables.items():
        yield _family(name, text, {labels: getattr(done, attribute) for labels, done in models.items()}, "counter")


def _of_disk(settings: Settings) -> Iterator[Family]:
    free = free_bytes(settings.home)
    yield _family("framehouse_disk_free_bytes", "Free on the disk of FRAMEHOUSE_HOME.", {(): free})
    yield _family("framehouse_disk_floor_bytes", "With less free, work pauses.", {(): settings.keep.floor_bytes})


def _of_store(settings: Settings, now: float) -> Iterator[Family]:
    try:
        age_s = now - current_snapshot(settings.store_dir).stat().st_mtime
        rows = run_query(settings.store_dir, _FRAMES, memory=settings.store.query_memory).rows()
        ages: dict[Labels, float] = {(): age_s}
    except (StoreError, FileNotFoundError):  # nothing was published yet
        ages, rows = {}, []
    yield _family("framehouse_snapshot_age_seconds", "Since the published snapshot was written.", ages)
    frames: dict[Labels, float] = {(("model", model), ("status", status)): n for model, loaded, gap in rows
              for status, n in (("loaded", loaded), ("gap", gap))}  # fmt: skip
    yield _family("framehouse_frames", "Frames in the ledger by model and status.", frames)
