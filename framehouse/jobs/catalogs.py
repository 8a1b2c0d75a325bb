"""Catalogues as people see them: add, scan, remove."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import structlog

from framehouse.catalog.entries import Choice, listing
from framehouse.catalog.scan import ScanReport, scan
from framehouse.config import Settings
from framehouse.errors import ConfigError, FramehouseError, JobError, SourceNotFound
from framehouse.jobs.attempt import renewed
from framehouse.jobs.sources import open_video
from framehouse.jobs.submit import check_request
from framehouse.results.opening import open_lake
from framehouse.state import JobRequest, State
from framehouse.state.catalog_entries import Entries, Entry
from framehouse.state.catalogs import Catalog, Catalogs, CatalogWish
from framehouse.storage.base import VIDEO_SUFFIXES, Source
from framehouse.storage.local import LocalSource
from framehouse.storage.uris import CLOUD_SCHEMES, scheme_of
from framehouse.telemetry import redact_uri

log = structlog.get_logger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_NAMES = re.compile(r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat", re.IGNORECASE)
_CRON_ITEM = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?")


def add_catalog(state: State, wish: CatalogWish, settings: Settings) -> Catalog:
    """Check a wish, look whether its place answers, and store it. Nothing is scanned yet.

    Raises:
        ConfigError: name, schedule, models, rate or threshold that cannot be; a file in place of a folder.
        SourceError: the place is not there, or may not be read.
        CatalogExists: the name is taken.
    """
    name = wish.name or default_name(wish.uri)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a catalogue", code="config.catalog_name",
            hint="letters, digits, dot, dash and underscore, at most 80; give another with --name",
        )  # fmt: skip
    check_schedule(wish.schedule)
    source = open_video(_place_uri(wish.uri), settings, allow_private=wish.allow_private)
    values = {field: getattr(wish, field) for field in CatalogWish.__dataclass_fields__}
    checked = CatalogWish(**{**values, "name": name, "uri": source.uri})
    catalog_request(checked, settings)
    _look(source)
    return Catalogs(state.engine).add(checked)


def catalog_request(wish: CatalogWish, settings: Settings) -> None:
    """Refuse what would fail for every video. Raises ConfigError as `check_request`."""
    check_request(JobRequest(wish.uri, wish.models, wish.infer_fps, wish.confidence, wish.priority), settings)


def scan_catalog(state: State, name: str, settings: Settings, *, owner: str) -> ScanReport:
    """Scan a catalogue now: jobs for what is new or changed, marks for what has gone.

    Args:
        owner: who holds the scan: a flow run's id, or a process.

    Raises:
        CatalogNotFound: none of that name.
        JobError: code `job.scan_running`, another scan of it is at work.
        FramehouseError: the place could not be listed to its end; nothing is marked gone.
    """
    catalogs = Catalogs(state.engine)
    catalog = catalogs.get(name)
    with _held(state, catalog, owner, settings.state.lease_s):
        began_at = time.time()
        catalogs.note_begun(catalog.catalog_id)
        try:
            check_request(catalog.request_for(catalog.wish.uri), settings)
            source = open_video(catalog.wish.uri, settings, allow_private=catalog.wish.allow_private)
            choice = Choice(catalog.wish, began_at, settings.catalog.settle_s)
            report = scan(Entries(state.engine, catalog), source, open_lake(*settings.lake_place), choice)
        except FramehouseError as error:
            catalogs.note_failed(catalog.catalog_id, error.code, error.message, error.hint)
            raise
        catalogs.note_scanned(catalog.catalog_id, began_at, report.facts())
    log.info("scanned", catalog=catalog.name, **report.facts())
    return report


def catalog_facts(catalog: Catalog) -> dict[str, Any]:
    """A catalogue for machines; its source without a query, which may be a signature."""
    wish = catalog.wish
    return {
        "name": catalog.name,
        "catalog_id": catalog.catalog_id,
        "source": redact_uri(wish.uri),
        "models": list(wish.models),
        "infer_fps": wish.infer_fps or "5",
        "confidence": wish.confidence,
        "priority": wish.priority,
        "max_running": wish.max_running,
        "include": list(wish.include),
        "exclude": list(wish.exclude),
        "schedule": wish.schedule,
        "schedule_active": catalog.schedule_active,
        "created_at": iso_of(catalog.created_at),
        "scanned_at": iso_of(catalog.scanned_at),
        "scan_report": catalog.scan_report,
        "scan_error": catalog.scan_error,
    }


def entry_facts(entry: Entry) -> dict[str, Any]:
    """A place for machines."""
    same = ("uri", "etag", "size_bytes", "modified_at", "video_id", "job_id")
    times = {name: iso_of(getattr(entry, name)) for name in ("seen_at", "gone_at")}
    return {**{name: getattr(entry, name) for name in same}, **times}


def iso_of(seconds: float | None) -> str | None:
    """ISO 8601 text in UTC of a Unix time."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def default_name(uri: str) -> str:
    """A name made of a place's last parts.

    >>> default_name("s3://bucket/a b/2026/")
    'bucket-a-b-2026'
    """
    text = re.sub(r"^[a-z0-9+.-]+://", "", uri.split("?", maxsplit=1)[0], flags=re.IGNORECASE).strip("/")
    parts = [re.sub(r"[^A-Za-z0-9._]+", "-", part).strip("-._") for part in text.split("/")]
    wanted = [part for part in parts if part]
    return "-".join(wanted if "://" in uri and not uri.startswith("file:") else wanted[-1:])[:80] or "videos"


def check_schedule(schedule: str) -> None:
    """Refuse what is not five cron fields; empty is no schedule.

    >>> check_schedule("*/15 8-18 * * mon-fri")

    Raises:
        ConfigError: code `config.schedule`.
    """
    fields = schedule.split()
    if schedule and (
        len(fields) != len(_CRON_RANGES)
        or not all(_is_cron(text, *limits) for text, limits in zip(fields, _CRON_RANGES, strict=True))
    ):
        raise ConfigError(
            f"{schedule!r} is not a schedule", code="config.schedule",
            hint='five cron fields: minute hour day month weekday, in UTC; every hour is "0 * * * *"',
        )  # fmt: skip


def _is_cron(text: str, lowest: int, highest: int) -> bool:
    if (lowest, highest) in _CRON_RANGES[3:]:
        text = _CRON_NAMES.sub(str(lowest or 1), text)
    for item in text.split(","):
        match = _CRON_ITEM.fullmatch(item)
        if match is None:
            return False
        first, last = (None if number is None else int(number) for number in match.groups()[:2])
        if first is not None and not lowest <= first <= (last if last is not None else first) <= highest:
            return False
    return True


def _look(source: Source) -> None:
    """The place answers: its first page can be read. An empty one is well."""
    if isinstance(source, LocalSource) and not source.path.is_dir():
        if source.path.exists():
            raise ConfigError(
                f"{source.path} is not a folder", code="config.catalog_source", hint="framehouse run takes single files"
            )
        raise SourceNotFound(f"{source.path}: no such folder", uri=source.uri)
    next(listing(source, lambda _uri, _error: None), None)


def _place_uri(uri: str) -> str:
    """A prefix of a store ends with a slash: while nothing lies below it, it could also be the name of an object."""
    if scheme_of(uri) not in CLOUD_SCHEMES or PurePosixPath(uri).suffix.lower() in VIDEO_SUFFIXES:
        return uri
    return uri.rstrip("/") + "/"


@contextmanager
def _held(state: State, catalog: Catalog, owner: str, ttl_s: float) -> Iterator[None]:
    lease = state.acquire(f"catalog/{catalog.catalog_id}", owner, ttl_s)
    if lease is None:
        raise JobError(
            f"another scan of {catalog.name} is at work",
            code="job.scan_running",
            hint="wait for its end, then try again",
        )
    try:
        with renewed(state, lease, ttl_s):
            yield
    finally:
        state.release(lease)
