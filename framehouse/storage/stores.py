"""Which object store a URI names, and whose client opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from framehouse.errors import ConfigError
from framehouse.storage import azure, gcs, s3
from framehouse.storage.folder import LocalObjects
from framehouse.storage.local import uri_path
from framehouse.storage.objects import ObjectStore
from framehouse.storage.uris import CLOUD_SCHEMES, object_uri, scheme_of

ClientOpener = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Clients:
    """SDK clients of the stores that the settings name; any other store is opened by its SDK's own chain.

    Attributes:
        openers: store, or the beginning of one (`s3://bucket`, `s3://`, `az://account/container`, `az://account`), to
            what makes its client; None takes the SDK's own chain for it too.
    """

    openers: Mapping[str, ClientOpener | None] = field(default_factory=dict)

    def covering(self, store: str) -> str | None:
        """The longest name that a store has here; None when the settings name it nowhere."""
        names = [name for name in self.openers if store == name or store.startswith(name.rstrip("/") + "/")]
        return max(names, key=len, default=None)

    def client_of(self, store: str) -> Any:
        """The client that the settings give for a store; None leaves it to the SDK's own chain."""
        name = self.covering(store)
        opener = None if name is None else self.openers[name]
        return None if opener is None else opener()


OWN_CHAIN = Clients()
"""No store is named: every SDK looks for credentials by itself."""


def open_objects(uri: str, clients: Clients = OWN_CHAIN) -> tuple[ObjectStore, str]:
    """The store that a URI lies in, and the key behind it (empty for the whole store).

    A folder (`file://` or a plain path) is a store of its own, with an empty key.

    Raises:
        ConfigError: not an address of a store, or the extra that it needs is missing.
        SourceForbidden: code `source.no_credentials`.
    """
    scheme = scheme_of(uri)
    if scheme == "file":
        return LocalObjects(uri_path(uri)), ""
    if scheme not in CLOUD_SCHEMES:
        raise ConfigError(
            f"{scheme}:// is no store of objects",
            code="config.source_scheme",
            hint="known: a folder, s3://, gs://, az://",
        )
    place = object_uri(uri)
    return _open_store(place.store, clients.client_of(place.store)), place.key


def _open_store(store: str, client: Any) -> ObjectStore:
    scheme, _, names = store.partition("://")
    if scheme == "s3":
        return s3.S3Objects(client or s3.connect(), names)
    if scheme == "gs":
        return gcs.GcsObjects(client or gcs.connect(), names)
    account, _, container = names.partition("/")
    return azure.AzureObjects(client or azure.connect_account(account), container)
