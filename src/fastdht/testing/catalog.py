"""The truth about a virtual network's infohashes and peers, as files beside its truth. Rate class: command.

`FILE.infohashes`: what `--infohashes` made, with holders (rows of FILE) and the chance that a sweep of BEP 51 shows
each. `FILE.peers`: what `--torrents` made, with the ten peers that each has. `FILE.crowds`: with
`--largest-swarm`, the peers of all of these instead. Layouts in docs/swarm.md.
"""
from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fastdht.errors import PersistError

HEADER = struct.Struct("<8sIIQQ")           # magic, row size, per row, rows, seed
HASHES_MAGIC = b"FDHTHSH1"
PEERS_MAGIC = b"FDHTPER1"
HASH_ROW = struct.Struct("=20s8If")         # infohash, holders, chance
PEERS_ROW = struct.Struct("=20s60s")        # infohash, compact peers
CROWDS_MAGIC = b"FDHTCRO1"
CROWDS_ROW = struct.Struct("=20s16s")       # infohash, seeds, others, first address, stride
CROWD = struct.Struct("=4I")
REPLICAS = 8
PEERS = 10
NOBODY = 0xFFFFFFFF


class Known(Protocol):
    """A network's infohashes: _ext.swarm_catalog.Catalog."""

    def cells(self) -> int: ...
    def total(self) -> int: ...
    def records(self, cell: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class HashTruth:
    """All infohashes of a network that samples tell of."""

    rows: bytes

    def __len__(self) -> int:
        return len(self.rows) // HASH_ROW.size

    def index(self) -> dict[bytes, int]:
        """The row of each infohash."""
        rows, size = self.rows, HASH_ROW.size
        return {rows[i * size : i * size + 20]: i for i in range(len(self))}

    def holders(self, row: int) -> tuple[int, ...]:
        """The rows of the network's truth where the infohash of a row lives, closest first."""
        serials = HASH_ROW.unpack_from(self.rows, row * HASH_ROW.size)[1:9]
        return tuple(serial for serial in serials if serial != NOBODY)

    def chance(self, row: int) -> float:
        """The chance that one question to each supporting holder shows the infohash of a row."""
        return float(HASH_ROW.unpack_from(self.rows, row * HASH_ROW.size)[9])

    def allowed(self) -> float:
        """The share of all infohashes that such a sweep shows on average."""
        total: float = sum(row[9] for row in HASH_ROW.iter_unpack(self.rows))
        return total / max(len(self), 1)


@dataclass(frozen=True, slots=True)
class CrowdTruth:
    """The peers of one infohash: `seeds` of them have it all. Addresses go in strides modulo 2^24 under 127/8."""

    seeds: int
    others: int
    first: int
    stride: int

    def __len__(self) -> int:
        return self.seeds + self.others

    def __contains__(self, peer: object) -> bool:
        """Whether a compact IPv4 endpoint is one of them."""
        if not isinstance(peer, bytes) or len(peer) != 6 or peer[0] != 127:
            return False
        address = int.from_bytes(peer[1:4], "big")
        number = (address - self.first) * pow(self.stride, -1, 1 << 24) % (1 << 24)
        return number < len(self) and int.from_bytes(peer[4:], "big") == 1024 + (address & 0x7FFF)

    def peers(self) -> list[bytes]:
        """All of them, the seeds first, as compact endpoints."""
        addresses = [(self.first + number * self.stride) % (1 << 24) for number in range(len(self))]
        return [b"\x7f" + each.to_bytes(3, "big") + (1024 + (each & 0x7FFF)).to_bytes(2, "big") for each in addresses]


def beside(truth: Path, name: str) -> Path:
    return truth.with_name(f"{truth.name}.{name}")


def write_hashes(truth: Path, seed: int, known: Known) -> None:
    """Write FILE.infohashes; raises OSError."""
    header = HEADER.pack(HASHES_MAGIC, HASH_ROW.size, REPLICAS, known.total(), seed & 0xFFFFFFFFFFFFFFFF)
    write_rows(beside(truth, "infohashes"), header, (known.records(cell) for cell in range(known.cells())))


def write_peers(truth: Path, seed: int, torrents: Iterable[tuple[bytes, bytes]], count: int) -> None:
    """Write FILE.peers from (infohash, compact peers); raises OSError."""
    header = HEADER.pack(PEERS_MAGIC, PEERS_ROW.size, PEERS, count, seed & 0xFFFFFFFFFFFFFFFF)
    write_rows(beside(truth, "peers"), header, (PEERS_ROW.pack(*each) for each in torrents))


def write_crowds(truth: Path, seed: int, crowds: Sequence[tuple[bytes, bytes]]) -> None:
    """Write FILE.crowds from (infohash, Crowds.record of it); raises OSError."""
    header = HEADER.pack(CROWDS_MAGIC, CROWDS_ROW.size, 1, len(crowds), seed & 0xFFFFFFFFFFFFFFFF)
    write_rows(beside(truth, "crowds"), header, (CROWDS_ROW.pack(*each) for each in crowds))


def write_rows(path: Path, header: bytes, chunks: Iterable[bytes]) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(header)
            for chunk in chunks:
                file.write(chunk)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_hashes(truth: Path) -> HashTruth:
    """What `write_hashes` wrote; raises PersistError, OSError."""
    return HashTruth(read_rows(beside(truth, "infohashes"), HASHES_MAGIC, HASH_ROW.size))


def read_peers(truth: Path) -> dict[bytes, frozenset[bytes]]:
    """Each infohash of FILE.peers and its compact peers (6 bytes each); raises PersistError, OSError."""
    rows = read_rows(beside(truth, "peers"), PEERS_MAGIC, PEERS_ROW.size)
    return {info_hash: frozenset(peers[i:i + 6] for i in range(0, len(peers), 6))
            for info_hash, peers in PEERS_ROW.iter_unpack(rows)}


def read_crowds(truth: Path) -> dict[bytes, CrowdTruth]:
    """What `write_crowds` wrote, by infohash; raises PersistError, OSError."""
    rows = read_rows(beside(truth, "crowds"), CROWDS_MAGIC, CROWDS_ROW.size)
    return {info_hash: CrowdTruth(*CROWD.unpack(record)) for info_hash, record in CROWDS_ROW.iter_unpack(rows)}


def read_rows(path: Path, magic: bytes, size: int) -> bytes:
    data = path.read_bytes()
    if len(data) < HEADER.size or data[:8] != magic:
        raise PersistError(f"{path} starts with {data[:8]!r}; {magic!r} expected")
    _, row_size, _, count, _ = HEADER.unpack_from(data)
    if row_size != size or len(data) != HEADER.size + size * count:
        raise PersistError(f"{path} has {len(data) - HEADER.size} bytes of rows; {count} rows of {size} bytes expected")
    return data[HEADER.size:]
