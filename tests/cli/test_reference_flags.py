"""The 21 flags of mh-cbon/dht: each changes what happens as its documentation says, where that program itself may not.

One test a flag, in alphabetical order, named by number: 21 of 21. What a flag does is seen from outside: by what a
neighbour receives, by what a node answers, by what is printed.
"""
from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import threading
from pathlib import Path
from typing import Self

import pytest

from fastdht import Node
from fastdht.cli import compat as flags
from fastdht.cli.session import node_arguments
from fastdht.testing import Testnet, builders
from fastdht.testing.swarm import Swarm
from tests.cli.network_kit import (
    Neighbours, Scripted, ask, compat, free_port, invoke, lines, neighbours, options_of, process)
from tests.oracle import ids, wire
from tests.sim.sim_kit import simulate

HASH = bytes(range(20)).hex()
GREETING = "e5f96f6f38320f0f33959cb4d3d656452117aadb"       # BEP 44: the target of "Hello World!"
SALTED = "411eba73b6f087ca51a3795d9c8c938d365e32c1"         # BEP 44: its test key with salt foobar
UNSALTED = "4a533d47ec9c7d95b1ad75f576cffc641853b750"       # and without
NODES = {b"nodes": b"", b"token": b"good"}
LOCAL = ("-bnodes", "no")


def test_flag_01_of_21_annimplied_makes_the_source_port_the_announced_one(village: Neighbours) -> None:
    port, remote = free_port(), village.endpoint(1)
    lines(compat("-do", "announce_peer", "-target", "01" * 20, "-annport", "7777", "-annimplied", *LOCAL,
                 "-listen", f"127.0.0.1:{port}", "-remote", remote))
    assert lines(compat("-do", "get_peers", "-target", "01" * 20, *LOCAL, "-remote", remote)) == [[f"127.0.0.1:{port}"]]


def test_flag_02_of_21_annport_is_the_announced_port(village: Neighbours) -> None:
    remote = village.endpoint(1)
    lines(compat("-do", "announce_peer", "-target", "02" * 20, "-annport", "7777", *LOCAL, "-remote", remote))
    assert lines(compat("-do", "get_peers", "-target", "02" * 20, *LOCAL, "-remote", remote)) == [["127.0.0.1:7777"]]


def test_flag_03_of_21_blocklist_keeps_us_from_asking_who_is_on_it() -> None:
    with Scripted(ip="127.3.0.1") as blocked, Scripted(ip="127.3.0.3") as free:
        found = lines(compat("-do", "ping", *LOCAL, "-remote", f"{blocked.endpoint},{free.endpoint}",
                             "-blocklist", "bad people:127.3.0.0-127.3.0.2"))
        assert [each[0] for each in found if each[1] != "-"] == [free.endpoint]
    assert (len(blocked.queries), len(free.queries)) == (0, 1)


def test_flag_04_of_21_bnodes_chooses_whom_to_join_through(public: Swarm, village: Neighbours, own_folder: Path) -> None:
    def count(*bnodes: str) -> int:
        return len(lines(compat("-do", "closest_peers", "-target", HASH, *bnodes)))

    assert count("-bnodes", "public") >= 8
    assert count("-bnodes", village.endpoint(2)) == len(village.nodes)
    (own_folder / "bootstrap.json").write_text(json.dumps({"OldIP": None, "Nodes": [village.endpoint(3)]}))
    assert count() == len(village.nodes)
    nobody = compat("-do", "closest_peers", "-target", HASH, *LOCAL)
    assert (nobody.exit_code, "nobody to ask" in nobody.stderr) == (2, True)


def test_flag_05_of_21_did_is_the_id_we_say() -> None:
    with Scripted() as remote:
        lines(compat("-do", "ping", "-did", "5d" * 20, *LOCAL, "-remote", remote.endpoint))
    assert [each[b"id"] for each in remote.asked(b"ping")] == [b"\x5d" * 20]


def test_flag_06_of_21_do_chooses_the_action_and_is_boostrap_by_default(public: Swarm, own_folder: Path) -> None:
    for words in ((), ("-do", "boostrap"), ("-do=bootstrap",)):
        assert lines(compat(*words, "-bnodes", "public"))
        (own_folder / "bootstrap.json").unlink()
    unknown = compat("-do", "find_nodes")
    assert unknown.exit_code == 2
    assert all(action in unknown.stderr for action in ("did you mean find_node?", "announce_peer", "closest_stores"))


@pytest.mark.parametrize("most", [2, 7])
def test_flag_07_of_21_kconcurrency_is_how_many_contacts_are_pinged_a_second(most: int, seed: int) -> None:
    async def count_pings() -> list[int]:
        async with Testnet(0, seed=seed) as net:
            pinged: list[float] = []
            place = builders.endpoint(9_000)
            options = options_of(*flags.translate(flags.parse_flags(["-kconcurrency", str(most), *LOCAL, "-wait"])))
            arguments = node_arguments(options, (), [], is_server=True) | {
                "bind": [str(place)], "transport": net.network.open, "clock": net.loop.clock}
            async with Node(**arguments):
                for stranger in builders.contacts(20, seed, first=100):
                    def note(data: bytes, source: bytes) -> list[tuple[bytes, bytes]]:
                        if wire.decode(data)[b"y"] == b"q":
                            pinged.append(asyncio.get_running_loop().time())
                        return []

                    net.network.act(stranger.endpoint, note)
                    query = builders.query("find_node", bytes(stranger.id), target=bytes(20))
                    net.network.send(query, stranger.endpoint.pack(), place.pack())
                await asyncio.sleep(2.9)
            first = [when for when in pinged if when - pinged[0] < 0.5]
            return [len(first), len(pinged)]

    first, both = simulate(count_pings, seed)
    assert first == most
    assert both > most


def test_flag_08_of_21_keyname_signs_with_that_key_and_reads_what_it_signed(village: Neighbours) -> None:
    remote = village.endpoint(4)
    public = lines(invoke("genkey", "alice"))[0][0].rpartition(" ")[2]
    target = hashlib.sha1(bytes.fromhex(public)).hexdigest()
    put = compat("-do", "put", "-keyname", "alice", "-val", "by alice", *LOCAL, "-remote", remote)
    assert lines(put) == [[target]]
    got = compat("-do", "get", "-keyname", "alice", "-target", target, *LOCAL, "-remote", remote)
    assert lines(got) == [["by alice"]]
    assert compat("-do", "sign", "-keyname", "nobody", "-val", "x").exit_code == 1


def test_flag_09_of_21_ksize_is_how_many_contacts_a_bucket_holds(public: Swarm) -> None:
    def fullest(*ksize: str) -> int:
        result = compat("-do", "boostrap", "-bnodes", "public", "-did", "00" * 20, *ksize)
        prefixes = [ids.shared_prefix(bytes.fromhex(found[0]), bytes(20)) for found in lines(result)]
        return max(prefixes.count(each) for each in set(prefixes))

    assert fullest("-ksize", "1") == 1
    assert fullest() > 1


def test_flag_10_of_21_listen_is_where_we_ask_from() -> None:
    port = free_port("127.10.0.1")
    with Scripted() as remote:
        lines(compat("-do", "ping", "-listen", f"127.10.0.1:{port}", *LOCAL, "-remote", remote.endpoint))
    assert remote.sources == [("127.10.0.1", port)]


def test_flag_11_of_21_pip_decides_our_id() -> None:
    with Scripted() as remote:
        lines(compat("-do", "ping", "-pip", "124.31.75.21:6881", *LOCAL, "-remote", remote.endpoint))
    assert ids.is_secure(remote.asked(b"ping")[0][b"id"], bytes([124, 31, 75, 21]))


@pytest.mark.parametrize(("words", "most"), [(("-qconcurrency", "3"), 3), ((), 8)])
def test_flag_12_of_21_qconcurrency_bounds_the_queries_out_at_a_time(words: tuple[str, ...], most: int) -> None:
    with Crowd(8) as crowd:
        found = lines(compat("-do", "ping", *LOCAL, "-remote", ",".join(crowd.endpoints), *words, "-qtimeout", "20s"))
    assert len(found) == 8
    assert "-" not in {each[1] for each in found}
    assert crowd.most == most


def test_flag_13_of_21_qtimeout_ends_the_wait_for_an_answer() -> None:
    come = threading.Event()
    with Scripted(lambda query: come.wait(20) and {} or {}) as slow:
        early = compat("-do", "ping", "-qtimeout", "300ms", *LOCAL, "-remote", slow.endpoint)
        assert (early.exit_code, "no answer within 0.3 s" in early.stdout) == (1, True)
        threading.Timer(1.0, come.set).start()
        assert lines(compat("-do", "ping", "-qtimeout", "1m30s", *LOCAL, "-remote", slow.endpoint))


def test_flag_14_of_21_remote_names_who_is_asked(village: Neighbours) -> None:
    with Scripted(lambda query: NODES) as one, Scripted(lambda query: NODES) as two, Scripted() as third:
        compat("-do", "get_peers", "-target", HASH, *LOCAL, "-remote", f"{one.endpoint},{two.endpoint}")
        assert [len(each.asked(b"get_peers")) for each in (one, two, third)] == [1, 1, 0]
    for word in ("closest_store", "closest_peers"):
        pongs = lines(compat("-do", "ping", "-remote", word, "-target", HASH, "-bnodes", village.endpoint()))
        assert {each[0] for each in pongs} == {village.endpoint(at) for at in range(len(village.nodes))}


def test_flag_15_of_21_salt_is_part_of_where_an_item_is(village: Neighbours) -> None:
    remote = village.endpoint(5)
    for words, target in ((("-salt", "foobar"), SALTED), ((), UNSALTED)):
        put = compat("-do", "put", "-keyname", "bep44test", "-val", "x", "-seq", "1", *words, *LOCAL, "-remote", remote)
        assert lines(put) == [[target]]
    unsalted = compat("-do", "get", "-target", SALTED, *LOCAL, "-remote", remote)
    assert unsalted.exit_code == 1          # its signature covers the salt
    assert lines(compat("-do", "get", "-target", SALTED, "-salt", "foobar", *LOCAL, "-remote", remote)) == [["x"]]


def test_flag_16_of_21_seq_is_what_is_written_and_the_least_that_is_accepted(village: Neighbours) -> None:
    remote = ("-remote", village.endpoint(6))
    key = ("-keyname", "bep44test", "-salt", "sixteen")
    target = lines(compat("-do", "put", *key, "-val", "v", "-seq", "5", *LOCAL, *remote))[0][0]
    get = ("-do", "get", *key, "-target", target, *LOCAL, *remote)
    assert lines(compat(*get, "-seq", "5")) == [["v"]]
    newer = compat(*get, "-seq", "6")
    assert (newer.exit_code, "has seq 5; at least 6" in newer.stderr) == (1, True)
    assert compat("-do", "put", *key, "-val", "w", "-seq", "4", *LOCAL, *remote).exit_code == 1     # BEP 44: 302


def test_flag_17_of_21_target_is_what_is_asked_for_and_self_is_our_id() -> None:
    with Scripted(lambda query: {b"nodes": b""}) as remote:
        for target in (HASH, "self"):
            compat("-do", "find_node", "-did", "17" * 20, "-target", target, *LOCAL, "-remote", remote.endpoint)
    assert [each[b"target"].hex() for each in remote.asked(b"find_node")] == [HASH, "17" * 20]


def test_flag_18_of_21_tsecret_keeps_tokens_valid_over_a_restart() -> None:
    endpoint = f"127.0.0.1:{free_port()}"

    def serve(secret: str) -> list[str]:
        return ["compat", "-listen", endpoint, *LOCAL, "-wait", "-tsecret", secret]

    def announce(token: bytes) -> bytes:
        kind: bytes = ask(endpoint, b"announce_peer", info_hash=bytes(20), port=1, token=token)[b"y"]
        return kind

    with process(serve("first")):
        token = ask(endpoint, b"get_peers", info_hash=bytes(20))[b"r"][b"token"]
    with process(serve("first")):
        assert announce(token) == b"r"
    with process(serve("other")):
        assert announce(token) == b"e"


def test_flag_19_of_21_val_is_what_is_stored(village: Neighbours) -> None:
    remote = ("-remote", village.endpoint(7))
    for value in ("Hello World!", "-dashes and = signs", "ünïcödé"):
        raw = value.encode()
        target = hashlib.sha1(b"%d:%b" % (len(raw), raw)).hexdigest()
        assert lines(compat("-do", "put", "-val", value, *LOCAL, *remote)) == [[target]]
        assert lines(compat("-do", "get", "-target", target, *LOCAL, *remote)) == [[value]]


def test_flag_20_of_21_vv_shows_every_datagram_in_a_line(village: Neighbours) -> None:
    words = ("-do", "announce_peer", "-target", "14" * 20, "-annport", "7777", *LOCAL, "-remote", village.endpoint(2))
    assert compat(*words).stderr == ""
    said = [line.split(None, 2)[2].split() for line in compat(*words, "-vv").stderr.splitlines()]
    traffic = [each for each in said if each[0] in ("send", "recv")]
    assert [each[:3] for each in traffic] == [[way, kind, village.endpoint(2)] for way, kind in (
        ("send", "quy"), ("recv", "res"), ("send", "quy"), ("recv", "res"))]
    assert "q:announce_peer" in traffic[2]
    assert " implied false" in " ".join(traffic[2])
    implied = compat(*words, "-vv", "-annimplied").stderr
    assert " implied true" in implied


def test_flag_21_of_21_wait_serves_until_ctrl_c() -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    with neighbours(1, 21) as helper:
        words = ["compat", "-do", "ping", "-listen", endpoint, *LOCAL, "-remote", helper.endpoint(), "-wait"]
        with process(words) as running:
            assert ask(endpoint, b"ping")[b"y"] == b"r"
            assert running.poll() is None
            running.send_signal(signal.SIGINT)
            assert running.wait(30) == 0


class Crowd:
    """Neighbours that hold their answers until no more queries come, and count how many are out then."""

    def __init__(self, count: int) -> None:
        self.most = 0
        self._out = 0
        self._change = threading.Condition()
        self._members = [Scripted(self._answer, f"127.12.{number}.1") for number in range(count)]
        self.endpoints = [member.endpoint for member in self._members]

    def _answer(self, query: object) -> dict[bytes, object]:
        with self._change:
            self._out += 1
            self.most = max(self.most, self._out)
            self._change.notify_all()
            while self._change.wait(0.5):       # somebody else was asked meanwhile, or answered
                pass
            self._out -= 1
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.__exit__()
