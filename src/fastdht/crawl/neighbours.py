"""Infohashes in order, and the nodes closest to each: those of a census, or those lately met. Rate class: lookup.

Lists may be millions long, so that nothing is kept as an object: 20 bytes an infohash, 14 a node of a census (IPv4; 26
IPv6). They are sorted in 256 parts, one at a time.
"""
from __future__ import annotations

import bisect
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence

from fastdht.types import ID_SIZE

ID_BITS = 160
PREFIX_SIZE = 8                 # of an id: no two of ten million honest nodes share so much
PARTS = 256
FEW = 24                        # ids that are sorted rather than halved


class Rows:
    """Rows of `size` bytes, sorted, each once."""

    def __init__(self, rows: Iterable[bytes], size: int) -> None:
        self._size = size
        self._parts = [bytearray() for _ in range(PARTS)]
        for row in rows:
            self._parts[row[0]] += row

    def __len__(self) -> int:
        """How many were given, the same ones each time."""
        return sum(map(len, self._parts)) // self._size

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            yield from sorted({bytes(part[at:at + self._size]) for at in range(0, len(part), self._size)})


class HashList(Rows):
    """Infohashes (20 bytes) in order, each once."""

    def __init__(self, hashes: Iterable[bytes] = ()) -> None:
        super().__init__(hashes, ID_SIZE)


class CensusMap:
    """Nodes of a census, as (id, compact endpoint), and the closest to an infohash.

    Of ids that begin with the same 8 bytes one is kept: an id claimed at a thousand addresses fills no more than its
    place. `endpoint_size`: 6 (IPv4) or 18; other nodes are left out.
    """

    def __init__(self, nodes: Iterable[tuple[bytes, bytes]], endpoint_size: int = 6) -> None:
        self._ids = array("Q")
        self._endpoints = bytearray()
        self._size = endpoint_size
        rows = Rows((node_id[:PREFIX_SIZE] + endpoint for node_id, endpoint in nodes if len(endpoint) == endpoint_size),
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


class NodeCache:
    """Nodes lately met, in order of their ids; at most `limit`, of which those farthest from the newest are forgotten:
    infohashes are worked on in order, so that a look-up will hardly come by there again."""

    def __init__(self, limit: int) -> None:
        self._ids: list[int] = []
        self._endpoints: list[bytes] = []
        self._limit = limit

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, node_id: bytes, endpoint: bytes) -> None:
        number = int.from_bytes(node_id, "big")
        at = bisect.bisect_left(self._ids, number)
        if at < len(self._ids) and self._ids[at] == number:
            self._endpoints[at] = endpoint
            return
        self._ids.insert(at, number)
        self._endpoints.insert(at, endpoint)
        if len(self._ids) > self._limit:
            end = 0 if at > len(self._ids) // 2 else -1
            del self._ids[end], self._endpoints[end]

    def closest(self, info_hash: bytes, count: int) -> list[bytes]:
        """The endpoints of the `count` closest, closest first."""
        return [self._endpoints[i] for i in find_closest(self._ids, int.from_bytes(info_hash, "big"), ID_BITS, count)]


def find_closest(ids: Sequence[int], number: int, width: int, count: int) -> list[int]:
    """Positions of the closest of ids in order, closest first. `width`: bits of an id.

    All ids of a prefix are closer than any other: the half with the next bit of `number` comes before the other one.
    """
    found: list[int] = []
    halves = [(0, len(ids), 0, width)]
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
