"""Distances, BEP 42 and SipHash through the functions that Python may call, which add about 50 ns each."""
from __future__ import annotations

import pytest

from fastdht._ext import ids
from fastdht._ext.addresses import AddressFilter
from fastdht._ext.hashing import siphash24

A, B = bytes(range(20)), bytes(range(20, 40))
V4, V6 = b"\x08\x08\x08\x08\x1a\xe1", bytes.fromhex("2a001450400100000000000000000001") + b"\x1a\xe1"


def test_bench_shared_prefix(benchmark) -> None:
    assert benchmark(ids.shared_prefix, A, B) == 3


@pytest.mark.parametrize("packed", [V4, V6], ids=["ipv4", "ipv6"])
def test_bench_is_secure(benchmark, packed: bytes) -> None:
    assert benchmark(ids.is_secure, ids.secure_id(packed, 1), packed)


@pytest.mark.parametrize("crc", [ids.crc32c_of, ids.crc32c_by_table], ids=["chosen", "table"])
def test_bench_crc32c(benchmark, crc) -> None:
    assert benchmark(crc, b"123456789") == 0xE3069283


def test_bench_siphash(benchmark) -> None:
    benchmark(siphash24, bytes(16), A)


@pytest.mark.parametrize("packed", [V4, V6], ids=["ipv4", "ipv6"])
def test_bench_address_filter(benchmark, packed: bytes) -> None:
    assert benchmark(AddressFilter(["127.0.0.0/8"]).allows, packed)
