"""What reaches Python: answers for the reader of a lookup, raw queries, full rings of events, and watched queries."""
from __future__ import annotations

import pytest

from fastdht import bencode
from fastdht._ext import krpc
from fastdht._ext.observed import QueryLog
from fastdht.testing import builders
from tests.unit.core_kit import ASKER, OWN_ID, SECOND, Kit
from tests.unit.test_core_queries import Owner, open_lookup

REMOTE = builders.contact(10)
PING, GET_PEERS, GET, PUT, SAMPLE = 0, 2, 4, 5, 6
READER = 77
PAYLOADS = [
    {"value": b"i1e"}, {"seq": 5}, {"samples": b""}, {"seed_filter": bytes(256)}, {"peer_filter": bytes(256)},
    {"values": [bytes([11, 0, 0, 1, 0, 9])]}]


def answer_lookup(kit: Kit, method: int, reader: int, **slots) -> bytes:
    """Open a lookup that asks one node; the datagram with which that node has answered."""
    open_lookup(kit, Owner(), method, seeds=[REMOTE.endpoint.pack()], reader=reader)
    [(query, target)] = kit.outgoing()
    datagram = krpc.build_reply(id=bytes(REMOTE.id), tid=query["tid"], **slots)
    kit.now += 20_000
    kit.send(datagram, target)
    return datagram


@pytest.mark.parametrize("slots", PAYLOADS, ids=[next(iter(slots)) for slots in PAYLOADS])
def test_answer_when_it_holds_more_than_nodes_then_its_lookups_reader_gets_it_as_it_came(slots):
    kit = Kit()
    datagram = answer_lookup(kit, GET, READER, **slots)
    assert kit.core.take_events() == [(READER, REMOTE.endpoint.pack(), 20_000, datagram, False)]


def test_answer_when_it_holds_only_nodes_then_no_reader_is_told():
    kit = Kit()
    answer_lookup(kit, GET, READER, nodes=builders.pack_nodes(builders.contacts(8)), token=b"tok")
    assert not kit.core.has_events()


@pytest.mark.parametrize("slots", PAYLOADS, ids=[next(iter(slots)) for slots in PAYLOADS])
def test_answer_when_nobody_reads_its_lookup_then_no_event(slots):
    kit = Kit()
    answer_lookup(kit, GET_PEERS, 0, **slots)
    assert not kit.core.has_events()


def test_answer_when_its_lookup_has_ended_then_no_event():
    kit = Kit()
    slot, _ = open_lookup(kit, Owner(), GET, seeds=[REMOTE.endpoint.pack()], reader=READER)
    [(query, target)] = kit.outgoing()
    kit.core.finish_lookup(slot, 8)
    kit.core.open_lookup(GET, OWN_ID, 8, 8, 0, 9, kit.now + SECOND, kit.now, reader=READER + 1)     # in the same slot
    kit.send(krpc.build_reply(id=bytes(REMOTE.id), tid=query["tid"], value=b"i1e"), target)
    assert not kit.core.has_events()


def test_lookup_when_it_scrapes_then_says_so():
    kit = Kit()
    open_lookup(kit, Owner(), GET_PEERS, seeds=[REMOTE.endpoint.pack()], scrape=True)
    assert kit.sent()[0]["scrape"] == 1


def test_events_when_their_ring_is_full_then_timeouts_wait_and_none_is_lost():
    kit = Kit(events=2, timeout_us=SECOND)
    for caller in range(5):
        assert kit.core.query(PING, builders.endpoint(caller + 20).pack(), caller, kit.now)
    told = []
    for _ in range(3):
        kit.advance(1.1)
        told += [event[0] for event in kit.core.take_events()]
    assert told == [0, 1, 2, 3, 4]
    assert kit.core.transactions_open == 0
    assert kit.counter("events_lost") == 0


def test_query_when_it_puts_an_item_then_every_argument_is_sent():
    kit = Kit()
    kit.core.query(PUT, REMOTE.endpoint.pack(), 1, kit.now, target=OWN_ID, token=b"tok", value=b"3:abc", key=bytes(32),
                   signature=bytes(64), salt=b"salt", seq=4, cas=3)
    [put] = kit.sent()
    expected = {"target": OWN_ID, "token": b"tok", "value": b"3:abc", "key": bytes(32), "signature": bytes(64),
                "salt": b"salt", "seq": 4, "cas": 3}
    assert {name: put[name] for name in expected} == expected


def test_query_when_seq_and_cas_are_zero_then_they_are_sent_too():
    kit = Kit()
    kit.core.query(PUT, REMOTE.endpoint.pack(), 1, kit.now, value=b"i1e", seq=0, cas=0)
    [put] = kit.sent()
    assert (put["seq"], put["cas"]) == (0, 0)


def test_raw_query_when_sent_then_only_its_tid_is_ours_and_its_answer_is_the_callers():
    kit = Kit()
    assert kit.core.query_raw(REMOTE.endpoint.pack(), 9, kit.now, b"d1:ade1:q4:vote1:t4:", b"1:y1:qe")
    [(data, target)] = kit.core.drain()
    tid = krpc.parse(data)["tid"]
    assert data == b"d1:ade1:q4:vote1:t4:" + tid + b"1:y1:qe"
    assert target == REMOTE.endpoint.pack()
    reply = bencode.encode({"r": {"id": bytes(REMOTE.id), "any": [1]}, "t": tid, "y": "r"})
    kit.send(reply, REMOTE.endpoint)
    assert [(event[0], event[3]) for event in kit.core.take_events()] == [(9, reply)]


def test_raw_query_when_too_large_for_a_datagram_then_refused():
    kit = Kit()
    with pytest.raises(ValueError, match="1473 bytes; 1472 fit"):
        kit.core.query_raw(REMOTE.endpoint.pack(), 9, kit.now, bytes(1469), b"")
    assert kit.core.transactions_open == 0


def test_watched_queries_when_more_come_than_fit_then_the_newest_are_counted_as_lost():
    kit = Kit()
    log = QueryLog(2)
    kit.core.watch_queries(log)
    for number in range(3):
        kit.send(builders.query("find_node", ASKER.id, target=builders.node_id(number)))
    assert log.take(9) == [(1, ASKER.endpoint.pack(), ASKER.id, builders.node_id(number)) for number in range(2)]
    assert (log.count, log.lost) == (0, 1)


def test_watched_queries_when_taken_in_parts_then_in_order_across_the_end_of_the_ring():
    kit = Kit()
    log = QueryLog(3)
    kit.core.watch_queries(log)
    seen = []
    for number in range(7):
        kit.send(builders.query("get_peers", ASKER.id, target=builders.node_id(number)))
        if number % 2:
            seen += log.take(1) + log.take(1)
    assert [record[3] for record in seen + log.take(9)] == [builders.node_id(number) for number in range(7)]


def test_watched_queries_when_not_answerable_or_no_longer_watched_then_not_noted():
    kit = Kit()
    log = QueryLog(4)
    kit.core.watch_queries(log)
    kit.send(b"d1:ade1:q4:ping1:t1:a1:y1:qe")           # no id
    kit.send(builders.query("ping", OWN_ID))
    assert log.count == 0
    kit.send(builders.query("announce_peer", ASKER.id, target=OWN_ID, token=b"bad", port=1))
    assert [record[0] for record in log.take(9)] == [3]
    kit.core.watch_queries(None)
    kit.send(builders.query("ping", ASKER.id))
    assert log.count == 0


@pytest.mark.parametrize("capacity", [0, (1 << 20) + 1])
def test_query_log_when_the_capacity_is_outside_its_bounds_then_refused(capacity):
    with pytest.raises(ValueError, match="1 to 1048576"):
        QueryLog(capacity)
