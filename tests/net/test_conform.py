"""`fastdht conform` over real sockets: our own node keeps to every rule; what the asker hears, and what it lets go."""
from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from random import Random

import pytest

from fastdht import Endpoint, Node, NoResponse, bencode
from fastdht.conform import CHECKS, Asker, Report, Scene, Verdict, examine, open_asker

NET = ["127.0.0.0/8", "::1/128"]
SERVE = [sys.executable, "-P", "-m", "fastdht", "serve", "--bootstrap", "none", "--allow-net", NET[0], "--allow-net", NET[1]]
RATE = 200.0                # our own node minds no more than that on its own machine
TIMEOUT_S = 0.5


async def examine_at(endpoint: Endpoint, seed: int) -> Report:
    async with open_asker(endpoint, RATE, TIMEOUT_S) as asker:
        scene = Scene(endpoint, asker.local, Random(seed))
        asker.on_ping = scene.prove
        return await examine(scene, asker.exchange)


@pytest.mark.parametrize("bind", ["127.83.0.1:0", "[::1]:0"])
def test_own_node_when_examined_then_everything_conforms(bind, seed):
    async def main() -> Report:
        async with Node(bind, bootstrap=(), allow_net=NET) as node:
            return await examine_at(node.endpoints[0], seed)

    report = asyncio.run(main())
    others = {each.name: each.reason for each in report.results if each.verdict is not Verdict.CONFORMS}
    assert others.keys() == {"secure-id"}           # loopback is exempt
    assert report.deviations == []


def test_own_node_when_it_knows_a_network_then_everything_conforms(seed):
    """Tables, and of both families: lists are full, and `want` has something to choose from."""
    async def main() -> Report:
        async with Node(["127.84.0.1:0", "[::1]:0"], bootstrap=(), allow_net=NET) as node:
            entries = [str(each) for each in node.endpoints]
            others = [Node([f"127.84.{number}.1:0", "[::1]:0"], bootstrap=entries, allow_net=NET) for number in range(1, 10)]
            for other in others:
                await other.start()
            await asyncio.gather(*(other.joined() for other in others))
            try:
                return await examine_at(node.endpoints[0], seed)
            finally:
                for other in others:
                    await other.close()

    report = asyncio.run(main())
    assert {each.name: each.reason for each in report.deviations} == {}


@pytest.mark.parametrize("bind", ["127.85.0.1:0", "[::1]:0"])
def test_served_node_when_examined_by_the_command_then_exit_0(bind):
    server = subprocess.Popen([*SERVE, "--listen", bind], stdout=subprocess.PIPE, text=True)
    try:
        endpoint = json.loads(server.stdout.readline())["endpoint"]
        done = subprocess.run([sys.executable, "-P", "-m", "fastdht", "conform", endpoint, "--rate", str(RATE),
                               "--timeout", f"{TIMEOUT_S}s", "--json"], capture_output=True, text=True, timeout=60, check=False)
    finally:
        server.terminate()
        server.wait(timeout=20)
        server.stdout.close()
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["endpoint"], report["deviations"], len(report["checks"])) == (endpoint, 0, len(CHECKS))


class Peer(asyncio.DatagramProtocol):
    """Answers each datagram with those that `answer` makes of it; remembers what it was sent."""

    def __init__(self, answer: Callable[[bytes], list[bytes]]) -> None:
        self.answer = answer
        self.heard: list[bytes] = []
        self.sources: set[object] = set()

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.endpoint = Endpoint(*transport.get_extra_info("sockname")[:2])

    def datagram_received(self, data: bytes, source) -> None:
        self.heard.append(data)
        self.sources.add(source)
        for each in self.answer(data):
            self.transport.sendto(each, source)


def with_peer(answer: Callable[[bytes], list[bytes]], use, rate: float = 1000.0, watcher=None):
    """Run `use(asker, peer)` with an asker of such a peer."""
    async def main():
        loop = asyncio.get_running_loop()
        _, peer = await loop.create_datagram_endpoint(lambda: Peer(answer), ("127.0.0.1", 0))
        try:
            async with open_asker(peer.endpoint, rate, 0.3, watcher=watcher) as asker:
                return await use(asker, peer)
        finally:
            peer.transport.close()

    return asyncio.run(main())


def pong(tid: bytes) -> bytes:
    return bencode.encode({"r": {"id": bytes(20)}, "t": tid, "y": "r"})


def test_answer_when_late_then_is_not_taken_for_the_next_one():
    late = []

    def answer(data: bytes) -> list[bytes]:
        late.append(pong(bencode.decode(data)[b"t"]))
        return late if len(late) > 1 else []       # the first comes with the second

    async def use(asker: Asker, peer: Peer):
        return [await asker.exchange(bencode.encode({"t": tid, "y": "q"}), tid) for tid in (b"aaaa", b"bbbb")]

    assert with_peer(answer, use) == [None, pong(b"bbbb")]


def test_answer_when_its_tid_is_wrong_then_is_handed_over_to_be_judged():
    async def use(asker: Asker, peer: Peer):
        return await asker.exchange(bencode.encode({"t": b"aaaa", "y": "q"}), b"aaaa")

    assert with_peer(lambda data: [pong(b"")], use) == pong(b"")


def test_ping_when_from_the_node_then_is_answered_and_is_no_answer():
    ping = bencode.encode({"a": {"id": bytes(20)}, "q": "ping", "t": "x1", "y": "q"})

    async def use(asker: Asker, peer: Peer):
        asker.on_ping = lambda: b"i" * 20
        peer.answer = lambda data: [ping] if b"1:y1:q" in data else []
        told = await asker.exchange(bencode.encode({"t": b"aaaa", "y": "q"}), b"aaaa")
        return told, bencode.decode(peer.heard[-1])

    assert with_peer(lambda data: [], use) == (None, {b"r": {b"id": b"i" * 20}, b"t": b"x1", b"y": b"r"})


def test_questions_when_many_then_one_socket_asks_no_faster_than_its_rate():
    async def use(asker: Asker, peer: Peer):
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(6):
            tid = b"%04d" % number
            await asker.exchange(bencode.encode({"t": tid, "y": "q"}), tid)
        return loop.time() - began, len(peer.sources)

    elapsed, sources = with_peer(lambda data: [pong(bencode.decode(data)[b"t"])], use, rate=50.0)
    assert elapsed >= 5 / 50 * 0.9          # the first goes at once; a tenth for the loop's clock
    assert sources == 1


def test_flood_when_it_arrives_then_little_of_it_is_kept():
    async def use(asker: Asker, peer: Peer):
        await asker.exchange(bencode.encode({"t": b"aaaa", "y": "q"}), b"aaaa")
        return asker._arrived.qsize()

    assert with_peer(lambda data: [pong(b"aaaa")] * 300, use) <= 64


def test_watcher_when_given_then_sees_both_directions():
    seen = []

    async def use(asker: Asker, peer: Peer):
        return await asker.exchange(bencode.encode({"t": b"aaaa", "y": "q"}), b"aaaa")

    with_peer(lambda data: [pong(b"aaaa")], use, watcher=lambda direction, data: seen.append((direction, data)))
    assert seen == [("sent", b"d1:t4:aaaa1:y1:qe"), ("received", pong(b"aaaa"))]


def test_nobody_when_listening_then_says_so(seed):
    async def main():
        loop = asyncio.get_running_loop()
        transport, peer = await loop.create_datagram_endpoint(lambda: Peer(lambda data: []), ("127.0.0.1", 0))
        transport.close()
        await asyncio.sleep(0)
        async with open_asker(peer.endpoint, RATE, 0.05) as asker:
            await examine(Scene(peer.endpoint, asker.local, Random(seed)), asker.exchange)

    with pytest.raises(NoResponse, match="answers nothing: 6 queries sent"):
        asyncio.run(main())
