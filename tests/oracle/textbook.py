"""A node as the BEPs' text has it, in plain Python: BEP 5, 32, 33, 42, 43, 44 and 51, for one asker, without a clock.

It is what a conforming node looks like to whoever asks; `change` makes it break one rule, by looking at a query and
at the answer that would be right.
"""
from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from fastdht import bencode, crypto
from fastdht.types import Endpoint

Message = dict[Any, Any]
Change = Callable[["Textbook", Message, Any], Any]      # (node, query, right answer) → answer; None is silence

SAMPLE = b"".join(hashlib.sha1(bytes([number])).digest() for number in range(3))
METHODS_WITH_TARGET = ("find_node", "get", "sample_infohashes")


class Refused(Exception):
    """A KRPC error."""


class Textbook:
    """The node at `endpoint`, asked by `asker`; only BEP 5 if `is_basic`."""

    def __init__(self, endpoint: Endpoint, asker: Endpoint, node_id: bytes, change: Change | None = None,
                 is_basic: bool = False) -> None:
        self.endpoint, self.asker, self.id = endpoint, asker, node_id
        self.change = change
        self.is_basic = is_basic
        self.peers: dict[bytes, dict[bytes, bool]] = {}             # infohash → compact peer → is a seed
        self.values: dict[bytes, bytes] = {}                        # immutable: target → bencoded value
        self.signed: dict[bytes, dict[bytes, Any]] = {}             # mutable: target → arguments of the put
        self.asked: Counter[bytes] = Counter()
        self.datagrams: list[bytes] = []
        family6 = endpoint.is_ipv6
        self.own, self.other = ("nodes6", "nodes") if family6 else ("nodes", "nodes6")
        self.lists = {"nodes": contacts(8, 26), "nodes6": contacts(8, 38)}

    async def exchange(self, datagram: bytes, tid: bytes) -> bytes | None:
        """What an asker calls to send a datagram and hear the answer."""
        self.datagrams.append(datagram)
        answer = self.answer(datagram)
        return bencode.encode(answer) if isinstance(answer, dict) else answer

    def answer(self, datagram: bytes) -> Any:
        query = decode(datagram)
        self.asked[method_of(query)] += 1
        right = self.right_answer(query, datagram)
        return right if self.change is None else self.change(self, query, right)

    def right_answer(self, query: Message, datagram: bytes) -> Message | None:
        if query.get(b"y") != b"q":
            return None
        ip = {} if self.is_basic else {"ip": self.asker.pack()}
        try:
            return {**ip, "r": {"id": self.id, **self.reply(query, datagram)}, "t": query[b"t"], "y": "r"}
        except Refused as error:
            answer = {**ip, "e": list(error.args), "t": query[b"t"], "y": "e"}
            return answer if len(bencode.encode(answer)) <= len(datagram) else None

    def reply(self, query: Message, datagram: bytes) -> Message:
        method, arguments = query.get(b"q"), query.get(b"a")
        if not isinstance(method, bytes) or not isinstance(arguments, dict) or len(arguments.get(b"id", b"")) != 20:
            raise Refused(203, "bad query")
        known = ("ping", "find_node", "get_peers", "announce_peer")
        name = method.decode()
        if name not in (known if self.is_basic else (*known, "get", "put", "sample_infohashes")):
            raise Refused(204, "unknown method")
        if name in METHODS_WITH_TARGET and len(arguments.get(b"target", b"")) != 20:
            raise Refused(203, "bad target")
        answer: Message = getattr(self, f"on_{name}")(arguments, datagram)
        return answer

    def nodes(self, arguments: Message) -> Message:
        names = {b"n4": "nodes", b"n6": "nodes6"}
        wanted = [names[each] for each in arguments.get(b"want", [])] if not self.is_basic else []
        return {key: self.lists[key] for key in wanted or [self.own]}

    def token(self, target: bytes) -> bytes:
        return hashlib.sha1(b"secret" + target).digest()[:8]

    def on_ping(self, arguments: Message, datagram: bytes) -> Message:
        return {}

    def on_find_node(self, arguments: Message, datagram: bytes) -> Message:
        return self.nodes(arguments)

    def on_get_peers(self, arguments: Message, datagram: bytes) -> Message:
        target = arguments[b"info_hash"]
        answer = {**self.nodes(arguments), "token": self.token(target)}
        peers = self.peers.get(target, {})
        if arguments.get(b"scrape") and peers and not self.is_basic:
            return {**answer, "BFsd": bloom(peers, True), "BFpe": bloom(peers, False)}
        values = [each for each, is_seed in peers.items() if self.is_basic or not (is_seed and arguments.get(b"noseed"))]
        return {**answer, "values": values} if values else answer

    def on_announce_peer(self, arguments: Message, datagram: bytes) -> Message:
        target = arguments[b"info_hash"]
        port = self.asker.port if arguments.get(b"implied_port") else arguments[b"port"]
        if arguments[b"token"] != self.token(target) or not 1 <= port <= 65_535:
            raise Refused(203, "bad token or port")
        self.peers.setdefault(target, {})[Endpoint(self.asker.ip, port).pack()] = bool(arguments.get(b"seed"))
        return {}

    def on_sample_infohashes(self, arguments: Message, datagram: bytes) -> Message:
        return {**self.nodes(arguments), "samples": SAMPLE, "num": len(SAMPLE) // 20, "interval": 300}

    def on_get(self, arguments: Message, datagram: bytes) -> Message:
        target = arguments[b"target"]
        answer = {**self.nodes(arguments), "token": self.token(target)}
        if target in self.values:
            answer["v"] = bencode.decode(self.values[target])
        elif target in self.signed:
            stored = self.signed[target]
            answer["seq"] = stored[b"seq"]
            if arguments.get(b"seq", -1) < stored[b"seq"]:
                answer.update({key: stored[key.encode()] for key in ("k", "sig", "v")})
        return answer

    def on_put(self, arguments: Message, datagram: bytes) -> Message:
        value = raw_value(datagram, arguments[b"v"])
        target = put_target(arguments, value)
        if len(value) > 1000:
            raise Refused(205, "too large")
        if len(arguments.get(b"salt", b"")) > 64:
            raise Refused(207, "salt too large")
        if arguments[b"token"] != self.token(target) or bencode.encode(arguments[b"v"]) != value:
            raise Refused(203, "bad token or value")
        if b"k" not in arguments:
            self.values[target] = value
            return {}
        message = crypto.signing_buffer(value, arguments[b"seq"], arguments.get(b"salt", b""))
        if not crypto.verify(arguments[b"sig"], message, arguments[b"k"]):
            raise Refused(206, "bad signature")
        self.check_order(arguments, self.signed.get(target))
        self.signed[target] = arguments
        return {}

    def check_order(self, arguments: Message, stored: Message | None) -> None:
        if stored is None:
            return
        if b"cas" in arguments and arguments[b"cas"] != stored[b"seq"]:
            raise Refused(301, "cas mismatch")
        is_same = arguments[b"seq"] == stored[b"seq"] and arguments[b"v"] == stored[b"v"]
        if arguments[b"seq"] <= stored[b"seq"] and not is_same:
            raise Refused(302, "seq too low")


def put_target(arguments: Message, value: bytes) -> bytes:
    if b"k" in arguments:
        return hashlib.sha1(arguments[b"k"] + arguments.get(b"salt", b"")).digest()
    return hashlib.sha1(value).digest()


def raw_value(datagram: bytes, decoded: object) -> bytes:
    """The value as it travelled: as it is encoded properly, or, if it was not, what stands before the next key."""
    proper = bencode.encode(decoded)
    return proper if b"1:v" + proper in datagram else datagram.partition(b"1:v")[2].partition(b"e1:q3:put")[0]


def bloom(peers: dict[bytes, bool], seeds: bool) -> bytes:
    """BEP 33's filter, by its own lines."""
    bits = bytearray(256)
    for peer in (each for each, is_seed in peers.items() if is_seed is seeds):
        digest = hashlib.sha1(peer[:-2]).digest()
        for index in (digest[0] | digest[1] << 8, digest[2] | digest[3] << 8):
            bits[index % 2048 // 8] |= 1 << (index % 8)
    return bytes(bits)


def contacts(count: int, size: int) -> bytes:
    """Any ids, addresses and ports: nobody follows them."""
    return b"".join(hashlib.sha512(bytes([number, size])).digest()[:size] for number in range(count))


def decode(datagram: bytes) -> Message:
    try:
        message = bencode.decode(datagram, strict=False)
    except bencode.DecodeError:
        return {}
    return message if isinstance(message, dict) else {}


def method_of(query: Message) -> bytes:
    method = query.get(b"q")
    return method if isinstance(method, bytes) else b""
