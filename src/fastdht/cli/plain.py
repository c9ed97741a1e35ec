"""Results as what JSON and tables hold: the keys here are promised in docs/cli.md. Rate class: command."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastdht.stats import ClosestContact, LookupReport, SwarmCount, WriteReport
from fastdht.types import Endpoint, Item, NodeId

CLOSEST_COLUMNS = ("id", "endpoint", "shared bits", "rtt")
WRITE_COLUMNS = ("id", "endpoint", "outcome")
ID_BITS = 160


def shared_bits(one: bytes, other: bytes) -> int:
    """Leading bits that two ids share; the more, the closer."""
    return ID_BITS - (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_length()


def plain_lookup(report: LookupReport) -> dict[str, Any]:
    return {"outcome": report.outcome, "queries": report.queries, "responses": report.responses,
            "failures": report.failures, "hops": report.hops, "elapsed_s": round(report.elapsed, 6)}


def plain_closest(found: ClosestContact, target: bytes) -> dict[str, Any]:
    contact = found.contact
    return {"id": contact.id.hex(), "endpoint": str(contact.endpoint), "shared_bits": shared_bits(contact.id, target),
            "rtt_s": round(found.rtt, 6), "hops": found.hops, "token": found.token.hex() if found.token else None}


def closest_rows(closest: Iterable[ClosestContact], target: bytes) -> list[tuple[str, ...]]:
    return [(str(found.contact.id), str(found.contact.endpoint), str(shared_bits(found.contact.id, target)),
             f"{found.rtt * 1000:.1f} ms") for found in closest]


def plain_write(report: WriteReport) -> dict[str, Any]:
    return {
        "target": report.target.hex(), "accepted": report.accepted, "asked": len(report.outcomes), "seq": report.seq,
        "outcomes": [{"id": each.contact.id.hex(), "endpoint": str(each.contact.endpoint), "accepted": each.accepted,
                      "error": each.error, "code": each.code} for each in report.outcomes],
        "lookup": plain_lookup(report.lookup)}


def write_rows(report: WriteReport) -> list[tuple[str, ...]]:
    return [(str(each.contact.id), str(each.contact.endpoint), each.error or "accepted") for each in report.outcomes]


def plain_item(item: Item) -> dict[str, Any]:
    return {"target": item.target.hex(), "value": plain_value(item.value), "raw": item.raw.hex(),
            "seq": item.seq, "public_key": item.public_key.hex() if item.public_key else None,
            "salt": plain_value(item.salt) if item.is_mutable else None,
            "signature": item.signature.hex() if item.signature else None}


def plain_value(value: object) -> Any:
    """A bencoded value for JSON: byte strings are text where they are printable, else {"hex": digits}."""
    if isinstance(value, bytes):
        text = printable(value)
        return {"hex": value.hex()} if text is None else text
    if isinstance(value, list):
        return [plain_value(each) for each in value]
    if isinstance(value, dict):
        return {key_text(key): plain_value(each) for key, each in value.items()}
    return value


def key_text(key: bytes) -> str:
    text = printable(key)
    return f"hex:{key.hex()}" if text is None else text


def printable(value: bytes) -> str | None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() or not text.strip("\n\t") or all(
        each.isprintable() or each in "\n\t" for each in text) else None


def plain_count(count: SwarmCount) -> dict[str, Any]:
    """`high` is null for a filter that is full: there may be any number more."""
    return {"estimate": round(count.estimate, 1), "low": round(count.low, 1),
            "high": None if count.is_saturated else round(count.high, 1), "is_saturated": count.is_saturated}


def unpack_nodes(packed: object, size: int) -> list[tuple[NodeId, Endpoint]]:
    """Compact nodes of `size` bytes each (26 or 38); what is no whole number of them is cut."""
    if not isinstance(packed, bytes):
        return []
    return [(NodeId(packed[at:at + 20]), Endpoint.unpack(packed[at + 20:at + size]))
            for at in range(0, len(packed) - size + 1, size)]


def unpack_peers(values: object) -> list[Endpoint]:
    """Compact peers; what is none is left out."""
    if not isinstance(values, list):
        return []
    return [Endpoint.unpack(each) for each in values if isinstance(each, bytes) and len(each) in (6, 18)]
