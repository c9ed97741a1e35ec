"""Block lists: PeerGuardian text, CIDR ranges and addresses, from files, pipes or strings. Rate class: command.

One entry a line: `description:first-last`, `first-last`, `1.2.3.0/24`, `2001:db8::/32` or a single address. Blank lines
and those that begin with `#`, `;` or `//` are skipped, as is what follows `#` or `;` behind an entry without a
description. A description may contain anything, colons and dashes too: of an IPv4 range it ends at the last colon that
leaves a range, of an IPv6 range at the first. Ranges may overlap and stand in any order; IPv4-mapped addresses count as
IPv4. The look-up is in _ext/blocklist.pyx.
"""
from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from typing import Self

from fastdht._ext.blocklist import AddressRanges
from fastdht.errors import ConfigError

STANDARD_INPUT = "-"
PADDED = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)   # some lists write 001.002.003.004
COMMENT = re.compile(r"[#;]")
MAPPED = 0xFFFF << 32           # ::ffff:0:0/96

Range = tuple[int, int, int]    # 4 or 6, first and last address


class Blocklist:
    """Addresses that a node neither hears nor asks: `"1.2.3.4" in blocklist`; its length is the number of ranges."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        """From triples of family (4 or 6), first and last address as integers, both included."""
        families: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for family, first, last in ranges:
            families[family].append((first, last))
        self.ranges = AddressRanges(families[4], families[6])

    @classmethod
    def parse(cls, text: str, name: str = "block list") -> Self:
        """From the text of a list; raises ConfigError with `name` and the number of the line that is no entry."""
        return cls(parse_lines(text.splitlines(), name))

    @classmethod
    def read(cls, *paths: str | Path) -> Self:
        """From files, and standard input where a path is "-", all in one; raises ConfigError with path and line."""
        return cls(found for path in paths for found in read_ranges(path))

    def __contains__(self, address: str) -> bool:
        given = ipaddress.ip_address(address)
        mapped = given.ipv4_mapped if given.version == 6 else None      # ::ffff:1.2.3.4 is 1.2.3.4
        return self.ranges.holds((mapped or given).packed)

    def __len__(self) -> int:
        return self.ranges.count_v4 + self.ranges.count_v6


def read_ranges(path: str | Path) -> Iterable[Range]:
    if str(path) == STANDARD_INPUT:
        yield from parse_lines(sys.stdin, "standard input")
        return
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            yield from parse_lines(lines, str(path))
    except OSError as error:
        raise ConfigError(f"block list {path}: {error.strerror}") from None


def parse_lines(lines: Iterable[str], name: str) -> Iterable[Range]:
    for number, line in enumerate(lines, 1):
        entry = line.strip()
        if not entry or entry.startswith(("#", ";", "//")):
            continue
        try:
            yield parse_entry(entry)
        except ValueError as error:
            raise ConfigError(f"{name}, line {number}: {entry[:80]!r}: {error}") from None


def parse_entry(entry: str) -> Range:
    """One line; raises ValueError that says what is wrong with it."""
    found = parse_range(entry) or parse_plain(COMMENT.split(entry, maxsplit=1)[0].strip())
    if found is None:
        raise ValueError("neither description:first-last, nor a CIDR range, nor an address")
    if found[1] > found[2]:
        raise ValueError("the range ends before it begins")
    return found


def parse_plain(entry: str) -> Range | None:
    if "/" in entry:
        network = ipaddress.ip_network(entry, strict=False)     # its ValueError says what is wrong
        return unmap(network.version, int(network[0]), int(network[-1]))
    only = parse_address(entry)
    return parse_range(entry) if only is None else unmap(only[0], only[1], only[1])


def parse_range(entry: str) -> Range | None:
    """A range, with or without a description before it; None when it is none."""
    left, dash, right = entry.rpartition("-")
    last = parse_address(right) if dash else None
    if last is None:
        return None
    first = parse_address(left.rpartition(":")[2]) if last[0] == 4 else find_ipv6(left)
    if first is None or first[0] != last[0]:
        return None
    return unmap(first[0], first[1], last[1])


def find_ipv6(text: str) -> tuple[int, int] | None:
    """The longest IPv6 address that stands at the end, after a colon or alone."""
    while True:
        found = parse_address(text)
        if found is not None:
            return found
        _, colon, text = text.partition(":")
        if not colon:
            return None


def parse_address(text: str) -> tuple[int, int] | None:
    """(family, address), or None."""
    text = text.strip()
    family = 6 if ":" in text else 4
    try:
        packed = inet_pton(AF_INET6 if family == 6 else AF_INET, text)
    except (OSError, ValueError):       # ValueError: a NUL
        return parse_padded(text) if family == 4 else None
    return family, int.from_bytes(packed, "big")


def parse_padded(text: str) -> tuple[int, int] | None:
    if not PADDED.fullmatch(text):
        return None
    parts = [int(part) for part in text.split(".")]
    return (4, int.from_bytes(bytes(parts), "big")) if max(parts) < 256 else None


def unmap(family: int, first: int, last: int) -> Range:
    """An IPv4-mapped range as one of IPv4."""
    if family == 6 and first >> 32 == last >> 32 == MAPPED >> 32:
        return 4, first & 0xFFFFFFFF, last & 0xFFFFFFFF
    return family, first, last
