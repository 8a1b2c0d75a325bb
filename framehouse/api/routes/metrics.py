"""/metrics: numbers in Prometheus' text format."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from framehouse.api.context import Api, ApiContext, Reader
from framehouse.api.parts import parts_of
from framehouse.errors import StoreError
from framehouse.state.tallies import take_tallies
from framehouse.store.query import run_query
from framehouse.store.snapshots import current_snapshot

router = APIRouter(tags=["health"])
_FRAMES = (
    "SELECT model_id, count(*) FILTER (status = 'loaded') AS loaded, count(*) FILTER (status = 'gap') AS gap "
    "FROM inferences GROUP BY model_id ORDER BY model_id"
)


class PrometheusResponse(PlainTextResponse):
    """Text of the format's version 0.0.4."""

    media_type = "text/plain; version=0.0.4"


@router.get("/metrics", summary="Numbers for Prometheus", response_class=PrometheusResponse)
def metrics(api: ApiContext, _: Reader) -> PrometheusResponse:
    """Jobs by status, frames by model, queues, the age of the snapshot, the parts of the stack. Names of models, but
    none of videos or keys."""
    return PrometheusResponse("\n".join(_lines(api)) + "\n")


def _lines(api: Api) -> Iterator[str]:
    now = time.time()
    tallies = take_tallies(api.state.engine, now)
    yield from _gauge("framehouse_jobs", "Jobs by status.", {f'status="{k}"': n for k, n in tallies.jobs.items()})
    plain = {
        "framehouse_unfinished_planned": ("Frames x models that unfinished jobs planned.", tallies.n_planned),
        "framehouse_unfinished_settled": ("Those of them that are settled.", tallies.n_settled),
        "framehouse_oldest_queued_seconds": (
            "Age of the oldest queued job.", 0.0 if tallies.oldest_queued_at is None else now - tallies.oldest_queued_at
        ),
        "framehouse_load_log": ("Wishes in the loader's log.", tallies.n_loads),
        "framehouse_leases": ("Live leases: jobs and videos being worked on.", tallies.n_leases),
        "framehouse_uploads_awaited": ("Uploads that were promised and did not arrive.", tallies.n_uploads_awaited),
        "framehouse_deliveries_pending": ("Webhook deliveries to be tried.", tallies.n_deliveries_pending),
    }  # fmt: skip
    for name, (text, value) in plain.items():
        yield from _gauge(name, text, {"": value})
    up = {f'part="{name}"': int(state == "ready") for name, state in parts_of(api.settings).items()}
    yield from _gauge("framehouse_part_up", "Parts of the local stack that are ready.", up)
    yield from _store_lines(api, now)


def _store_lines(api: Api, now: float) -> Iterator[str]:
    settings = api.settings
    try:
        age_s = now - current_snapshot(settings.store_dir).stat().st_mtime
        rows = run_query(settings.store_dir, _FRAMES, memory=settings.store.query_memory).rows()
    except (StoreError, FileNotFoundError):  # nothing was published yet
        return
    yield from _gauge("framehouse_snapshot_age_seconds", "Since the published snapshot was written.", {"": age_s})
    frames = {f'model="{model}",status="{status}"': n for model, loaded, gap in rows
              for status, n in (("loaded", loaded), ("gap", gap))}  # fmt: skip
    yield from _gauge("framehouse_frames", "Frames in the ledger by model and status.", frames)


def _gauge(name: str, text: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} gauge"
    for labels, value in values.items():
        yield f"{name}{{{labels}}} {value:g}" if labels else f"{name} {value:g}"
