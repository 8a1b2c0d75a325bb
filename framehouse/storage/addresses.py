"""The address guard: which hosts a URL given by a stranger may reach.

A name is resolved once, every address it has is checked, and the connection goes to a checked address itself. So a name
that answers differently a second later (DNS rebinding) reaches nothing else.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from framehouse.errors import ConfigError, SourceForbidden, SourceNotFound, SourceUnavailable

Address = IPv4Address | IPv6Address

_IETF = IPv4Network("192.0.0.0/24")  # RFC 6890; the standard library lists only parts of it
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")  # RFC 8215
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291 2.5.5.1, deprecated; ::1 and :: are no embedded addresses
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def checked_addresses(
    host: str, port: int, *, allow_private: bool = False, private_networks: Sequence[str] = ()
) -> list[str]:
    """Addresses of a host, in the resolver's order, all of them allowed.

    Args:
        host: a name or an address, as in a URL (IPv6 without brackets).
        allow_private: check nothing.
        private_networks: networks in CIDR form that are allowed although private.

    Raises:
        SourceForbidden: code `source.private_address`, when any address of the host is not a public one.
        SourceNotFound: code `source.unknown_host`.
        SourceUnavailable: the resolver does not answer.
    """
    addresses = _resolve(host, port)
    if allow_private:
        return addresses
    allowed = _networks(private_networks)
    for text in addresses:
        address = ip_address(text)
        if not is_public(address) and not any(address in network for network in allowed):
            raise SourceForbidden(
                f"{host}: not a public address",
                code="source.private_address",
                hint="private, loopback and link-local hosts are refused unless the settings allow them",
                host=host,
            )
    return addresses


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, also when IPv4 hides in it (mapped, 6to4, NAT64).

    >>> is_public(ip_address("::ffff:10.0.0.1")), is_public(ip_address("9.9.9.9"))
    (False, True)
    """
    if isinstance(address, IPv6Address):
        if address.is_site_local or address in _NAT64_LOCAL:
            return False
        if any(not is_public(inner) for inner in _embedded(address)):
            return False
        if address.ipv4_mapped is not None or address in _NAT64:
            return True
    elif address in _IETF:
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: IPv6Address) -> list[IPv4Address]:
    found = [address.ipv4_mapped, address.sixtofour]
    if address in _NAT64 or address in _COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [inner for inner in found if inner is not None]


def _networks(texts: Sequence[str]) -> list[IPv4Network | IPv6Network]:
    try:
        return [ip_network(text) for text in texts]
    except ValueError as error:
        raise ConfigError(f"private networks: {error}", code="config.private_networks") from error


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            raise SourceNotFound(f"{host}: no such host", code="source.unknown_host", host=host) from error
        raise SourceUnavailable(f"{host}: name not resolved ({error.strerror})", host=host) from error
    except UnicodeError as error:
        raise SourceNotFound(f"{host!r}: not a host name", code="source.unknown_host") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
