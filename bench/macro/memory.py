"""An in-memory network for the replay: nodes that answer, and transports that record what came and play it again.

Recording, an engine asks real questions and the network answers each; playing, an engine built from the same seeds
gets the same datagrams in the same batches, so its transaction ids fit. Time spent inside a transport is noted, to be
taken off: what remains is what the library itself costs, without sockets and without this file.
"""
from __future__ import annotations

import asyncio
import bisect
import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from fastdht._ext import krpc
from fastdht._ext.packets import Inbox, Outbox
from fastdht.types import Endpoint

Datagram = tuple[bytes, bytes]      # the bytes, and the compact endpoint they come from
K = 8
NEIGHBOURS = 24                     # of a target in order of ids, among which the closest are looked for
VALUES = b"6:valuesl" + b"".join(b"6:" + bytes([127, 9, i, 1]) + b"\x1a\xe1" for i in range(10)) + b"e"
BATCH = 64
TICK_US = 20                        # how far the clock moves each time it is read


class Network:
    """`count` nodes (at most 65,536), each in a /24 of its own; every one knows the closest to any target."""

    def __init__(self, count: int, seed: int) -> None:
        rng = random.Random(seed)
        self.ids = {
            bytes([127, place >> 8, place & 255, 1]) + (6881).to_bytes(2, "big"): rng.randbytes(20)
            for place in rng.sample(range(1 << 16), count)
        }
        self.order = sorted((int.from_bytes(node_id, "big"), packed) for packed, node_id in self.ids.items())

    def closest(self, target: bytes) -> list[bytes]:
        """About the closest: the best of the target's neighbours in order of ids."""
        number = int.from_bytes(target, "big")
        at = bisect.bisect(self.order, (number, b""))
        near = self.order[max(0, at - NEIGHBOURS):at + NEIGHBOURS]
        return [packed for _, packed in heapq.nsmallest(K, near, key=lambda entry: entry[0] ^ number)]

    def answer(self, query: bytes, packed: bytes) -> bytes | None:
        asked: dict[str, Any] | None = krpc.parse(query)
        own_id = self.ids.get(packed)
        if asked is None or own_id is None:
            return None
        body = b"2:id20:" + own_id
        target = asked.get("target")
        if target is not None:
            closest = self.closest(target)
            nodes = b"".join(self.ids[each] + each for each in closest)
            body += b"5:nodes%d:" % len(nodes) + nodes
            if b"9:get_peers" in query:
                body += b"5:token4:tokn" + (VALUES if packed in closest else b"")
        tid: bytes = asked["tid"]
        return b"d2:ip6:\x7f\x00\x00\x01\x1a\xe11:rd" + body + b"e1:t%d:" % len(tid) + tid + b"1:v4:LT\x02\x0b1:y1:re"


class MemoryTransport:
    """What both kinds share; `outside_ns` is the time that is not the library's."""

    def __init__(self) -> None:
        self.local = Endpoint("127.0.0.1", 6881)
        self.outside_ns = 0
        self.taken = 0
        self.sent = 0

    def start(self, loop: asyncio.AbstractEventLoop, on_readable: Callable[[], None]) -> None:
        """Never called: the replay drives the engine itself."""

    def receive(self, inbox: Inbox) -> int:
        began = time.thread_time_ns()
        inbox.clear()
        batch = self.next_batch()
        for data, source in batch:
            inbox.put(data, source)
        self.taken += len(batch)
        self.outside_ns += time.thread_time_ns() - began
        return len(batch)

    def receive_errors(self, inbox: Inbox) -> int:
        return 0

    def flush(self, outbox: Outbox) -> int:
        began = time.thread_time_ns()
        queued = outbox.take()
        self.sent += len(queued)
        self.deliver(queued)
        self.outside_ns += time.thread_time_ns() - began
        return len(queued)

    def counters(self) -> dict[str, int]:
        return {}

    def close(self) -> None:
        """Nothing is held."""

    def next_batch(self) -> Sequence[Datagram]:
        raise NotImplementedError

    def deliver(self, queued: Sequence[Datagram]) -> None:
        """Playing, what the library sends goes nowhere: it has been answered already."""


class Recorder(MemoryTransport):
    """Answers at once, and keeps every batch that it hands out."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.waiting: deque[Datagram] = deque()
        self.batches: list[Sequence[Datagram]] = []

    def next_batch(self) -> Sequence[Datagram]:
        batch = [self.waiting.popleft() for _ in range(min(BATCH, len(self.waiting)))]
        self.batches.append(batch)
        return batch

    def deliver(self, queued: Sequence[Datagram]) -> None:
        for data, target in queued:
            reply = self.network.answer(data, target)
            if reply is not None:
                self.waiting.append((reply, target))


class Player(MemoryTransport):
    """Hands out what was recorded, in the same batches."""

    def __init__(self, batches: Sequence[Sequence[Datagram]]) -> None:
        super().__init__()
        self.batches = iter(batches)
        self.is_over = False

    def next_batch(self) -> Sequence[Datagram]:
        batch = next(self.batches, None)
        self.is_over = batch is None
        return batch or ()


class Clock:
    """Moves a little whenever it is read: the same readings in every run."""

    def __init__(self) -> None:
        self.now_us = 1_000_000_000

    def __call__(self) -> int:
        self.now_us += TICK_US
        return self.now_us
