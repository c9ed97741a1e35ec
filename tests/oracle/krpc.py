"""KRPC messages the slow and obvious way: what the compiled decoder must agree with. Rate class: command.

Reads the tree of tests.oracle.bencode and picks the slots of a Message from it. Source: BEP 5, 32, 33, 42, 43, 44, 51.
"""
from __future__ import annotations

from typing import Any

from tests.oracle.bencode import Budget, Refused, Value, scan, scan_string

METHODS = ("ping", "find_node", "get_peers", "announce_peer", "get", "put", "sample_infohashes")
REASONS = {"syntax": "bad syntax", "depth": "too deep", "tokens": "too many tokens"}
STRINGS = {"token": b"token", "salt": b"salt"}
SIZED = {"id": (b"id", 20), "key": (b"k", 32), "signature": (b"sig", 64), "peer_filter": (b"BFpe", 256)}
RUNS = {"nodes": (b"nodes", 26), "nodes6": (b"nodes6", 38)}
NUMBERS = {"port": b"port", "seq": b"seq", "cas": b"cas", "num": b"num", "interval": b"interval"}
FLAGS = {"implied_port": b"implied_port", "seed": b"seed", "noseed": b"noseed", "scrape": b"scrape"}


def parse(data: bytes, family: int) -> dict[str, Any] | str:
    """The slots by name, or why the datagram is refused."""
    try:
        top = read_dict(data, 0, Budget(10, 512), 0, stored=(b"v",), bodies=True)
    except Refused as refused:
        return REASONS[refused.reason]
    kind = string(top, b"y")
    if kind not in (b"q", b"r", b"e"):
        return "no kind"
    tid = string(top, b"t")
    if tid is None or len(tid) > 32 or (not tid and kind != b"q"):
        return "bad tid"
    body = None if kind == b"e" else top.get({b"q": b"a", b"r": b"r"}[kind])     # an error has none
    if body is not None and body.kind != "d":
        body = None
    method = string(top, b"q")
    if kind == b"q" and method is None:
        return "no method"
    if kind == b"q" and body is None:
        return "no arguments"
    slots = envelope_slots(top, kind, tid)
    if kind == b"q":
        assert method is not None and body is not None
        name = method.decode("latin-1")
        slots |= {"method": name if name in METHODS else "", "arguments": body.raw}
    if body is not None:
        slots |= body_slots(body, family) | ({"has_return": True} if kind == b"r" else {})
    return {name: slot for name, slot in slots.items() if slot is not None}


def read_dict(data: bytes, at: int, budget: Budget, level: int, stored: tuple[bytes, ...], bodies: bool) -> Value:
    """A dictionary whose first `v` has a budget of its own, as has that of its first `a` and `r`."""
    if data[at:at + 1] != b"d":
        raise Refused("syntax")
    budget.spend()
    value, end, seen = Value("d", b""), at + 1, set()
    while data[end:end + 1] != b"e":
        key, end = scan_string(data, end, budget)
        first = key not in seen
        seen.add(key)
        if first and key in stored and not (bodies and data[end:end + 1].isdigit()):
            item = scan(data, end, Budget(64, 1024))
        elif first and bodies and key in (b"a", b"r") and data[end:end + 1] == b"d":
            item = read_dict(data, end, budget, level + 1, stored, bodies=False)
        else:
            item = scan(data, end, budget, level + 1)
        end += len(item.raw)
        value.pairs.append((key, item))
    value.raw = data[at:end + 1]
    return value


def string(parent: Value, key: bytes) -> bytes | None:
    value = parent.get(key)
    return value.content if value is not None and value.kind == "s" else None


def number(parent: Value, key: bytes) -> int | None:
    value = parent.get(key)
    return value.content if value is not None and value.kind == "i" else None


def envelope_slots(top: Value, kind: bytes, tid: bytes) -> dict[str, Any]:
    external = string(top, b"ip")
    slots: dict[str, Any] = {
        "kind": kind.decode(), "tid": tid, "method_name": string(top, b"q"), "version": string(top, b"v"),
        "external": external if external is not None and len(external) in (6, 18) else None,
        "read_only": flag(top, b"ro"),
    }
    error = top.get(b"e")
    if error is not None:
        parts = error.content if error.kind == "l" else [error]
        slots["error_text"] = next((part.content for part in parts if part.kind == "s"), None)
        slots["error_code"] = next((part.content for part in parts if part.kind == "i"), None)
    return slots


def flag(parent: Value, key: bytes) -> int | None:
    return 1 if number(parent, key) else None


def body_slots(body: Value, family: int) -> dict[str, Any]:
    slots: dict[str, Any] = {name: string(body, key) for name, key in STRINGS.items()}
    slots |= {name: number(body, key) for name, key in NUMBERS.items()}
    slots |= {name: flag(body, key) for name, key in FLAGS.items()}
    slots |= {name: sized(string(body, key), size) for name, (key, size) in SIZED.items()}
    for name, (key, record) in RUNS.items():
        run = string(body, key)
        slots[name] = None if run is None else run[:len(run) // record * record]
    samples = string(body, b"samples")
    slots["samples"] = b"" if samples is not None and len(samples) % 20 else samples
    filters = next((value for key, value in body.pairs if key in (b"BFsd", b"BFse")), None)
    slots["seed_filter"] = sized(filters.content, 256) if filters is not None and filters.kind == "s" else None
    slots["target"] = sized(string(body, b"target"), 20) or sized(string(body, b"info_hash"), 20)
    stored = body.get(b"v")
    slots["value"] = None if stored is None else stored.raw
    slots["want"] = want(body.get(b"want"))
    slots["values"] = peers(body.get(b"values"), family)
    return slots


def sized(text: bytes | None, size: int) -> bytes | None:
    return text if text is not None and len(text) == size else None


def want(value: Value | None) -> int | None:
    if value is None:
        return None
    names = [part.content for part in (value.content if value.kind == "l" else [value]) if part.kind == "s"]
    return (1 if b"n4" in names else 0) | (2 if b"n6" in names else 0) or None


def peers(value: Value | None, family: int) -> list[bytes] | None:
    """Compact peers in no promised order: each string of 6 or 18 bytes, and the run of one that stands alone."""
    if value is None or value.kind not in "sl":
        return None
    elements = value.content if value.kind == "l" else [value]
    if len(elements) == 1 and elements[0].kind == "s":
        run = elements[0].content
        record = 18 if family == 6 and len(run) % 18 == 0 else 6
        return [run[i:i + record] for i in range(0, len(run), record)] if len(run) % record == 0 else []
    return [part.content for part in elements if part.kind == "s" and len(part.content) in (6, 18)]
