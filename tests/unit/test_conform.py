"""`fastdht conform` before a node that keeps every rule, and before ones that break a single one."""
from __future__ import annotations

import asyncio
import json
from random import Random

import pytest

from fastdht import bencode
from fastdht.conform import CHECKS, Report, Scene, Verdict, examine
from fastdht.errors import NoResponse
from fastdht.types import Endpoint
from tests.oracle.textbook import Change, Textbook
from tests.unit.conform_table import MUTATIONS, Mutation

# Addresses and ids that fit them, from BEP 42 and libtorrent's test of IPv6; nothing is sent to them.
NODE4, ID4 = Endpoint("124.31.75.21", 6881), bytes.fromhex("5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401")
NODE6 = Endpoint("2001:b829:2123:be84:e16c:d6ae:5290:49f1", 6881)
ID6 = bytes.fromhex("0a8ad123be84e16cd6ae529049f1f1bbe9ebb304")
ASKER4, ASKER6 = Endpoint("21.75.31.124", 4242), Endpoint("2001:b829::7", 4242)
FAMILIES = [pytest.param((NODE4, ID4, ASKER4), id="IPv4"), pytest.param((NODE6, ID6, ASKER6), id="IPv6")]


def node_of(family, change: Change | None = None, **options) -> Textbook:
    endpoint, node_id, asker = family
    return Textbook(endpoint, asker, node_id, change, **options)


def report_of(node: Textbook, seed: int, exchange=None, **options) -> Report:
    scene = Scene(node.endpoint, node.asker, Random(seed))
    return asyncio.run(examine(scene, exchange or node.exchange, **options))


def deviating(report: Report) -> dict[str, str]:
    return {each.name: each.reason for each in report.deviations}


@pytest.mark.parametrize("family", FAMILIES)
def test_node_when_it_keeps_every_rule_then_everything_conforms(family, seed):
    report = report_of(node_of(family), seed)
    assert [(each.name, each.reason) for each in report.results if each.verdict is not Verdict.CONFORMS] == []
    assert len(report.results) == len(CHECKS)
    assert report.node_id == family[1]


def test_mutations_when_listed_then_break_each_check():
    assert {each.check for each in MUTATIONS} == {each.name for each in CHECKS}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=[f"{at}-{each.check}" for at, each in enumerate(MUTATIONS)])
def test_node_when_it_breaks_one_rule_then_that_is_named(mutation: Mutation, family, seed):
    report = report_of(node_of(family, mutation.change), seed)
    found = deviating(report)
    assert set(found) == {mutation.check, *mutation.also}, found
    assert all(found.values())


def test_names_of_checks_when_listed_then_differ_and_needs_come_first():
    names = [each.name for each in CHECKS]
    assert len(set(names)) == len(names)
    assert [each.name for at, each in enumerate(CHECKS) if not set(each.needs) <= set(names[:at])] == []


def test_node_when_it_knows_bep_5_only_then_the_rest_is_no_deviation(seed):
    report = report_of(node_of((NODE4, ID4, ASKER4), is_basic=True), seed)
    assert deviating(report) == {}
    unsupported = {each.bep for each in report.results if each.verdict is Verdict.UNSUPPORTED}
    assert unsupported == {32, 33, 42, 44, 51}


def test_node_when_only_read_then_is_given_nothing(seed):
    node = node_of((NODE4, ID4, ASKER4))
    report = report_of(node, seed, writes=False)
    assert deviating(report) == {}
    assert not node.asked.keys() & {b"announce_peer", b"put"}
    assert not node.peers and not node.values and not node.signed
    assert all(each.verdict is Verdict.SKIPPED for each in report.results if each.name in ("announce", "put", "scrape"))


def test_answer_when_lost_twice_then_is_asked_for_again(seed):
    node = node_of((NODE4, ID4, ASKER4))
    turn = 0

    async def losing(datagram: bytes, tid: bytes) -> bytes | None:
        nonlocal turn
        turn += 1
        answer = await node.exchange(datagram, tid)     # it was heard, and its answer is lost
        return answer if turn % 3 == 0 or answer is None else None

    report = report_of(node, seed, losing)
    assert deviating(report) == {}
    assert report.count(Verdict.SILENT) == 0


def test_silence_when_to_an_optional_bep_then_is_no_deviation(seed):
    def hush(node, query, right):
        return None if query.get(b"q") == b"get" else right

    report = report_of(node_of((NODE4, ID4, ASKER4), hush), seed)
    assert deviating(report) == {}
    assert [each.name for each in report.results if each.verdict is Verdict.SILENT] == ["get"]


def test_silence_when_to_bep_5_then_is_a_deviation(seed):
    def hush(node, query, right):
        return None if query.get(b"q") == b"get_peers" else right

    report = report_of(node_of((NODE4, ID4, ASKER4), hush), seed)
    assert deviating(report) == {"get-peers": "no answer"}


def test_nobody_when_there_then_says_so_after_a_few_questions(seed):
    sent = []

    async def nobody(datagram: bytes, tid: bytes) -> None:
        sent.append(datagram)

    with pytest.raises(NoResponse, match=r"124\.31\.75\.21:6881 answers nothing: 6 queries sent"):
        report_of(node_of((NODE4, ID4, ASKER4)), seed, nobody)
    assert len(sent) == 6


@pytest.mark.parametrize("junk", [b"", b"d", b"de", b"i5e", b"le", b"d1:rd2:idi5eee", b"d1:y1:ee", b"d1:ei5e1:y1:ee",
                                  b"d1:eli1e" + b"l" * 60 + b"e" * 62, b"\xff" * 1500])
def test_node_when_it_answers_junk_then_nothing_raises(junk: bytes, seed):
    async def reply_junk(datagram: bytes, tid: bytes) -> bytes:
        return junk

    report = report_of(node_of((NODE4, ID4, ASKER4)), seed, reply_junk)
    assert {"ping", "find-node"} <= set(deviating(report))


def test_node_when_behind_a_router_then_is_believed_about_our_address(seed):
    node = node_of((NODE4, ID4, ASKER4))
    scene = Scene(NODE4, Endpoint("192.168.1.2", 999), Random(seed))
    report = asyncio.run(examine(scene, node.exchange))
    assert deviating(report) == {}
    assert {each.name for each in report.results if each.verdict is Verdict.SKIPPED} == {"implied-port"}


def test_scene_when_seeded_alike_then_asks_the_same(seed):
    first, second = node_of((NODE4, ID4, ASKER4)), node_of((NODE4, ID4, ASKER4))
    report_of(first, seed)
    report_of(second, seed)
    assert first.datagrams == second.datagrams


def test_node_when_its_answers_are_garbled_then_nothing_raises(seed):
    """Any value of an answer, at any depth, replaced by one of another type or size, or taken away."""
    rng = Random(seed)
    values = (0, -1, 2**70, b"", b"x", bytes(19), bytes(5000), b"\xff" * 6, [], [[]], {}, {b"": 1}, [203], None)

    def garble(value):
        if isinstance(value, dict) and value and rng.random() < 0.8:
            key = rng.choice(list(value))
            changed = garble(value[key])
            return {name: each for name, each in {**value, key: changed}.items() if each is not None}
        return rng.choice(values)

    def change(node, query, right):
        garbled = right if right is None or rng.random() < 0.5 else garble(right)
        return garbled if isinstance(garbled, dict) else bencode.encode(garbled or b"")

    for turn in range(40):
        report = report_of(node_of(rng.choice([(NODE4, ID4, ASKER4), (NODE6, ID6, ASKER6)]), change), seed + turn)
        json.dumps(report.as_dict())
