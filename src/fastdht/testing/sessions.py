"""When the nodes of a virtual network that come and go were there, as a file beside its truth. Rate class: command.

`FILE.sessions`: of each such node its row in FILE and the cycle of presence and absence that it repeats, and the span
from the first to the last datagram that the network received, which is when somebody looked. Layout in docs/swarm.md.
"""
from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fastdht.errors import PersistError
from fastdht.testing.truth import KEY_SIZE, REACHABLE, RECORD, Truth

MAGIC = b"FDHTSES1"
HEADER = struct.Struct("<8sIIQQQ")      # magic, row size, spare, rows, first and last datagram (µs after the start)
ROW = struct.Struct("=4I")              # row of the truth, up, down, into (ms)


class Session(NamedTuple):
    """One node's cycle: `up_ms` there, `down_ms` not, over and over; `into_ms` of it had passed at the start."""

    serial: int         # row of the truth
    up_ms: int
    down_ms: int
    into_ms: int

    def is_up(self, at_ms: int) -> bool:
        """Whether the node is there, so long after the network's start."""
        return (self.into_ms + at_ms) % (self.up_ms + self.down_ms) < self.up_ms

    def is_up_throughout(self, first_ms: int, last_ms: int) -> bool:
        """Whether it is there at both moments and all the time between."""
        at = (self.into_ms + first_ms) % (self.up_ms + self.down_ms)
        return at + last_ms - first_ms < self.up_ms

    def is_up_ever(self, first_ms: int, last_ms: int) -> bool:
        """Whether it is there at any moment from the first to the last."""
        cycle = self.up_ms + self.down_ms
        at = (self.into_ms + first_ms) % cycle
        return at < self.up_ms or at + last_ms - first_ms >= cycle


@dataclass(frozen=True, slots=True)
class Sessions:
    """All nodes that come and go, and from when to when datagrams came."""

    first_us: int
    last_us: int        # equal to first_us while nobody has asked yet, or the network still runs
    records: bytes

    def rows(self) -> Iterator[Session]:
        return (Session(*row) for row in ROW.iter_unpack(self.records))

    def split(self, truth: Truth) -> tuple[set[bytes], set[bytes]]:
        """The keys (26 bytes) of the nodes that were reachable all the time that datagrams came, and of those that
        were for a part of it. The first are what a crawl can be asked to find."""
        always, partly = truth.keys(REACHABLE), set()
        first, last = self.first_us // 1000, -(-self.last_us // 1000)
        for session in self.rows():
            key = truth.records[session.serial * RECORD.size : session.serial * RECORD.size + KEY_SIZE]
            if self.last_us > self.first_us and session.is_up_throughout(first, last):
                always.add(key)
            elif self.last_us == self.first_us or session.is_up_ever(first, last):
                partly.add(key)
        return always, partly


def path_of(truth: Path) -> Path:
    """Where the sessions of a network lie."""
    return truth.with_name(truth.name + ".sessions")


def write_sessions(truth: Path, sessions: Sessions) -> None:
    """Write beside a truth, the whole file or nothing."""
    path = path_of(truth)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(HEADER.pack(MAGIC, ROW.size, 0, len(sessions.records) // ROW.size, sessions.first_us,
                                   sessions.last_us))
            file.write(sessions.records)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_sessions(truth: Path) -> Sessions | None:
    """Those beside a truth; None when nobody came or went. Raises PersistError, OSError."""
    path = path_of(truth)
    if not path.exists():
        return None
    data = path.read_bytes()
    if len(data) < HEADER.size or data[:8] != MAGIC:
        raise PersistError(f"{path} holds no sessions: it starts with {data[:8]!r}")
    _, size, _, count, first_us, last_us = HEADER.unpack_from(data)
    if size != ROW.size or len(data) != HEADER.size + size * count:
        raise PersistError(f"{path} has {len(data) - HEADER.size} bytes of rows; {count} of {ROW.size} expected")
    return Sessions(first_us, last_us, data[HEADER.size :])
