"""Bencode the slow and obvious way: what the compiled scanner and codec must agree with. Rate class: command.

A parser by recursion over slices and the grammar of BEP 3 as regular expressions; nothing is shared with the compiled
code but the limits, which are arguments.
"""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

INTEGER = re.compile(rb"i(-?)(\d+)e")
LENGTH = re.compile(rb"(\d+):")


class Refused(Exception):
    """Not bencode within the limits; `reason` is `syntax`, `depth` or `tokens`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Budget:
    depth: int
    tokens: int
    used: int = 0

    def spend(self) -> None:
        if self.used == self.tokens:
            raise Refused("tokens")
        self.used += 1


@dataclass
class Value:
    """One parsed value: `kind` is `s`, `i`, `l` or `d`, `raw` its bytes, `content` what is in it."""

    kind: str
    raw: bytes
    content: Any = None
    pairs: list[tuple[bytes, Value]] = field(default_factory=list)

    def get(self, key: bytes) -> Value | None:
        """The first value under a key, whatever its type."""
        return next((value for name, value in self.pairs if name == key), None)


def scan_string(data: bytes, at: int, budget: Budget) -> tuple[bytes, int]:
    match = LENGTH.match(data, at)
    if match is None or len(match[1]) > 5 or match.end() + int(match[1]) > len(data):
        raise Refused("syntax")
    budget.spend()
    return data[match.end():match.end() + int(match[1])], match.end() + int(match[1])


def scan(data: bytes, at: int, budget: Budget, level: int = 0) -> Value:
    """The value at `at`, by the scanner's rules: lenient, 5 digits of length, 19 of integer, 64 bits."""
    head = data[at:at + 1]
    if head.isdigit():
        text, end = scan_string(data, at, budget)
        return Value("s", data[at:end], text)
    if head == b"i":
        return scan_integer(data, at, budget)
    if head not in (b"l", b"d"):
        raise Refused("syntax")
    if level == budget.depth:
        raise Refused("depth")
    budget.spend()
    value, end = Value(head.decode(), b"", []), at + 1
    while data[end:end + 1] != b"e":
        if head == b"d":
            key, end = scan_string(data, end, budget)
            item = scan(data, end, budget, level + 1)
            value.pairs.append((key, item))
        else:
            item = scan(data, end, budget, level + 1)
            value.content.append(item)
        end += len(item.raw)
    value.raw = data[at:end + 1]
    return value


def scan_integer(data: bytes, at: int, budget: Budget) -> Value:
    match = INTEGER.match(data, at)
    if match is None or len(match[2]) > 19:
        raise Refused("syntax")
    number = int(match[1] + match[2])
    if not -2**63 <= number < 2**63:
        raise Refused("syntax")
    budget.spend()
    return Value("i", match[0], number)


def scanned_size(data: bytes, max_depth: int, max_tokens: int) -> int:
    """Size of the first value, or -1."""
    try:
        return len(scan(data, 0, Budget(max_depth, max_tokens)).raw)
    except Refused:
        return -1


def is_canonical(data: bytes, max_depth: int, max_tokens: int) -> bool:
    """One value, within the scanner's limits, that encodes back to the same bytes."""
    if scanned_size(data, max_depth, max_tokens) != len(data):
        return False
    return encode(plain(scan(data, 0, Budget(max_depth, max_tokens)))) == data


def plain(value: Value) -> Any:
    """Python objects; of repeated keys the first."""
    if value.kind == "l":
        return [plain(item) for item in value.content]
    if value.kind == "d":
        return {key: plain(item) for key, item in reversed(value.pairs)}
    return value.content


def encode(value: Any) -> bytes:
    """Canonical bencode of bytes, int, list and dict with bytes keys."""
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, list):
        return b"l%be" % b"".join(map(encode, value))
    return b"d%be" % b"".join(encode(key) + encode(value[key]) for key in sorted(value))


def decode(data: bytes, strict: bool, max_depth: int = 64) -> Any:
    """What the public codec must return; raises ValueError where it must raise DecodeError."""
    value, end = decode_at(data, 0, strict, max_depth)
    if end != len(data):
        raise ValueError("trailing bytes")
    return value


def decode_at(data: bytes, at: int, strict: bool, depth: int) -> tuple[Any, int]:
    head = data[at:at + 1]
    number = rb"0|-?[1-9]\d*" if strict else rb"-?\d+"
    if match := re.compile(rb"i(%b)e" % number).match(data, at):
        return int(match[1]), match.end()
    if match := re.compile(rb"(%b):" % (rb"0|[1-9]\d*" if strict else rb"\d+")).match(data, at):
        end = match.end() + int(match[1])
        if end > len(data):
            raise ValueError("short string")
        return data[match.end():end], end
    if head not in (b"l", b"d") or head == b"" or depth == 0:
        raise ValueError("no value, or too deep")
    items, at = [], at + 1
    while data[at:at + 1] != b"e":
        item, at = decode_at(data, at, strict, depth - 1)
        items.append(item)
        if head == b"d" and len(items) % 2 and not isinstance(item, bytes):
            raise ValueError("a key that is no string")
    if head == b"l":
        return items, at + 1
    keys = items[::2]
    if len(items) % 2 or (strict and keys != sorted(set(keys))):
        raise ValueError("a key without a value, or keys out of order")
    return dict(reversed(list(zip(keys, items[1::2])))), at + 1
