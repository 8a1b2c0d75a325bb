"""Sources as the settings have them: how far they are trusted, and whose credentials open them."""

from __future__ import annotations

from framehouse.config import Settings
from framehouse.jobs.blocks import clients_of
from framehouse.storage.base import Source, SourceLimits
from framehouse.storage.registry import expand_source, is_offered, open_source


def limits_of(settings: Settings, *, allow_private: bool) -> SourceLimits:
    """How far the source of a job is trusted."""
    source = settings.source
    return SourceLimits(
        allow_private=allow_private,
        max_bytes=source.max_bytes,
        stall_timeout_s=source.stall_timeout_s,
        max_redirects=source.max_redirects,
        total_timeout_s=None if allow_private else source.total_timeout_s,
        private_networks=tuple(source.private_networks),
    )


def open_video(uri: str, settings: Settings, *, allow_private: bool) -> Source:
    """The source behind a URI, with the credentials of these settings; nothing is touched yet.

    Raises:
        ConfigError: see `open_source`.
    """
    return open_source(uri, limits_of(settings, allow_private=allow_private), clients_of(settings))


def expand(argument: str, settings: Settings) -> list[str]:
    """URIs that one argument of the command line stands for: each video of a folder, a prefix or a list.

    Raises:
        FramehouseError: see `expand_source`.
    """
    limits = limits_of(settings, allow_private=settings.source.allow_private_hosts)
    return expand_source(argument, limits, clients_of(settings))


def may_be_named(uri: str, settings: Settings) -> bool:
    """Whether a caller of the API may name this video: behind http(s), or in a store that the settings name."""
    return is_offered(uri, clients_of(settings))
