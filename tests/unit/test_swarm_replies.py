"""What a virtual node puts on the wire, by BEP 5, 32 and 42."""
from __future__ import annotations

import random
from typing import Any

import pytest

from fastdht.testing.swarm import Profile, Swarm
from fastdht.testing.truth import TruthRow
from tests.oracle import wire

PORT = 6881
ASKER = ("127.0.0.1", 40_000)
TARGET = bytes(range(20))


def network(nodes: int = 500, **options: Any) -> tuple[Swarm, list[TruthRow]]:
    swarm = Swarm(nodes, 1, PORT, **options)
    return swarm, list(swarm.truth())


def ask(swarm: Swarm, row: TruthRow, query: bytes, asker: tuple[str, int] = ASKER) -> dict[bytes, Any]:
    replies = swarm.handle(query, asker, (row.ip, row.port))
    assert len(replies) == 1
    from_other_port, data = replies[0]
    assert not from_other_port
    assert wire.keys_in_order(data) == sorted(wire.keys_in_order(data))
    message: dict[bytes, Any] = wire.decode(data)
    assert data == wire.encode(message), "a reply is canonical bencode"
    return message


def test_ping_when_asked_then_answers_with_its_id_and_the_askers_address() -> None:
    swarm, rows = network()
    reply = ask(swarm, rows[3], wire.query(b"ping", tid=b"xyz"))
    assert reply[b"y"] == b"r"
    assert reply[b"t"] == b"xyz"
    assert reply[b"r"] == {b"id": rows[3].id}
    assert reply[b"ip"] == b"\x7f\x00\x00\x01" + (40_000).to_bytes(2, "big")


@pytest.mark.parametrize("method", [b"find_node", b"get_peers"])
def test_lookup_query_when_asked_then_names_the_contacts_of_its_table(method: bytes) -> None:
    swarm, rows = network()
    argument = "target" if method == b"find_node" else "info_hash"
    reply = ask(swarm, rows[0], wire.query(method, **{argument: TARGET}))
    assert wire.contacts(reply[b"r"][b"nodes"]) == swarm.answer(rows[0].ip, TARGET)
    assert (b"token" in reply[b"r"]) == (method == b"get_peers")
    assert b"values" not in reply[b"r"]


@pytest.mark.parametrize(("want", "has_nodes"), [([b"n4"], True), ([b"n4", b"n6"], True), ([b"n6"], False)])
def test_find_node_when_wanting_families_then_sends_only_those_it_has(want: list[bytes], has_nodes: bool) -> None:
    swarm, rows = network()
    reply = ask(swarm, rows[0], wire.query(b"find_node", target=TARGET, want=want))
    assert (b"nodes" in reply[b"r"]) == has_nodes
    assert b"nodes6" not in reply[b"r"]


@pytest.mark.parametrize(("data", "code"), [
    (wire.query(b"find_node"), 203),
    (wire.query(b"get_peers", info_hash=b"short"), 203),
    (wire.query(b"ping", id=b"short"), 203),
    (wire.query(b"juggle"), 204),
    (wire.encode({b"t": b"aa", b"y": b"q", b"q": b"ping"}), 203),
    (wire.query(b"announce_peer", info_hash=TARGET, port=1, token=b"12345678"), 203),
])
def test_query_when_malformed_then_gets_an_error(data: bytes, code: int) -> None:
    swarm, rows = network()
    reply = ask(swarm, rows[0], data)
    assert reply[b"y"] == b"e"
    assert reply[b"e"][0] == code
    assert swarm.counters()["refusals"] == 1


@pytest.mark.parametrize("data", [b"", b"hello", b"d1:y1:qe", wire.encode({b"t": b"aa", b"y": b"r", b"r": {}}),
                                  wire.query(b"ping", tid=b"x" * 33), wire.query(b"ping")[:-1]])
def test_datagram_when_no_query_then_gets_nothing(data: bytes) -> None:
    swarm, rows = network()
    assert swarm.handle(data, ASKER, (rows[0].ip, PORT)) == []
    assert swarm.counters()["ignored"] == 1


def test_unknown_method_when_it_has_a_target_then_is_answered_like_find_node() -> None:
    swarm, rows = network()
    reply = ask(swarm, rows[0], wire.query(b"sample_infohashes", target=TARGET))
    assert wire.contacts(reply[b"r"][b"nodes"]) == swarm.answer(rows[0].ip, TARGET)


def test_announce_when_token_is_right_then_the_peer_is_told() -> None:
    swarm, rows = network()
    token = ask(swarm, rows[0], wire.query(b"get_peers", info_hash=TARGET))[b"r"][b"token"]
    for port, arguments in ((5_001, {"port": 5_001}), (40_000, {"port": 7, "implied_port": 1})):
        reply = ask(swarm, rows[0], wire.query(b"announce_peer", info_hash=TARGET, token=token, **arguments))
        assert reply[b"r"] == {b"id": rows[0].id}
        told = ask(swarm, rows[0], wire.query(b"get_peers", info_hash=TARGET))[b"r"][b"values"]
        assert b"\x7f\x00\x00\x01" + port.to_bytes(2, "big") in told
    assert b"values" not in ask(swarm, rows[1], wire.query(b"get_peers", info_hash=TARGET))[b"r"]
    assert b"values" not in ask(swarm, rows[0], wire.query(b"get_peers", info_hash=TARGET[::-1]))[b"r"]


def test_announce_when_repeated_then_is_told_once() -> None:
    swarm, rows = network()
    token = ask(swarm, rows[0], wire.query(b"get_peers", info_hash=TARGET))[b"r"][b"token"]
    for _ in range(3):
        ask(swarm, rows[0], wire.query(b"announce_peer", info_hash=TARGET, token=token, port=9))
    assert len(ask(swarm, rows[0], wire.query(b"get_peers", info_hash=TARGET))[b"r"][b"values"]) == 1


@pytest.mark.parametrize("what", ["address", "infohash", "node"])
def test_announce_when_token_is_of_another_then_is_refused(what: str) -> None:
    swarm, rows = network()
    token = ask(swarm, rows[0], wire.query(b"get_peers", info_hash=TARGET))[b"r"][b"token"]
    asker = ("127.0.0.9", 40_000) if what == "address" else ASKER
    info_hash = TARGET[::-1] if what == "infohash" else TARGET
    reply = ask(swarm, rows[1 if what == "node" else 0],
                wire.query(b"announce_peer", info_hash=info_hash, token=token, port=9), asker)
    assert reply[b"e"][0] == 203


def test_announces_when_more_than_a_set_holds_then_the_oldest_are_forgotten() -> None:
    swarm, rows = network()
    token = ask(swarm, rows[0], wire.query(b"get_peers", info_hash=TARGET))[b"r"][b"token"]
    for port in range(1, 201):
        ask(swarm, rows[0], wire.query(b"announce_peer", info_hash=TARGET, token=token, port=port))
    told = ask(swarm, rows[0], wire.query(b"get_peers", info_hash=TARGET))[b"r"][b"values"]
    ports = {int.from_bytes(peer[4:], "big") for peer in told}
    assert len(told) == len(ports) == 50                # as many as libtorrent sends
    assert ports <= set(range(137, 201))                # of the last 64


def closest(rows: list[TruthRow], target: bytes) -> set[str]:
    aim = int.from_bytes(target, "big")
    honest = [row for row in rows if row.kind == "honest"]
    return {row.ip for row in sorted(honest, key=lambda row: int.from_bytes(row.id, "big") ^ aim)[:8]}


@pytest.mark.parametrize("profile", ["clean", Profile(dead_per_alive=1.0)])
def test_get_peers_when_values_are_everywhere_then_the_eight_closest_alive_tell_ten(profile: str | Profile) -> None:
    swarm, rows = network(500, values_everywhere=True, profile=profile)
    rng = random.Random(1)
    for _ in range(20):
        target = rng.randbytes(20)
        told = {}
        for row in rows[:500]:
            reply = ask(swarm, row, wire.query(b"get_peers", info_hash=target))[b"r"]
            assert len(reply[b"nodes"]) == 8 * 26
            if b"values" in reply:
                told[row.ip] = reply[b"values"]
        assert set(told) == closest(rows, target)
        for values in told.values():
            peers = [(".".join(map(str, peer[:4])), int.from_bytes(peer[4:], "big")) for peer in values]
            assert peers == swarm.torrent_peers(target)
            assert len(set(peers)) == 10


def test_get_peers_when_torrents_exist_then_only_they_have_values() -> None:
    swarm, rows = network(300, torrents=5)
    for target, exists in [(swarm.torrent(number), True) for number in range(5)] + [(TARGET, False)]:
        replies = [ask(swarm, row, wire.query(b"get_peers", info_hash=target))[b"r"] for row in rows]
        assert {row.ip for row, reply in zip(rows, replies, strict=True) if b"values" in reply} == (
            closest(rows, target) if exists else set())
    with pytest.raises(ValueError, match="there are 5"):
        swarm.torrent(5)


def test_versions_when_all_are_asked_then_most_are_libtorrent() -> None:
    swarm, rows = network(2_000)
    versions = [ask(swarm, row, wire.query(b"ping")).get(b"v", b"")[:2] for row in rows]
    assert versions.count(b"LT") / 2_000 == pytest.approx(0.55, abs=0.05)
    assert versions.count(b"UT") / 2_000 == pytest.approx(0.25, abs=0.05)


def test_handle_when_nobody_lives_there_then_counts_a_stray() -> None:
    swarm, _ = network()
    assert swarm.handle(wire.query(b"ping"), ASKER, ("127.0.0.1", PORT)) == []
    assert swarm.counters()["strays"] == 1


def test_counters_when_queries_come_then_are_exact_per_contact() -> None:
    swarm, rows = network(100, profile="hard")
    rng = random.Random(2)
    expected = [0] * len(rows)
    for _ in range(2_000):
        serial = rng.randrange(len(rows))
        expected[serial] += 1
        swarm.handle(wire.query(b"ping", ro=True), ASKER, (rows[serial].ip, PORT))
    totals = swarm.counters()
    assert swarm.asked().tolist() == expected
    assert totals["received"] == 2_000
    assert totals["to_dead"] == sum(expected[100:])
    assert totals["received"] == totals["to_dead"] + totals["lost_in"] + totals["lost_out"] + totals["replies"]
    assert totals["read_only"] == totals["queries"]


def test_loss_when_set_then_takes_its_share_each_way() -> None:
    swarm, rows = network(10, loss=0.1)
    answered = sum(bool(swarm.handle(wire.query(b"ping"), ASKER, (rows[i % 10].ip, PORT))) for i in range(20_000))
    totals = swarm.counters()
    assert totals["lost_in"] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert totals["lost_out"] / (20_000 - totals["lost_in"]) == pytest.approx(0.1, abs=0.01)
    assert answered == 20_000 - totals["lost_in"] - totals["lost_out"]
