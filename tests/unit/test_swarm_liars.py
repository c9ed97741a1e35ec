"""Each kind of adversary lies in its own way, and in no other."""
from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from fastdht.testing.swarm import LIARS, Swarm
from fastdht.testing.truth import TruthRow
from tests.oracle import wire

PORT = 6881
ASKER = ("127.0.0.1", 40_000)
ASKER_ID = b"asker of the testbed"
TARGET = b"\x00" * 18 + b"\x01\xff"
AFTER_TARGET = b"\x00" * 18 + b"\x02\x00"
QUERY = wire.query(b"find_node", target=TARGET)


def liar(kind: str, count: int = 40) -> tuple[Swarm, list[TruthRow], TruthRow]:
    swarm = Swarm(500, 1, PORT, adversaries={kind: count}, ids_per_ip=10)
    rows = list(swarm.truth())
    return swarm, rows, next(row for row in rows if row.kind == kind)


def ask(swarm: Swarm, row: TruthRow, query: bytes = QUERY) -> bytes:
    replies = swarm.handle(query, ASKER, (row.ip, row.port))
    assert len(replies) == 1
    return replies[0][1]


def named(data: bytes) -> list[tuple[bytes, str, int]]:
    return wire.contacts(wire.decode(data)[b"r"][b"nodes"])


def test_ring_when_asked_then_names_only_its_own() -> None:
    swarm, rows, row = liar("ring")
    ring = {(each.id, each.ip, each.port) for each in rows if each.kind == "ring"}
    contacts = named(ask(swarm, row))
    assert len(contacts) == 8
    assert set(contacts) <= ring
    assert wire.decode(ask(swarm, row))[b"r"][b"id"] == row.id


def test_invented_id_when_asked_then_is_the_target_plus_one_and_so_are_those_it_names() -> None:
    swarm, rows, row = liar("invented-id")
    endpoints = {(each.ip, each.port) for each in rows if each.kind == "invented-id"}
    data = ask(swarm, row)
    assert wire.decode(data)[b"r"][b"id"] == AFTER_TARGET
    for steps, (node_id, ip, port) in enumerate(named(data)):
        assert int.from_bytes(node_id, "big") == int.from_bytes(TARGET, "big") + 2 + steps
        assert (ip, port) in endpoints
    own = wire.decode(ask(swarm, row, wire.query(b"find_node", target=row.id)))[b"r"][b"id"]
    assert own != row.id


def test_same_id_when_asked_then_names_others_that_claim_its_id() -> None:
    swarm, rows, row = liar("same-id")
    crowd = {(each.id, each.ip, each.port) for each in rows if each.kind == "same-id"}
    for each in [row, rows[-1]]:
        assert wire.decode(ask(swarm, each))[b"r"][b"id"] == row.id
        assert set(named(ask(swarm, each))) <= crowd


def test_many_ids_when_one_address_is_asked_on_two_ports_then_has_two_ids() -> None:
    swarm, rows, row = liar("many-ids")
    other = next(each for each in rows if each.ip == row.ip and each.port != row.port)
    assert wire.decode(ask(swarm, row))[b"r"][b"id"] == row.id
    assert wire.decode(ask(swarm, other))[b"r"][b"id"] == other.id != row.id


def test_bogons_when_asked_then_names_unroutable_addresses_and_port_zero() -> None:
    swarm, _, row = liar("bogons")
    contacts = named(ask(swarm, row))
    outside = [ip for _, ip, _ in contacts if not ip.startswith("127.")]
    assert len(outside) == 4
    assert not any(ipaddress.IPv4Address(ip).is_global and not ipaddress.IPv4Address(ip).is_multicast for ip in outside)
    assert [port for _, ip, port in contacts if ip.startswith("127.")].count(0) == 1


def test_reflector_when_asked_then_sends_the_query_back() -> None:
    swarm, _, row = liar("reflector")
    assert ask(swarm, row) == QUERY


def test_id_mirror_when_asked_then_answers_under_the_askers_id() -> None:
    swarm, _, row = liar("id-mirror")
    assert wire.decode(ask(swarm, row))[b"r"][b"id"] == ASKER_ID


def test_wrong_tid_when_asked_then_the_rest_is_right() -> None:
    swarm, _, row = liar("wrong-tid")
    reply = wire.decode(ask(swarm, row))
    assert reply[b"t"] != b"aa"
    assert len(reply[b"t"]) == 2
    assert reply[b"r"][b"id"] == row.id


def test_other_port_when_asked_then_is_marked_so() -> None:
    swarm, _, row = liar("other-port")
    assert [from_other for from_other, _ in swarm.handle(QUERY, ASKER, (row.ip, row.port))] == [True]


def test_big_reply_when_asked_then_is_eight_kilobytes_of_valid_bencode() -> None:
    swarm, _, row = liar("big-reply")
    data = ask(swarm, row)
    assert 7_900 <= len(data) <= 8_192
    assert wire.keys_in_order(data) == sorted(wire.keys_in_order(data))
    assert wire.decode(data)[b"r"][b"id"] == row.id


def test_many_nodes_when_asked_then_names_three_hundred() -> None:
    swarm, rows, row = liar("many-nodes")
    contacts = named(ask(swarm, row))
    assert len(contacts) == 300
    assert set(contacts) <= {(each.id, each.ip, each.port) for each in rows}


def test_ragged_when_asked_then_its_nodes_are_no_multiple_of_26() -> None:
    swarm, _, row = liar("ragged")
    assert len(wire.decode(ask(swarm, row))[b"r"][b"nodes"]) % 26 != 0


def test_unsorted_when_asked_then_its_keys_are_out_of_order() -> None:
    swarm, _, row = liar("unsorted")
    keys = wire.keys_in_order(ask(swarm, row))
    assert keys != sorted(keys)
    assert wire.decode(ask(swarm, row))[b"r"][b"id"] == row.id


def test_deep_when_asked_then_nests_lists_beyond_any_limit() -> None:
    swarm, _, row = liar("deep")
    assert b"l" * 100 in ask(swarm, row)                # a message may be 10 deep
    assert wire.decode(ask(swarm, row))[b"r"][b"id"] == row.id


def test_two_replies_when_asked_then_sends_the_same_twice() -> None:
    swarm, _, row = liar("two-replies")
    replies = swarm.handle(QUERY, ASKER, (row.ip, row.port))
    assert len(replies) == 2
    assert replies[0] == replies[1]


@pytest.mark.parametrize("kind", LIARS)
@pytest.mark.parametrize("query", [wire.query(b"ping"), wire.query(b"get_peers", info_hash=TARGET), b"junk", b"",
                                   wire.query(b"find_node"), wire.query(b"find_node", target=TARGET, want=[b"n6"])])
def test_liar_when_asked_anything_then_answers_at_most_twice(kind: str, query: bytes) -> None:
    swarm, _, row = liar(kind)
    for _, data in swarm.handle(query, ASKER, (row.ip, row.port)):
        assert len(data) <= 9_216


@pytest.mark.parametrize("kind", LIARS)
def test_liar_when_asked_again_then_lies_the_same(kind: str) -> None:
    swarm, _, row = liar(kind)
    again, _, _ = liar(kind)
    assert ask_any(swarm, row) == ask_any(swarm, row) == ask_any(again, row)


def ask_any(swarm: Swarm, row: TruthRow) -> list[Any]:
    return swarm.handle(QUERY, ASKER, (row.ip, row.port))
