"""A record of what was sent on a simulated network. Rate class: command (tests)."""
from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from fastdht.types import Endpoint


class Packet(NamedTuple):
    """One datagram as it was sent; a lost one too."""

    sent_us: int
    source: Endpoint
    target: Endpoint
    data: bytes


class Trace:
    """The newest `limit` datagrams in the order of sending. Iterate it for Packets."""

    def __init__(self, limit: int) -> None:
        self._records: deque[tuple[int, bytes, bytes, bytes]] = deque(maxlen=limit)

    def record(self, sent_us: int, source: bytes, target: bytes, data: bytes) -> None:
        """Called by the network with compact endpoints."""
        self._records.append((sent_us, source, target, data))

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Packet]:
        for sent_us, source, target, data in self._records:
            yield Packet(sent_us, Endpoint.unpack(source), Endpoint.unpack(target), data)

    def digest(self) -> str:
        """A hexadecimal hash of every time, endpoint and byte: two runs with the same one sent the same."""
        digest = hashlib.blake2b(digest_size=16)
        for sent_us, source, target, data in self._records:
            digest.update(b"%d %d %d %d " % (sent_us, len(source), len(target), len(data)))
            digest.update(source + target + data)
        return digest.hexdigest()
