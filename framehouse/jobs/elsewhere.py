"""Which runs to leave to a runner of another host: those of a file that only that host has."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from framehouse.errors import SourceError
from framehouse.storage.local import uri_path
from framehouse.storage.uris import scheme_of

PATIENCE_S = 600.0
"""A run that no runner with its file has taken for so long is taken all the same, and says that the file is gone."""


def lies_elsewhere(source: Any, due: datetime | None) -> bool:
    """Whether a run is to be left for now.

    Args:
        source: the run's parameter; a path, a `file://` URI or any other address.
        due: when the run was to begin.
    """
    if not isinstance(source, str) or scheme_of(source) != "file":
        return False
    if due is None or (datetime.now(UTC) - due).total_seconds() > PATIENCE_S:
        return False
    try:
        return not uri_path(source).exists()
    except (SourceError, OSError, ValueError):  # its own run says what is wrong with it
        return False
