"""The messages and compact forms of dht.json through the whole path of a datagram: Core.receive to Core.drain."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastdht._ext import krpc
from fastdht.testing import builders
from fastdht.types import Contact, Endpoint, NodeId
from tests.unit.core_kit import ASKER, OWN_ID, Kit

VECTORS = json.loads((Path(__file__).parent / "dht.json").read_text())
MESSAGES = {vector["name"]: bytes.fromhex(vector["hex"])
            for vector in VECTORS["bep5"]["examples"] + VECTORS["constructed_messages"]}
PARSED = {name: krpc.parse(data) or {} for name, data in MESSAGES.items()}
QUERIES = sorted(name for name, message in PARSED.items() if message["kind"] == "q")
ANSWERS = sorted(MESSAGES.keys() - set(QUERIES))
DOCUMENTATION = ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24", "2001:db8::/32")
COMPACT = VECTORS["compact"]
PING = 0


def test_every_message_is_a_query_or_an_answer():
    assert len(MESSAGES) == len(VECTORS["bep5"]["examples"]) + len(VECTORS["constructed_messages"]) == 22
    assert {PARSED[name]["kind"] for name in ANSWERS} == {"r", "e"}


@pytest.mark.parametrize("name", QUERIES)
def test_query_when_it_arrives_as_printed_then_is_answered_under_its_tid(name: str):
    kit = Kit()
    kit.befriend(*builders.contacts(3, first=10))
    [answer] = kit.send(MESSAGES[name])
    assert answer["tid"] == PARSED[name]["tid"]
    if PARSED[name]["method"] == "announce_peer":       # with a token that is not of this node
        assert (answer["kind"], answer["error_code"]) == ("e", 203)
        return
    assert (answer["kind"], answer["id"]) == ("r", OWN_ID)
    assert ("nodes" in answer) == (PARSED[name]["method"] != "ping")
    assert ("token" in answer) == (PARSED[name]["method"] == "get_peers")
    kit.core.check_invariants()


@pytest.mark.parametrize("name", [name for name in QUERIES if "announce" in name])
def test_announce_when_its_token_is_replaced_by_ours_then_is_stored(name: str):
    kit = Kit()
    announced = PARSED[name]
    [given] = kit.send(builders.query("get_peers", ASKER.id, target=announced["target"]))
    [answer] = kit.send(MESSAGES[name].replace(b"5:token%d:%s" % (len(announced["token"]), announced["token"]),
                                               b"5:token8:" + given["token"]))
    assert answer["kind"] == "r"
    [found] = kit.send(builders.query("get_peers", ASKER.id, target=announced["target"]))
    assert found["values"] == [ASKER.endpoint.pack()]       # both say implied_port: the datagram's port counts


@pytest.mark.parametrize(("name", "is_remembered"), [("ping_query", True), ("ping_read_only", False)])
def test_query_when_it_is_read_only_then_its_sender_is_no_candidate(name: str, is_remembered: bool):
    kit = Kit()
    kit.send(MESSAGES[name])
    kit.advance(100)
    assert kit.core.ping_questionable(8, kit.now) == int(is_remembered)


def under(name: str, tid: bytes) -> bytes:
    """An answer of the file with another tid, of four bytes."""
    old = PARSED[name]["tid"]
    return MESSAGES[name].replace(b"1:t%d:%s" % (len(old), old), b"1:t4:" + tid)


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_when_nobody_asked_then_is_dropped(name: str):
    kit = Kit()
    assert kit.send(MESSAGES[name]) == []
    assert kit.counter("drop_not_asked") == 1


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_when_it_matches_a_query_then_reaches_its_caller(name: str):
    kit = Kit()
    assert kit.core.query(PING, ASKER.endpoint.pack(), 5, kit.now)
    [(asked, _)] = kit.outgoing()
    assert kit.send(under(name, asked["tid"])) == []
    [(caller, source, _, datagram, is_refused)] = kit.core.take_events()
    assert (caller, source, is_refused) == (5, ASKER.endpoint.pack(), False)
    expected: dict[str, Any] = PARSED[name] | {"tid": asked["tid"]}
    assert krpc.parse(datagram) == expected
    kit.core.check_invariants()


@pytest.mark.parametrize("name", ["node_v4", "node_v6"])
def test_node_when_it_stands_in_the_table_then_is_named_in_its_compact_form(name: str):
    vector = COMPACT[name]
    is_ipv6 = name.endswith("6")
    kit = Kit(family=6 if is_ipv6 else 4, allowed_nets=DOCUMENTATION)
    node = Contact(NodeId(bytes.fromhex(vector["id"])), Endpoint(vector["ip"], vector["port"]))
    kit.befriend(node)
    asker = builders.contact(1, is_ipv6=is_ipv6)
    [answer] = kit.send(builders.query("find_node", asker.id, target=node.id), asker.endpoint)
    assert answer["nodes6" if is_ipv6 else "nodes"].hex() == vector["hex"]


@pytest.mark.parametrize("name", ["peer_v4", "peer_v6"])
def test_peer_when_it_has_announced_itself_then_is_given_out_in_its_compact_form(name: str):
    vector = COMPACT[name]
    peer, info_hash = Endpoint(vector["ip"], vector["port"]), builders.info_hash(1)
    kit = Kit(family=6 if peer.is_ipv6 else 4, allowed_nets=DOCUMENTATION)
    sender = builders.node_id(3)
    [given] = kit.send(builders.query("get_peers", sender, target=info_hash), peer)
    kit.send(builders.query("announce_peer", sender, target=info_hash, token=given["token"], port=peer.port), peer)
    kit.core.receive(builders.query("get_peers", sender, target=info_hash), peer.pack(), kit.now)
    [(datagram, _)] = kit.core.drain()
    found = krpc.parse(datagram, 6 if peer.is_ipv6 else 4)
    assert found is not None
    assert [value.hex() for value in found["values"]] == [vector["hex"]]
