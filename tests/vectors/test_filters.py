"""The filters of dht.json, byte for byte, and their estimates."""
from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from fastdht._ext.filters import Filter

BEP33 = json.loads((Path(__file__).parent / "dht.json").read_text())["bep33"]


def filter_of(addresses: Iterable[bytes]) -> Filter:
    made = Filter()
    for address in addresses:
        made.add(address)
    return made


def v4_addresses() -> list[bytes]:
    return [bytes([192, 0, 2, last]) for last in range(256)]


def v6_addresses() -> list[bytes]:
    first = int(ipaddress.ip_address("2001:db8::"))
    return [(first + i).to_bytes(16, "big") for i in range(1000)]


def test_filter_of_the_beps_addresses_is_the_beps() -> None:
    made = filter_of(v4_addresses() + v6_addresses())
    assert bytes(made).hex() == BEP33["vector"]["filter_hex"]


def test_estimate_of_the_beps_filter_is_the_beps() -> None:
    estimate = Filter(bytes.fromhex(BEP33["vector"]["filter_hex"])).estimate()
    assert estimate.count == pytest.approx(BEP33["vector"]["estimate"], rel=1e-12)
    assert estimate.count == pytest.approx(BEP33["vector"]["estimate_bep"], abs=1e-3)    # printed truncated
    assert estimate.low <= 1256 <= estimate.high and not estimate.is_saturated


def test_filter_of_the_ipv4_addresses_alone_is_the_vectors() -> None:
    vector = BEP33["v4_only_vector_constructed"]
    made = filter_of(v4_addresses())
    assert bytes(made).hex() == vector["filter_hex"]
    assert made.estimate().count == pytest.approx(vector["estimate"], rel=1e-12)


def test_filter_of_one_address_sets_the_vectors_bits() -> None:
    vector = BEP33["single_ip_constructed"]
    address = ipaddress.ip_address(vector["ip"]).packed
    made = filter_of([address])
    assert hashlib.sha1(address).hexdigest() == vector["sha1"]
    assert bytes(made).hex() == vector["filter_hex"]
    assert {bit for bit in range(2048) if bytes(made)[bit // 8] >> bit % 8 & 1} == {vector["index1"], vector["index2"]}
    assert made.estimate().count == pytest.approx(vector["estimate"], rel=1e-12)


def test_estimate_of_the_empty_filter_is_not_the_formulas() -> None:
    assert BEP33["empty_filter_estimate_constructed"] == 0.5
    assert Filter().estimate().count == 0.0
