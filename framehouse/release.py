"""Which Framehouse this is."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def release() -> str:
    """Version of this installation of Framehouse."""
    return metadata.version("framehouse")
