"""What is known while a node is examined: who we are, what we made up to ask for, and all it has answered.

Rate class: command. Everything is random, so that nothing of value is touched, and an examination meets no earlier
one. Bound: answers are kept, one for each question; the table of checks is finite, and each is asked three times.
"""
from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from fastdht import bencode
from fastdht._ext.ids import secure_id
from fastdht.conform.shelf import Shelf
from fastdht.errors import DecodeError
from fastdht.types import Endpoint

Message = dict[str, Any]


class NoToken(Exception):
    """A write cannot be asked for: the node gave no token."""


class Raw(NamedTuple):
    """A datagram that is no dictionary of ours; what is empty, it does not have."""

    datagram: bytes
    tid: bytes = b""


class Question(NamedTuple):
    """A datagram we sent; method and target are empty where it has none, tid where it expects no answer."""

    datagram: bytes
    tid: bytes
    method: str
    target: bytes
    is_unproved: bool       # the node had no proof yet that our address is ours


@dataclass(frozen=True, slots=True)
class Answer:
    """A datagram that came back. message: as decoded, empty if it is none; attempt: 1 to 3."""

    data: bytes
    message: dict[bytes, Any]
    question: Question
    attempt: int = 1

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def body(self) -> dict[bytes, Any]:
        body = self.message.get(b"r")
        return body if isinstance(body, dict) else {}

    @property
    def is_error(self) -> bool:
        return self.message.get(b"y") == b"e"

    @property
    def code(self) -> int | None:
        """The error's code; None for a reply, and for an error whose form is not BEP 5's."""
        error = self.message.get(b"e")
        if not self.is_error or not isinstance(error, list) or not error or not isinstance(error[0], int):
            return None
        return error[0]

    @property
    def error_text(self) -> str:
        """`203 bad token`, however badly the error is formed."""
        error = self.message.get(b"e")
        parts = error if isinstance(error, list) else [error]
        words = (part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part) for part in parts[:2])
        text = " ".join(words)[:60]
        return "".join(letter if letter.isprintable() else "?" for letter in text)

    def bytes_of(self, key: str) -> bytes:
        """A string of `r`, empty if there is none."""
        value = self.body.get(key.encode())
        return value if isinstance(value, bytes) else b""


@dataclass(slots=True)
class Scene:
    """The state of one examination. local: our socket's endpoint, as this machine sees it."""

    remote: Endpoint
    local: Endpoint
    rng: Random
    id: bytes = b""
    torrent: bytes = b""
    implied: bytes = b""
    port: int = 0           # announced, and neither ours nor anybody's
    shelf: Shelf = field(init=False)
    tokens: dict[bytes, bytes] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    by_check: dict[str, Answer] = field(default_factory=dict)
    is_unproved: bool = True
    tids: int = 0

    def __post_init__(self) -> None:
        self.id = self.rng.randbytes(20)
        self.torrent = self.rng.randbytes(20)
        self.implied = self.rng.randbytes(20)
        self.port = 1024 + self.rng.randrange(48_000)
        if self.port == self.local.port:
            self.port += 1
        self.tids = self.rng.getrandbits(31)
        self.shelf = Shelf(self.rng)

    @property
    def own_key(self) -> str:
        """The node list of the socket's family (BEP 32)."""
        return "nodes6" if self.remote.is_ipv6 else "nodes"

    @property
    def other_key(self) -> str:
        return "nodes" if self.remote.is_ipv6 else "nodes6"

    @property
    def own_want(self) -> str:
        return "n6" if self.remote.is_ipv6 else "n4"

    @property
    def other_want(self) -> str:
        return "n4" if self.remote.is_ipv6 else "n6"

    @property
    def source(self) -> Endpoint | None:
        """How the node must see us; None if a router may stand between."""
        ours, theirs = ipaddress.ip_address(self.local.ip), ipaddress.ip_address(self.remote.ip)
        return self.local if ours.is_global or not theirs.is_global else None

    @property
    def own_ip(self) -> bytes | None:
        """Our address in 4 or 16 bytes: known, or told by the node."""
        if self.source is not None:
            return self.source.pack()[:-2]
        told = next((each.message[b"ip"] for each in self.replies() if isinstance(each.message.get(b"ip"), bytes)), b"")
        return told[:-2] if len(told) == self.peer_size else None

    @property
    def peer_size(self) -> int:
        return 18 if self.remote.is_ipv6 else 6

    @property
    def node_id(self) -> bytes | None:
        return next((each.bytes_of("id") for each in self.replies() if len(each.bytes_of("id")) == 20), None)

    @property
    def version(self) -> bytes | None:
        return next((v for each in self.answers if isinstance(v := each.message.get(b"v"), bytes)), None)

    def replies(self) -> list[Answer]:
        return [each for each in self.answers if each.message.get(b"y") == b"r"]

    def next_tid(self, size: int = 4) -> bytes:
        """Four bytes suit every node: some take no others. Counted, so that no two are alike but by their length."""
        self.tids += 1
        tail = self.tids.to_bytes(4, "big")
        return tail[-size:] if size <= 4 else self.rng.randbytes(size - 4) + tail

    def query(self, method: str, top: Message | None = None, tid_size: int = 4, **arguments: Any) -> Message:
        """A query as BEP 5 forms it, read-only (BEP 43); an argument that is None is left out, so is a key of `top`."""
        body = {key: value for key, value in {"id": self.id, **arguments}.items() if value is not None}
        keys = {"a": body, "q": method, "ro": 1, "t": self.next_tid(tid_size), "y": "q", **(top or {})}
        return {key: value for key, value in keys.items() if value is not None}

    def token(self, target: bytes) -> bytes:
        """What the node gave for this target. Raises NoToken."""
        if target not in self.tokens:
            raise NoToken("no token was given for it")
        return self.tokens[target]

    def prove(self) -> bytes:
        """Our id, to answer a ping with; whoever reads it knows that our address is ours."""
        self.is_unproved = False
        return self.id

    def learn(self, check: str, answer: Answer) -> None:
        """Keep an answer, and what later questions need of it."""
        self.answers.append(answer)
        self.by_check[check] = answer
        if answer.question.method in ("get", "get_peers") and answer.bytes_of("token"):
            self.tokens[answer.question.target] = answer.bytes_of("token")
        if len(self.answers) == 1 and (own_ip := self.own_ip) is not None:
            self.id = secure_id(own_ip + bytes(2), self.rng.getrandbits(63))    # some refuse ids of other addresses


def decode(data: bytes) -> dict[bytes, Any]:
    """A message, or an empty one for what is none."""
    try:
        message = bencode.decode(data, strict=False)
    except DecodeError:
        return {}
    return message if isinstance(message, dict) else {}
