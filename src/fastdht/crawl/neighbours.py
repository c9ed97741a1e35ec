"""Infohashes in order, and the nodes of a census closest to each. Rate class: lookup.

Lists may be millions long, so that nothing is kept as an object: 20 bytes an infohash, 14 a node of a census (IPv4; 26
IPv6). They are sorted in 256 parts, one at a time.
"""
from __future__ import annotations

import bisect
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence

from fastdht.types import ID_SIZE

PREFIX_SIZE = 8                 # of an id: no two of ten million honest nodes share so much
PARTS = 256
FEW = 24                        # ids that are sorted rather than halved


def in_order(rows: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Rows of `size` bytes, sorted, each once."""
    parts = [bytearray() for _ in range(PARTS)]
    for row in rows:
        parts[row[0]] += row
    for part in parts:
        yield from sorted({bytes(part[at:at + size]) for at in range(0, len(part), size)})
        part.clear()


class HashList:
    """Infohashes (20 bytes) in order, each once."""

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        self._packed = bytearray()
        for each in in_order(hashes, ID_SIZE):
            self._packed += each

    def __len__(self) -> int:
        return len(self._packed) // ID_SIZE

    def __iter__(self) -> Iterator[bytes]:
        return (self._at(number) for number in range(len(self)))

    def _at(self, number: int) -> bytes:
        return bytes(self._packed[number * ID_SIZE:(number + 1) * ID_SIZE])

    def in_lanes(self, lanes: int) -> Iterator[tuple[int, bytes]]:
        """Each infohash with the number of its lane: one of each lane in turn. A lane is a run of neighbours in their
        order, so that those who follow each other are far apart, and the one before in the lane is near."""
        starts = [len(self) * lane // lanes for lane in range(lanes + 1)]
        for step in range(-(-len(self) // lanes)):
            for lane in range(lanes):
                if starts[lane] + step < starts[lane + 1]:
                    yield lane, self._at(starts[lane] + step)


class CensusMap:
    """Nodes of a census, as (id, compact endpoint), and the closest to an infohash.

    Of ids that begin with the same 8 bytes one is kept: an id claimed at a thousand addresses fills no more than its
    place. `endpoint_size`: 6 (IPv4) or 18; other nodes are left out.
    """

    def __init__(self, nodes: Iterable[tuple[bytes, bytes]], endpoint_size: int = 6) -> None:
        self._ids = array("Q")
        self._endpoints = bytearray()
        self._size = endpoint_size
        rows = in_order((node_id[:PREFIX_SIZE] + each for node_id, each in nodes if len(each) == endpoint_size),
                        PREFIX_SIZE + endpoint_size)
        prefixes, last = bytearray(), b""
        for row in rows:
            if row[:PREFIX_SIZE] != last:
                last = row[:PREFIX_SIZE]
                prefixes += last
                self._endpoints += row[PREFIX_SIZE:]
        self._ids.frombytes(prefixes)
        if sys.byteorder == "little":
            self._ids.byteswap()

    def __len__(self) -> int:
        return len(self._ids)

    def closest(self, info_hash: bytes, count: int) -> list[bytes]:
        """The endpoints of the `count` closest, closest first."""
        number = int.from_bytes(info_hash[:PREFIX_SIZE], "big")
        return [bytes(self._endpoints[i * self._size:(i + 1) * self._size])
                for i in find_closest(self._ids, number, 8 * PREFIX_SIZE, count)]


def find_closest(ids: Sequence[int], number: int, width: int, count: int) -> list[int]:
    """Positions of the closest of ids in order, closest first. `width`: bits of an id.

    All ids of a prefix are closer than any other: the half with the next bit of `number` comes before the other one.
    """
    found: list[int] = []
    halves = [smallest_prefix(ids, number, width, count)]
    while halves and len(found) < count:
        first, last, base, bit = halves.pop()
        if last - first <= FEW or bit == 0:
            found += sorted(range(first, last), key=lambda i: ids[i] ^ number)
            continue
        bit -= 1
        split = base | 1 << bit
        middle = bisect.bisect_left(ids, split, first, last)
        lower, upper = (first, middle, base, bit), (middle, last, split, bit)
        halves += (lower, upper) if number >> bit & 1 else (upper, lower)
    return found[:count]


def smallest_prefix(ids: Sequence[int], number: int, width: int, count: int) -> tuple[int, int, int, int]:
    """The ids that share the longest prefix with `number` that `count` of them share: first, last, the prefix, and how
    many bits follow it. Being in order, they begin at most `count` places before that of `number`."""
    at = bisect.bisect_left(ids, number)
    bits = min([max((ids[i] ^ number).bit_length(), (ids[i + count - 1] ^ number).bit_length())
                for i in range(max(at - count, 0), min(at, len(ids) - count) + 1)], default=width)
    base = number >> bits << bits
    return bisect.bisect_left(ids, base, 0, at), bisect.bisect_left(ids, base + (1 << bits), at), base, bits
