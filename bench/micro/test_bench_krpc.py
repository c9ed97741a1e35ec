"""Decoding and encoding of KRPC messages, through the functions that Python may call.

Method: `refusal` is one Python call around the decoder and nothing else, so the figure of a packet less that of the
empty one is the decoder's own. The builders also turn arguments into structs; compare them with each other only.
"""
from __future__ import annotations

import pytest

from fastdht._ext import krpc

ID, TARGET = bytes(range(20)), bytes(range(20, 40))
NODES = bytes(range(208))
PACKETS = {
    "empty": b"",
    "ping query": krpc.build_query("ping", id=ID, tid=1),
    "find_node query": krpc.build_query("find_node", id=ID, tid=1, target=TARGET),
    "announce_peer query": krpc.build_query("announce_peer", id=ID, tid=1, target=TARGET, port=6881, implied_port=True,
                                            token=b"12345678"),
    "pong": krpc.build_reply(id=ID, tid=b"1234", external=b"abcdef"),
    "8 nodes": krpc.build_reply(id=ID, tid=b"1234", external=b"abcdef", nodes=NODES, token=b"12345678"),
    "8 nodes, 50 values": krpc.build_reply(id=ID, tid=b"1234", external=b"abcdef", nodes=NODES, token=b"12345678",
                                           values=[b"abcdef"] * 50),
    "error": krpc.build_error(b"1234", 203, "Protocol Error"),
    "garbage": b"x" * 100,
}


@pytest.mark.parametrize("name", PACKETS)
def test_bench_decode(benchmark, name: str) -> None:
    packet = PACKETS[name]
    assert krpc.refusal(packet) == ("bad syntax" if name in ("empty", "garbage") else "")
    benchmark(krpc.refusal, packet)


@pytest.mark.parametrize("method", ["ping", "find_node", "get_peers"])
def test_bench_encode_query(benchmark, method: str) -> None:
    packet = benchmark(lambda: krpc.build_query(method, id=ID, tid=1, target=TARGET))
    assert krpc.refusal(packet) == ""


@pytest.mark.parametrize("nodes", [None, NODES], ids=["pong", "8 nodes"])
def test_bench_encode_reply(benchmark, nodes: bytes | None) -> None:
    packet = benchmark(lambda: krpc.build_reply(id=ID, tid=b"1234", external=b"abcdef", nodes=nodes, token=b"12345678"))
    assert krpc.refusal(packet) == ""
