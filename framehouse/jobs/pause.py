"""What pauses while the disk is below its floor."""

from __future__ import annotations

from framehouse.errors import FramehouseError
from framehouse.room import Room

FREES_ROOM = "frees-room"
"""Tag of deployments whose runs are taken even then: they make room."""
_FULL = ("source.disk_full", "store.disk_full")


def is_pause(error: FramehouseError, room: Room) -> bool:
    """Whether a run ended for want of room alone, so that its job is not failed but waits."""
    return error.code in _FULL and bool(room.missing_bytes())
