"""Zones: prefixes of the key space that are crawled apart from each other. Rate class: command.

Zones need nothing of one another: contacts outside are not visited, targets are drawn inside, and recall and cost per
node are the same as without (docs/crawl.md).
"""
from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fastdht.errors import ConfigError
from fastdht.types import ID_SIZE

MAX_BITS = 64           # what the frontier compares; a zone of 32 bits is empty already


@dataclass(frozen=True, slots=True)
class Zone:
    """The ids whose first `bits` bits are those of `prefix` (20 bytes, the rest zero). Raises ConfigError."""

    prefix: bytes = bytes(ID_SIZE)
    bits: int = 0

    def __post_init__(self) -> None:
        if len(self.prefix) != ID_SIZE:
            raise ConfigError(f"a zone's prefix is {len(self.prefix)} bytes; {ID_SIZE} needed")
        if not 0 <= self.bits <= MAX_BITS:
            raise ConfigError(f"a zone of {self.bits} bits; 0 to {MAX_BITS}")
        if int.from_bytes(self.prefix, "big") & ((1 << (8 * ID_SIZE - self.bits)) - 1):
            raise ConfigError(f"zone {self.prefix.hex()} has bits set beyond its {self.bits}")

    def __contains__(self, node_id: bytes) -> bool:
        shift = 8 * ID_SIZE - self.bits
        return int.from_bytes(node_id, "big") >> shift == int.from_bytes(self.prefix, "big") >> shift

    def halves(self) -> tuple[Self, Self]:
        """The two zones one bit longer, in order of their ids."""
        upper = int.from_bytes(self.prefix, "big") | 1 << (8 * ID_SIZE - 1 - self.bits)
        kind = type(self)
        return kind(self.prefix, self.bits + 1), kind(upper.to_bytes(ID_SIZE, "big"), self.bits + 1)

    def split(self, count: int) -> tuple[Self, ...]:
        """This zone as `count` (a power of two) equal ones, in order of their ids. Raises ConfigError."""
        bits = self.bits + count.bit_length() - 1
        if count < 1 or count & (count - 1) or bits > MAX_BITS:
            raise ConfigError(f"{count} zones; a power of two needed, and at most {MAX_BITS} bits in all")
        first, step = int.from_bytes(self.prefix, "big"), 1 << (8 * ID_SIZE - bits)
        kind = type(self)
        return tuple(kind((first + i * step).to_bytes(ID_SIZE, "big"), bits) for i in range(count))

    @property
    def folder(self) -> str:
        """The name of its folder: zone=all, zone=ab, zone=a4-6 where the bits end within a digit."""
        digits = self.prefix.hex()[: (self.bits + 3) // 4]
        return f"zone={digits or 'all'}" + (f"-{self.bits}" if self.bits % 4 else "")

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """What `str` wrote; None and "" are everything. Raises ConfigError and ValueError."""
        if not text:
            return cls()
        digits, _, bits = text.partition("/")
        return cls(bytes.fromhex(digits.ljust(2 * ID_SIZE, "0")), int(bits))

    def __str__(self) -> str:
        return f"{self.prefix.hex()[: max(1, (self.bits + 3) // 4)]}/{self.bits}"
