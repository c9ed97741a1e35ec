"""Peers that stay packed until one is looked at, and ids made without calls in between."""
from __future__ import annotations

from collections.abc import Sequence

import pytest

from fastdht import Endpoint, InfoHash
from fastdht._ext.endpoints import Endpoints
from fastdht._ext.findings import Result
from fastdht._ext.ids import as_id
from fastdht.errors import DecodeError
from fastdht.stats import LookupReport

PEERS = (Endpoint("192.0.2.1", 6881), Endpoint("2001:db8::1", 1), Endpoint("192.0.2.1", 6882))


def packed(peers) -> bytes:
    return b"".join(bytes([len(peer.pack())]) + peer.pack().ljust(18, b"\0") for peer in peers)


def report(*families) -> LookupReport:
    results = [Result(queries=9, responses=5, failures=4, values=packed(peers)) for peers in families]
    return LookupReport(InfoHash(bytes(20)), "done", 1_500_000, results)


def test_endpoints_when_read_then_are_what_was_packed():
    peers = Endpoints(Endpoint, packed(PEERS))
    assert isinstance(peers, Sequence)
    assert (len(peers), peers[1], peers[1:], tuple(peers)) == (3, PEERS[1], PEERS[1:], PEERS)
    assert (PEERS[2] in peers, peers.index(PEERS[2]), peers.count(PEERS[0]), peers[-1]) == (True, 2, 1, PEERS[2])
    assert list(reversed(peers)) == list(reversed(PEERS))


def test_endpoints_when_compared_then_equal_tuples_and_each_other():
    peers = Endpoints(Endpoint, packed(PEERS))
    assert peers == PEERS and peers == Endpoints(Endpoint, packed(PEERS)) and hash(peers) == hash(PEERS)
    assert peers != PEERS[:2] and peers != Endpoints(Endpoint, packed(PEERS[:2]))
    assert not Endpoints(Endpoint, b"") and repr(peers) == repr(PEERS)


def test_report_when_two_families_found_peers_then_each_counts_once():
    both = report(PEERS[:2], PEERS[1:])
    assert both.values == PEERS
    assert (both.queries, both.responses, both.failures, both.elapsed) == (18, 10, 8, 1.5)


def test_report_when_nothing_ran_then_is_empty():
    assert (report().values, report().closest, report().queries, report().first_value) == ((), (), 0, None)


def test_as_id_when_the_size_is_right_then_is_what_the_class_makes():
    data = bytes(range(20))
    made = as_id(InfoHash, data)
    assert type(made) is InfoHash and made == InfoHash(data) and hash(made) == hash(data)
    assert type(as_id(InfoHash, bytearray(data))) is InfoHash


def test_as_id_when_the_size_is_wrong_then_raises_as_the_class_does():
    with pytest.raises(DecodeError, match="19 bytes"):
        as_id(InfoHash, bytes(19))
