"""Catalogues: which places are watched, what is asked of the videos there, and how the last scan went."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from framehouse.errors import CatalogExists, CatalogNotFound
from framehouse.state.budgets import catalog_budget
from framehouse.state.catalog_tables import catalog_entries, catalogs
from framehouse.state.opening import writing
from framehouse.state.records import JobRequest


@dataclass(frozen=True, slots=True)
class CatalogWish:
    """What a person asks for. `schedule`: five cron fields, empty for none; globs as `framehouse.catalog.globs`;
    `max_running`: most of its jobs that run at once, None for no limit."""

    name: str
    uri: str
    models: tuple[str, ...]
    infer_fps: str = ""
    confidence: float = 0.4
    priority: int = 0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    schedule: str = ""
    owner: str = ""
    allow_private: bool = True
    max_running: int | None = None


@dataclass(frozen=True, slots=True)
class Catalog:
    """One row of `catalogs`. Times are seconds since the epoch.

    Attributes:
        schedule_spec: the schedule in Prefect's own form, once Prefect has it.
        schedule_active: False while it is paused in Prefect.
        schedule_pending: Prefect is still to be told; afterwards Prefect's own state counts.
        schedule_deployment: id of the Prefect deployment that was told last.
        scan_requested_at: somebody wants a scan that no run has begun yet.
        scan_tried_at: when the last scan began, whatever became of it.
        scanned_at: when the last whole scan began.
        scan_report: counts of the last whole scan.
        scan_error: code, message and hint of the last scan when it failed.
    """

    catalog_id: str
    wish: CatalogWish
    created_at: float
    schedule_active: bool
    schedule_pending: bool
    schedule_deployment: str | None
    scan_requested_at: float | None
    scan_tried_at: float | None
    scanned_at: float | None
    schedule_spec: dict[str, Any] | None = None
    scan_report: dict[str, Any] | None = None
    scan_error: dict[str, str] | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return self.wish.name

    def request_for(self, uri: str) -> JobRequest:
        """The job of a video of this catalogue."""
        wish = self.wish
        return JobRequest(
            uri, wish.models, wish.infer_fps, wish.confidence, wish.priority, allow_private=wish.allow_private,
            budget=catalog_budget(wish.name),
        )  # fmt: skip


_LISTS = ("models", "include", "exclude")
_WISHES = tuple(CatalogWish.__dataclass_fields__)
_OWN = tuple(name for name in Catalog.__dataclass_fields__ if name != "wish")


class Catalogs:
    """The catalogues of a state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, wish: CatalogWish) -> Catalog:
        """Store a catalogue; nothing is scanned yet.

        Raises:
            CatalogExists: the name is taken.
        """
        values: dict[str, Any] = {name: getattr(wish, name) for name in _WISHES}
        values |= {name: list(values[name]) for name in _LISTS}
        own = {"catalog_id": f"c_{secrets.token_hex(8)}", "created_at": time.time(), "schedule_active": True}
        try:
            with writing(self._engine) as connection:
                connection.execute(
                    catalogs.insert().values(**values, **own, schedule_pending=bool(wish.schedule))
                )  # fmt: skip
        except IntegrityError as error:
            raise CatalogExists(f"there is a catalogue {wish.name} already") from error
        return self.get(wish.name)

    def get(self, name: str) -> Catalog:
        """A catalogue by name or id.

        Raises:
            CatalogNotFound: none of that name.
        """
        query = sa.select(catalogs).where(sa.or_(catalogs.c.name == name, catalogs.c.catalog_id == name))
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise CatalogNotFound(f"no catalogue {name}")
        return _catalog(row)

    def all(self) -> list[Catalog]:
        """All of them, by name."""
        query = sa.select(catalogs).order_by(catalogs.c.name)
        with self._engine.connect() as connection:
            return [_catalog(row) for row in connection.execute(query).mappings()]

    def remove(self, catalog_id: str) -> None:
        """Forget a catalogue and its entries; videos, jobs and results stay."""
        with writing(self._engine) as connection:
            connection.execute(catalog_entries.delete().where(catalog_entries.c.catalog_id == catalog_id))
            connection.execute(catalogs.delete().where(catalogs.c.catalog_id == catalog_id))

    def request_scan(self, catalog_id: str) -> None:
        """Ask for a scan; the runner makes a run of it."""
        self._set(catalog_id, scan_requested_at=time.time())

    def scans_wanted(self) -> list[Catalog]:
        """Catalogues whose scan was asked for and has not begun."""
        query = sa.select(catalogs).where(catalogs.c.scan_requested_at.is_not(None)).order_by(catalogs.c.name)
        with self._engine.connect() as connection:
            return [_catalog(row) for row in connection.execute(query).mappings()]

    def scan_assigned(self, catalog: Catalog) -> None:
        """A run was made for the scan that was asked for; a later wish stands."""
        with writing(self._engine) as connection:
            connection.execute(
                catalogs.update()
                .where(catalogs.c.catalog_id == catalog.catalog_id)
                .where(catalogs.c.scan_requested_at == catalog.scan_requested_at)
                .values(scan_requested_at=None)
            )

    def note_begun(self, catalog_id: str) -> None:
        """A scan begins."""
        self._set(catalog_id, scan_tried_at=time.time())

    def note_scanned(self, catalog_id: str, began_at: float, report: dict[str, Any]) -> None:
        """A scan came to its end."""
        self._set(catalog_id, scanned_at=began_at, scan_report=report, scan_error=None)

    def note_failed(self, catalog_id: str, code: str, message: str, hint: str) -> None:
        """A scan did not come to its end."""
        self._set(catalog_id, scan_error={"code": code, "message": message, "hint": hint})

    def want_schedule(self, catalog_id: str, schedule: str, *, active: bool = True) -> None:
        """Another schedule, of which Prefect is to be told; empty for none."""
        self._set(catalog_id, schedule=schedule, schedule_spec=None, schedule_active=active, schedule_pending=True)

    def mirror_schedule(
        self, catalog_id: str, schedule: str, spec: dict[str, Any] | None, *, active: bool, deployment: str
    ) -> None:
        """What Prefect has, for people and in its own form, unless it is still to be told of something else."""
        with writing(self._engine) as connection:
            connection.execute(
                catalogs.update()
                .where(catalogs.c.catalog_id == catalog_id, catalogs.c.schedule_pending.is_(False))
                .values(
                    schedule=schedule[:120], schedule_spec=spec, schedule_active=active, schedule_deployment=deployment
                )
            )

    def change(self, catalog_id: str, *, priority: int | None = None, max_running: int | None = None) -> None:
        """Other terms for its jobs; None leaves one as it is, `max_running` 0 takes the limit away.

        The limit counts at once, the priority for the jobs of later scans.
        """
        values: dict[str, Any] = {} if priority is None else {"priority": priority}
        if max_running is not None:
            values["max_running"] = max_running or None
        if values:
            self._set(catalog_id, **values)

    def schedule_told(self, catalog: Catalog, deployment: str) -> None:
        """Prefect has the schedule that the caller saw here; a later wish stands."""
        with writing(self._engine) as connection:
            connection.execute(
                catalogs.update()
                .where(catalogs.c.catalog_id == catalog.catalog_id, catalogs.c.schedule == catalog.wish.schedule)
                .where(catalogs.c.schedule_active.is_(catalog.schedule_active))
                .values(schedule_pending=False, schedule_deployment=deployment)
            )

    def _set(self, catalog_id: str, **values: Any) -> None:
        with writing(self._engine) as connection:
            connection.execute(catalogs.update().where(catalogs.c.catalog_id == catalog_id).values(**values))


def _catalog(row: sa.RowMapping) -> Catalog:
    values: dict[str, Any] = {name: tuple(row[name]) if name in _LISTS else row[name] for name in _WISHES}
    wish = CatalogWish(**values | {"allow_private": bool(row["allow_private"])})
    own: dict[str, Any] = {name: row[name] for name in _OWN}
    own |= {name: bool(row[name]) for name in ("schedule_active", "schedule_pending")}
    return Catalog(wish=wish, **own)
