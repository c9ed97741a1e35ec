"""KRPC from a client's side, without any check: to build queries and to read even malformed replies."""
from __future__ import annotations

from typing import Any

from tests.oracle import bencode

DEPTH = 1_000               # beyond what any liar nests


def encode(value: Any) -> bytes:
    return bencode.encode(value)


def decode(data: bytes) -> Any:
    return bencode.decode(data, strict=False, max_depth=DEPTH)


def query(method: bytes, tid: bytes = b"aa", ro: bool = False, **arguments: Any) -> bytes:
    """A KRPC query; `id` is the asker's unless given."""
    message: dict[bytes, Any] = {b"t": tid, b"y": b"q", b"q": method}
    message[b"a"] = {b"id": b"asker of the testbed"} | {name.encode(): value for name, value in arguments.items()}
    if ro:
        message[b"ro"] = 1
    return encode(message)


def contacts(nodes: bytes) -> list[tuple[bytes, str, int]]:
    """(id, ip, port) of compact nodes."""
    records = [nodes[i : i + 26] for i in range(0, len(nodes), 26)]
    return [(each[:20], ".".join(map(str, each[20:24])), int.from_bytes(each[24:], "big")) for each in records]


def keys_in_order(data: bytes) -> list[bytes]:
    """The keys of the outermost dictionary as they stand."""
    keys, at = [], 1
    while data[at : at + 1] != b"e":
        key, at = bencode.decode_at(data, at, strict=False, depth=DEPTH)
        _, at = bencode.decode_at(data, at, strict=False, depth=DEPTH)
        keys.append(key)
    return keys
