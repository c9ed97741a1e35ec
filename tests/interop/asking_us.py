"""What a peer does with our answers, feature by feature; each check says in a word what it saw, as in asked_by_us.

Its queries are written down as they arrive; that an answer was good shows in what the peer does next.
"""
from __future__ import annotations

from collections.abc import Callable

from fastdht import Endpoint
from tests.interop import items_of_peers, swarms_of_peers
from tests.interop.matrix import YES
from tests.interop.network import OURS, Network
from tests.interop.peers.process import ObedientPeer, until

PATIENCE_S = 100.0          # Transmission announces itself half a minute after it has joined, and in a second round


def join(net: Network) -> str:
    """It names most of our nodes to whoever looks for their ids: it was told of them, and they answered it."""
    def known() -> int:
        return sum(node.endpoints[0] in net.named(bytes(node.id)) for node in net.ours.nodes)

    until(lambda: known() >= OURS // 2, f"{net.name} names our nodes")
    return YES


def get_peers(net: Network) -> str:
    """It finds the torrent's only peer, which only our nodes know."""
    if isinstance(net.peer, ObedientPeer):
        return YES if net.door.endpoint in net.peer.look_up(net.torrent, net.door.endpoint) else "not found"
    first, second, *_ = (int(part) for part in net.door.endpoint.ip.split("."))
    misread = f"kept from 54.58.{first}.{second}:"              # "6:" and half of the address
    until(lambda: net.peer.endpoint.ip in net.door.visitors or misread in net.peer.log_tail(),
          f"{net.name} calls the peer that it found", PATIENCE_S)
    return YES if net.peer.endpoint.ip in net.door.visitors else "misread"


def announce_peer(net: Network) -> str:
    """Our nodes have it in store, at the port where it listens."""
    until(lambda: net.peer.endpoint.ip in {peer.ip for peer in net.stored_by_us(net.torrent)},
          f"{net.name} is stored as a peer", PATIENCE_S)
    return YES if net.peer.peer_endpoint in net.stored_by_us(net.torrent) else "another port"


def implied_port(net: Network) -> str:
    """Asked to announce without a port, it announces the one it sends from."""
    info_hash = net.new_hash()
    net.by_peer.add(info_hash)
    net.peer.announce(info_hash, 0)
    stored = until(lambda: net.stored_by_us(info_hash), f"{net.name} is stored as a peer")
    sent = [heard for node in net.ours.endpoints for heard in net.ours.heard_from(net.peer.endpoint, "announce_peer")
            if heard.arguments[b"info_hash"] == info_hash]
    assert stored == {net.peer.endpoint}
    return YES if all(heard.arguments.get(b"implied_port") == 1 for heard in sent) else "port in the query"


def read_only(net: Network) -> str:
    """Its queries say ro=1 when it is told to be read-only; our nodes keep such a one out of their tables."""
    reader = type(net.peer)(net.peer.endpoint.ip.replace(".100.1", ".150.1"), net.peer.folder / "reader")
    try:
        reader.start(net.ours.endpoints, read_only=True)
        until(lambda: [heard for heard in list(net.ours.heard) if heard.source == reader.endpoint], "it asks something")
        reader.look_up(net.torrent, net.door.endpoint)
        asked = [heard for heard in list(net.ours.heard) if heard.source == reader.endpoint]
        assert all(heard.message.get(b"ro") == 1 for heard in asked)
        return "listed" if reader.endpoint in contacts(net) else YES
    finally:
        reader.stop()


def contacts(net: Network) -> set[Endpoint]:
    return {contact.endpoint for node in net.ours.nodes for contact in node.contacts()}


EVERYBODY: dict[str, Callable[[Network], str]] = {
    "join": join,
    "get_peers": get_peers,
    "announce_peer": announce_peer,
}
WHO_OBEYS: dict[str, dict[str, Callable[[Network], str]]] = {
    "libtorrent": {
        "implied_port": implied_port, "ro (BEP 43)": read_only, **items_of_peers.THEY_ASK,
        "samples (BEP 51)": swarms_of_peers.they_sample,
    },
    "bittorrent-dht": {"implied_port": implied_port, **items_of_peers.THEY_ASK, "cas": items_of_peers.they_cas},
}
