"""Runs that died without a word: an automation of the Prefect server calls them crashed.

It is for what people see in Prefect's page. Who works on what is told by leases: the reconciler takes a dead run's job
up long before, and calls the run crashed, also when this automation is not there.

It is for a server on PostgreSQL. On SQLite the server notes what the automation waits for in one transaction while
another of its own holds the lock: with a hundred runs waiting it stood still for its whole busy timeout, a minute,
again and again.
"""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.settings import get_current_settings

FREQUENCY_S = 30
"""The most often that Prefect lets a run say that it lives."""
AUTOMATION = "framehouse: runs without a heartbeat"
_ENDS = ("Completed", "Failed", "Cancelled", "Crashed", "AwaitingRetry", "Suspended", "Paused")


def suits_server() -> bool:
    """Whether the Prefect server that we start, with the settings of this process, has its database in PostgreSQL."""
    url = get_current_settings().server.database.connection_url
    return url is not None and url.get_secret_value().startswith("postgresql")


def register_automation(client: SyncPrefectClient, within_s: float) -> None:
    """Create the automation, or bring it up to date.

    Args:
        within_s: at least three heartbeats of the slowest run; a plain `prefect worker` that nobody told otherwise
            lets its runs send one in 180 s, and to call a healthy run crashed is worse than to be late.
    """
    wanted = _automation(within_s)
    known = client.read_automations_by_name(AUTOMATION)
    if known:
        client.update_automation(known[0].id, wanted)
    else:
        client.create_automation(wanted)


def _automation(within_s: float) -> AutomationCore:
    heartbeat = "prefect.flow-run.heartbeat"
    return AutomationCore(
        name=AUTOMATION,
        description=f"a run that has sent no heartbeat for {within_s:g} s, and no end, is crashed",
        enabled=True,
        trigger=EventTrigger(
            after={heartbeat},
            expect={heartbeat, *(f"prefect.flow-run.{end}" for end in _ENDS)},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=within_s),
        ),
        actions=[
            ChangeFlowRunState(name=None, force=False, state=StateType.CRASHED, message=f"silent for {within_s:g} s")
        ],
    )
