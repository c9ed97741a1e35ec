"""Each kind of adversary lies in its own way, and in no other."""
from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from fastdht.testing.catalog import HASH_ROW
from fastdht.testing.swarm import LIARS, Swarm
from fastdht.testing.truth import TruthRow
from tests.oracle import wire

PORT = 6881
ASKER = ("127.0.0.1", 40_000)
ASKER_ID = b"asker of the testbed"
TARGET = b"\x00" * 18 + b"\x01\xff"
AFTER_TARGET = b"\x00" * 18 + b"\x02\x00"
WINDOW_US = 10_000_000
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
    assert ask_any(swarm, row, 0) == ask_any(swarm, row, WINDOW_US) == ask_any(again, row, 0) != []


def ask_any(swarm: Swarm, row: TruthRow, now_us: int) -> list[Any]:
    return swarm.handle(QUERY, ASKER, (row.ip, row.port), now_us)


def test_limited_when_asked_again_then_is_silent_until_ten_seconds_have_passed() -> None:
    swarm, _, row = liar("limited")
    times_s = (5.0, 5.1, 14.999, 15.0, 24.0, 25.0)
    assert [len(ask_any(swarm, row, round(s * 1_000_000))) for s in times_s] == [1, 0, 0, 1, 0, 1]
    assert swarm.counters()["muted"] == 3


def test_limited_when_another_address_asks_then_answers_it() -> None:
    swarm, _, row = liar("limited")
    for last in (1, 2, 3):
        assert len(swarm.handle(QUERY, (f"127.0.0.{last}", 40_000), (row.ip, row.port))) == 1
        assert swarm.handle(QUERY, (f"127.0.0.{last}", 40_001), (row.ip, row.port)) == []


def test_honest_node_when_limited_then_answers_as_often_as_told() -> None:
    swarm = Swarm(50, 1, PORT, node_limit=3)
    first, second = swarm.truth(0, 2)
    for row in (first, second):
        assert [len(ask_any(swarm, row, 0)) for _ in range(5)] == [1, 1, 1, 0, 0]
    assert swarm.counters()["muted"] == 4


def test_limit_when_more_ask_than_it_remembers_then_forgets_and_goes_on() -> None:
    swarm = Swarm(2, 1, PORT, node_limit=1)
    row = next(swarm.truth())
    for asker in range(150_000):
        source = f"10.{asker >> 16}.{asker >> 8 & 255}.{asker & 255}"
        assert len(swarm.handle(QUERY, (source, 9), (row.ip, row.port))) == 1
    # Sets of four with a mean of 0.57 askers: 81 of 262,144 are expected to have five.
    assert 20 < swarm.counters()["limits_forgotten"] < 300


def sampled(kind: str) -> list[dict[bytes, Any]]:
    """What four liars of a kind answer to sample_infohashes, and four honest nodes that support it."""
    swarm = Swarm(500, 1, PORT, adversaries={kind: 4}, infohashes=20_000, support=1.0)
    rows = list(swarm.truth())
    query = wire.query(b"sample_infohashes", target=TARGET)
    return [wire.decode(ask(swarm, row, query))[b"r"] for row in [*rows[-4:], *rows[:4]]]


def test_huge_num_when_sampled_then_says_a_billion_or_more() -> None:
    told = [answer[b"num"] for answer in sampled("huge-num")]
    assert set(told[:4]) == {10**9, 1 << 62}
    assert max(told[4:]) < 10_000


def test_odd_interval_when_sampled_then_tells_none_that_bep_51_allows() -> None:
    told = [answer[b"interval"] for answer in sampled("odd-interval")]
    assert sorted(told[:4]) == [-1, 0, 7 * 86_400, 1 << 62]
    assert told[4:] == [21_600] * 4


def test_ragged_samples_when_sampled_then_are_no_multiple_of_20() -> None:
    sizes = [len(answer[b"samples"]) for answer in sampled("ragged-samples")]
    assert [size % 20 for size in sizes] == [13] * 4 + [0] * 4


def test_invented_samples_when_sampled_then_nobody_stores_them() -> None:
    swarm = Swarm(500, 1, PORT, adversaries={"invented-samples": 4}, infohashes=20_000)
    assert swarm.catalog is not None
    real = {row[0] for cell in range(swarm.catalog.cells())
            for row in HASH_ROW.iter_unpack(swarm.catalog.records(cell))}
    told = [answer[b"samples"] for answer in sampled("invented-samples")]
    for number, samples in enumerate(told):
        shown = {samples[i:i + 20] for i in range(0, len(samples), 20)}
        assert len(shown) == 20
        assert shown <= real if number >= 4 else not shown & real


def test_repeated_samples_when_sampled_then_are_one_twenty_times() -> None:
    for answer in sampled("repeated-samples")[:4]:
        assert answer[b"samples"] == answer[b"samples"][:20] * 20


def test_liar_of_another_kind_when_sampled_then_answers_as_to_find_node() -> None:
    for answer in sampled("deep")[:4]:
        assert b"samples" not in answer and answer[b"nodes"]
