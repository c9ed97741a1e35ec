"""BEP 33 and 51: filters and samples equal what was announced. Checks as in asked_by_us."""
from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable

from fastdht import Endpoint
from tests.interop.matrix import YES
from tests.interop.network import Network
from tests.interop.our_nodes import OurNodes
from tests.interop.peers.process import until
from tests.interop.wire import Asker

SEEDS = 10
OTHERS = 20
FILTER_BITS = 2048


def filter_of(ips: Iterable[str]) -> bytes:
    """BEP 33, "bloom filters": two bits for each address, by the first four bytes of its SHA-1."""
    bits = bytearray(FILTER_BITS // 8)
    for ip in ips:
        digest = hashlib.sha1(ipaddress.ip_address(ip).packed).digest()
        for at in (0, 2):
            index = int.from_bytes(digest[at:at + 2], "little") % FILTER_BITS
            bits[index // 8] |= 1 << index % 8
    return bytes(bits)


def announce_from(asker: Asker, remote: Endpoint, info_hash: bytes, *, seed: bool, **top: None) -> None:
    token = asker.reply_of(remote, "get_peers", {"info_hash": info_hash}, **top)[b"token"]
    announce = {"info_hash": info_hash, "port": 7100, "token": token, "seed": int(seed)}
    asker.reply_of(remote, "announce_peer", announce, **top)


def fill(net: Network, info_hash: bytes) -> tuple[set[str], set[str]]:
    """Announce from thirty addresses at the peer; those of the seeds, and the others.

    All under one node id: whoever announces is listed, with ro=1 too, and thirty who know nothing would be in the way.
    """
    askers = [net.new_asker() for _ in range(SEEDS + OTHERS)]
    for asker in askers:
        asker.id = net.asker.id
    net.announced.add(info_hash)
    for turn, asker in enumerate(askers):
        announce_from(asker, net.peer.endpoint, info_hash, seed=turn < SEEDS)
    ips = [asker.endpoint.ip for asker in askers]
    return set(ips[:SEEDS]), set(ips[SEEDS:])


def filters(net: Network) -> str:
    """Bit by bit, by hand; and our node makes the right numbers of them."""
    info_hash = net.new_hash()
    seeds, others = fill(net, info_hash)
    reply = net.asker.reply_of(net.peer.endpoint, "get_peers", {"info_hash": info_hash, "scrape": 1})
    if b"BFsd" not in reply:
        return "none"
    assert (reply[b"BFsd"], reply[b"BFpe"]) == (filter_of(seeds), filter_of(others))
    swarm = net.ours.do(lambda node: node.scrape(info_hash, to=[net.peer.endpoint]))
    assert swarm.seeds.low <= SEEDS <= swarm.seeds.high and swarm.peers.low <= OTHERS <= swarm.peers.high
    return YES


def without_seeds(net: Network) -> str:
    """`noseed` leaves the seeds out."""
    info_hash = net.new_hash()
    seeds, others = fill(net, info_hash)
    everybody = {peer.ip for peer in net.values(info_hash)}
    report = net.ours.do(lambda node: node.get_peers(info_hash, noseed=True, to=[net.peer.endpoint]))
    found = {peer.ip for peer in report.values}
    assert found <= everybody <= seeds | others
    return YES if found == others else "ignored"


def samples(net: Network) -> str:
    """All infohashes that the peer has peers of, and no other, by as many questions as it takes.

    Those are what it was given, and what it has announced itself where it happened to be among the closest nodes.
    """
    answer = net.asker.ask(net.peer.endpoint, "sample_infohashes", {"target": bytes(20)}, timeout_s=1.0, tries=2)
    if answer is None or answer[b"y"] == b"e":
        return "silent" if answer is None else str(answer[b"e"][0])
    if b"samples" not in answer[b"r"]:
        return "as find_node"
    seen: set[bytes] = set()

    def look() -> bool:
        report = net.ours.do(lambda node: node.sample_infohashes(bytes(20), to=[net.peer.endpoint]))
        seen.update(bytes(found) for found in report.info_hashes)
        return len(seen) >= report.nodes[0].num

    until(look, "every infohash has been in a sample")
    truth = net.announced | {info_hash for info_hash in net.by_peer if net.values(info_hash)}
    return YES if seen == truth else f"{len(seen - truth)} too many, {len(truth - seen)} missing"


def they_sample(net: Network) -> str:
    """The samples that libtorrent takes of a node of ours are what that node was given."""
    ours = OurNodes([net.door.endpoint.ip.replace(".200.1", ".210.1")])
    try:
        truth = {net.new_hash() for _ in range(12)}
        for info_hash in truth:
            announce_from(net.asker, ours.endpoints[0], info_hash, seed=False)
        answer = net.peer.call("sample", endpoint=str(ours.endpoints[0]), target=bytes(20))
        assert answer is not None and answer["num"] == len(truth)
        return YES if {bytes.fromhex(each) for each in answer["samples"]} == truth else "others"
    finally:
        ours.close()
