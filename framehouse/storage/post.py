"""One POST to a URL that a stranger gave: its address checked, no redirect followed, bounded in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import httpx

from framehouse.errors import SourceForbidden, SourceUnavailable
from framehouse.storage.addresses import checked_addresses
from framehouse.telemetry import redact_uri

_PORTS = {"http": 80, "https": 443}


def checked_url(url: str) -> httpx.URL:
    """An http(s) URL with a host and without a user.

    Raises:
        SourceForbidden: code `source.scheme`.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise SourceForbidden("not a URL", code="source.scheme") from error
    if parsed.scheme not in _PORTS or not parsed.raw_host or parsed.userinfo:
        raise SourceForbidden(f"{redact_uri(url)}: only http(s) URLs without a user", code="source.scheme")
    return parsed


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    allow_private: bool = False,
    private_networks: Sequence[str] = (),
) -> int:
    """Send a body; the status of the answer, whose own body is not read.

    Raises:
        SourceForbidden: not http(s), or an address that the guard refuses.
        SourceNotFound: no such host.
        SourceUnavailable: nobody answers.
    """
    parsed = checked_url(url)
    host = parsed.raw_host.decode("ascii")
    port = parsed.port or _PORTS[parsed.scheme]
    address = checked_addresses(host, port, allow_private=allow_private, private_networks=private_networks)[0]
    request = httpx.Request(
        "POST", parsed.copy_with(host=address, fragment=None), content=body,
        headers={**headers, "Host": parsed.netloc.decode("ascii"), "User-Agent": "framehouse"},
        extensions={"sni_hostname": host, "timeout": httpx.Timeout(timeout_s).as_dict()},
    )  # fmt: skip
    try:
        with httpx.HTTPTransport(trust_env=False) as transport:
            response = transport.handle_request(request)
            response.close()
            return response.status_code
    except httpx.TransportError as error:
        raise SourceUnavailable(f"{redact_uri(url)}: {type(error).__name__}: {error}") from error
