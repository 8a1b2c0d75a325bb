"""Which source opens which URI: one line per scheme."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from framehouse.errors import ConfigError
from framehouse.storage.base import Source, SourceLimits
from framehouse.storage.http import HttpSource
from framehouse.storage.local import LocalSource, uri_path
from framehouse.storage.objects import ObjectStore

Opener = Callable[[str, SourceLimits], Source]

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")


def _open_local(uri: str, _limits: SourceLimits) -> Source:
    return LocalSource(uri_path(uri))


def _open_cloud(uri: str, _limits: SourceLimits) -> Source:
    scheme = _scheme(uri)
    raise ConfigError(
        f"{scheme}:// sources are not built yet",
        code="config.source_scheme",
        hint="use a signed https URL, or download the file first",
    )


SOURCES: dict[str, Opener] = {
    "file": _open_local,
    "http": HttpSource,
    "https": HttpSource,
    "s3": _open_cloud,
    "gs": _open_cloud,
    "az": _open_cloud,
}


def open_source(uri: str, limits: SourceLimits | None = None) -> Source:
    """The source behind a URI or a plain path; nothing is touched yet.

    Raises:
        ConfigError: code `config.source_scheme`, a scheme that no source serves.
    """
    opener = SOURCES.get(_scheme(uri))
    if opener is None:
        raise ConfigError(
            f"{_scheme(uri)}:// is not a place videos come from",
            code="config.source_scheme",
            hint=f"known: a path, {', '.join(f'{name}://' for name in SOURCES)}",
        )
    return opener(uri, limits or SourceLimits())


def open_objects(uri: str) -> tuple[ObjectStore, str]:
    """The store that a URI names, and the key or prefix in it.

    Raises:
        ConfigError: code `config.source_scheme`, a scheme that no store serves.
    """
    raise ConfigError(f"{_scheme(uri)}:// is not a place of objects", code="config.source_scheme")


def expand_source(argument: str) -> list[str]:
    """URIs that one argument of the command line stands for: each video of a folder; a file or a URL is itself.

    Neither a URL nor a missing file is looked at here: its own job says what is wrong with it.

    Raises:
        SourceNotFound: code `source.no_videos`, a folder without one.
        SourceForbidden: a folder that may not be read.
        ConfigError: an unknown scheme, or an empty argument.
    """
    if not argument.strip():
        raise ConfigError("an empty source", code="config.source", hint="give a file, a folder or a URL")
    source = open_source(argument)
    if isinstance(source, LocalSource) and source.path.is_dir():
        return [ref.uri for ref in source.list()]
    return [source.uri]


def expand_sources(arguments: Sequence[str]) -> list[str]:
    """`expand_source` of each, in order, each URI once; the first that cannot be expanded raises."""
    return list(dict.fromkeys(uri for argument in arguments for uri in expand_source(argument)))


def _scheme(uri: str) -> str:
    match = _SCHEME.match(uri)
    return match[1].lower() if match else "file"
