"""What a node answers: BEP 5, 32, 42 and 43 through the whole path of a datagram."""
from __future__ import annotations

import pytest

from fastdht.config import ThrottleConfig
from fastdht.testing import builders
from fastdht.types import Endpoint
from tests.unit.core_kit import ASKER, OWN_ID, SECOND, Kit

INFO_HASH = builders.info_hash(3)
BEP5_PING = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"


def test_ping_when_sent_as_bep5_prints_it_then_answers_with_our_id_and_its_tid():
    [answer] = Kit().send(BEP5_PING)
    assert (answer["kind"], answer["id"], answer["tid"]) == ("r", OWN_ID, b"aa")


def test_any_reply_when_sent_then_tells_the_asker_its_endpoint():
    [answer] = Kit().send(builders.query("ping", ASKER.id))
    assert answer["external"] == ASKER.endpoint.pack()      # BEP 42


def test_find_node_when_the_table_knows_many_then_names_the_eight_closest():
    kit = Kit()
    friends = builders.contacts(40, first=10)
    kit.befriend(*friends)
    target = builders.node_id(99)
    [answer] = kit.send(builders.query("find_node", ASKER.id, target=target))
    known = builders.unpack_nodes(b"".join(entry[0] + entry[1] for entry in kit.core.table.contacts()))
    assert builders.unpack_nodes(answer["nodes"]) == builders.closest(known, target)


def test_get_peers_when_nobody_announced_then_gives_a_token_and_nodes_only():
    kit = Kit()
    kit.befriend(*builders.contacts(3, first=10))
    [answer] = kit.send(builders.query("get_peers", ASKER.id, target=INFO_HASH))
    assert len(answer["token"]) == 8
    assert len(answer["nodes"]) == 3 * 26
    assert "values" not in answer


def announce(kit: Kit, asker=ASKER, **arguments) -> list[dict]:
    [answer] = kit.send(builders.query("get_peers", asker.id, target=INFO_HASH), asker.endpoint)
    return kit.send(builders.query("announce_peer", asker.id, target=INFO_HASH, token=answer["token"], **arguments),
                    asker.endpoint)


def test_announce_when_the_token_is_ours_then_others_find_the_peer():
    kit = Kit()
    [answer] = announce(kit, port=5555)
    assert (answer["kind"], answer["id"]) == ("r", OWN_ID)
    other = builders.contact(2)
    [found] = kit.send(builders.query("get_peers", other.id, target=INFO_HASH), other.endpoint)
    assert found["values"] == [ASKER.endpoint._replace(port=5555).pack()]


def test_announce_when_port_is_implied_then_stores_the_source_port():
    kit = Kit()
    announce(kit, port=5555, implied_port=True)
    [found] = kit.send(builders.query("get_peers", ASKER.id, target=INFO_HASH))
    assert found["values"] == [ASKER.endpoint.pack()]


@pytest.mark.parametrize("token", [b"", b"12345678", b"x" * 40])
def test_announce_when_the_token_is_not_ours_then_203_and_nothing_stored(token):
    kit = Kit()
    [answer] = kit.send(builders.query("announce_peer", ASKER.id, target=INFO_HASH, token=token, port=1))
    assert (answer["kind"], answer["error_code"]) == ("e", 203)
    [found] = kit.send(builders.query("get_peers", ASKER.id, target=INFO_HASH))
    assert "values" not in found


def test_announce_when_the_token_was_given_to_another_address_then_203():
    kit = Kit()
    other = builders.contact(2)
    [given] = kit.send(builders.query("get_peers", other.id, target=INFO_HASH), other.endpoint)
    [answer] = kit.send(builders.query("announce_peer", ASKER.id, target=INFO_HASH, token=given["token"], port=1))
    assert answer["error_code"] == 203


def test_announce_when_the_port_is_0_then_203():
    [answer] = announce(Kit())
    assert answer["error_code"] == 203


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"d1:ad2:id20:abcdefghij0123456789e1:q9:nonsense11:t2:aa1:y1:qe", 204),
        (b"d1:ad2:id20:abcdefghij0123456789e1:q9:find_node1:t2:aa1:y1:qe", 203),
        (b"d1:ad2:id3:abce1:q4:ping1:t2:aa1:v20:aaaaaaaaaaaaaaaaaaaa1:y1:qe", 203),
        (b"d1:q4:ping1:t2:aa1:v20:aaaaaaaaaaaaaaaaaaaa1:y1:qe", 203),
        (b"d1:ad2:id20:abcdefghij0123456789e1:t2:aa1:y1:qe", 203),
    ],
)
def test_query_when_malformed_then_the_error_of_the_bep(data, code):
    [answer] = Kit().send(data)
    assert (answer["kind"], answer["error_code"], answer["tid"]) == ("e", code, b"aa")


@pytest.mark.parametrize(
    ("data", "counter"),
    [
        (b"d1:y1:qe", "drop_too_short"),
        (b"x" + BEP5_PING, "drop_not_a_dictionary"),
        (BEP5_PING + b"x", "drop_not_a_dictionary"),
        (b"d" + b"9" * 30 + b"e", "drop_bad_syntax"),
        (b"d1:a" + b"l" * 30 + b"e" * 30 + b"1:q4:ping1:t2:aa1:y1:qe", "drop_too_deep"),
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aae", "drop_no_kind"),
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe", "drop_bad_tid"),
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t33:" + b"t" * 33 + b"1:y1:qe", "drop_bad_tid"),
        (b"d1:rd2:id20:abcdefghij0123456789e1:t4:aaaa1:y1:re", "drop_not_asked"),
        (b"d1:eli201e3:abce1:t4:aaaa1:y1:ee", "drop_not_asked"),
    ],
)
def test_datagram_when_it_deserves_no_answer_then_it_is_counted_and_nothing_leaves(data, counter):
    kit = Kit()
    assert kit.send(data) == []
    assert kit.counter(counter) == 1
    kit.core.check_invariants()


@pytest.mark.parametrize("source", [Endpoint("127.0.0.1", 5), Endpoint("10.1.1.1", 5), Endpoint("224.0.0.1", 5)])
def test_query_when_its_source_is_not_public_then_dropped_unless_the_range_is_allowed(source):
    kit = Kit()
    assert kit.send(BEP5_PING, source) == []
    assert kit.counter("drop_bad_source") == 1
    assert Kit(allowed_nets=(f"{source.ip}/32",)).send(BEP5_PING, source)


def test_query_when_it_carries_our_own_id_then_dropped():
    kit = Kit()
    assert kit.send(builders.query("ping", OWN_ID)) == []
    assert kit.counter("drop_own_id") == 1


def test_unknown_method_when_it_has_a_target_then_answered_like_find_node():
    kit = Kit()
    kit.befriend(*builders.contacts(3, first=10))
    data = b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q7:newquer1:t2:aa1:y1:qe"
    [answer] = kit.send(data)
    assert len(answer["nodes"]) == 3 * 26


def test_query_when_we_are_read_only_then_nothing_leaves_and_our_queries_say_so():
    kit = Kit(read_only=True)
    assert kit.send(BEP5_PING) == []
    assert kit.counter("drop_read_only") == 1
    kit.core.query(0, ASKER.endpoint.pack(), 0, kit.now)
    [ping] = kit.sent()
    assert ping["read_only"]            # BEP 43


def test_query_when_the_asker_is_read_only_then_answered_but_not_remembered():
    kit = Kit()
    assert kit.send(builders.query("ping", ASKER.id, read_only=True))
    for _ in range(100):
        kit.advance(60)
        kit.core.ping_questionable(8, kit.now)
    assert kit.sent() == []


def test_query_when_the_asker_is_unknown_then_pinged_later_and_only_then_in_the_table():
    kit = Kit()
    kit.send(builders.query("ping", ASKER.id))
    assert len(kit.core.table) == 0
    pings = []
    for _ in range(10):
        kit.advance(60)
        kit.core.ping_questionable(8, kit.now)
        pings += kit.outgoing()
        if pings:
            break
    [(ping, target)] = pings
    assert target == ASKER.endpoint
    kit.send(builders.reply(ASKER.id, ping["tid"]))
    assert [entry[0] for entry in kit.core.table.contacts()] == [ASKER.id]


def test_want_when_the_other_family_is_linked_then_names_its_nodes_too():
    kit, six = Kit(), Kit(family=6)
    kit.core.set_sibling(six.core)
    kit.befriend(*builders.contacts(2, first=10))
    six.befriend(*builders.contacts(3, first=20, is_ipv6=True))
    target = builders.node_id(5)
    [both] = kit.send(builders.query("find_node", ASKER.id, target=target, want=3))
    assert (len(both["nodes"]), len(both["nodes6"])) == (2 * 26, 3 * 38)
    [only_six] = kit.send(builders.query("find_node", ASKER.id, target=target, want=2))
    assert "nodes" not in only_six
    [default] = kit.send(builders.query("find_node", ASKER.id, target=target))
    assert "nodes6" not in default      # BEP 32: the family of the transport


def test_replies_when_one_address_floods_then_it_is_throttled_and_others_are_served():
    kit = Kit()
    answered = sum(len(kit.send(builders.query("ping", ASKER.id))) for _ in range(1000))
    assert answered <= 50
    other = builders.contact(2)
    assert kit.send(builders.query("ping", other.id), other.endpoint)
    assert kit.counter("drop_throttled") + kit.counter("drop_no_allowance") == 1000 - answered


def test_replies_when_the_source_is_unproved_then_at_most_six_times_the_query():
    kit = Kit()
    kit.befriend(*builders.contacts(40, first=100))
    for number in range(60):
        peer = builders.contact(1000 + number)
        announce(kit, peer, port=7000)
        kit.now += SECOND
    stranger = builders.contact(5000)
    question = builders.query("get_peers", stranger.id, target=INFO_HASH)
    kit.core.receive(question, stranger.endpoint.pack(), kit.now)
    [(datagram, _)] = kit.core.drain()
    assert len(datagram) <= 6 * len(question)


def test_replies_when_limits_are_off_then_nothing_is_refused():
    kit = Kit(throttle=ThrottleConfig.off())
    assert sum(len(kit.send(builders.query("ping", ASKER.id))) for _ in range(1000)) == 1000


@pytest.mark.parametrize("query", [
    builders.query("ping", ASKER.id), b"d1:ad2:id3:abce7:padding32:" + bytes(32) + b"1:q4:ping1:t2:aa1:y1:qe"])
def test_query_when_the_outbox_is_full_then_it_still_counts_once(query):
    kit = Kit(outbox=2)
    for _ in range(4):
        kit.core.receive(query, ASKER.endpoint.pack(), kit.now)
    assert kit.counter("received") == kit.counter("queries_handled") == 4
    assert kit.counter("outbox_full") == 2
    kit.core.check_invariants()
