"""Videos behind http(s) URLs: one GET that is taken up again where it broke off.

Only GET, because a URL signed for GET refuses HEAD. Files lie under names made from the URL without its query (see
`partfile`), so a renewed signature resumes what an older one began. A second fetch of the same URL waits for the first,
then finds the file.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import unquote

import httpx
import structlog

from framehouse.errors import SourceError, SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.storage.addresses import checked_addresses
from framehouse.storage.base import VIDEO_SUFFIXES, LocalVideo, Progress, SourceLimits, VideoRef, iso_utc, too_large
from framehouse.storage.partfile import Identity, PartFile
from framehouse.storage.signed import is_signed
from framehouse.telemetry import redact_uri

T = TypeVar("T")

log = structlog.get_logger(__name__)

_BREAKS = 4
"""Broken connections in a row, each with less than `_HEADWAY_BYTES` of news, before a fetch gives up."""
_HEADWAY_BYTES = 1024 * 1024
_CONNECT_TIMEOUT_S = 10.0
_REASON_BYTES = 4096
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)$")
_HEADERS = {"User-Agent": "framehouse", "Accept": "*/*", "Accept-Encoding": "identity"}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HttpSource:
    """One video behind an http(s) URL.

    Attributes:
        renew: gives the same URL with a new signature, or None; asked once, when the server refuses ours.
        known_as: the URL that the file on disk is named after, where `url` is a renewed one.
    """

    url: str
    limits: SourceLimits = field(default_factory=SourceLimits)
    renew: Callable[[], str | None] = lambda: None
    known_as: str = ""

    @property
    def uri(self) -> str:
        """The URL as given; it may be signed."""
        return self.url

    @property
    def shown(self) -> str:
        """The URL without user and query, for people and tables."""
        return redact_uri(self.known_as or self.url)

    def list(self) -> Iterator[VideoRef]:
        """The one video: a web server lists nothing."""
        yield self.stat()

    def stat(self) -> VideoRef:
        """Length, time and ETag, from the first byte of the file."""
        return self._renewing(lambda source: source._stat())

    def read(self, max_bytes: int) -> bytes:
        """All bytes of a small file.

        Raises:
            SourceError: code `source.too_large`.
        """
        return self._renewing(lambda source: source._read(max_bytes))

    def fetch(self, dest_dir: Path, progress: Progress | None = None) -> LocalVideo:
        """Download into `dest_dir`, going on where an earlier fetch of the same file stopped.

        Raises:
            SourceError: `source.too_large`, `source.disk_full`, `source.too_many_redirects`, `source.tls` …
            SourceForbidden: 401, 403, or an address that the guard refuses.
            SourceUnavailable: stalled, broke off again and again, or 5xx; what came is kept for the next call.
        """
        return self._renewing(lambda source: source._fetch(dest_dir, progress))

    def _renewing(self, act: Callable[[HttpSource], T]) -> T:
        """What `act` gives; where the server refuses our signature, with a new one, once."""
        try:
            return act(self)
        except SourceForbidden as error:
            url = self.renew() if "status" in error.facts else None
            if url is None:
                raise
        return act(replace(self, url=url, known_as=self.known_as or self.url, renew=lambda: None))

    def _read(self, max_bytes: int) -> bytes:
        content = b""
        with _transport() as transport, self._get(transport, {}) as response:
            self._check_status(response)
            for piece in response.iter_raw():
                content += piece
                if len(content) > max_bytes:
                    raise too_large(self.shown, len(content), max_bytes)
        return content

    def _stat(self) -> VideoRef:
        with _transport() as transport, self._get(transport, {"Range": "bytes=0-0"}) as response:
            identity = self._identity(response)
            if not (response.status_code == 416 and identity.size_bytes == 0):  # an empty file has no first byte
                self._check_status(response)
        return VideoRef(self.known_as or self.url, identity.size_bytes, _iso(identity.last_modified), identity.etag)

    def _fetch(self, dest_dir: Path, progress: Progress | None) -> LocalVideo:
        started_s = time.monotonic()
        key = hashlib.sha256(self.shown.encode()).hexdigest()[:32]
        with PartFile.open(dest_dir, key) as part, _transport() as transport:
            n_bytes = self._download(transport, part, progress)
            path = part.finish(_suffix(self.url))
            identity = part.identity or Identity("")
        log.info("video fetched", uri=self.shown, n_bytes=n_bytes, elapsed_s=round(time.monotonic() - started_s, 3))
        return LocalVideo(
            path=path,
            uri=self.shown,
            size_bytes=path.stat().st_size,
            sha256=identity.sha256,
            etag=identity.etag,
            modified_at=_iso(identity.last_modified),
            n_fetched_bytes=n_bytes,
        )

    def _download(self, transport: httpx.HTTPTransport, part: PartFile, progress: Progress | None) -> int:
        """Bring `part` up to the whole file, over as many connections as it takes; returns the bytes moved."""
        total_s = self.limits.total_timeout_s
        deadline_s = float("inf") if total_s is None else time.monotonic() + total_s
        n_bytes = n_breaks = best_bytes = 0
        while True:
            with self._get(transport, self._conditions(part)) as response:
                if self._is_here(response, part):
                    return n_bytes
                whole = False
                if self._takes_up(response, part):
                    try:
                        for piece in response.iter_raw():
                            part.append(piece)
                            n_bytes += len(piece)
                            self._check_going_on(part, deadline_s, progress)
                        whole = True
                    except (httpx.RemoteProtocolError, httpx.ReadError) as error:
                        log.warning("download broke off", uri=self.shown, at_bytes=part.size, reason=str(error))
            if whole and part.identity is not None and part.identity.size_bytes in (None, part.size):
                return n_bytes
            n_breaks = 0 if part.size >= best_bytes + _HEADWAY_BYTES else n_breaks + 1
            best_bytes = max(best_bytes, part.size)
            if n_breaks == _BREAKS:
                raise SourceUnavailable(
                    f"{self.shown}: the download ended early {n_breaks} times", uri=self.shown, at_bytes=part.size
                )

    def _conditions(self, part: PartFile) -> dict[str, str]:
        """Headers that ask for what is missing, and only while the file is still the same."""
        if part.identity is None:
            return {}
        validator = part.identity.validator(self._request)
        if validator is None:
            return {}
        if part.finished is not None:
            return {"If-None-Match" if validator == part.identity.etag else "If-Modified-Since": validator}
        return {"Range": f"bytes={part.size}-", "If-Range": validator} if part.size else {}

    def _is_here(self, response: httpx.Response, part: PartFile) -> bool:
        """Whether the server's file is the one that is here already, whole."""
        mine = part.identity
        if mine is None or mine.validator(self._request) is None:
            return False
        if part.finished is not None:
            theirs = self._identity(response)
            same = theirs.validator(self._request) == mine.validator(self._request) and theirs.agrees(mine)
            return response.status_code == 304 or (response.status_code == 200 and same)
        # a part with all its bytes, whose process died before it was named
        theirs = self._identity(response)
        return response.status_code == 416 and 0 < part.size == theirs.size_bytes and theirs.agrees(mine)

    def _takes_up(self, response: httpx.Response, part: PartFile) -> bool:
        """Make `part` ready for this response's body; False when the part was cleared and must be asked for anew.

        Raises:
            SourceError: any answer that is no video.
        """
        if response.status_code == 416 and part.size:
            part.clear()
            return False
        self._check_status(response)
        identity = self._identity(response)
        if identity.size_bytes is not None and identity.size_bytes > self.limits.max_bytes:
            raise self._too_large(identity.size_bytes)
        if response.status_code == 206:
            start = _content_range(response)[0]
            if part.identity is not None and part.size and start == part.size and identity.agrees(part.identity):
                return True
            part.clear()
            return False
        part.begin(identity)
        return True

    def _check_going_on(self, part: PartFile, deadline_s: float, progress: Progress | None) -> None:
        if part.size > self.limits.max_bytes:
            part.clear()
            raise self._too_large(self.limits.max_bytes + 1)
        if time.monotonic() > deadline_s:
            raise SourceError(
                f"{self.shown}: not here after {self.limits.total_timeout_s:g} s",
                code="source.too_slow",
                hint="upload the file instead, or raise FRAMEHOUSE_SOURCE__TOTAL_TIMEOUT_S",
                uri=self.shown,
            )
        if progress is not None:
            progress(part.size, part.identity.size_bytes if part.identity else None)

    def _too_large(self, size_bytes: int) -> SourceError:
        return too_large(self.shown, size_bytes, self.limits.max_bytes)

    @property
    def _request(self) -> str:
        return hashlib.sha256(self.url.encode()).hexdigest()

    def _identity(self, response: httpx.Response) -> Identity:
        if response.status_code in (206, 416):
            total = _content_range(response)[1]
        else:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() and response.status_code == 200 else None
        return Identity(self._request, response.headers.get("ETag"), response.headers.get("Last-Modified"), total)

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        encoding = response.headers.get("Content-Encoding", "identity")
        if status in (200, 206) and encoding == "identity":
            return
        host = response.request.headers["Host"]
        line = f"{self.shown}: {host} answered {status} {response.reason_phrase}".rstrip()
        if status in (200, 206):
            raise SourceError(
                f"{self.shown}: sent as {encoding}",
                code="source.encoded",
                hint="",
                uri=self.shown,
                host=host,
                status=status,
            )
        if status in (404, 410):
            raise SourceNotFound(line, uri=self.shown, host=host, status=status)
        if status in (401, 403, 407, 451) or (status == 400 and (is_signed(self.url) or _says_expired(response))):
            raise SourceForbidden(line, uri=self.shown, host=host, status=status)
        if status in (408, 425, 429) or status >= 500:
            raise SourceUnavailable(line, uri=self.shown, host=host, status=status)
        raise SourceError(
            line,
            code="source.unexpected_answer",
            hint="open the URL in a browser",
            uri=self.shown,
            host=host,
            status=status,
        )

    @contextmanager
    def _get(self, transport: httpx.HTTPTransport, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """The answer after redirects, its body unread; every hop's address is checked."""
        first = url = self._parsed(self.url)
        for _ in range(self.limits.max_redirects + 1):
            user = _authorization(first) if _origin(url) == _origin(first) else {}
            response = self._send(transport, url, headers | user)
            try:
                if response.status_code not in _REDIRECTS:
                    with self._transport_errors():
                        yield response
                    return
                url = self._parsed(response.headers.get("Location", ""), base=url)
            finally:
                response.close()
        raise SourceError(
            f"{self.shown}: more than {self.limits.max_redirects} redirects",
            code="source.too_many_redirects",
            hint="open the URL in a browser and use the address it ends at",
            uri=self.shown,
        )

    def _parsed(self, text: str, base: httpx.URL | None = None) -> httpx.URL:
        try:
            url = httpx.URL(text) if base is None else base.join(text)
        except httpx.InvalidURL as error:
            what = "not a URL" if base is None else "redirected to something that is no URL"
            raise SourceError(f"{self.shown}: {what}", code="source.bad_url", uri=self.shown) from error
        if url.scheme not in self.limits.schemes or not url.raw_host:
            allowed = " and ".join(self.limits.schemes)
            raise SourceForbidden(
                f"{self.shown}: leads to {url.scheme or 'no'}://, only {allowed} may be fetched", code="source.scheme"
            )
        return url

    def _send(self, transport: httpx.HTTPTransport, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        """Ask the first address that answers, by number; Host, SNI and certificate keep the name."""
        host = url.raw_host.decode("ascii")
        addresses = checked_addresses(
            host,
            url.port or _PORTS[url.scheme],
            allow_private=self.limits.allow_private,
            private_networks=self.limits.private_networks,
        )
        named = _HEADERS | headers | {"Host": url.netloc.decode("ascii")}
        extensions = {"sni_hostname": host, "timeout": self._timeout()}
        for address in addresses:
            numbered = url.copy_with(host=address, username=None, password=None, fragment=None)
            request = httpx.Request("GET", numbered, headers=named, extensions=extensions)
            try:
                with self._transport_errors():
                    response = transport.handle_request(request)
                    response.request = request
                    return response
            except SourceUnavailable:
                if address == addresses[-1]:
                    raise
        raise SourceUnavailable(f"{host}: no address", host=host)

    def _timeout(self) -> dict[str, float | None]:
        stall_s = self.limits.stall_timeout_s
        return httpx.Timeout(stall_s, connect=min(stall_s, _CONNECT_TIMEOUT_S)).as_dict()

    @contextmanager
    def _transport_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise SourceUnavailable(
                f"{self.shown}: no byte for {self.limits.stall_timeout_s:g} s", code="source.stalled", uri=self.shown
            ) from error
        except httpx.TransportError as error:
            if isinstance(_root(error), ssl.SSLCertVerificationError):
                raise SourceError(
                    f"{self.shown}: certificate not accepted ({error})", code="source.tls", hint="check the host name"
                ) from error
            raise SourceUnavailable(f"{self.shown}: {error}", uri=self.shown) from error


def _transport() -> httpx.HTTPTransport:
    """One level below a client: it follows nothing, keeps nothing and asks no proxy.

    Connections are not kept because they are known by number, and two names may share one.
    """
    return httpx.HTTPTransport(verify=_tls(), trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))


@cache
def _tls() -> ssl.SSLContext:
    """Certificates of SSL_CERT_FILE or SSL_CERT_DIR, else the packaged ones."""
    return httpx.create_ssl_context()


def _says_expired(response: httpx.Response) -> bool:
    """Whether a 400 means an expired signature: some stores answer it so, with a reason in XML."""
    begin = next(response.iter_raw(_REASON_BYTES), b"")
    return any(word in begin for word in (b"ExpiredToken", b"Request has expired", b"RequestExpired"))


def _root(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port


def _authorization(url: httpx.URL) -> dict[str, str]:
    """Basic credentials of `https://user:password@host/`."""
    if not url.username and not url.password:
        return {}
    pair = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _content_range(response: httpx.Response) -> tuple[int | None, int | None]:
    """(first byte, length of the whole file) of a Content-Range; None where it does not say."""
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if match is None:
        return None, None
    return (int(match[1]) if match[1] else None), (int(match[2]) if match[2] != "*" else None)


def _suffix(url: str) -> str:
    suffix = PurePosixPath(unquote(httpx.URL(url).path)).suffix.lower()
    return suffix if suffix in VIDEO_SUFFIXES else ""


def _iso(http_date: str | None) -> str | None:
    try:
        return None if http_date is None else iso_utc(parsedate_to_datetime(http_date).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
