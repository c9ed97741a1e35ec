"""The slow twin of ItemStore: a dictionary. Exact as long as no random victim is needed, that is below `max_items`."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass
class Record:
    value: bytes
    key: bytes | None
    signature: bytes | None
    seq: int | None
    source: bytes               # the IPv4 address, or the first 8 bytes of an IPv6 one
    seen_us: int


class SlowItems:
    def __init__(self, *, items_per_ip: int, items_per_subnet: int, ttl_us: int) -> None:
        self.items_per_ip, self.items_per_subnet, self.ttl_us = items_per_ip, items_per_subnet, ttl_us
        self.items: dict[tuple[bytes, bool], Record] = {}

    def put_value(self, value: bytes, packed: bytes, now_us: int) -> bytes:
        target = hashlib.sha1(value).digest()
        self.store((target, False), Record(value, None, None, None, source_of(packed), now_us))
        return target

    def put_signed(self, key: bytes, signature: bytes, value: bytes, seq: int, packed: bytes, now_us: int, salt: bytes,
                   cas: int | None) -> str:
        name = hashlib.sha1(key + salt).digest(), True
        stored = self.alive(name, now_us)
        if stored is not None and stored.seq is not None:
            if cas is not None and cas != stored.seq:
                return "cas"
            if seq < stored.seq or (seq == stored.seq and value != stored.value):
                return "seq"
            if seq == stored.seq:
                stored.seen_us = now_us
                return "refreshed"
        self.store(name, Record(value, key, signature, seq, source_of(packed), now_us))
        return "stored"

    def store(self, name: tuple[bytes, bool], record: Record) -> None:
        stored = self.alive(name, record.seen_us)
        if stored is not None:
            record.source = stored.source
        else:
            self.items.pop(name, None)
            self.make_room(record.source)
        self.items[name] = record

    def make_room(self, source: bytes) -> None:
        for prefix, limit in ((source, self.items_per_ip), (source[:-1], self.items_per_subnet)):
            of_prefix = [name for name, record in self.items.items() if record.source.startswith(prefix)]
            if len(of_prefix) >= limit:
                del self.items[min(of_prefix, key=lambda name: self.items[name].seen_us)]
                return

    def alive(self, name: tuple[bytes, bool], now_us: int) -> Record | None:
        record = self.items.get(name)
        return record if record is not None and now_us < record.seen_us + self.ttl_us else None

    def get(self, target: bytes, now_us: int) -> set[tuple[bytes, bytes | None, bytes | None, int | None]]:
        """What may be answered: nothing, or the items of the target."""
        found = [self.alive((target, is_mutable), now_us) for is_mutable in (False, True)]
        return {(record.value, record.key, record.signature, record.seq) for record in found if record is not None}

    def items_from(self, packed: bytes) -> tuple[int, int]:
        source = source_of(packed)
        return tuple(sum(record.source.startswith(prefix) for record in self.items.values())  # type: ignore[return-value]
                     for prefix in (source, source[:-1]))

    def expire(self, now_us: int) -> int:
        before = len(self.items)
        self.items = {name: record for name, record in self.items.items() if self.alive(name, now_us)}
        return before - len(self.items)


def source_of(packed: bytes) -> bytes:
    return packed[:4] if len(packed) == 6 else packed[:8]
