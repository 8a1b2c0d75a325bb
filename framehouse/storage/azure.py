"""Azure Blob Storage over an azure-storage-blob client. The SDK is an extra: `framehouse[azure]`."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from framehouse.errors import ConfigError, SourceError, SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.storage.backoff import CHANGED, PATIENCE, Patience, error_of, one_line, patiently
from framehouse.storage.local import os_errors
from framehouse.storage.objects import LONGEST_TTL_S, ObjectFacts, pieces
from framehouse.storage.uris import quoted

T = TypeVar("T")

_BLOCK_BYTES = 16 * 1024 * 1024
_MAX_BLOCKS = 50_000
_SETTINGS = {"connection_timeout": 10, "read_timeout": 30, "retry_total": 0}  # `backoff` asks again


def connect(*, connection_string: str = "", account_url: str = "", credential: Any = None) -> Any:
    """A BlobServiceClient with this module's settings, from one of two.

    Args:
        connection_string: of an account, also of an emulator.
        account_url: `https://<account>.blob.core.windows.net`.
        credential: for the URL: a key, a SAS token, or a credential of azure-identity; None takes the SDK's own chain.

    Raises:
        ConfigError: code `config.extra_missing`, or a connection string that is none.
    """
    try:
        from azure.storage.blob import BlobServiceClient  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ConfigError(
            "az:// needs the extra `azure`", code="config.extra_missing", hint="pip install 'framehouse[azure]'"
        ) from error
    try:
        if connection_string:
            return BlobServiceClient.from_connection_string(connection_string, **_SETTINGS)
        return BlobServiceClient(account_url, credential=credential or _own_chain(), **_SETTINGS)
    except ValueError as error:
        raise ConfigError("Azure: the connection string or URL is none", code="config.azure") from error


def connect_account(account: str) -> Any:
    """A client of an account by AZURE_STORAGE_CONNECTION_STRING, else its _KEY or _SAS_TOKEN, else by a login."""
    text = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
    if text:
        client = connect(connection_string=text)
        if client.account_name == account:
            return client
    secret = os.environ.get("AZURE_STORAGE_KEY") or os.environ.get("AZURE_STORAGE_SAS_TOKEN")
    return connect(account_url=f"https://{account}.blob.core.windows.net", credential=secret)


def _own_chain() -> Any:
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415  an extra

    logging.getLogger("azure.identity").setLevel(logging.ERROR)  # what it warns of is in the error that follows
    return DefaultAzureCredential()


@dataclass(frozen=True, slots=True)
class AzureObjects:
    """One container.

    `etag` is Azure's own, without quotes. `checksum` is the MD5 that the blob carries, if it does.
    """

    client: Any
    container: str
    patience: Patience = PATIENCE

    @property
    def uri(self) -> str:
        """`az://account/container`."""
        return f"az://{self.client.account_name}/{self.container}"

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectFacts]:
        """Blobs in Azure's own order, a page at a time.

        That order differs from the protocol's only between names with characters beyond U+FFFF and ones from U+E000 on.
        """
        token: str | None = None
        behind = _order(after)
        while True:
            blobs, token = self._patiently("", lambda token=token: self._page(prefix, after, token))  # type: ignore[misc]
            yield from (_facts(blob) for blob in blobs if not after or _order(blob.name) > behind)
            if not token:
                return

    def _page(self, prefix: str, after: str, token: str | None) -> tuple[Sequence[Any], str | None]:
        pages = self._container.list_blobs(prefix or None, results_per_page=1000, start_from=after or None)
        pages = pages.by_page(token)
        page = [*next(pages, ())]
        return page, pages.continuation_token

    def stat(self, key: str) -> ObjectFacts:
        """The blob's properties."""
        return self._patiently(key, lambda: _facts(self._blob(key).get_blob_properties()))

    def read(self, key: str) -> bytes:
        """A GET."""
        return self._patiently(key, lambda: bytes(self._blob(key).download_blob(max_concurrency=1).readall()))

    def open_range(self, key: str, start: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """GETs of windows, all of one version."""
        version = etag or self.stat(key).etag or ""

        def window(first: int, end: int) -> bytes:
            try:
                return self._patiently(key, lambda: self._window(key, version, first, end))
            except SourceUnavailable as error:
                if error.code == CHANGED:
                    self.stat(key)  # another, or gone
                raise

        return pieces(window, start)

    def _window(self, key: str, version: str, first: int, end: int) -> bytes:
        from azure.core import MatchConditions  # noqa: PLC0415  an extra
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415

        same = {"etag": f'"{version}"', "match_condition": MatchConditions.IfNotModified}
        try:
            return bytes(self._blob(key).download_blob(first, end - first, max_concurrency=1, **same).readall())
        except HttpResponseError as error:
            if error.status_code == 416:  # behind the end
                return b""
            raise

    def write(self, key: str, content: bytes) -> None:
        """One PUT."""
        settings = _content_settings(_md5(content).digest())
        self._patiently(
            key,
            lambda: self._blob(key).upload_blob(content, overwrite=True, content_settings=settings, max_concurrency=1),
        )

    def put(self, key: str, path: Path) -> None:
        """Blocks, then the list that makes a blob of them; blocks without one vanish by themselves."""
        with os_errors(path), path.open("rb") as file:
            size = path.stat().st_size
            if size <= _BLOCK_BYTES:
                self.write(key, file.read())
                return
            step, names, digest = max(_BLOCK_BYTES, -(-size // _MAX_BLOCKS)), list[str](), _md5()
            for content in iter(lambda: file.read(step), b""):
                names.append(base64.b64encode(b"%08d" % len(names)).decode())
                digest.update(content)
                self._stage(key, names[-1], content)
        settings = _content_settings(digest.digest())
        self._patiently(key, lambda: self._blob(key).commit_block_list(_blocks(names), content_settings=settings))

    def _stage(self, key: str, block: str, content: bytes) -> None:
        self._patiently(key, lambda: self._blob(key).stage_block(block, content, validate_content=True))

    def delete(self, key: str) -> None:
        """A DELETE, with the blob's snapshots."""
        with suppress(SourceNotFound):
            self._patiently(key, lambda: self._blob(key).delete_blob(delete_snapshots="include"))

    def sign_get(self, key: str, ttl_s: int) -> str:
        """A SAS URL for reading; seven days at most."""
        return self._sign("r", key, ttl_s)

    def sign_put(self, key: str, ttl_s: int) -> str:
        """A SAS URL for writing (the PUT needs the header `x-ms-blob-type: BlockBlob`); seven days at most."""
        return self._sign("cw", key, ttl_s)

    def _sign(self, permission: str, key: str, ttl_s: int) -> str:
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas  # noqa: PLC0415  an extra

        expiry = datetime.now(UTC) + timedelta(seconds=min(ttl_s, LONGEST_TTL_S))
        with _translated(self._where(key)):
            token = generate_blob_sas(
                self.client.account_name, self.container, key, permission=BlobSasPermissions.from_string(permission),
                expiry=expiry, **self._signing_key(expiry),
            )  # fmt: skip
        return f"{self._blob(key).url}?{token}"

    def _signing_key(self, expiry: datetime) -> dict[str, Any]:
        """The account's key, or one that Azure lends to a login."""
        credential = self.client.credential
        if hasattr(credential, "account_key"):
            return {"account_key": credential.account_key}
        if hasattr(credential, "get_token"):
            start = datetime.now(UTC) - timedelta(minutes=5)  # clocks differ
            return {"user_delegation_key": self.client.get_user_delegation_key(start, expiry)}
        raise ConfigError(
            f"{self.uri}: these credentials cannot sign",
            code="config.cannot_sign",
            hint="use the account's key or a login",
        )

    @property
    def _container(self) -> Any:
        return self.client.get_container_client(self.container)

    def _blob(self, key: str) -> Any:
        return self.client.get_blob_client(self.container, key)

    def _patiently(self, key: str, call: Callable[[], T]) -> T:
        def once() -> T:
            with _translated(self._where(key)):
                return call()

        return patiently(once, self.patience)

    def _where(self, key: str) -> str:
        return f"{self.uri}/{quoted(key)}" if key else self.uri


def _md5(content: bytes = b"") -> Any:
    return hashlib.md5(content, usedforsecurity=False)


def _order(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _blocks(names: Sequence[str]) -> Sequence[Any]:
    from azure.storage.blob import BlobBlock  # noqa: PLC0415  an extra

    return [BlobBlock(name) for name in names]


def _content_settings(md5: bytes) -> Any:
    from azure.storage.blob import ContentSettings  # noqa: PLC0415  an extra

    return ContentSettings(content_type="application/octet-stream", content_md5=bytearray(md5))


def _facts(blob: Any) -> ObjectFacts:
    modified = blob.last_modified.astimezone(UTC).isoformat(timespec="seconds")
    md5 = blob.content_settings.content_md5
    return ObjectFacts(blob.name, blob.size, blob.etag.strip('"'), modified, f"md5:{bytes(md5).hex()}" if md5 else None)


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """What the Azure client raises in this block comes out as one of ours."""
    from azure.core import exceptions as azure  # noqa: PLC0415  an extra

    try:
        yield
    except azure.ClientAuthenticationError as error:
        raise SourceForbidden(
            f"{where}: {_said(error)}", code="source.no_credentials" if error.status_code is None else None, uri=where
        ) from error
    except azure.HttpResponseError as error:
        headers = getattr(error.response, "headers", None) or {}
        retry_after = headers.get("Retry-After")
        if error.status_code is None:
            raise SourceUnavailable(f"{where}: {_said(error)}", uri=where) from error
        raise error_of(error.status_code, where, _said(error), retry_after=retry_after) from error
    except (azure.ServiceRequestError, azure.ServiceResponseError) as error:
        raise SourceUnavailable(f"{where}: {_said(error)}", uri=where) from error
    except azure.AzureError as error:
        raise SourceError(f"{where}: {_said(error)}", uri=where) from error
    except ValueError as error:  # a container's name that can be none
        raise SourceError(f"{where}: {one_line(error)}", code="source.bad_url", uri=where) from error


def _said(error: Any) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code)) if code else one_line(str(error.message).partition("\n")[0])
