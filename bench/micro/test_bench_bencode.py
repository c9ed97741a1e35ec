"""The scanner on values of a packet's size, and the public codec on a small message.

Method: `scan` and `canonical` are one Python call around the compiled function; subtract the figure of `0:`.
"""
from __future__ import annotations

import pytest

from fastdht import bencode
from fastdht._ext.bencode import canonical, scan

VALUES = {
    "empty string": b"0:",
    "998 bytes": b"998:" + b"x" * 998,
    "300 integers": b"l" + b"i1e" * 300 + b"e",
    "64 deep": b"l" * 64 + b"e" * 64,
    "100 keys": b"d" + b"".join(b"2:%02dle" % number for number in range(100)) + b"e",
}
MESSAGE = {b"a": {b"id": b"i" * 20, b"target": b"t" * 20}, b"q": b"find_node", b"t": b"1234", b"v": b"FD\x00\x01",
           b"y": b"q"}


@pytest.mark.parametrize("name", VALUES)
def test_bench_scan(benchmark, name: str) -> None:
    assert benchmark(scan, VALUES[name], 64, 1024) == len(VALUES[name])


@pytest.mark.parametrize("name", VALUES)
def test_bench_canonical(benchmark, name: str) -> None:
    assert benchmark(canonical, VALUES[name])


@pytest.mark.parametrize("strict", [True, False], ids=["strict", "lax"])
def test_bench_decode_message(benchmark, strict: bool) -> None:
    assert benchmark(bencode.decode, bencode.encode(MESSAGE), strict=strict) == MESSAGE


def test_bench_encode_message(benchmark) -> None:
    assert benchmark(bencode.encode, MESSAGE) == bencode.encode(MESSAGE)
