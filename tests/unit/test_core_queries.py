"""What becomes of our own queries: matched, late, refused, silent; and lookups against scripted nodes."""
from __future__ import annotations

from fastdht._ext.packets import Inbox
from fastdht.lookup.machine import Machine
from fastdht.stats import CLOSEST
from fastdht.testing import builders
from tests.unit.core_kit import OWN_ID, SECOND, Kit

REMOTE = builders.contact(1)
GET_PEERS = 2


def asked(kit: Kit, remote=REMOTE, caller=5):
    assert kit.core.query(0, remote.endpoint.pack(), caller, kit.now)
    [(ping, target)] = kit.outgoing()
    assert target == remote.endpoint
    return ping


def test_query_when_answered_then_its_caller_gets_the_answer_and_the_table_the_contact():
    kit = Kit()
    ping = asked(kit)
    kit.now += 30_000
    kit.send(builders.reply(REMOTE.id, ping["tid"]))
    [(caller, source, rtt_us, answer, refused)] = kit.core.take_events()
    assert (caller, source, rtt_us, refused) == (5, REMOTE.endpoint.pack(), 30_000, False)
    assert answer == builders.reply(REMOTE.id, ping["tid"])
    assert [entry[:2] for entry in kit.core.table.contacts()] == [(REMOTE.id, REMOTE.endpoint.pack())]


def test_answer_when_it_comes_from_another_endpoint_then_dropped():
    kit = Kit()
    ping = asked(kit)
    kit.send(builders.reply(REMOTE.id, ping["tid"]), REMOTE.endpoint._replace(port=7))
    assert kit.core.take_events() == []
    assert kit.counter("drop_not_asked") == kit.counter("tid_mismatched") == 1


def test_answer_when_it_comes_twice_then_counts_once():
    kit = Kit()
    answer = builders.reply(REMOTE.id, asked(kit)["tid"])
    kit.send(answer)
    kit.send(answer)
    assert len(kit.core.take_events()) == 1
    assert kit.counter("drop_not_asked") == 1


def test_answer_when_it_carries_our_own_id_then_it_is_a_reflector_and_runs_into_silence():
    kit = Kit()
    kit.send(builders.reply(OWN_ID, asked(kit)["tid"]))
    assert kit.core.take_events() == []
    kit.advance(11)
    [(_, _, _, answer, _)] = kit.core.take_events()
    assert answer is None


def test_query_when_never_answered_then_its_caller_is_told_at_the_timeout():
    kit = Kit(timeout_us=3 * SECOND)
    asked(kit)
    kit.advance(2.9)
    assert kit.core.take_events() == []
    kit.advance(0.2)
    [(caller, _, _, answer, refused)] = kit.core.take_events()
    assert (caller, answer, refused) == (5, None, False)


def test_query_when_the_network_refuses_it_then_its_caller_is_told_at_once():
    kit = Kit()
    assert kit.core.query(0, REMOTE.endpoint.pack(), 5, kit.now)
    [(data, target)] = kit.core.drain()
    returned = Inbox(4)
    returned.put(data, target)
    kit.core.receive_unreachable(returned, kit.now)
    [(caller, _, _, answer, refused)] = kit.core.take_events()
    assert (caller, answer, refused) == (5, None, True)


def test_silence_when_nobody_at_all_answers_then_no_contact_is_blamed():
    kit = Kit()
    kit.befriend(*builders.contacts(8, first=10))
    for _ in range(20):
        for friend in builders.contacts(8, first=10):
            asked(kit, friend)
        kit.advance(11)
    assert len(kit.core.table) == 8


def test_silence_when_others_answer_then_the_silent_contact_goes_bad():
    kit = Kit()
    friends = builders.contacts(8, first=10)
    kit.befriend(*friends)
    for _ in range(5):
        asked(kit, friends[0])
        ping = asked(kit, friends[1])
        kit.now += SECOND
        kit.send(builders.reply(friends[1].id, ping["tid"]), friends[1].endpoint)
        kit.advance(11)
    found = kit.send(builders.query("find_node", REMOTE.id, target=friends[0].id))
    assert friends[0] not in builders.unpack_nodes(found[0]["nodes"])


class Owner(Machine):
    """A policy that keeps what the core tells it."""

    def __init__(self, alpha=3):
        super().__init__(alpha)
        self.told = []

    def on_results(self):
        self.told.append("results")

    def on_finished(self):
        self.told.append("finished")

    def on_failed(self, error):
        self.told.append(error)


def open_lookup(kit: Kit, owner, method=GET_PEERS, **changes):
    arguments = {"width": 8, "wide_width": 16, "subnet_limit": 0, "max_queries": 100,
                 "deadline_us": kit.now + 60 * SECOND, "now_us": kit.now, **changes}
    slot = kit.core.open_lookup(method, builders.node_id(77), **arguments)
    owners = [None] * 4
    owners[slot] = owner
    kit.core.step_lookups(owners, kit.now)
    return slot, owners


def closest_ids(kit: Kit, slot: int) -> list[bytes]:
    """Ends the lookup; the ids of the closest that answered."""
    return [entry[1] for entry in CLOSEST.iter_unpack(kit.core.finish_lookup(slot, 8).closest)]


def test_lookup_when_every_node_answers_then_finds_the_closest_and_asks_nobody_twice():
    kit = Kit()
    network = builders.contacts(60, first=10)
    owner = Owner()
    slot, owners = open_lookup(kit, owner, seeds=[network[0].endpoint.pack()])
    by_endpoint = {contact.endpoint: contact for contact in network}
    asked_endpoints = []
    while "finished" not in owner.told:
        for query, target in kit.outgoing():
            asked_endpoints.append(target)
            named = builders.closest(network, query["target"])
            kit.send(builders.reply(by_endpoint[target].id, query["tid"], nodes=named, token=b"tok"), target)
        kit.core.check_invariants()
        kit.core.step_lookups(owners, kit.now)
    assert closest_ids(kit, slot) == [c.id for c in builders.closest(network, builders.node_id(77))]
    assert len(asked_endpoints) == len(set(asked_endpoints))


def test_lookup_when_it_hears_of_more_than_it_keeps_then_the_closer_ones_still_come_in():
    """The seeds are the farthest of all and have been asked: they must not shut the full list to those closer."""
    kit = Kit()
    network = builders.closest(builders.contacts(400, first=10), builders.node_id(77), 400)[::-1]
    by_endpoint = {contact.endpoint: contact for contact in network}
    owner = Owner(alpha=16)
    slot, owners = open_lookup(kit, owner, seeds=[contact.endpoint.pack() for contact in network[:16]])
    unnamed = network[16:]
    while "finished" not in owner.told:
        for query, target in kit.outgoing():
            named, unnamed = unnamed[:16], unnamed[16:]
            kit.send(builders.reply(by_endpoint[target].id, query["tid"], nodes=named, token=b"tok"), target)
        kit.core.check_invariants()
        kit.core.step_lookups(owners, kit.now)
    assert unnamed == []
    assert closest_ids(kit, slot) == [contact.id for contact in network[:-9:-1]]


def test_lookup_when_a_seed_not_yet_asked_is_named_then_it_is_asked_in_its_place():
    """Seeds are known by address alone and stand last, though one of them may be the closest of all."""
    kit = Kit()
    network = builders.closest(builders.contacts(20, first=10), builders.node_id(77), 20)
    by_endpoint = {contact.endpoint: contact for contact in network}
    owner = Owner(alpha=2)
    slot, owners = open_lookup(kit, owner, seeds=[contact.endpoint.pack() for contact in network[10:] + network[:10]])
    while "finished" not in owner.told:
        for query, target in kit.outgoing():
            kit.send(builders.reply(by_endpoint[target].id, query["tid"], nodes=network[:8], token=b"tok"), target)
        kit.core.check_invariants()
        kit.core.step_lookups(owners, kit.now)
    assert closest_ids(kit, slot)[:8] == [contact.id for contact in network[:8]]


def test_lookup_when_seeds_come_with_ids_then_the_closest_are_asked_first():
    kit = Kit()
    network = builders.closest(builders.contacts(20, first=10), builders.node_id(77), 20)
    open_lookup(kit, Owner(alpha=3), seeds=[each.id + each.endpoint.pack() for each in network[::-1]])
    assert {target for _, target in kit.outgoing()} == {each.endpoint for each in network[:3]}


def test_lookup_when_values_come_then_each_peer_is_handed_over_once():
    kit = Kit()
    owner = Owner()
    remote = builders.contact(10)
    slot, owners = open_lookup(kit, owner, seeds=[remote.endpoint.pack()])
    kit.core.watch_lookup(slot)
    [(query, target)] = kit.outgoing()
    peers = [builders.endpoint(n) for n in (900, 901, 900)]
    kit.send(builders.reply(remote.id, query["tid"], values=peers), target)
    kit.core.step_lookups(owners, kit.now)
    assert kit.core.lookup_values(slot) == [peers[0].pack(), peers[1].pack()]
    assert kit.core.lookup_values(slot) == []
    assert owner.told == ["results", "finished"]


def test_lookup_when_nobody_watches_then_only_its_end_is_told():
    kit = Kit()
    owner = Owner()
    remote = builders.contact(10)
    _, owners = open_lookup(kit, owner, seeds=[remote.endpoint.pack()])
    [(query, target)] = kit.outgoing()
    kit.send(builders.reply(remote.id, query["tid"], values=[builders.endpoint(900)]), target)
    kit.core.step_lookups(owners, kit.now)
    assert owner.told == ["finished"]


def test_lookup_when_the_answering_id_is_not_the_one_asked_then_it_does_not_count():
    kit = Kit()
    liar, honest = builders.contact(10), builders.contact(11)
    owner = Owner()
    slot, owners = open_lookup(kit, owner, seeds=[honest.endpoint.pack()])
    [(query, target)] = kit.outgoing()
    kit.send(builders.reply(honest.id, query["tid"], nodes=[liar]), target)
    kit.core.step_lookups(owners, kit.now)
    [(query, target)] = kit.outgoing()
    kit.send(builders.reply(builders.node_id(1), query["tid"]), target)
    kit.core.step_lookups(owners, kit.now)
    assert closest_ids(kit, slot) == [honest.id]
    assert kit.counter("id_mismatches") == 1


def test_lookup_when_a_node_stalls_then_it_goes_on_and_a_late_answer_still_counts():
    kit = Kit(stall_us=SECOND)
    owner = Owner(alpha=1)
    slow = builders.contact(10)
    slot, owners = open_lookup(kit, owner, seeds=[slow.endpoint.pack(),
                                                                      builders.endpoint(11).pack()])
    [(query, target)] = kit.outgoing()
    kit.advance(1.1)
    kit.core.step_lookups(owners, kit.now)
    assert len(kit.outgoing()) == 1                 # its place in flight went to the other
    kit.send(builders.reply(slow.id, query["tid"]), target)
    assert closest_ids(kit, slot) == [slow.id]


def test_lookup_when_closed_then_nothing_more_is_asked_and_late_answers_find_nobody():
    kit = Kit()
    owner = Owner()
    remote = builders.contact(10)
    slot, owners = open_lookup(kit, owner, seeds=[remote.endpoint.pack()])
    [(query, target)] = kit.outgoing()
    kit.core.finish_lookup(slot, 8)
    kit.send(builders.reply(remote.id, query["tid"], nodes=builders.contacts(8, first=20)), target)
    kit.core.step_lookups(owners, kit.now)
    assert kit.outgoing() == []
    assert owner.told == []
    kit.core.check_invariants()


def test_step_when_the_policy_raises_then_only_its_lookup_fails():
    kit = Kit()
    error = RuntimeError("policy")

    class Broken(Owner):
        def step(self, *counts):
            raise error

    broken = Broken()
    open_lookup(kit, broken, seeds=[builders.endpoint(10).pack()])
    assert broken.told == [error]


def test_lookup_when_all_slots_are_taken_then_refused():
    kit = Kit()
    slots = [open_lookup(kit, Owner())[0] for _ in range(4)]
    assert sorted(slots) == [0, 1, 2, 3]
    assert kit.core.open_lookup(GET_PEERS, builders.node_id(1), width=8, wide_width=16, subnet_limit=0,
                                max_queries=9, deadline_us=0, now_us=0) == -1
