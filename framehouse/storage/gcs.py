"""Google Cloud Storage over a google-cloud-storage client."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, TypeVar

from framehouse.errors import ConfigError, SourceError, SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.storage.backoff import PATIENCE, Patience, changed, error_of, one_line, patiently
from framehouse.storage.local import os_errors
from framehouse.storage.objects import LONGEST_TTL_S, ObjectFacts, pieces
from framehouse.storage.uris import quoted

T = TypeVar("T")

_TIMEOUT_S = (10.0, 30.0)
_ONCE = {"timeout": _TIMEOUT_S, "retry": None}  # `backoff` asks again
_PART_BYTES = 16 * 1024 * 1024
_FIELDS = "items(name,size,generation,updated,md5Hash,crc32c),nextPageToken"


def connect() -> Any:
    """A client by the SDK's own chain; STORAGE_EMULATOR_HOST names another server."""
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415  a second, for those who use it
    from google.cloud import storage  # noqa: PLC0415

    try:
        return storage.Client()
    except (GoogleAuthError, OSError, ValueError) as error:
        raise SourceForbidden(
            f"Google Cloud Storage: {one_line(error)}", code="source.no_credentials", hint="see docs/guide/sources.md"
        ) from error


@dataclass(frozen=True, slots=True)
class GcsObjects:
    """One bucket.

    `etag` is the generation: it changes with the bytes alone. `checksum` is the MD5, of composed objects the CRC32C.
    """

    client: Any
    bucket: str
    patience: Patience = PATIENCE

    @property
    def uri(self) -> str:
        """`gs://bucket`."""
        return f"gs://{self.bucket}"

    def list(self, prefix: str = "", *, after: str = "") -> Iterator[ObjectFacts]:
        """Objects by key, 1,000 a page."""
        token: str | None = None
        while True:
            blobs, token = self._patiently("", lambda token=token: self._page(prefix, after, token))  # type: ignore[misc]
            yield from (_facts(blob) for blob in blobs if blob.name != after)
            if not token:
                return

    def _page(self, prefix: str, after: str, token: str | None) -> tuple[Sequence[Any], str | None]:
        listing = self.client.list_blobs(
            self.bucket, prefix=prefix or None, start_offset=after or None, page_token=token, page_size=1000,
            fields=_FIELDS, **_ONCE,
        )  # fmt: skip
        page = next(listing.pages, None)
        return ([] if page is None else [*page]), listing.next_page_token

    def stat(self, key: str) -> ObjectFacts:
        """The object's metadata."""

        def found() -> ObjectFacts:
            blob = self._blob(key)
            blob.reload(**_ONCE)
            return _facts(blob)

        return self._patiently(key, found)

    def read(self, key: str) -> bytes:
        """A GET."""
        return self._patiently(key, lambda: bytes(self._blob(key).download_as_bytes(raw_download=True, **_ONCE)))

    def open_range(self, key: str, start: int = 0, *, etag: str | None = None) -> Iterator[bytes]:
        """GETs of windows, all of one generation, as they are stored (never unpacked)."""
        generation = int(etag or self.stat(key).etag or 0)

        def window(first: int, end: int) -> bytes:
            try:
                return self._patiently(key, lambda: self._window(key, generation, first, end))
            except SourceNotFound:
                self.stat(key)  # gone, or a generation that is no more
                raise changed(self._where(key)) from None

        return pieces(window, start)

    def _window(self, key: str, generation: int, first: int, end: int) -> bytes:
        from google.api_core.exceptions import RequestRangeNotSatisfiable  # noqa: PLC0415

        blob = self.client.bucket(self.bucket).blob(key, generation=generation)
        try:
            return bytes(blob.download_as_bytes(start=first, end=end - 1, raw_download=True, checksum=None, **_ONCE))
        except RequestRangeNotSatisfiable:
            return b""

    def write(self, key: str, content: bytes) -> None:
        """One POST."""
        self._patiently(key, lambda: self._blob(key).upload_from_string(content, _KIND, **_ONCE))

    def put(self, key: str, path: Path) -> None:
        """One POST, or a resumable upload whose pieces the SDK itself sends again."""
        from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415

        retry = DEFAULT_RETRY.with_delay(
            initial=self.patience.first_s, maximum=self.patience.longest_s, multiplier=2.0
        ).with_timeout(self.patience.total_s)
        with os_errors(path), path.open("rb") as file, _translated(self._where(key)):
            self._blob(key, _PART_BYTES).upload_from_file(
                file, size=path.stat().st_size, content_type=_KIND, timeout=_TIMEOUT_S, retry=retry
            )

    def delete(self, key: str) -> None:
        """A DELETE."""
        with suppress(SourceNotFound):
            self._patiently(key, lambda: self._blob(key).delete(**_ONCE))

    def sign_get(self, key: str, ttl_s: int) -> str:
        """A V4 signature, by a service account's private key; seven days at most."""
        return self._sign("GET", key, ttl_s)

    def sign_put(self, key: str, ttl_s: int) -> str:
        """A V4 signature, by a service account's private key; seven days at most."""
        return self._sign("PUT", key, ttl_s)

    def _sign(self, method: str, key: str, ttl_s: int) -> str:
        expiration = timedelta(seconds=min(ttl_s, LONGEST_TTL_S))
        try:
            return str(
                self._blob(key).generate_signed_url(
                    version="v4", expiration=expiration, method=method, api_access_endpoint=self.client.api_endpoint
                )
            )
        except AttributeError as error:  # what google-auth raises for credentials that hold no key
            raise ConfigError(
                f"{self.uri}: these credentials cannot sign",
                code="config.cannot_sign",
                hint="use a service account's key",
            ) from error

    def _blob(self, key: str, chunk_size: int | None = None) -> Any:
        return self.client.bucket(self.bucket).blob(key, chunk_size=chunk_size)

    def _patiently(self, key: str, call: Callable[[], T]) -> T:
        def once() -> T:
            with _translated(self._where(key)):
                return call()

        return patiently(once, self.patience)

    def _where(self, key: str) -> str:
        return f"{self.uri}/{quoted(key)}" if key else self.uri


_KIND = "application/octet-stream"


def _facts(blob: Any) -> ObjectFacts:
    modified = None if blob.updated is None else blob.updated.astimezone(UTC).isoformat(timespec="seconds")
    name, value = ("md5", blob.md5_hash) if blob.md5_hash else ("crc32c", blob.crc32c)
    checksum = f"{name}:{base64.b64decode(value).hex()}" if value else None
    return ObjectFacts(blob.name, int(blob.size), str(blob.generation), modified, checksum)


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """What the Google client raises in this block comes out as one of ours."""
    import requests  # noqa: PLC0415  the client's own transport
    import urllib3  # noqa: PLC0415
    from google.api_core.exceptions import GoogleAPICallError, RetryError  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError, TransportError  # noqa: PLC0415
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse  # noqa: PLC0415

    try:
        yield
    except GoogleAPICallError as error:
        headers = getattr(error.response, "headers", {})
        said = one_line(error.errors[0].get("reason", "") if error.errors else "") or one_line(error.message)
        raise error_of(int(error.code or 0), where, said, retry_after=headers.get("Retry-After")) from error
    except InvalidResponse as error:
        raise error_of(error.response.status_code, where, one_line(error)) from error
    except (
        RetryError,
        TransportError,
        DataCorruption,
        requests.RequestException,
        urllib3.exceptions.HTTPError,
    ) as error:
        raise SourceUnavailable(f"{where}: {one_line(error)}", uri=where) from error
    except GoogleAuthError as error:
        raise SourceForbidden(f"{where}: {one_line(error)}", code="source.no_credentials", uri=where) from error
    except ValueError as error:  # a bucket's name that can be none
        raise SourceError(f"{where}: {one_line(error)}", code="source.bad_url", uri=where) from error
