"""Which source opens which URI: one line per scheme."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from framehouse.errors import ConfigError, SourceError
from framehouse.storage.base import Source, SourceLimits
from framehouse.storage.http import HttpSource
from framehouse.storage.lists import MAX_BYTES, PREFIX, ListSource
from framehouse.storage.local import LocalSource, path_uri, uri_path
from framehouse.storage.object_source import ObjectSource
from framehouse.storage.signed import renewer
from framehouse.storage.stores import OWN_CHAIN, Clients, open_objects
from framehouse.storage.uris import CLOUD_SCHEMES, object_uri, scheme_of

__all__ = ["Clients", "expand_source", "expand_sources", "is_offered", "open_objects", "open_source"]

Opener = Callable[[str, SourceLimits, Clients], Source]


def _open_local(uri: str, _limits: SourceLimits, _clients: Clients) -> Source:
    return LocalSource(uri_path(uri))


def _open_http(uri: str, limits: SourceLimits, clients: Clients) -> Source:
    return HttpSource(uri, limits, renew=renewer(uri, clients))


def _open_cloud(uri: str, limits: SourceLimits, clients: Clients) -> Source:
    return ObjectSource(object_uri(uri), lambda: open_objects(uri, clients)[0], limits)


SOURCES: dict[str, Opener] = {
    "file": _open_local,
    "http": _open_http,
    "https": _open_http,
    "s3": _open_cloud,
    "gs": _open_cloud,
    "az": _open_cloud,
}


def open_source(uri: str, limits: SourceLimits | None = None, clients: Clients = OWN_CHAIN) -> Source:
    """The source behind a URI, a plain path, or either with `list+` before it; nothing is touched yet.

    Raises:
        ConfigError: code `config.source_scheme`, a scheme that no source serves; `config.source_uri`.
    """
    limits = limits or SourceLimits()
    if uri.startswith(PREFIX):
        return _open_list(uri.removeprefix(PREFIX), limits, clients)
    opener = SOURCES.get(scheme_of(uri))
    if opener is None:
        raise ConfigError(
            f"{scheme_of(uri)}:// is not a place videos come from",
            code="config.source_scheme",
            hint=f"known: a path, {', '.join(f'{name}://' for name in SOURCES)}",
        )
    return opener(uri, limits, clients)


def expand_source(argument: str, limits: SourceLimits | None = None, clients: Clients = OWN_CHAIN) -> list[str]:
    """URIs that one argument of the command line stands for: each video of a folder, a prefix or a list.

    A file, a URL, and an object whose name ends as a video's does are themselves. Neither is looked at here, nor what
    a list names: its own job says what is wrong with it.

    Raises:
        SourceNotFound: code `source.no_videos`, a folder, prefix or list without one.
        SourceForbidden: a folder or store that may not be read.
        ConfigError: an unknown scheme, or an empty argument.
    """
    if not argument.strip():
        raise ConfigError("an empty source", code="config.source", hint="give a file, a folder or a URL")
    source = open_source(argument, limits, clients)
    is_many = (
        (isinstance(source, LocalSource) and source.path.is_dir())
        or isinstance(source, ListSource)
        or (isinstance(source, ObjectSource) and not source.looks_like_one)
    )
    return [ref.uri for ref in source.list()] if is_many else [source.uri]


def expand_sources(
    arguments: Sequence[str], limits: SourceLimits | None = None, clients: Clients = OWN_CHAIN
) -> list[str]:
    """`expand_source` of each, in order, each URI once; the first that cannot be expanded raises."""
    return list(dict.fromkeys(uri for argument in arguments for uri in expand_source(argument, limits, clients)))


def is_offered(uri: str, clients: Clients) -> bool:
    """Whether a stranger may name this video: behind http(s), or an object of a store that the settings name."""
    scheme = scheme_of(uri)
    if scheme not in CLOUD_SCHEMES:
        return "://" in uri and scheme in ("http", "https")
    try:
        place = object_uri(uri)
    except ConfigError:
        return False
    return bool(place.key) and not place.key.endswith("/") and clients.covering(place.store) is not None


def _open_list(where: str, limits: SourceLimits, clients: Clients) -> Source:
    source = open_source(where, limits, clients)
    if isinstance(source, LocalSource):
        return ListSource(path_uri(source.path), lambda: source.read(MAX_BYTES))
    if isinstance(source, HttpSource | ObjectSource):
        return ListSource(where, lambda: source.read(MAX_BYTES))
    raise SourceError("a list of lists", code="source.bad_list", hint="name the lists one by one")
