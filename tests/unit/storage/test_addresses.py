from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from framehouse.errors import ConfigError, FramehouseError, SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.storage.addresses import checked_addresses, is_public

# fmt: off
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]
NOT_PUBLIC = [
    "127.0.0.1", "127.8.8.8", "10.1.1.1", "172.16.3.3", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0",
    "0.1.2.3", "100.64.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.0.8",
    "192.0.0.192", "203.0.113.4", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::1",
    "2001:0:1::1", "2001:db8::1", "fec0::1", "::127.0.0.1", "::8.8.8.8",
]
# fmt: on


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


def answer(*addresses: str) -> list[tuple[object, ...]]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: answer("8.8.8.8", "10.0.0.1"))
    with pytest.raises(SourceForbidden):
        checked_addresses("mixed.example", 80)


def test_networks_that_are_allowed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: answer("10.1.2.3", "10.1.2.3", "8.8.8.8"))
    assert checked_addresses("media", 80, private_networks=["10.1.2.0/24"]) == ["10.1.2.3", "8.8.8.8"]
    with pytest.raises(SourceForbidden):
        checked_addresses("media", 80, private_networks=["10.1.3.0/24"])


def test_a_wrong_network_is_a_setting_to_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: answer("127.0.0.1"))
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1/8"):
        checked_addresses("127.0.0.1", 80, private_networks=["10.0.0.1/8"])


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), SourceNotFound),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), SourceUnavailable),
        (UnicodeError("label too long"), SourceNotFound),
    ],
)
def test_names_that_do_not_resolve(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, raised: type[FramehouseError]
) -> None:
    def fail(*_a: object, **_k: object) -> None:
        raise failure

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(raised):
        checked_addresses("nowhere.example", 80)
