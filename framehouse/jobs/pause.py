"""What pauses while the disk is below its floor."""

from __future__ import annotations

import structlog
from prefect.client.orchestration import SyncPrefectClient
from prefect.exceptions import ObjectNotFound

from framehouse.errors import FramehouseError
from framehouse.room import Room

log = structlog.get_logger(__name__)

MAINTENANCE = "maintenance/maintenance"
"""Flow name and deployment name of housekeeping."""
FREES_ROOM = "frees-room"
"""Tag of deployments whose runs are taken even then: they make room."""
_FULL = ("source.disk_full", "store.disk_full")


def is_pause(error: FramehouseError, room: Room) -> bool:
    """Whether a run ended for want of room alone, so that its job is not failed but waits."""
    return error.code in _FULL and bool(room.missing_bytes())


def make_room(client: SyncPrefectClient) -> None:
    """Have housekeeping run now: fetched videos that no job needs go first."""
    try:
        client.create_flow_run_from_deployment(
            client.read_deployment_by_name(MAINTENANCE).id, name="the disk is below its floor"
        )
    except ObjectNotFound:  # somebody took the deployment away
        log.info("no deployment makes room", deployment=MAINTENANCE)
