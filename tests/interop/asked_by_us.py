"""What a peer answers, feature by feature: each check says in a word what it saw, `yes` for what the BEP says.

Where our node has a method for it, our node asks; what no decent node would send is asked by hand.
"""
from __future__ import annotations

from collections.abc import Callable

from fastdht import NoResponse, RemoteError
from tests.interop import swarms_of_peers, wire
from tests.interop.matrix import YES
from tests.interop.network import Network
from tests.interop.wire import Asker

TARGET = b"a target of 20 bytes"
MAX_NODES = 8               # BEP 5: the K = 8 closest good nodes


def code_word(code: int | None, right: int) -> str:
    return YES if code == right else {None: "silent", 0: "answers"}.get(code, str(code))


def ping(net: Network) -> str:
    pong = net.ours.do(lambda node: node.ping(net.peer.endpoint))
    return YES if bytes(pong.id) == net.asker.reply_of(net.peer.endpoint, "ping")[b"id"] else "another id"


def version(net: Network) -> str:
    """`v` begins with the two letters of the program."""
    pong = net.ours.do(lambda node: node.ping(net.peer.endpoint))
    return "none" if pong.version is None else YES if pong.version[:2] == net.peer.letters else "another"


def find_node(net: Network) -> str:
    """Our node takes its answer, and the answer names nodes of ours."""
    report = net.ours.do(lambda node: node.find_node(TARGET, to=[net.peer.endpoint]))
    assert [found.contact.endpoint for found in report.closest] == [net.peer.endpoint]
    named = net.named(TARGET)
    return YES if named & set(net.ours.endpoints) else "nobody of ours"


def nodes_per_reply(net: Network) -> str:
    for _ in range(MAX_NODES // 2):                             # enough nodes for more than a reply should hold
        net.new_asker().ask(net.peer.endpoint, "ping")
    count = len(net.named(TARGET))
    return YES if count <= MAX_NODES else "whole table"


def get_peers_miss(net: Network) -> str:
    report = net.ours.do(lambda node: node.get_peers(net.new_hash(), to=[net.peer.endpoint]))
    (found,) = report.closest
    assert found.token and not report.values
    return YES


def announce_peer(net: Network) -> str:
    report = net.announce(net.new_hash(), 7001)
    return YES if report.accepted == 1 else "refused"


def get_peers_hit(net: Network) -> str:
    info_hash = net.new_hash()
    net.announce(info_hash, 7002)
    return port_word(net, info_hash, {7002: YES, swapped(7002): "port swapped"})


def implied_port(net: Network) -> str:
    """The port 7003 must be ignored, and the one that the datagram comes from be stored."""
    info_hash, port = net.new_hash(), net.ours.endpoints[0].port
    net.announce(info_hash, 7003, implied_port=True)
    return port_word(net, info_hash, {
        port: YES, swapped(port): "port swapped", 7003: "ignored", swapped(7003): "ignored, swapped"})


def swapped(port: int) -> int:
    return int.from_bytes(port.to_bytes(2, "big"), "little")


def port_word(net: Network, info_hash: bytes, words: dict[int, str]) -> str:
    """The word for the port of the one peer that it names, whose address must be ours."""
    (found,) = net.values(info_hash)
    assert found.ip == net.ours.endpoints[0].ip
    return words.get(found.port, f"port {found.port}")


def nodes_beside_values(net: Network) -> str:
    info_hash = net.new_hash()
    net.announce(info_hash, 7004)
    reply = net.asker.reply_of(net.peer.endpoint, "get_peers", {"info_hash": info_hash})
    assert b"values" in reply
    return YES if b"nodes" in reply else "values only"


def announce_by(net: Network, asker: Asker, token: bytes, info_hash: bytes) -> str:
    return code_word(asker.error_of(net.peer.endpoint, "announce_peer", {
        "info_hash": info_hash, "port": 7005, "token": token, "implied_port": 0}), 203)


def forged_token(net: Network) -> str:
    return announce_by(net, net.asker, b"forged..", net.new_hash())


def token_of_another_address(net: Network) -> str:
    info_hash = net.new_hash()
    token = net.asker.reply_of(net.peer.endpoint, "get_peers", {"info_hash": info_hash})[b"token"]
    return announce_by(net, net.new_asker(), token, info_hash)


def want(net: Network) -> str:
    """BEP 32: who wants n6 alone gets no `nodes`."""
    reply = net.asker.reply_of(net.peer.endpoint, "find_node", {"target": TARGET, "want": ["n6"]})
    return "ignored" if b"nodes" in reply else YES


def read_only(net: Network) -> str:
    """BEP 43: an asker with ro=1 is kept out of the table, where one without it is let in.

    Their ids differ from the peer's in the last byte only: in that corner of any table there is always room.
    """
    own = net.asker.reply_of(net.peer.endpoint, "ping")[b"id"]
    reader, other = net.new_asker(), net.new_asker()
    reader.id, other.id = (own[:-1] + bytes([own[-1] ^ bit]) for bit in (1, 2))
    for _ in range(10):
        reader.ask(net.peer.endpoint, "find_node", {"target": reader.id}, ro=1)
        other.ask(net.peer.endpoint, "find_node", {"target": other.id}, ro=None)
    named = net.named(own)
    if other.endpoint not in named:
        return "lists nobody"
    return "ignored" if reader.endpoint in named else YES


def read_only_announcer(net: Network) -> str:
    """BEP 43 makes no exception for those who announce; again with another that may be listed."""
    own, info_hash = net.asker.reply_of(net.peer.endpoint, "ping")[b"id"], net.new_hash()
    net.announced.add(info_hash)
    reader, other = net.new_asker(), net.new_asker()
    reader.id, other.id = (own[:-1] + bytes([own[-1] ^ bit]) for bit in (4, 8))
    swarms_of_peers.announce_from(reader, net.peer.endpoint, info_hash, seed=False)
    swarms_of_peers.announce_from(other, net.peer.endpoint, info_hash, seed=False, ro=None)
    named = net.named(own)
    if other.endpoint not in named:
        return "lists nobody"
    return "listed" if reader.endpoint in named else YES


def external_address(net: Network) -> str:
    """BEP 42: the asker's compact endpoint as `ip` on top of the answer."""
    answer = net.asker.ask(net.peer.endpoint, "ping") or {}
    told = answer.get(b"ip")
    return "none" if told is None else YES if told == net.asker.endpoint.pack() else "wrong"


def get_item(net: Network) -> str:
    """BEP 44 at all; items_of_peers has what those can do that have it."""
    answer = net.asker.ask(net.peer.endpoint, "get", {"target": TARGET}, timeout_s=wire.SILENCE_S, tries=2)
    if answer is None:
        return "silent"
    return code_word(answer[b"e"][0], 0) if answer[b"y"] == b"e" else YES if b"token" in answer[b"r"] else "as find_node"


def code_for_us(net: Network, method: str, arguments: dict[str, object]) -> int | None:
    """What our node's raw query makes of the answer, as `error_of` has it."""
    try:
        net.ours.do(lambda node: node.query(method, net.peer.endpoint, arguments))
    except NoResponse:
        return None
    except RemoteError as error:
        return error.code
    return 0


def unknown_method(net: Network) -> str:
    return code_word(code_for_us(net, "no_such_method", {}), 204)


def query_without_id(net: Network) -> str:
    return code_word(net.asker.error_of(net.peer.endpoint, "ping", {"id": None}), 203)


def short_target(net: Network) -> str:
    return code_word(code_for_us(net, "find_node", {"target": b"short"}), 203)


def transaction_ids(net: Network) -> str:
    """The longest of some tids, NUL bytes included, that comes back as it was."""
    longest = 0
    for size in (1, 2, 4, 8, 16, 20):
        tid = bytes(range(size))
        query = {"a": {"id": net.asker.id}, "q": "ping", "t": tid, "y": "q"}
        if net.asker.exchange(net.peer.endpoint, wire.bencode.encode(query), tid, wire.SILENCE_S):
            longest = size
    return YES if longest == 20 else f"{longest} bytes"


CHECKS: dict[str, Callable[[Network], str]] = {
    "ping": ping,
    "v": version,
    "find_node": find_node,
    "8 nodes per reply": nodes_per_reply,
    "get_peers, miss": get_peers_miss,
    "announce_peer": announce_peer,
    "get_peers, hit": get_peers_hit,
    "implied_port": implied_port,
    "nodes beside values": nodes_beside_values,
    "forged token: 203": forged_token,
    "another's token: 203": token_of_another_address,
    "want (BEP 32)": want,
    "ip (BEP 42)": external_address,
    "ro (BEP 43)": read_only,
    "ro, announcing": read_only_announcer,
    "scrape (BEP 33)": swarms_of_peers.filters,
    "noseed (BEP 33)": swarms_of_peers.without_seeds,
    "samples (BEP 51)": swarms_of_peers.samples,
    "get (BEP 44)": get_item,
    "unknown method: 204": unknown_method,
    "query without id: 203": query_without_id,
    "short target: 203": short_target,
    "tid of 20 bytes": transaction_ids,
}
