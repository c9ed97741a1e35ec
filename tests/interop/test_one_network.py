"""One network of all five kinds: what we announce is stored by all, and found again by each that looks it up."""
from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastdht import Endpoint
from tests.interop import wire
from tests.interop.asked_by_us import swapped
from tests.interop.conftest import demand
from tests.interop.known import NETWORK
from tests.interop.matrix import YES, Matrix
from tests.interop.network import Door
from tests.interop.our_nodes import OurNodes
from tests.interop.peers import KINDS
from tests.interop.peers.process import ObedientPeer, Peer, until
from tests.interop.wire import Asker

INFO_HASH = hashlib.sha1(b"one announce").digest()
BYSTANDERS = 4
PATIENCE_S = 90.0           # in half a minute Transmission takes its nodes for good
STARTS = 3                  # of a peer, until it knows others: Transmission does not try a lost way in again


class Zoo:
    """The five peers, told of each other; one node of ours, which announces."""

    def __init__(self, folder: Path) -> None:
        self.ours = OurNodes(["127.120.1.1"])
        self.asker = Asker("127.120.101.1")
        self.bystanders = [Asker(f"127.120.101.{index}") for index in range(2, 2 + BYSTANDERS)]
        self.door = Door(self.ours.endpoints[0].ip)
        self.peers = {name: kind(f"127.120.{50 + number}.1", folder / name)
                      for number, (name, kind) in enumerate(KINDS.items())}

    def start(self) -> None:
        """Transmission comes last: it tries each way in once, and looks nothing up before four have proved good.

        Nor does it before it knows nine nodes: some stand by, who answer, and neither know nor hold anything.
        """
        ways_in = self.ours.endpoints + [peer.endpoint for peer in self.peers.values()]
        for peer in sorted(self.peers.values(), key=lambda peer: peer.name == "transmission"):
            peer.start([known for known in ways_in if known != peer.endpoint])
            peer.wait_until_up(self.asker)
        for peer in self.peers.values():
            self.settle(peer, ways_in)
        for bystander in self.bystanders:
            bystander.reply_of(self.peers["transmission"].endpoint, "ping", ro=None)
        first = self.ours.first
        places = {peer.endpoint for peer in self.peers.values()}
        until(lambda: places <= {contact.endpoint for contact in first.contacts()}, "our node knows all five")

    def settle(self, peer: Peer, ways_in: list[Endpoint]) -> None:
        for left in reversed(range(STARTS)):
            try:
                until(lambda: len(self.named_by(peer)) >= 2, f"{peer.name} knows other peers")
                return
            except AssertionError:
                if not left:
                    raise
            peer.stop()
            peer.start([known for known in ways_in if known != peer.endpoint])
            peer.wait_until_up(self.asker)

    def named_by(self, peer: Peer) -> set[Endpoint]:
        """The other peers that one names."""
        answer = self.asker.ask(peer.endpoint, "find_node", {"target": INFO_HASH}) or {}
        return wire.named(answer.get(b"r", {}).get(b"nodes", b"")) & {other.endpoint for other in self.peers.values()}

    def held_by(self, peer: Peer) -> set[Endpoint]:
        reply = self.asker.reply_of(peer.endpoint, "get_peers", {"info_hash": INFO_HASH})
        return wire.endpoints(reply.get(b"values", []))

    def close(self) -> None:
        for peer in self.peers.values():
            peer.stop()
        self.ours.close()
        self.door.close()
        for asker in [self.asker, *self.bystanders]:
            asker.close()


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    demand(*KINDS)
    running = Zoo(tmp_path_factory.mktemp("zoo"))
    try:
        running.start()
        running.ours.do(lambda node: node.announce_peer(INFO_HASH, running.door.endpoint.port))
        for peer in running.peers.values():
            if not isinstance(peer, ObedientPeer):
                peer.join_torrent(INFO_HASH)                    # all at once: some take half a minute to look it up
        yield running
    finally:
        running.close()


@pytest.mark.parametrize("name", KINDS)
def test_announce_when_made_once_by_us_then_stored_by_each(zoo: Zoo, name: str, matrix: Matrix) -> None:
    ip, port = zoo.door.endpoint
    words = {port: YES, swapped(port): "port swapped"}
    (held,) = [held for held in zoo.held_by(zoo.peers[name]) if held.ip == ip]
    matrix.check(NETWORK, "stored", name, words.get(held.port, f"port {held.port}"))


@pytest.mark.parametrize("name", KINDS)
def test_announce_when_looked_up_by_each_then_found(zoo: Zoo, name: str, matrix: Matrix) -> None:
    """Our node does not hold what it announced: what is found comes from the other kinds."""
    reply = zoo.asker.reply_of(zoo.ours.endpoints[0], "get_peers", {"info_hash": INFO_HASH})
    assert zoo.door.endpoint not in wire.endpoints(reply.get(b"values", []))
    peer = zoo.peers[name]
    matrix.check(NETWORK, "found again", name, found_word(zoo, peer))


def found_word(zoo: Zoo, peer: Peer) -> str:
    if isinstance(peer, ObedientPeer):
        return YES if zoo.door.endpoint in peer.look_up(INFO_HASH, zoo.door.endpoint) else "not found"
    first, second, *_ = zoo.door.endpoint.ip.split(".")
    misread = f"kept from 54.58.{first}.{second}:"
    until(lambda: peer.endpoint.ip in zoo.door.visitors or misread in peer.log_tail(),
          f"{peer.name} calls the peer that it found", PATIENCE_S)
    return YES if peer.endpoint.ip in zoo.door.visitors else "misread"
