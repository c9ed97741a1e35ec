"""Encoding of KRPC messages: the packets of BEP 5 byte for byte, canonical order, and the bound of one datagram."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastdht import bencode
from fastdht._ext import krpc

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "dht.json").read_text())
PRINTED = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS["bep5"]["examples"]}
OURS = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in VECTORS["constructed_messages"]}
VERSION = b"1:v4:FD\x00\x01"
MAX_DATAGRAM = 1472
A, M = b"abcdefghij0123456789", b"mnopqrstuvwxyz123456"
NODE = b"\xcc" * 20
EVERYTHING_ASKED = {
    "target": M, "want": 3, "read_only": True, "token": b"t", "port": 1, "implied_port": True, "seed": True,
    "noseed": True, "scrape": True, "value": b"i1e", "key": b"k" * 32, "signature": b"s" * 64, "salt": b"salt",
    "seq": -1, "cas": 2**63 - 1}
EVERYTHING_ANSWERED = {
    "external": b"abcdef", "nodes": b"n" * 26, "nodes6": b"n" * 38, "values": [b"abcdef", b"x" * 18], "token": b"t",
    "value": b"d1:ai1ee", "key": b"k" * 32, "signature": b"s" * 64, "seq": 0, "samples": b"", "num": 0,
    "interval": 21600, "seed_filter": b"f" * 256, "peer_filter": b"p" * 256}


def printed_query(packet: bytes, tid: bytes = b"aa", version: bytes = b"") -> bytes:
    """Our packet with the tid and version of a printed one; ours are always four bytes."""
    return packet.replace(b"1:t4:\x00\x00\x00\x07", b"1:t%d:%b" % (len(tid), tid)).replace(VERSION, version)


@pytest.mark.parametrize(("name", "packet"), [
    ("ping_query", krpc.build_query("ping", id=A, tid=7)),
    ("find_node_query", krpc.build_query("find_node", id=A, tid=7, target=M)),
    ("get_peers_query", krpc.build_query("get_peers", id=A, tid=7, target=M)),
    ("announce_peer_query", krpc.build_query("announce_peer", id=A, tid=7, target=M, port=6881, implied_port=True,
                                             token=b"aoeusnth")),
    ("ping_response", krpc.build_reply(id=M, tid=b"aa")),
    ("find_node_response_doc_only_truncated_nodes",
     krpc.build_reply(id=b"0123456789abcdefghij", tid=b"aa", nodes=b"def456...")),
    ("get_peers_response_values", krpc.build_reply(id=A, tid=b"aa", token=b"aoeusnth", values=[b"axje.u", b"idhtnm"])),
    ("get_peers_response_nodes_doc_only_truncated_nodes", krpc.build_reply(id=A, tid=b"aa", token=b"aoeusnth",
                                                                           nodes=b"def456...")),
    ("announce_peer_response", krpc.build_reply(id=M, tid=b"aa")),
    ("error_generic", krpc.build_error(b"aa", 201, "A Generic Error Ocurred")),
])
def test_packet_of_bep5_is_encoded_as_printed(name: str, packet: bytes) -> None:
    assert printed_query(packet) == PRINTED[name]


@pytest.mark.parametrize(("name", "tid", "packet"), [
    ("find_node_query_want_both", b"\x00\x01", krpc.build_query("find_node", id=b"\xaa" * 20, tid=7,
                                                                target=b"\xbb" * 20, want=3)),
    ("announce_implied_seed", b"\x00\x04", krpc.build_query("announce_peer", id=b"\xaa" * 20, tid=7,
                                                            target=b"\xbb" * 20, implied_port=True, seed=True,
                                                            token=b"\x01\x02\x03\x04")),
    ("get_peers_scrape", b"\x00\x05", krpc.build_query("get_peers", id=b"\xaa" * 20, tid=7, target=b"\xbb" * 20,
                                                       noseed=True, scrape=True)),
    ("ping_read_only", b"\x00\x06", krpc.build_query("ping", id=b"\xaa" * 20, tid=7, read_only=True)),
    ("sample_infohashes_query", b"\x00\x07", krpc.build_query("sample_infohashes", id=b"\xaa" * 20, tid=7,
                                                              target=b"\xbb" * 20)),
    ("error_method_unknown", b"", krpc.build_error(b"\x00\x08", 204, "Method Unknown")),
    ("error_protocol", b"", krpc.build_error(b"\x00\x09", 203, "Protocol Error")),
])
def test_constructed_packet_is_encoded_as_in_the_vectors(name: str, tid: bytes, packet: bytes) -> None:
    version = b"1:v4:XX\x00\x01" if b"1:v4:XX" in OURS[name] else b""
    assert printed_query(packet, tid, version) == OURS[name]


@pytest.mark.parametrize("name", ["find_node_response_dual", "get_peers_response_v4", "get_peers_response_v6",
                                  "sample_infohashes_response_empty", "sample_infohashes_response_two"])
def test_constructed_response_is_encoded_as_in_the_vectors(name: str) -> None:
    message = bencode.decode(OURS[name])
    body = {key.decode(): value for key, value in message[b"r"].items()}
    packet = krpc.build_reply(tid=message[b"t"], external=message.get(b"ip"), **body)
    version = b"1:v4:XX\x00\x01" if b"v" in message else b""
    assert packet.replace(VERSION, version) == OURS[name]


@pytest.mark.parametrize("method", krpc.METHOD_NAMES)
def test_query_with_everything_is_canonical_and_reads_back(method: str) -> None:
    packet = krpc.build_query(method, id=A, tid=0xFFFFFFFE, **EVERYTHING_ASKED)  # type: ignore[arg-type]
    assert bencode.encode(bencode.decode(packet)) == packet
    expected: dict[str, Any] = EVERYTHING_ASKED | {"method": method, "tid": b"\xff\xff\xff\xfe", "id": A,
                                                   "version": b"FD\x00\x01"}
    if method != "announce_peer":
        del expected["port"]
    found = krpc.parse(packet)
    assert found is not None and found | expected == found


def test_reply_with_everything_is_canonical_and_reads_back() -> None:
    packet = krpc.build_reply(id=NODE, tid=b"\x00\xff" * 16, **EVERYTHING_ANSWERED)  # type: ignore[arg-type]
    assert bencode.encode(bencode.decode(packet)) == packet
    expected = EVERYTHING_ANSWERED | {"id": NODE, "tid": b"\x00\xff" * 16, "kind": "r", "version": b"FD\x00\x01"}
    found = krpc.parse(packet)
    assert found is not None and found | expected == found


def test_error_with_an_external_address_is_canonical_and_reads_back() -> None:
    packet = krpc.build_error(b"\x00", 203, "é", external=b"x" * 18)
    assert bencode.encode(bencode.decode(packet)) == packet
    found = krpc.parse(packet)
    assert found is not None
    assert found == {"kind": "e", "error_code": 203, "error_text": "é".encode(), "external": b"x" * 18,
                     "tid": b"\x00", "version": b"FD\x00\x01"}


def test_every_sent_tid_and_version_is_four_bytes() -> None:
    for tid in (0, 1, 2**32 - 1):
        found = krpc.parse(krpc.build_query("ping", id=A, tid=tid))
        assert found is not None and found["tid"] == tid.to_bytes(4, "big") and found["version"] == b"FD\x00\x01"


@pytest.mark.parametrize("build", [
    lambda n: krpc.build_reply(id=A, tid=b"aa", value=b"%d:%b" % (n, b"x" * n)),
    lambda n: krpc.build_reply(id=A, tid=b"aa", token=b"x" * n),
    lambda n: krpc.build_reply(id=A, tid=b"aa", nodes=b"x" * n),
    lambda n: krpc.build_reply(id=A, tid=b"x" * n),
    lambda n: krpc.build_query("put", id=A, tid=1, value=b"%d:%b" % (n, b"x" * n)),
    lambda n: krpc.build_error(b"aa", 203, "x" * n),
], ids=["value", "token", "nodes", "tid", "put", "error"])
def test_packet_of_every_size_around_the_limit_fits_or_is_refused(build: Any) -> None:
    fitted = []
    for size in range(1000, 1600):
        try:
            packet = build(size)
        except ValueError:
            continue
        assert len(packet) <= MAX_DATAGRAM and bencode.encode(bencode.decode(packet)) == packet
        fitted.append((size, len(packet)))
    assert fitted[-1][1] == MAX_DATAGRAM and [size for size, _ in fitted] == list(range(1000, fitted[-1][0] + 1))


def test_packet_that_overflows_in_the_middle_is_refused_whole() -> None:
    with pytest.raises(ValueError, match="larger than 1472"):
        krpc.build_reply(id=A, tid=b"aa", nodes=b"x" * 1400, token=b"y" * 100, values=[b"abcdef"])


@pytest.mark.parametrize("arguments", [{"id": A[1:], "tid": 1}, {"id": A, "tid": 1, "target": b"short"}])
def test_query_with_an_id_of_another_size_is_the_callers_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="20 needed"):
        krpc.build_query("find_node", **arguments)


@pytest.mark.parametrize("method", ["", "PING", "vote"])
def test_query_of_an_unknown_method_is_the_callers_error(method: str) -> None:
    with pytest.raises(ValueError, match="one of ping"):
        krpc.build_query(method, id=A, tid=1)


@pytest.mark.parametrize("tid", [-1, 2**32])
def test_query_with_a_tid_beyond_32_bits_is_the_callers_error(tid: int) -> None:
    with pytest.raises(OverflowError):
        krpc.build_query("ping", id=A, tid=tid)


def test_reply_with_a_compact_address_of_another_size_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match=r"6 \(IPv4\) or 18 \(IPv6\)"):
        krpc.build_reply(id=A, tid=b"aa", external=b"1234")
