"""Signed URLs of stores: seen as such, and signed anew where the settings name their store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

import structlog

from framehouse.errors import FramehouseError
from framehouse.storage.objects import ObjectStore
from framehouse.storage.stores import Clients, open_objects

log = structlog.get_logger(__name__)

Renew = Callable[[], str | None]
_SIGNATURES = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})
_REGION = re.compile(r"^(.*\.)?s3[.-][a-z0-9-]+\.amazonaws\.com$")
_TTL_S = 6 * 3600
_PROBE = "x"


def is_signed(url: str) -> bool:
    """Whether a URL carries a signature of one of the three stores.

    >>> is_signed("https://b.s3.amazonaws.com/a.mp4?X-Amz-Signature=1"), is_signed("https://example.com/a.mp4?b=1")
    (True, False)
    """
    return any(name.lower() in _SIGNATURES for name, _ in parse_qsl(urlsplit(url).query))


def renewer(url: str, clients: Clients) -> Renew:
    """A function that signs a URL anew, for one that a store refused.

    It gives None unless the URL is signed, of a store that the settings name outright (`s3://bucket`), and that store's
    credentials can sign.
    """

    def renew() -> str | None:
        if not is_signed(url):
            return None
        for name in clients.openers:
            try:
                store, _ = open_objects(name, clients)
                key = key_of(store, url)
                if key is not None:
                    log.info("signed anew", store=store.uri)
                    return store.sign_get(key, _TTL_S)
            except FramehouseError as error:  # this one cannot; another may
                log.warning("not signed anew", store=name, reason=error.message)
        return None

    return renew


def key_of(store: ObjectStore, url: str) -> str | None:
    """The key of the store's object that a URL leads to; None when it leads elsewhere."""
    asked = urlsplit(url)
    for host, path in _roots(store):
        if _anywhere(asked.netloc) == _anywhere(host) and asked.path.startswith(path) and len(asked.path) > len(path):
            return unquote(asked.path[len(path) :])
    return None


def _roots(store: ObjectStore) -> Iterator[tuple[str, str]]:
    """(host, path) that lead to the store's objects: as the client has it, and both ways of S3 and Google."""
    own = urlsplit(store.sign_get(_PROBE, 60))
    host, path = own.netloc.lower(), own.path.removesuffix(_PROBE)
    yield host, path
    scheme, _, bucket = store.uri.partition("://")
    if scheme == "az":
        return
    bare = host.removeprefix(f"{bucket}.")
    yield f"{bucket}.{bare}", "/"
    yield bare, f"/{bucket}/"


def _anywhere(host: str) -> str:
    """A host without the region that Amazon may name in it: a bucket has one name in all regions."""
    return _REGION.sub(r"\1s3.amazonaws.com", host.lower())
