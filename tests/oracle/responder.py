"""A storing node of BEP 5, 33, 44 and 51 in plain Python: what a client's calls are held against.

It knows its whole network, keeps what it is given, checks a put in the order of BEP 44 and its implementations, and
notes every query. Hooks make it lie or fall silent. Answers are built by the codec, which has tests of its own.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fastdht import bencode, crypto
from fastdht._ext import krpc
from fastdht.testing import builders
from fastdht.types import Contact, Endpoint

Answer = list[tuple[bytes, bytes]]


@dataclass
class Stored:
    """What `put` keeps under a target; an immutable item has only its value."""

    value: bytes
    key: bytes | None = None
    signature: bytes | None = None
    seq: int | None = None


@dataclass
class Responder:
    """The node at `contact`; `population` are all nodes it can name. Give `answer` to SimNetwork.act."""

    contact: Contact
    population: list[Contact]
    items: dict[bytes, Stored] = field(default_factory=dict)
    values: list[Endpoint] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)         # of any get_peers or sample answer, as krpc takes it
    silences: Callable[[dict[str, Any]], bool] = lambda query: False     # whether the answer gets lost
    queries: list[dict[str, Any]] = field(default_factory=list)
    sources: list[bytes] = field(default_factory=list)

    def answer(self, data: bytes, source: bytes) -> Answer:
        query = krpc.parse(data)
        if query is None or query["kind"] != "q":
            return []
        self.queries.append(query)
        self.sources.append(source)
        reply = self.reply(query, source)
        return [] if self.silences(query) else [(reply, source)]

    def reply(self, query: dict[str, Any], source: bytes) -> bytes:
        method = query["method"] or "other"
        if method == "put":
            code = self.store(query, source)
            if code:
                return krpc.build_error(query["tid"], code, "refused")
            return krpc.build_reply(id=bytes(self.contact.id), tid=query["tid"])
        common: dict[str, Any] = {"id": bytes(self.contact.id), "tid": query["tid"]}
        if "target" in query:
            common["nodes"] = builders.pack_nodes(builders.closest(self.population, query["target"]))
        return krpc.build_reply(**common, **self.slots(method, query, source))

    def slots(self, method: str, query: dict[str, Any], source: bytes) -> dict[str, Any]:
        """What an answer holds beside id and nodes."""
        if method == "get_peers":
            known = {"values": [peer.pack() for peer in self.values]} if self.values else {}
            return {"token": token_for(source)} | known | self.extra
        if method == "sample_infohashes":
            return self.extra
        if method == "get":
            stored = self.items.get(query["target"])
            if stored is None:
                return {"token": token_for(source)}
            if stored.seq is not None and query.get("seq", -1) >= stored.seq:
                return {"token": token_for(source), "seq": stored.seq}
            return {"token": token_for(source), "value": stored.value, "key": stored.key,
                    "signature": stored.signature, "seq": stored.seq}
        return {}

    def store(self, query: dict[str, Any], source: bytes) -> int:
        """The error code of a put, or 0 when it is stored: the order of checks is that of BEP 44's sections."""
        value, salt = query["value"], query.get("salt", b"")
        key, signature, seq = query.get("key"), query.get("signature"), query.get("seq")
        if len(value) > 1000:
            return 205
        if len(salt) > 64:
            return 207
        if len({key is None, signature is None, seq is None}) != 1 or query.get("token") != token_for(source):
            return 203
        if key is None:
            self.items[crypto.immutable_target(value)] = Stored(value)
            return 0
        if not 0 <= seq < 2**63:
            return 203
        if not crypto.verify(signature, crypto.signing_buffer(value, seq, salt), key):
            return 206
        return self.store_signed(crypto.mutable_target(key, salt), Stored(value, key, signature, seq), query.get("cas"))

    def store_signed(self, target: bytes, new: Stored, cas: int | None) -> int:
        held = self.items.get(target)
        if held is not None:
            if cas is not None and cas != held.seq:
                return 301
            if new.seq < held.seq or (new.seq == held.seq and new.value != held.value):
                return 302
        self.items[target] = new
        return 0

    def asked(self, method: str) -> list[dict[str, Any]]:
        return [query for query in self.queries if query["method"] == method]


def token_for(source: bytes) -> bytes:
    return b"tk" + source[:-2]


def responders(count: int, seed: int = 0) -> list[Responder]:
    """Nodes that all know each other."""
    population = builders.contacts(count, seed, first=100)
    return [Responder(contact, population) for contact in population]


def value_of(stored: Iterable[Stored]) -> list[object]:
    return [bencode.decode(each.value) for each in stored]
