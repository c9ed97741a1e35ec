"""The bogon filter, range by range of the IANA special-purpose registries, first and last address of each."""
from __future__ import annotations

import ipaddress
import random

import pytest

from fastdht._ext.addresses import AddressFilter

SPECIAL_V4 = ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
              "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
              "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"]
SPECIAL_V6 = ["::/128", "::1/128", "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32",
              "2001:2::/48", "2001:10::/28", "2001:20::/28", "2001:db8::/32", "2002::/16", "3fff::/20", "fc00::/7",
              "fe80::/10", "fec0::/10", "ff00::/8"]
PUBLIC = ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
          "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0",
          "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
          "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "2000::1", "2001:200::1",
          "2001:db7:ffff::1", "2001:db9::", "2001:ffff::1", "2003::1", "2a00:1450:4001::1", "3ffe:ffff::1",
          "3fff:1000::1"]


def packed(address: object, port: int = 6881) -> bytes:
    return ipaddress.ip_address(address).packed + port.to_bytes(2, "big")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", SPECIAL_V4 + SPECIAL_V6)
def test_special_range_is_refused_from_its_first_to_its_last_address(text: str) -> None:
    network = ipaddress.ip_network(text)
    rng = random.Random(text)
    inside = [network[0], network[-1], *(network[rng.randrange(network.num_addresses)] for _ in range(50))]
    assert not any(AddressFilter().allows(packed(address)) for address in inside)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_address_beside_a_special_range_is_allowed(text: str) -> None:
    assert AddressFilter().allows(packed(text))


def test_filter_of_ipv4_agrees_with_the_registries_everywhere() -> None:
    special = [ipaddress.ip_network(text) for text in SPECIAL_V4]
    starts = sorted({int(network[0]) for network in special} | {int(network[-1]) + 1 for network in special})
    rng = random.Random(4)
    edges = [start + step for start in starts for step in (-1, 0)]
    for number in [edge for edge in edges if 0 <= edge < 2**32] + [rng.randrange(2**32) for _ in range(20_000)]:
        address = ipaddress.IPv4Address(number)
        assert AddressFilter().allows(packed(address)) == (not any(address in network for network in special)), address


def test_port_0_is_refused_everywhere() -> None:
    for text in ("8.8.8.8", "2a00:1450:4001::1"):
        assert not AddressFilter(["0.0.0.0/0", "::/0"]).allows(packed(text, 0))
        assert AddressFilter().allows(packed(text, 1)) and AddressFilter().allows(packed(text, 65535))


@pytest.mark.parametrize(("allowed", "inside", "outside"), [
    ("127.0.0.0/8", ["127.0.0.1", "127.255.255.255"], ["10.0.0.1", "::1"]),
    ("10.1.2.3/32", ["10.1.2.3"], ["10.1.2.4"]),
    ("10.1.2.3/16", ["10.1.0.0", "10.1.255.255"], ["10.2.0.0"]),
    ("0.0.0.0/0", ["127.0.0.1", "255.255.255.255"], ["::1", "fe80::1"]),
    ("::1/128", ["::1"], ["::2", "127.0.0.1", "0.0.0.1"]),
    ("fc00::/7", ["fc00::1", "fdff::1"], ["fe80::1", "fbff::1"]),
    ("2001:db8:1:2::/63", ["2001:db8:1:2::1", "2001:db8:1:3::1"], ["2001:db8:1:4::1", "2001:db8:1:1::1"]),
    ("2001:db8:1:2:3::/80", ["2001:db8:1:2:3::1"], ["2001:db8:1:2:4::1"]),
])
def test_allowed_range_counts_as_public_and_nothing_else_does(allowed: str, inside: list[str],
                                                              outside: list[str]) -> None:
    allowing = AddressFilter([allowed])
    assert all(allowing.allows(packed(text)) for text in inside)
    assert not any(allowing.allows(packed(text)) for text in outside)


def test_allowed_ranges_are_at_most_16() -> None:
    assert AddressFilter([f"10.{i}.0.0/16" for i in range(16)]).allows(packed("10.15.0.1"))
    with pytest.raises(ValueError, match="17 allowed ranges; at most 16"):
        AddressFilter([f"10.{i}.0.0/16" for i in range(17)])


@pytest.mark.parametrize("text", ["localhost", "10.0.0.0/33", "::/129", ""])
def test_allowed_range_that_is_malformed_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        AddressFilter([text])


@pytest.mark.parametrize("size", [0, 4, 5, 7, 16, 17, 19])
def test_endpoint_of_another_size_is_refused_with_its_size(size: int) -> None:
    with pytest.raises(ValueError, match=rf"{size} bytes; 6 \(IPv4\) or 18 \(IPv6\)"):
        AddressFilter().allows(b"x" * size)
