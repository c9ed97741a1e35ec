"""What `fastdht conform` needs of a node, and how answers are judged. Rate class: command.

Judges are small functions that return what is wrong with an answer, or nothing. A question may need what another
answer gave (a write token); the Bench fetches it. Source: the BEP of each row of conform_checks.
"""
from __future__ import annotations

import enum
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fastdht import bencode, crypto
from fastdht.cli.probe import Message, Probe, Reply
from fastdht.errors import DecodeError
from fastdht.items import sign_item
from fastdht.types import Endpoint, Item

ERROR_PROTOCOL, ERROR_METHOD, ERROR_TOO_LARGE, ERROR_SIGNATURE, ERROR_SALT = 203, 204, 205, 206, 207
ERROR_CAS, ERROR_OLD = 301, 302
MAX_INTERVAL = 21_600
FILTER_SIZE = 256
PORT = 4711                 # that we announce


class Verdict(enum.Enum):
    CONFORMS = "conforms"
    DEVIATES = "deviates"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"


Judge = Callable[["Bench", Reply], str | None]          # what is wrong, None when nothing is
Outcome = tuple[Verdict, str]


@dataclass
class Bench:
    """One node under test, and what its answers have given so far."""

    probe: Probe
    remote: Endpoint
    target: bytes = field(default_factory=lambda: os.urandom(20))       # an infohash that nobody else has
    value: bytes = field(default_factory=lambda: b"conform " + os.urandom(8).hex().encode())
    key: crypto.SigningKey = field(default_factory=crypto.SigningKey.generate)
    node_id: bytes | None = None

    async def ask(self, method: bytes, arguments: Message | None = None, **options: Any) -> Reply | None:
        """Twice where the first gets lost."""
        for _ in range(2):
            reply = await self.probe.ask(self.remote, method, arguments, **options)
            if reply is not None:
                return reply
        return None

    async def token(self, method: bytes, name: bytes, target: bytes) -> bytes:
        """A write token for a target; empty when the node gives none."""
        reply = await self.ask(method, {name: target})
        token = reply.results.get(b"token") if reply is not None else None
        return token if isinstance(token, bytes) else b""

    async def put(self, item: Item, token: bytes | None = None, **changes: Any) -> Reply | None:
        """A put of an item, with a good token unless another is given; `changes` replace arguments."""
        arguments: dict[bytes, Any] = {b"v": item.value}
        if item.is_mutable:
            arguments |= {b"k": item.public_key, b"sig": item.signature, b"seq": item.seq}
            arguments |= {b"salt": item.salt} if item.salt else {}
        arguments[b"token"] = await self.token(b"get", b"target", bytes(item.target)) if token is None else token
        return await self.ask(b"put", arguments | {name.encode(): value for name, value in changes.items()})

    def mutable(self, value: bytes, seq: int, salt: bytes = b"") -> Item:
        return sign_item(self.key, value, seq=seq, salt=salt)


class Check(NamedTuple):
    """One row: which BEP says what, the question, and how its answer is judged."""

    bep: int
    name: str
    clause: str
    question: Callable[[Bench], Awaitable[Reply | None]]
    judges: tuple[Judge, ...]
    is_optional: bool = False           # a node that answers with 204, or lacks the key, does not speak it
    may_be_silent: bool = False         # a refusal by silence is allowed: errors cost the victim of a forged source

    async def run(self, bench: Bench) -> Outcome:
        reply = await self.question(bench)
        if reply is None:
            silent = Verdict.UNSUPPORTED if self.is_optional else Verdict.DEVIATES
            return (Verdict.CONFORMS, "silent") if self.may_be_silent else (silent, "no answer")
        if self.is_optional and reply.error == ERROR_METHOD:
            return Verdict.UNSUPPORTED, "unknown method"
        for judge in self.judges:
            wrong = judge(bench, reply)
            if wrong is not None:
                return (Verdict.UNSUPPORTED, wrong[1:]) if wrong.startswith("?") else (Verdict.DEVIATES, wrong)
        return Verdict.CONFORMS, ""


# Judges. One that begins its remark with "?" means: this node does not speak the extension.

def is_response(bench: Bench, reply: Reply) -> str | None:
    if reply.message.get(b"y") != b"r":
        return f"answered error {reply.message.get(b'e')}" if b"e" in reply.message else "y is not r"
    return None if isinstance(reply.message.get(b"r"), dict) else "without r"


def has_id(bench: Bench, reply: Reply) -> str | None:
    node_id = reply.results.get(b"id")
    if not isinstance(node_id, bytes) or len(node_id) != 20:
        return f"id is {len(node_id)} bytes" if isinstance(node_id, bytes) else "without id"
    bench.node_id = bench.node_id or node_id
    return None if node_id == bench.node_id else "another id than before"


def is_canonical(bench: Bench, reply: Reply) -> str | None:
    try:
        bencode.decode(reply.raw)
    except DecodeError as error:
        return f"not canonical bencode: {error}"
    return None


def has_nodes(bench: Bench, reply: Reply) -> str | None:
    nodes = reply.results.get(b"nodes6" if bench.remote.is_ipv6 else b"nodes")
    size = 38 if bench.remote.is_ipv6 else 26
    if nodes is None:
        return "without nodes"
    return None if isinstance(nodes, bytes) and len(nodes) % size == 0 else f"nodes is no multiple of {size} bytes"


def has_nodes_or_values(bench: Bench, reply: Reply) -> str | None:
    return None if b"values" in reply.results else has_nodes(bench, reply)


def has_token(bench: Bench, reply: Reply) -> str | None:
    token = reply.results.get(b"token")
    return None if isinstance(token, bytes) and token else "without token"


def names_us(bench: Bench, reply: Reply) -> str | None:
    values = reply.results.get(b"values")
    if not isinstance(values, list):
        return "the peer just announced is not among values"
    ports = {int.from_bytes(each[-2:], "big") for each in values if isinstance(each, bytes) and len(each) in (6, 18)}
    if PORT in ports:
        return None
    swapped = int.from_bytes(PORT.to_bytes(2, "big"), "little")
    return "the port comes back with its bytes swapped" if swapped in ports else f"port {PORT} is not among values"


def names_source_port(bench: Bench, reply: Reply) -> str | None:
    values = reply.results.get(b"values") or []
    ports = {int.from_bytes(each[-2:], "big") for each in values if isinstance(each, bytes) and len(each) in (6, 18)}
    return None if bench.probe.local.port in ports else "implied_port did not store the source port"


def errs(*codes: int) -> Judge:
    def judge(bench: Bench, reply: Reply) -> str | None:
        if reply.error in codes:
            return None
        found = f"error {reply.error}" if reply.error is not None else "an answer"
        return f"{found} instead of error {' or '.join(map(str, codes))}"

    return judge


def is_error_list(bench: Bench, reply: Reply) -> str | None:
    error = reply.message.get(b"e")
    if isinstance(error, list) and len(error) >= 2 and isinstance(error[0], int) and isinstance(error[1], bytes):
        return None
    return "e is not a list of code and message"


def has_nodes6(bench: Bench, reply: Reply) -> str | None:
    nodes = reply.results.get(b"nodes6")
    if nodes is None:
        return "?nodes6 is absent"
    return None if isinstance(nodes, bytes) and len(nodes) % 38 == 0 else "nodes6 is no multiple of 38 bytes"


def has_filters(bench: Bench, reply: Reply) -> str | None:
    seeds = reply.results.get(b"BFsd", reply.results.get(b"BFse"))
    peers = reply.results.get(b"BFpe")
    if seeds is None and peers is None:
        return "?no filters"
    wrong = [each for each in (seeds, peers) if not isinstance(each, bytes) or len(each) != FILTER_SIZE]
    return f"a filter is not {FILTER_SIZE} bytes" if wrong else None


def tells_our_address(bench: Bench, reply: Reply) -> str | None:
    address = reply.message.get(b"ip")
    if address is None:
        return "?without ip"
    if not isinstance(address, bytes) or len(address) not in (6, 18):
        return "ip is not a compact address and port"
    return None if int.from_bytes(address[-2:], "big") == bench.probe.local.port else "?port differs, as behind a NAT"


def holds_value(bench: Bench, reply: Reply) -> str | None:
    found = reply.results.get(b"v")
    return None if found == bench.value else "?does not keep it" if found is None else "another value than was put"


def holds(value: bytes, seq: int) -> Judge:
    def judge(bench: Bench, reply: Reply) -> str | None:
        results = reply.results
        if b"v" not in results:
            return "?does not keep it"
        if results.get(b"seq") != seq:
            return f"seq is {results.get(b'seq')} instead of {seq}"
        if results[b"v"] != value or results.get(b"k") != bench.key.public_key:
            return "another value or key than was put"
        signed = crypto.signing_buffer(bencode.encode(value), seq)
        signature = results.get(b"sig")
        if isinstance(signature, bytes) and crypto.verify(signature, signed, bench.key.public_key):
            return None
        return "the signature is not that of the value"

    return judge


def has_no_value(bench: Bench, reply: Reply) -> str | None:
    return "sends the value although the asker has it" if b"v" in reply.results else None


def has_samples(bench: Bench, reply: Reply) -> str | None:
    results = reply.results
    if b"samples" not in results:
        return "?no samples"
    samples, interval, num = results[b"samples"], results.get(b"interval", 0), results.get(b"num")
    if not isinstance(samples, bytes) or len(samples) % 20:
        return "samples is no multiple of 20 bytes"
    if not isinstance(interval, int) or not 0 <= interval <= MAX_INTERVAL:
        return f"interval is {interval}; 0 to {MAX_INTERVAL}"
    return None if isinstance(num, int) and num * 20 >= len(samples) else "num is not the number of infohashes"
