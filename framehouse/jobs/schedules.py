"""Catalogues in Prefect: a schedule each on the deployment `scan-catalog`, and runs for scans that were asked for.

A schedule is made from the state database when the catalogue is added, or when the Prefect server is a new one. From
then on Prefect's own page is where it is edited: what is changed, paused or deleted there is mirrored here and never
overwritten. Only `catalog schedule` replaces it, because a person asked for that too, and later.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun
from prefect.exceptions import PrefectHTTPStatusError

from framehouse.state import State
from framehouse.state.catalogs import Catalog, Catalogs

log = structlog.get_logger(__name__)

SCAN_CATALOG = "scan-catalog/scan-catalog"
"""Flow name and deployment name of scans."""
SIDE_DEPLOYMENTS = (SCAN_CATALOG, "backfill/backfill", "maintenance/maintenance")
"""Deployments whose runs are no job's; each run holds a lease while it lives."""

_SLUG = "catalog-"
_SYNC_S = 15.0


class Schedules:
    """Keeps Prefect and the state database of one mind about catalogues. One instance per runner."""

    def __init__(self, state: State) -> None:
        self._state, self._catalogs = state, Catalogs(state.engine)
        self._deployment_id: UUID | None = None
        self._side_ids: list[str] = []
        self._synced_at = 0.0

    def forget(self) -> None:
        """The server may be another one by now."""
        self._deployment_id, self._side_ids, self._synced_at = None, [], 0.0

    def round(self, client: SyncPrefectClient) -> bool:
        """Tell Prefect what is pending; from time to time learn what was edited there. True when a run was made."""
        wanted = self._catalogs.scans_wanted()
        for catalog in wanted:
            self._create_run(client, catalog)
        catalogs = self._catalogs.all()
        is_due = time.monotonic() - self._synced_at > _SYNC_S
        if is_due or any(catalog.schedule_pending for catalog in catalogs):
            self._synced_at = time.monotonic()
            self._sync(client, catalogs)
        return bool(wanted)

    def dead_runs(self, client: SyncPrefectClient, ours: Collection[UUID], silent_s: float) -> list[FlowRun]:
        """Runs that are no job's, began so long ago, are not over, and that no lease and no child of ours holds."""
        begun = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}})
        here = DeploymentFilter.model_validate({"id": {"any_": self._sides(client)}})
        limit = datetime.now(UTC).timestamp() - silent_s
        runs = client.read_flow_runs(flow_run_filter=begun, deployment_filter=here)
        held = self._state.lease_owners("catalog/") | self._state.lease_owners("run/")
        return [
            run
            for run in runs
            if run.id not in ours and str(run.id) not in held
            and run.state is not None and run.state.timestamp.timestamp() < limit
        ]  # fmt: skip

    def _scans(self, client: SyncPrefectClient) -> UUID:
        if self._deployment_id is None:
            self._deployment_id = client.read_deployment_by_name(SCAN_CATALOG).id
        return self._deployment_id

    def _sides(self, client: SyncPrefectClient) -> list[str]:
        if not self._side_ids:
            self._side_ids = [str(client.read_deployment_by_name(name).id) for name in SIDE_DEPLOYMENTS]
        return self._side_ids

    def _create_run(self, client: SyncPrefectClient, catalog: Catalog) -> None:
        client.create_flow_run_from_deployment(
            self._scans(client),
            parameters={"catalog": catalog.name},
            idempotency_key=f"{catalog.catalog_id}/{catalog.scan_requested_at}",
        )
        self._catalogs.scan_assigned(catalog)

    def _sync(self, client: SyncPrefectClient, catalogs: Iterable[Catalog]) -> None:
        deployment_id = self._scans(client)
        there = {s.slug: s for s in client.read_deployment_schedules(deployment_id) if (s.slug or "").startswith(_SLUG)}
        for catalog in catalogs:
            found = there.pop(_SLUG + catalog.catalog_id, None)
            is_known = catalog.schedule_deployment == str(deployment_id)
            if catalog.schedule_pending or (found is None and not is_known and catalog.wish.schedule):
                self._tell(client, deployment_id, catalog, found)
            else:
                self._mend(client, deployment_id, catalog, found)
                self._learn(deployment_id, catalog, found)
        for orphan in there.values():
            client.delete_deployment_schedule(deployment_id, orphan.id)

    def _tell(
        self, client: SyncPrefectClient, deployment_id: UUID, catalog: Catalog, found: DeploymentSchedule | None
    ) -> None:
        if found is not None:
            client.delete_deployment_schedule(deployment_id, found.id)
        made = self._create(client, deployment_id, catalog) if catalog.wish.schedule else False
        self._catalogs.schedule_told(catalog, str(deployment_id))
        log.info("schedule told", catalog=catalog.name, schedule=catalog.wish.schedule)
        if made:
            _make_runs(client, deployment_id)

    def _create(self, client: SyncPrefectClient, deployment_id: UUID, catalog: Catalog) -> bool:
        try:
            client.create_deployment_schedules(deployment_id, [_made(catalog)])
        except ValueError as error:  # five fields, and yet no time that ever comes
            log.error("schedule refused", catalog=catalog.name, schedule=catalog.wish.schedule, error=str(error))
            return False
        return True

    def _mend(
        self, client: SyncPrefectClient, deployment_id: UUID, catalog: Catalog, found: DeploymentSchedule | None
    ) -> None:
        """Put the catalogue's name back: Prefect drops a schedule's parameters when its page pauses or edits it."""
        if found is not None and found.parameters.get("catalog") != catalog.name:
            named = {**found.parameters, "catalog": catalog.name}
            client.update_deployment_schedule(deployment_id, found.id, active=found.active, parameters=named)
            _make_runs(client, deployment_id)

    def _learn(self, deployment_id: UUID, catalog: Catalog, found: DeploymentSchedule | None) -> None:
        text, spec, active = "", None, True
        if found is not None:
            spec = found.schedule.model_dump(mode="json")
            text, active = schedule_text(spec), found.active
        same = (catalog.wish.schedule, catalog.schedule_active, catalog.schedule_deployment)
        if same != (text, active, str(deployment_id)):
            log.info("schedule edited in Prefect", catalog=catalog.name, schedule=text, active=active)
            self._catalogs.mirror_schedule(
                catalog.catalog_id, text, spec, active=active, deployment=str(deployment_id)
            )  # fmt: skip


def _make_runs(client: SyncPrefectClient, deployment_id: UUID) -> None:
    """The runs to come are made at once; Prefect's own scheduler comes by only once a minute."""
    try:
        client.request("POST", "/deployments/{id}/schedule", path_params={"id": deployment_id}, json={})
    except PrefectHTTPStatusError as error:
        log.warning("the scheduler's next round makes the runs to come", status=error.response.status_code)


def schedule_text(spec: dict[str, Any]) -> str:
    """A Prefect schedule for people.

    >>> schedule_text({"cron": "0 3 * * *", "timezone": "Europe/Berlin"}), schedule_text({"interval": 90.0})
    ('0 3 * * * Europe/Berlin', 'every 90 s')
    """
    zone = spec.get("timezone")
    if "cron" in spec:
        return f"{spec['cron']}" + ("" if zone in (None, "UTC") else f" {zone}")
    if "interval" in spec:
        return f"every {spec['interval']:g} s"
    return " ".join(str(spec.get("rrule", "")).split())


def _made(catalog: Catalog) -> DeploymentScheduleCreate:
    """The schedule of a catalogue: as Prefect had it, else its five cron fields."""
    spec = catalog.schedule_spec or {"cron": catalog.wish.schedule, "timezone": "UTC"}
    return DeploymentScheduleCreate.model_validate(
        {
            "schedule": spec,
            "active": catalog.schedule_active,
            "parameters": {"catalog": catalog.name},
            "slug": _SLUG + catalog.catalog_id,
        }
    )
