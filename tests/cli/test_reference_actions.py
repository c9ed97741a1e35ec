"""The eleven actions of mh-cbon/dht, by the flags it has: what each does to a network, and what it tells.

One test an action, in the order of its documentation; targets and signatures are those of BEP 44.
"""
from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest

from fastdht.testing.swarm import Swarm
from tests.cli.network_kit import Neighbours, Scripted, compat, lines
from tests.oracle import ed25519, ids

HASH = bytes(range(20)).hex()
GREETING = "e5f96f6f38320f0f33959cb4d3d656452117aadb"       # BEP 44: the target of "Hello World!"
SALTED = "411eba73b6f087ca51a3795d9c8c938d365e32c1"         # BEP 44: test 2, salt foobar
PUBLIC = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548"
SIGNATURE = ("6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17ddf9a8a7104b1258f30bed3787e6cb896fca78c58"
             "f8e03b5f18f14951a87d9a08")                      # BEP 44: test 2


def test_action_1_of_11_boostrap_fills_the_state_file_from_the_network(public: Swarm, own_folder: Path) -> None:
    found = lines(compat("-do", "boostrap", "-bnodes", "public"))
    truth = {(row.id.hex(), f"{row.ip}:{row.port}") for row in public.truth()}
    assert found
    assert {tuple(each) for each in found} <= truth
    _header, body = (own_folder / "bootstrap.json").read_text().split("\n", 1)
    saved = {entry[1] for entry in json.loads(body)["sockets"][0]["contacts"]}
    assert saved >= {endpoint for _, endpoint in found}


def test_action_2_of_11_closest_stores_names_the_nodes_nearest_to_the_target(village: Neighbours) -> None:
    found = lines(compat("-do", "closest_stores", "-target", HASH, "-bnodes", village.endpoint()))
    assert [each[0] for each in found] == nearest(village, HASH)


def test_action_3_of_11_closest_peers_names_the_nodes_nearest_to_the_infohash(public: Swarm) -> None:
    found = lines(compat("-do", "closest_peers", "-target", HASH, "-bnodes", "public"))
    everybody = sorted((row.id for row in public.truth(0, public.nodes)),
                       key=lambda node_id: ids.distance(node_id, bytes.fromhex(HASH)))
    assert [each[0] for each in found[:8]] == [node_id.hex() for node_id in everybody[:8]]


def test_action_4_of_11_ping_tells_the_id_of_each_remote(village: Neighbours) -> None:
    asked = [village.endpoint(1), village.endpoint(2)]
    found = lines(compat("-do", "ping", "-bnodes", "no", "-remote", ",".join(asked)))
    assert [each[:2] for each in found] == [[asked[at], village.nodes[at + 1].id.hex()] for at in range(2)]


def test_action_5_of_11_announce_peer_makes_us_a_peer_that_others_find(village: Neighbours) -> None:
    lines(compat("-do", "announce_peer", "-target", "05" * 20, "-annport", "5555", "-bnodes", village.endpoint()))
    for node in village.nodes:
        report = village.call(look_up(node, bytes.fromhex("05" * 20)))
        assert [str(peer) for peer in report.values] == ["127.0.0.1:5555"]


def test_action_6_of_11_get_peers_finds_the_peers_of_a_torrent(public: Swarm) -> None:
    torrent = public.torrent(2)
    found = lines(compat("-do", "get_peers", "-target", torrent.hex(), "-bnodes", "public"))
    assert {each[0] for each in found} == {f"{ip}:{port}" for ip, port in public.torrent_peers(torrent)}


def test_action_7_of_11_find_node_shows_which_nodes_a_remote_names(public: Swarm) -> None:
    remote = public.bootstrap[0]
    ip, _, port = remote.partition(":")
    found = lines(compat("-do", "find_node", "-target", HASH, "-bnodes", "no", "-remote", remote))
    told = public.answer(ip, bytes.fromhex(HASH), int(port))
    assert [each[:3] for each in found] == [[remote, node_id.hex(), f"{at}:{where}"] for node_id, at, where in told]


def test_action_8_of_11_get_prints_the_value_of_a_target(village: Neighbours) -> None:
    village.call(village.nodes[0].put(b"Hello World!"))
    assert lines(compat("-do", "get", "-target", GREETING, "-bnodes", village.endpoint(3))) == [["Hello World!"]]


def test_action_8_of_11_get_refuses_a_value_that_is_not_that_of_the_target() -> None:
    with Scripted(lambda query: {b"token": b"t", b"nodes": b"", b"v": b"Hello Mars!!"}) as liar:
        result = compat("-do", "get", "-target", GREETING, "-bnodes", "no", "-remote", liar.endpoint)
    assert (result.exit_code, result.stdout) == (1, "")
    assert GREETING in result.stderr


def test_action_9_of_11_put_stores_an_item_at_the_remote(village: Neighbours) -> None:
    remote = village.endpoint(5)
    assert lines(compat("-do", "put", "-val", "stored at five", "-bnodes", "no", "-remote", remote))
    report = village.call(village.nodes[0].get(target_of(b"14:stored at five"), to=[remote]))
    assert report.value == b"stored at five"


def test_action_9_of_11_put_signs_a_mutable_item(village: Neighbours) -> None:
    remote = village.endpoint(6)
    result = compat("-do", "put", "-keyname", "bep44test", "-val", "Hello World!", "-salt", "foobar", "-seq", "1",
                    "-bnodes", "no", "-remote", remote)
    assert lines(result) == [[SALTED]]
    item = village.call(village.nodes[0].get(bytes.fromhex(SALTED), salt=b"foobar", to=[remote]))
    assert (item.value, item.seq, item.signature.hex(), item.public_key.hex()) == (
        b"Hello World!", 1, SIGNATURE, PUBLIC)


def test_action_10_of_11_genkey_makes_a_key_once_that_only_its_owner_reads(own_folder: Path) -> None:
    first = compat("-do", "genkey", "-keyname", "mine")
    again = compat("-do", "genkey", "-keyname", "mine")
    private, public = (line.rpartition(" ")[2] for line in first.stdout.splitlines())
    assert again.stdout == first.stdout
    assert first.stdout.startswith("private key (raw length: 64) ")
    assert stat.S_IMODE((own_folder / "mine.key").stat().st_mode) == 0o600
    assert ed25519.encode(ed25519.multiply(int.from_bytes(bytes.fromhex(private)[:32], "little"))).hex() == public


def test_action_11_of_11_sign_prints_the_five_values_of_bep_44() -> None:
    result = compat("-do", "sign", "-keyname", "bep44test", "-val", "Hello World!", "-salt", "foobar", "-seq", "1")
    assert result.stdout.splitlines() == [
        "benc val    (length: 40)     4:salt6:foobar3:seqi1e1:v12:Hello World!",
        ("private key (raw length: 64) e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d"
        "b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d"),
        f"public key  (raw length: 32) {PUBLIC}",
        f"value sign  (raw length: 64) {SIGNATURE}",
        f"target id   (raw length: 40) {SALTED}",
    ]


@pytest.mark.parametrize("action", ["ping", "announce_peer", "get_peers", "find_node", "get", "put"])
def test_action_when_the_remote_is_silent_then_fails_in_one_line(action: str) -> None:
    with Scripted(lambda query: None) as silent:
        result = compat("-do", action, "-target", GREETING, "-annport", "1", "-val", "x", "-bnodes", "no",
                        "-remote", silent.endpoint, "-qtimeout", "200ms")
    assert result.exit_code == 1, result.stderr
    assert result.stderr.splitlines()[-1].startswith("fastdht")
    assert "Traceback" not in result.stderr
    assert silent.queries


async def look_up(node: object, info_hash: bytes) -> object:
    return await node.get_peers(info_hash)              # type: ignore[attr-defined]


def nearest(village: Neighbours, target: str) -> list[str]:
    every = sorted((node.id for node in village.nodes), key=lambda node_id: ids.distance(node_id, bytes.fromhex(target)))
    return [node_id.hex() for node_id in every]


def target_of(raw: bytes) -> bytes:
    return hashlib.sha1(raw).digest()
