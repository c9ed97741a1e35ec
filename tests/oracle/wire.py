"""Bencode as plainly as it can be written, without any check: to build queries and to read even malformed replies."""
from __future__ import annotations

from typing import Any


def encode(value: Any) -> bytes:
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l%se" % b"".join(map(encode, value))
    return b"d%se" % b"".join(encode(key) + encode(value[key]) for key in sorted(value))


def decode(data: bytes) -> Any:
    value, end = decode_at(data, 0)
    assert end == len(data), f"{len(data) - end} bytes follow the value"
    return value


def decode_at(data: bytes, at: int) -> tuple[Any, int]:
    first = data[at : at + 1]
    if first == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if first not in (b"l", b"d"):
        colon = data.index(b":", at)
        end = colon + 1 + int(data[at:colon])
        assert end <= len(data), f"a string at {at} ends at {end} of {len(data)}"
        return data[colon + 1 : end], end
    items = []
    at += 1
    while data[at : at + 1] != b"e":
        item, at = decode_at(data, at)
        items.append(item)
    return (items if first == b"l" else dict(zip(items[::2], items[1::2], strict=True))), at + 1


def query(method: bytes, tid: bytes = b"aa", ro: bool = False, **arguments: Any) -> bytes:
    """A KRPC query; `id` is the asker's unless given."""
    message: dict[bytes, Any] = {b"t": tid, b"y": b"q", b"q": method}
    message[b"a"] = {b"id": b"asker of the testbed"} | {name.encode(): value for name, value in arguments.items()}
    if ro:
        message[b"ro"] = 1
    return encode(message)


def contacts(nodes: bytes) -> list[tuple[bytes, str, int]]:
    """(id, ip, port) of compact nodes."""
    return [(nodes[i : i + 20], ".".join(map(str, nodes[i + 20 : i + 24])), int.from_bytes(nodes[i + 24 : i + 26], "big"))
            for i in range(0, len(nodes), 26)]


def keys_in_order(data: bytes) -> list[bytes]:
    """The keys of the outermost dictionary as they stand."""
    keys, at = [], 1
    while data[at : at + 1] != b"e":
        key, at = decode_at(data, at)
        _, at = decode_at(data, at)
        keys.append(key)
    return keys
