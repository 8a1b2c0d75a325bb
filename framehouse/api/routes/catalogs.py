"""/v1/catalogs: places that are watched for videos."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from framehouse.api.context import Admin, Api, ApiContext
from framehouse.jobs.catalogs import add_catalog, catalog_facts, check_schedule, entry_facts
from framehouse.state.catalog_entries import Entries
from framehouse.state.catalogs import Catalog, Catalogs, CatalogWish

router = APIRouter(prefix="/v1/catalogs", tags=["catalogs"])

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$", description="name of a catalogue")]
Glob = Annotated[str, Field(min_length=1, max_length=200)]


class CatalogBody(BaseModel):
    """A place, and what to run over every video there."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(min_length=1, max_length=4096, description="s3://, gs://, az://, a folder, or an http(s) list")
    name: str = Field(default="", max_length=80, description="default: made of the source")
    models: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=["detector"], min_length=1, max_length=32, description="slug or slug/version"
    )
    infer_fps: str = Field(default="", max_length=40, description="frames a second, `all`, or empty for the default")
    confidence: float | None = Field(default=None, ge=0, le=1, description="threshold of the results")
    priority: int = Field(default=0, ge=-100, le=100, description="of its jobs; higher first")
    include: list[Glob] = Field(default=[], max_length=100, description="only names or paths that match one of these")
    exclude: list[Glob] = Field(default=[], max_length=100, description="none that matches one of these")
    schedule: str = Field(default="", max_length=120, description="five cron fields in UTC; empty: only when asked")
    max_running: int | None = Field(default=None, ge=1, le=10_000, description="most of its jobs that run at once")


class ScheduleBody(BaseModel):
    """When to scan."""

    model_config = ConfigDict(extra="forbid")

    schedule: str = Field(max_length=120, description="five cron fields in UTC; empty: only when asked")


class TermsBody(BaseModel):
    """Terms of a catalogue's jobs; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    max_running: int | None = Field(default=None, ge=0, le=10_000, description="most jobs at once; 0: no limit")
    priority: int | None = Field(default=None, ge=-100, le=100, description="of the jobs of later scans")


class CatalogFacts(BaseModel):
    """A catalogue as it is now. Times are ISO 8601 in UTC."""

    name: str
    catalog_id: str
    source: str
    models: list[str]
    infer_fps: str
    confidence: float
    priority: int
    max_running: int | None
    include: list[str]
    exclude: list[str]
    schedule: str
    schedule_active: bool
    created_at: str
    scanned_at: str | None
    scan_report: dict[str, Any] | None
    scan_error: dict[str, str] | None
    counts: dict[str, int] = Field(description="places here and gone; jobs of those here by status")


class CatalogList(BaseModel):
    """Catalogues, by name."""

    catalogs: list[CatalogFacts]


class EntryFacts(BaseModel):
    """One place of a catalogue. `video_id` is there once its job has read it; `gone_at` once a scan missed it."""

    uri: str
    etag: str | None
    size_bytes: int | None
    modified_at: str | None
    video_id: str | None
    job_id: str | None
    seen_at: str
    gone_at: str | None


class CatalogPage(CatalogFacts):
    """A catalogue with its newest places."""

    entries: list[EntryFacts]


@router.post("", summary="Watch a place for videos", status_code=201)
def create(body: CatalogBody, api: ApiContext, caller: Admin) -> CatalogFacts:
    """Its first page is listed at once, to see that it answers; nothing is scanned yet. Needs the scope admin."""
    wish = CatalogWish(
        body.name, body.source, tuple(body.models), body.infer_fps,
        api.settings.jobs.confidence if body.confidence is None else body.confidence, body.priority,
        tuple(body.include), tuple(body.exclude), " ".join(body.schedule.split()), caller.owner, allow_private=False,
        max_running=body.max_running,
    )  # fmt: skip
    return _facts(api, add_catalog(api.state, wish, api.settings))


@router.get("", summary="List the catalogues")
def list_(api: ApiContext, _: Admin) -> CatalogList:
    """Needs the scope admin: like videos, they belong to no key."""
    return CatalogList(catalogs=[_facts(api, catalog) for catalog in _catalogs(api).all()])


@router.get("/{name}", summary="Show a catalogue and its newest places")
def show(name: Name, api: ApiContext, _: Admin, limit: Annotated[int, Query(ge=0, le=1000)] = 100) -> CatalogPage:
    """What is asked of its videos, how the last scan went, and the places that changed last."""
    catalog = _catalogs(api).get(name)
    places = [EntryFacts(**entry_facts(entry)) for entry in Entries(api.state.engine, catalog).newest(limit)]
    return CatalogPage(**_facts(api, catalog).model_dump(), entries=places)


@router.post("/{name}/scan", summary="Scan a catalogue soon", status_code=202)
def scan(name: Name, api: ApiContext, _: Admin) -> CatalogFacts:
    """Asks the engine for a scan and does not wait for it: `scanned_at` moves when it is over."""
    catalog = _catalogs(api).get(name)
    _catalogs(api).request_scan(catalog.catalog_id)
    return _facts(api, catalog)


@router.put("/{name}/schedule", summary="Replace a catalogue's schedule")
def schedule(name: Name, body: ScheduleBody, api: ApiContext, _: Admin) -> CatalogFacts:
    """Prefect's page edits the same one; whoever changes it last is heeded."""
    wanted = " ".join(body.schedule.split())
    check_schedule(wanted)
    catalog = _catalogs(api).get(name)
    _catalogs(api).want_schedule(catalog.catalog_id, wanted)
    return _facts(api, _catalogs(api).get(name))


@router.patch("/{name}", summary="Change the terms of a catalogue's jobs")
def change(name: Name, body: TermsBody, api: ApiContext, _: Admin) -> CatalogFacts:
    """A limit of jobs at once counts from now on, also for those that wait; a priority for the jobs of later scans."""
    catalog_id = _catalogs(api).get(name).catalog_id
    _catalogs(api).change(catalog_id, priority=body.priority, max_running=body.max_running)
    return _facts(api, _catalogs(api).get(name))


@router.delete("/{name}", summary="Forget a catalogue", status_code=204)
def remove(name: Name, api: ApiContext, _: Admin) -> None:
    """Its schedule goes too; its videos, jobs and results stay."""
    _catalogs(api).remove(_catalogs(api).get(name).catalog_id)


def _catalogs(api: Api) -> Catalogs:
    return Catalogs(api.state.engine)


def _facts(api: Api, catalog: Catalog) -> CatalogFacts:
    counts = Entries(api.state.engine, catalog).counts()
    return CatalogFacts(**catalog_facts(catalog), counts=counts)
