"""The resident loader: the one process that writes DuckDB.

Started by `up` on the store's host: `python -m framehouse.loader`. It drains the load log of the state database into
the store, publishes a snapshot at most every `publish_interval_s` seconds, and then tells the jobs that their rows are
out.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence

import structlog

from framehouse.backups import restore_mark
from framehouse.config import Settings, load_settings
from framehouse.errors import ConfigError, StoreError, StoreLocked
from framehouse.readiness import say_ready
from framehouse.results.files import sweep_temporary
from framehouse.results.opening import open_lake
from framehouse.room import Room
from framehouse.state import LoadRow, State, open_state
from framehouse.state.measures import Tally, write_tally
from framehouse.store.load import SetAside
from framehouse.store.publish import LoadEntry, Publisher
from framehouse.telemetry import configure_logging
from framehouse.tracing import job_span, past_span

log = structlog.get_logger(__name__)

_POLL_S = 0.2
_RETRY_S = 2.0
_MOST_LOADS = 500
"""Loads between two snapshots. A load takes 20-40 ms in each file: what was asked for first is out within a
minute, however much was asked for at once."""


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    import pandas  # noqa: F401, PLC0415  pyarrow imports it at its first array: 2 s that no load shall wait for

    configure_logging(json=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    settings = load_settings()
    if restore_mark(settings.home).exists():
        raise ConfigError(
            "a restore is under way or was cut short", code="config.restore", hint="framehouse db restore BACKUP, again"
        )
    lake = open_lake(*settings.lake_place)
    if n_swept := sweep_temporary(lake.root):
        log.info("leftovers of interrupted writes removed", n_files=n_swept)
    while not stop.is_set():
        try:
            with Publisher(
                settings.store_dir, lake, confidence=settings.jobs.confidence, prices=settings.costs.prices,
                backups=settings.backups,
            ) as publisher:  # fmt: skip
                state = open_state(settings.state_url, backups=settings.backups)
                say_ready("loader")
                drain(publisher, state, settings, stop)
        except StoreLocked as error:
            log.warning("another process is the writer, waiting", error=error.line())
            stop.wait(_RETRY_S)


def drain(publisher: Publisher, state: State, settings: Settings, stop: threading.Event) -> None:
    """Load and publish whatever is asked for, until told to stop."""
    state.skip_loads(publisher.published_seq)
    state.settle_published(publisher.published_seq)
    told = ""
    while not stop.is_set():
        try:
            pause_s = settings.store.publish_interval_s if _drain_once(publisher, state, settings.room) else _POLL_S
            told = ""
        except StoreError as error:  # a full disk, say: nothing is lost, the log keeps what is owed
            if error.code != told:
                log.error("load failed, will try again", code=error.code, error=error.line())
            told, pause_s = error.code, _RETRY_S
        stop.wait(pause_s)


def _drain_once(publisher: Publisher, state: State, room: Room) -> bool:
    rows = state.loads_after(publisher.published_seq, _MOST_LOADS)
    if not rows and publisher.is_current:
        return False
    if short := room.shortage(publisher.need_bytes()):
        raise StoreError(f"paused: {short}", code="store.no_room", hint="goes on by itself when there is room")
    started = time.monotonic()
    entries = [LoadEntry(row.seq, row.kind, row.video_id, row.model_digest, row.job_id) for row in rows]
    tally = Tally()
    try:
        published = publisher.publish(entries)
    except StoreError as error:
        tally.count("framehouse_errors_total", hop="publish", code=error.code)
        write_tally(state.engine, tally)
        raise
    finished = state.settle_published(publisher.published_seq)
    _measure(state, tally, rows, finished, time.monotonic() - started)
    state.forget_loads(publisher.min_applied_seq)
    log.info(
        "published", seq=publisher.published_seq, n_loads=len(rows), n_jobs=len(finished),
        elapsed_s=round(time.monotonic() - started, 3),
    )  # fmt: skip
    for item in published.set_aside if published else ():
        if item.video_id:  # other files that were not loaded stay where they are
            _tell_set_aside(state, item)
    return True


def _measure(state: State, tally: Tally, rows: Sequence[LoadRow], finished: Sequence[str], elapsed_s: float) -> None:
    tally.observe("framehouse_publish_seconds", elapsed_s)
    for row in rows:
        tally.count("framehouse_loads_total", kind=row.kind)
    for job in state.list_jobs(job_ids=finished) if finished else ():
        ended_s = job.finished_at or time.time()
        tally.observe("framehouse_job_seconds", ended_s - job.submitted_at)
        past_span("publish", job.job_id, time.time() - elapsed_s, time.time(), n_loads=len(rows))
        job_span(job.job_id, job.submitted_at, ended_s, video_id=job.video_id or "", status=job.status)
    write_tally(state.engine, tally)


def _tell_set_aside(state: State, item: SetAside) -> None:
    """A part is out of the lake: say whose frames are owed again, and how they come back."""
    jobs = [job.job_id for job in state.list_jobs(video_ids=[item.video_id])]
    log.error(
        "part set aside, its frames are owed again", video_id=item.video_id, path=item.path, code=item.code,
        cause=item.message, hint=f"framehouse jobs retry {' '.join(jobs)}" if jobs else "run the video again",
    )  # fmt: skip


if __name__ == "__main__":
    main()
