"""Who is heeded about a catalogue's schedule, against a Prefect that only remembers. tests/e2e asks the real one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import DeploymentSchedule, FlowRun
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
from prefect.states import Running

from framehouse.jobs.attempt import hold_run
from framehouse.jobs.schedules import SIDE_DEPLOYMENTS, Schedules
from framehouse.state.catalogs import Catalog, Catalogs
from places import Watched

pytestmark = pytest.mark.real("prefect")


class Server:
    """One deployment with its schedules."""

    def __init__(self) -> None:
        self.deployment_id = uuid4()
        self.schedules: dict[UUID, DeploymentSchedule] = {}
        self.runs: list[dict[str, Any]] = []
        self.begun: list[FlowRun] = []
        self.asked_for: list[str] = []

    def read_flow_runs(self, flow_run_filter: Any, deployment_filter: Any) -> list[FlowRun]:
        assert flow_run_filter.state.type.any_ == ["RUNNING", "PENDING", "CANCELLING"]
        assert deployment_filter.id.any_ == [self.deployment_id] * len(SIDE_DEPLOYMENTS)
        return self.begun

    def read_deployment_by_name(self, name: str) -> Any:
        self.asked_for.append(name)
        return type("Deployment", (), {"id": self.deployment_id})

    def read_deployment_schedules(self, deployment_id: UUID) -> list[DeploymentSchedule]:
        assert deployment_id == self.deployment_id
        return list(self.schedules.values())

    def create_deployment_schedules(self, deployment_id: UUID, made: list[Any]) -> None:
        assert deployment_id == self.deployment_id
        for one in made:
            assert one.slug not in {schedule.slug for schedule in self.schedules.values()}
            found = DeploymentSchedule(
                **one.model_dump(include={"active", "parameters", "slug"}), schedule=one.schedule
            )
            self.schedules[found.id] = found

    def update_deployment_schedule(self, _deployment_id: UUID, schedule_id: UUID, **values: Any) -> None:
        self.schedules[schedule_id] = self.schedules[schedule_id].model_copy(update=values)

    def delete_deployment_schedule(self, _deployment_id: UUID, schedule_id: UUID) -> None:
        del self.schedules[schedule_id]

    def request(self, method: str, path: str, *, path_params: dict[str, UUID], json: dict[str, Any]) -> None:
        assert (method, path, path_params["id"], json) == ("POST", "/deployments/{id}/schedule", self.deployment_id, {})

    def create_flow_run_from_deployment(self, deployment_id: UUID, **values: Any) -> None:
        assert deployment_id == self.deployment_id
        self.runs.append(values)

    @property
    def only(self) -> DeploymentSchedule:
        (found,) = self.schedules.values()
        return found

    def edit(self, **changes: Any) -> None:
        self.schedules[self.only.id] = self.only.model_copy(update=changes)


class Both:
    """A catalogue with a schedule, a server, and who keeps them of one mind."""

    def __init__(self, folder: Path, **wish: Any) -> None:
        self.watched = Watched.of(folder, **{"schedule": "0 * * * *", **wish})
        self.catalogs = Catalogs(self.watched.state.engine)
        self.server = Server()
        self.schedules = Schedules(self.watched.state)

    def round(self) -> bool:
        self.schedules._synced_at = -1e9
        return self.schedules.round(self.server)  # type: ignore[arg-type]

    def up_again(self, *, new_server: bool = False) -> None:
        if new_server:
            self.server = Server()
        self.schedules = Schedules(self.watched.state)
        self.round()

    @property
    def catalog(self) -> Catalog:
        return self.catalogs.get("videos")


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Both]:
    made = Both(tmp_path)
    made.round()
    yield made
    made.watched.state.close()


def cron(found: DeploymentSchedule) -> str:
    assert isinstance(found.schedule, CronSchedule)
    return found.schedule.cron


def test_a_new_catalogue_has_its_schedule_with_its_name(both: Both) -> None:
    assert (cron(both.server.only), both.server.only.parameters) == ("0 * * * *", {"catalog": "videos"})
    assert not both.catalog.schedule_pending
    first = both.server.only.id
    both.round(), both.up_again()
    assert both.server.only.id == first, "nothing is written twice"


def test_a_catalogue_without_a_schedule_has_none(tmp_path: Path) -> None:
    both = Both(tmp_path, schedule="")
    both.round(), both.up_again(), both.up_again(new_server=True)
    assert both.server.schedules == {}


def test_what_is_edited_in_prefect_survives_up_and_a_new_server(both: Both) -> None:
    both.server.edit(schedule=CronSchedule(cron="5 4 * * *", timezone="Europe/Berlin"), active=False)
    both.up_again()
    assert (cron(both.server.only), both.server.only.active) == ("5 4 * * *", False)
    assert (both.catalog.wish.schedule, both.catalog.schedule_active) == ("5 4 * * * Europe/Berlin", False)
    both.up_again(new_server=True)
    found = both.server.only.schedule
    assert isinstance(found, CronSchedule)
    assert (found.cron, found.timezone, both.server.only.active) == ("5 4 * * *", "Europe/Berlin", False)


def test_a_pause_in_prefects_page_drops_the_name_and_it_is_put_back(both: Both) -> None:
    both.server.edit(active=False, parameters={})
    both.round()
    assert (both.server.only.parameters, both.server.only.active) == ({"catalog": "videos"}, False)
    assert not both.catalog.schedule_active


def test_an_interval_made_in_prefect_is_kept_too(both: Both) -> None:
    both.server.edit(schedule=IntervalSchedule(interval=timedelta(seconds=90)))
    both.round()
    assert both.catalog.wish.schedule == "every 90 s"
    both.up_again(new_server=True)
    found = both.server.only.schedule
    assert isinstance(found, IntervalSchedule)
    assert found.interval == timedelta(seconds=90)


def test_a_schedule_deleted_in_prefect_stays_deleted(both: Both) -> None:
    both.server.schedules.clear()
    both.round(), both.up_again()
    assert (both.server.schedules, both.catalog.wish.schedule) == ({}, "")
    both.up_again(new_server=True)
    assert both.server.schedules == {}


def test_a_wish_here_replaces_what_prefect_has_and_takes_it_away(both: Both) -> None:
    both.server.edit(active=False)
    both.round()
    both.catalogs.want_schedule(both.catalog.catalog_id, "7 * * * *")
    both.schedules.round(both.server)  # type: ignore[arg-type]  at once: it is pending
    assert (cron(both.server.only), both.server.only.active) == ("7 * * * *", True)
    both.catalogs.want_schedule(both.catalog.catalog_id, "")
    both.round()
    assert both.server.schedules == {}


def test_a_removed_catalogue_takes_its_schedule_along_and_no_other(both: Both) -> None:
    mine = DeploymentSchedule(schedule=CronSchedule(cron="1 1 * * *"), slug="my own", parameters={"catalog": "videos"})
    both.server.schedules[mine.id] = mine
    both.catalogs.remove(both.catalog.catalog_id)
    both.round()
    assert both.server.only.slug == "my own"


def test_a_schedule_that_prefect_refuses_stops_nothing(both: Both) -> None:
    both.catalogs.want_schedule(both.catalog.catalog_id, "x y z")
    both.round()
    assert both.server.schedules == {}
    assert not both.catalog.schedule_pending


def test_a_scan_that_is_asked_for_becomes_one_run(both: Both) -> None:
    assert not both.round()
    both.catalogs.request_scan(both.catalog.catalog_id)
    asked_at = both.catalog.scan_requested_at
    assert both.round()
    assert not both.round()
    key = f"{both.catalog.catalog_id}/{asked_at}"
    assert both.server.runs == [{"parameters": {"catalog": "videos"}, "idempotency_key": key}]


def test_a_run_that_no_lease_holds_is_dead(tmp_path: Path) -> None:
    both = Both(tmp_path)
    alive, dead, ours, young = (
        FlowRun(flow_id=uuid4(), deployment_id=both.server.deployment_id, state=Running()) for _ in range(4)
    )
    both.server.begun = [alive, dead, ours, young]
    for run in (alive, dead, ours):
        assert run.state is not None
        run.state.timestamp -= timedelta(minutes=2)
    state = both.watched.state

    def found() -> list[UUID]:
        return [run.id for run in both.schedules.dead_runs(both.server, [ours.id], 60.0)]  # type: ignore[arg-type]

    with hold_run(state, str(alive.id), 30.0):
        assert found() == [dead.id]
    assert found() == [alive.id, dead.id]
    assert both.server.asked_for == list(SIDE_DEPLOYMENTS), "asked once"
