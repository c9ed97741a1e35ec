"""What a node answers to get and put (BEP 44), through the whole path of a datagram."""
from __future__ import annotations

import pytest

from fastdht._ext import krpc
from fastdht.config import ItemsConfig, PutsConfig
from fastdht.testing import builders
from tests.unit.core_kit import ASKER, OWN_ID, SECOND
from tests.unit.items_kit import (
    PUBLIC_KEY,
    VALUE,
    ItemKit,
    Raw,
    immutable_target,
    mutable,
    mutable_target,
    put_query,
    sign,
    signed_part,
)

HOUR = 3600
BIG = b"995:" + b"x" * 995          # 999 bytes
BIGGEST = b"996:" + b"x" * 996      # 1,000


def errors(answers: list[dict]) -> list[int]:
    return [answer["error_code"] for answer in answers if answer["kind"] == "e"]


def test_get_when_nothing_is_stored_then_gives_a_token_and_nodes():
    kit = ItemKit()
    kit.befriend(*builders.contacts(3, first=10))
    answer = kit.get(immutable_target(VALUE))
    assert (answer["kind"], answer["id"], len(answer["token"]), len(answer["nodes"])) == ("r", OWN_ID, 8, 3 * 26)
    assert not {"value", "key", "signature", "seq"} & answer.keys()


def test_get_when_it_has_no_target_then_203():
    [answer] = ItemKit().send(b"d1:ad2:id20:" + bytes(ASKER.id) + b"e1:q3:get1:t2:aa1:y1:qe")
    assert answer["error_code"] == 203


def test_put_when_immutable_then_others_get_the_very_bytes():
    kit = ItemKit()
    answer = kit.put_value(VALUE)
    assert (answer["kind"], answer["id"], answer["external"]) == ("r", OWN_ID, ASKER.endpoint.pack())
    found = kit.get(immutable_target(VALUE), builders.contact(2))
    assert found["value"] == VALUE
    assert "seq" not in found


def test_put_when_mutable_then_others_get_value_key_signature_and_seq():
    kit = ItemKit()
    assert kit.put_signed(VALUE, 4, b"foobar")["kind"] == "r"
    found = kit.get(mutable_target(b"foobar"), builders.contact(2))
    assert (found["value"], found["key"], found["signature"], found["seq"]) == (
        VALUE, PUBLIC_KEY, sign(VALUE, 4, b"foobar"), 4)


def test_put_when_its_target_argument_is_wrong_then_is_stored_under_the_computed_one():
    kit = ItemKit()
    assert kit.put_signed(VALUE, 4, target=bytes(20))["kind"] == "r"
    assert kit.get(mutable_target())["seq"] == 4


def test_put_when_salt_is_empty_then_is_as_without():
    kit = ItemKit()
    assert kit.put_signed(VALUE, 4, salt=b"")["kind"] == "r"
    assert kit.get(mutable_target())["value"] == VALUE


@pytest.mark.parametrize(("asked", "has_value"), [(3, True), (4, False), (5, False), (-1, True)])
def test_get_when_it_names_a_seq_then_only_a_newer_value_comes(asked: int, has_value: bool):
    kit = ItemKit()
    kit.put_signed(VALUE, 4)
    found = kit.get(mutable_target(), seq=asked)
    assert found["seq"] == 4
    assert ("value" in found) == ("key" in found) == ("signature" in found) == has_value


def test_get_when_it_names_a_seq_then_immutable_items_are_not_looked_at():
    kit = ItemKit()
    kit.put_value(VALUE)
    assert "value" not in kit.get(immutable_target(VALUE), seq=0)


def test_item_when_two_hours_have_passed_since_its_last_put_then_is_gone():
    kit = ItemKit()
    kit.put_value(VALUE)
    kit.advance(HOUR)
    kit.put_value(VALUE)
    kit.advance(2 * HOUR - 1)
    assert "value" in kit.get(immutable_target(VALUE))
    kit.advance(1)
    assert "value" not in kit.get(immutable_target(VALUE))
    assert kit.core.expire_items(64, kit.now) == 1


# -- what is refused, and in which order -------------------------------------------------------------------------------

TYPES = {                       # the first check: 203
    "no v": {"v": None}, "k of 31 bytes": {"k": PUBLIC_KEY[:31]}, "k is a number": {"k": 5},
    "sig of 63 bytes": {"sig": bytes(63)}, "sig is a list": {"sig": [b"a"]}, "seq is a string": {"seq": b"1"},
    "cas is a string": {"cas": b"1"}, "salt is a number": {"salt": 1}, "token is a number": {"token": 1},
    "v has unsorted keys": {"v": Raw(b"d1:b1:x1:a1:ye")}, "v has a key twice": {"v": Raw(b"d1:a1:x1:a1:ye")},
    "v has a leading zero": {"v": Raw(b"i01e")}, "v has a length with a leading zero": {"v": Raw(b"01:x")},
    "v is minus zero": {"v": Raw(b"i-0e")}, "another argument is not canonical": {"zz": Raw(b"i00e")},
}
PARTS = {                       # after the sizes: 203
    "no k": {"k": None}, "no seq": {"seq": None}, "no sig": {"sig": None}, "k alone": {"seq": None, "sig": None},
    "sig alone": {"k": None, "seq": None}, "seq alone": {"k": None, "sig": None},
}
# A put that is wrong in every way, and what is put right to come to the next check.
LADDER: list[tuple[int, str, dict]] = [
    (203, "argument", {"cas": 1}),
    (205, "v is above 1000 bytes", {"v": Raw(VALUE)}),
    (207, "salt is above 64 bytes", {"salt": b"s"}),
    (203, "k, seq and sig belong together", {"sig": bytes(64)}),
    (203, "token", {"token": None}),
    (203, "seq is negative", {"seq": 3}),
    (206, "sig is not of k", {"sig": sign(VALUE, 3, b"s")}),
    (301, "cas is not the stored seq", {"cas": 7}),
    (302, "seq is not above the stored one", {"seq": 8, "sig": sign(VALUE, 8, b"s")}),
]
WORST = {"cas": b"1", "v": Raw(b"997:" + b"x" * 997), "salt": bytes(65), "k": PUBLIC_KEY, "seq": -1,
         "token": b"12345678"}


def test_put_when_wrong_in_every_way_then_errors_come_in_the_order_of_libtorrent():
    kit = ItemKit()
    assert kit.put_signed(VALUE, 7, b"s")["kind"] == "r"
    arguments = dict(WORST)
    token = kit.token(mutable_target(b"s"))
    seen = []
    for code, text, repair in LADDER:
        query = put_query({name.encode(): token if part is None else part for name, part in arguments.items()})
        [answer] = kit.send(query) + kit.verify()
        seen.append((answer.get("error_code"), answer.get("error_text", b"").decode()))
        assert seen[-1] == (code, text)
        arguments |= {name: token if part is None else part for name, part in repair.items()}
    [answer] = kit.send(put_query({name.encode(): part for name, part in arguments.items()})) + kit.verify()
    assert answer["kind"] == "r"
    assert kit.get(mutable_target(b"s"))["seq"] == 8


@pytest.mark.parametrize("changes", (TYPES | PARTS).values(), ids=(TYPES | PARTS).keys())
def test_put_when_malformed_then_203_and_nothing_stored(changes: dict):
    kit = ItemKit()
    answers = kit.put(mutable(VALUE, 1, changes=changes), mutable_target())
    assert errors(answers) == [203]
    assert kit.core.items.item_count == 0
    kit.core.check_invariants()


@pytest.mark.parametrize("content", [BIG, BIGGEST])
def test_put_when_value_is_of_at_most_a_thousand_bytes_then_is_stored(content: bytes):
    kit = ItemKit()
    assert kit.put_value(content)["kind"] == "r"
    assert kit.put_signed(content, 1, bytes(64))["kind"] == "r"


def test_put_when_token_is_of_another_target_then_203():
    kit = ItemKit()
    query = put_query({b"token": kit.token(bytes(20)), b"v": Raw(VALUE)})
    assert errors(kit.send(query)) == [203]


@pytest.mark.parametrize("changes", [{"sig": bytes(64)}, {"seq": 2}, {"salt": b"x"}, {"v": Raw(b"1:a")}])
def test_put_when_the_signature_is_of_something_else_then_206(changes: dict):
    kit = ItemKit()
    salt = changes.get("salt", b"")
    assert errors(kit.put(mutable(VALUE, 1, changes=changes), mutable_target(salt))) == [206]
    assert kit.core.items.item_count == 0


def test_put_when_cas_names_what_is_stored_then_goes_through_and_else_301():
    kit = ItemKit()
    assert kit.put_signed(VALUE, 1, cas=99)["kind"] == "r"      # nothing stored: cas is not asked
    assert kit.put_signed(VALUE, 2, cas=0)["error_code"] == 301
    assert kit.put_signed(VALUE, 2, cas=1)["kind"] == "r"
    assert kit.put_signed(VALUE, 1, cas=1)["error_code"] == 301     # cas before seq


def test_put_when_seq_is_stored_with_another_value_then_302_and_with_the_same_a_refresh():
    kit = ItemKit()
    kit.put_signed(VALUE, 2)
    assert kit.put_signed(b"1:a", 2)["error_code"] == 302
    assert kit.put_signed(b"1:a", 1)["error_code"] == 302
    assert kit.put_signed(VALUE, 2)["kind"] == "r"
    assert kit.get(mutable_target())["value"] == VALUE


# -- parking -----------------------------------------------------------------------------------------------------------

def test_put_when_it_must_be_verified_then_waits_with_what_bep44_signs():
    kit = ItemKit()
    query = put_query({b"token": kit.token(mutable_target(b"s")), **mutable(VALUE, 5, b"s")})
    assert kit.send(query) == []
    assert kit.core.next_deadline(kit.now) == kit.now
    kit.core.check_invariants()
    [(slot, public_key, signature, message)] = kit.core.take_parked(10, kit.now)
    assert (public_key, signature, message) == (PUBLIC_KEY, sign(VALUE, 5, b"s"), signed_part(VALUE, 5, b"s"))
    assert "value" not in kit.get(mutable_target(b"s"))
    kit.core.finish_put(slot, True, kit.now)
    [(answer, target)] = kit.outgoing()
    assert (answer["kind"], answer["tid"], target) == ("r", b"pp", ASKER.endpoint)
    assert kit.counter("queries_handled") == 3
    assert kit.core.counters()["methods"]["put"] == 1


def test_put_when_it_is_already_stored_then_needs_no_second_verification():
    kit = ItemKit()
    kit.put_signed(VALUE, 5)
    kit.advance(HOUR)
    query = put_query({b"token": kit.token(mutable_target()), **mutable(VALUE, 5)})
    [answer] = kit.send(query)
    assert answer["kind"] == "r"
    query = put_query({b"token": kit.token(mutable_target()), **mutable(VALUE, 5, changes={"cas": 4})})
    assert errors(kit.send(query)) == [301]
    kit.advance(2 * HOUR - 1)
    assert "value" in kit.get(mutable_target())


def test_put_when_nothing_can_verify_it_then_202():
    kit = ItemKit()
    kit.send(put_query({b"token": kit.token(mutable_target()), **mutable(VALUE, 5)}))
    [(slot, *_)] = kit.core.take_parked(10, kit.now)
    kit.core.finish_put(slot, None, kit.now)
    assert errors(kit.sent()) == [202]
    assert kit.core.items.item_count == 0


def test_finish_put_when_the_slot_is_not_out_then_does_nothing():
    kit = ItemKit()
    kit.send(put_query({b"token": kit.token(mutable_target()), **mutable(VALUE, 5)}))
    [(slot, *_)] = kit.core.take_parked(10, kit.now)
    for wrong in (0, slot + 1, slot + (1 << 16), 2**64 - 1):
        kit.core.finish_put(wrong, True, kit.now)
    assert (kit.sent(), kit.core.items.item_count) == ([], 0)
    kit.core.finish_put(slot, True, kit.now)
    kit.core.finish_put(slot, True, kit.now)
    assert len(kit.sent()) == 1
    kit.core.check_invariants()


def park_many(kit: ItemKit, count: int, sender=ASKER) -> None:
    token = kit.token(mutable_target(), sender)
    for seq in range(1, count + 1):
        assert kit.send(put_query({b"token": token, **mutable(VALUE, seq, changes={"sig": bytes(64)})}, sender),
                        sender.endpoint) == []


def test_puts_when_one_source_sends_many_at_once_then_others_still_find_a_place():
    kit = ItemKit()
    park_many(kit, 20)
    assert kit.counter("drop_put_crowded") == 12
    park_many(kit, 1, builders.contact(2))
    assert kit.counter("drop_put_crowded") == 12
    kit.core.check_invariants()
    assert len(kit.core.take_parked(100, kit.now)) == 9


def test_puts_when_the_ring_is_full_then_what_comes_is_dropped_and_what_waits_is_answered():
    kit = ItemKit(puts=PutsConfig(max_parked=4, parked_per_ip=2))
    for number in range(2, 5):
        park_many(kit, 2, builders.contact(number))
    assert kit.counter("drop_put_crowded") == 2
    assert errors(kit.verify()) == [206] * 4
    park_many(kit, 1)
    kit.core.check_invariants()


def test_puts_when_more_wait_than_may_be_verified_then_the_rest_comes_later():
    kit = ItemKit(puts=PutsConfig(verifications_per_s=10, max_parked=4))
    for number in range(2, 6):
        park_many(kit, 1, builders.contact(number))
    assert len(kit.verify()) == 4                       # as many as the ring holds, after a pause
    for number in range(2, 6):
        park_many(kit, 1, builders.contact(number))
    assert kit.verify() == []
    assert kit.core.next_deadline(kit.now) == kit.now + SECOND // 10
    kit.advance(0.3)
    assert len(kit.verify()) == 3


# -- sizes of answers --------------------------------------------------------------------------------------------------

def prove(kit: ItemKit) -> None:
    """Echo a token: from now on the asker's address is known not to be spoofed."""
    kit.put_value(b"1:x")


def get_size(kit: ItemKit, target: bytes, sender=ASKER, want: int = 0) -> tuple[int, dict]:
    query = krpc.build_query("get", id=bytes(sender.id), tid=7, target=target, want=want)
    kit.core.receive(query, sender.endpoint.pack(), kit.now)
    [(data, _)] = kit.core.drain()
    found = krpc.parse(data)
    assert found is not None
    return len(data), found


def test_get_when_the_asker_is_proved_then_the_largest_item_comes_with_all_nodes_in_one_ethernet_packet():
    kit = ItemKit()
    kit.befriend(*builders.contacts(20, first=10))
    kit.put_signed(BIGGEST, 1)
    size, found = get_size(kit, mutable_target())
    assert (found["value"], len(found["nodes"])) == (BIGGEST, 8 * 26)
    assert size <= 1472


def test_get_when_both_families_are_wanted_then_the_other_one_makes_room_for_a_large_item():
    kit, other = ItemKit(), ItemKit(family=6)
    kit.befriend(*builders.contacts(20, first=10))
    other.befriend(*builders.contacts(20, first=10, is_ipv6=True))
    kit.core.set_sibling(other.core)
    kit.put_signed(BIGGEST, 1)
    _, found = get_size(kit, mutable_target(), want=3)
    assert (found["value"], len(found["nodes"])) == (BIGGEST, 8 * 26)
    assert "nodes6" not in found
    kit.put_value(VALUE)
    _, found = get_size(kit, immutable_target(VALUE), want=3)
    assert (len(found["nodes"]), len(found["nodes6"])) == (8 * 26, 8 * 38)


def test_get_over_ipv6_when_the_item_is_the_largest_then_four_nodes_are_left():
    kit = ItemKit(family=6)
    asker = builders.contact(1, is_ipv6=True)
    kit.befriend(*builders.contacts(20, first=10, is_ipv6=True))
    kit.put_signed(BIGGEST, 1, sender=asker)
    size, found = get_size(kit, mutable_target(), asker)
    assert (found["value"], len(found["nodes6"])) == (BIGGEST, 4 * 38)
    assert size <= 1452


def test_get_when_the_asker_is_a_stranger_then_a_large_item_comes_once_in_five_seconds_for_its_subnet():
    kit = ItemKit()
    kit.befriend(*builders.contacts(20, first=10))
    kit.put_value(BIG)
    stranger, neighbour, other = (builders.contact(number) for number in (500, 501, 502))
    neighbour = neighbour._replace(endpoint=neighbour.endpoint._replace(
        ip=stranger.endpoint.ip.rpartition(".")[0] + ".77"))
    query_size = len(krpc.build_query("get", id=bytes(stranger.id), tid=7, target=immutable_target(BIG)))
    for asker, expected in ((stranger, True), (stranger, False), (neighbour, False), (other, True)):
        size, found = get_size(kit, immutable_target(BIG), asker)
        assert ("value" in found) == expected
        assert size <= (13 if expected else 6) * query_size
        assert len(found.get("nodes", b"")) == (4 if expected else 8) * 26
        assert "token" in found
    kit.advance(5)
    assert "value" in get_size(kit, immutable_target(BIG), neighbour)[1]


def test_get_when_the_asker_is_a_stranger_then_a_small_item_comes_every_time():
    kit = ItemKit()
    kit.put_value(VALUE)
    assert all("value" in get_size(kit, immutable_target(VALUE), builders.contact(500))[1] for _ in range(10))


def test_store_when_one_source_puts_more_than_its_share_then_its_oldest_goes():
    kit = ItemKit(items=ItemsConfig(items_per_ip=2))
    values = [b"1:%d" % number for number in range(4)]
    for content in values:
        kit.advance(1)
        kit.put_value(content)
    assert ["value" in kit.get(immutable_target(content)) for content in values] == [False, False, True, True]


def test_change_id_when_items_are_stored_then_they_stay():
    kit = ItemKit()
    kit.put_value(VALUE)
    kit.core.change_id(bytes(20))
    assert kit.get(immutable_target(VALUE))["value"] == VALUE


def test_read_only_node_when_asked_for_an_item_then_is_silent():
    kit = ItemKit(read_only=True)
    assert kit.send(krpc.build_query("get", id=bytes(ASKER.id), tid=7, target=bytes(20))) == []
    assert kit.counter("drop_read_only") == 1
