"""Peers of many infohashes: bulk get_peers on one core. Rate class: lookup.

Theory of operation. Infohashes are worked on in order of their ids, some at a time, so that lookups next to each other
ask the same nodes. With the nodes of a census the ones closest to an infohash are known: they are asked, once each, and
nobody else. Without, each lookup starts at the closest nodes that lately answered another (a bounded cache), or at the
bootstrap hosts, and walks as any lookup does. The rate is kept by when lookups begin; what one address is asked, by the
core's throttle.
"""
from __future__ import annotations

import asyncio
import bisect
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fastdht._ext.core import Core
from fastdht._ext.ids import random_id
from fastdht._ext.walks import Walk
from fastdht.config import SECOND_US, UNLIMITED, CoreConfig, LookupConfig, ThrottleConfig
from fastdht.engine.clock import monotonic_us
from fastdht.engine.engine import Engine
from fastdht.engine.names import HostList
from fastdht.engine.transport import open_transport
from fastdht.errors import ConfigError
from fastdht.stats import LookupReport
from fastdht.types import Endpoint, InfoHash

GET_PEERS = 2                   # krpc Method
ID_BITS = 160
CENSUS_ASKED = 10               # closest nodes of a census asked: two of the eight that hold peers may be gone
CACHE_SEEDS = 8                 # a lookup begins at so many of the cache …
CACHE_NODES = 100_000           # … which forgets those farthest from the infohash worked on: it comes by once
SECRET_SIZE = 96
LARGEST_OUTBOX = 1 << 15
TURN_S = 0.01
HASHES_A_TURN = 64              # begun before the loop gets its turn

Found = Callable[[bytes, LookupReport], None]


@dataclass(frozen=True, slots=True)
class PeersConfig:
    """How many peers are looked up, how fast. Raises ConfigError."""

    bootstrap: tuple[str, ...]              # host:port; not asked with a census
    bind: Endpoint = Endpoint("0.0.0.0", 0)
    allow_net: tuple[str, ...] = ()
    rate: float = 2000.0                    # queries/s; 0: no limit
    per_ip_rate: float = 1.0                # queries/s to one address; 0: no limit
    concurrency: int = 256                  # lookups at a time
    max_queries: int = 60                   # of one infohash
    timeout_s: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.concurrency <= 4096:
            raise ConfigError(f"concurrency is {self.concurrency}; 1 to 4096")
        if min(self.rate, self.per_ip_rate) < 0 or self.timeout_s <= 0:
            raise ConfigError("a rate cannot be negative, nor a timeout zero")
        if not CENSUS_ASKED <= self.max_queries <= 1000:
            raise ConfigError(f"max_queries is {self.max_queries}; {CENSUS_ASKED} to 1000")

    @property
    def family(self) -> Literal[4, 6]:
        return 6 if self.bind.is_ipv6 else 4


@dataclass(slots=True)
class PeersSummary:
    """What a run found and what it cost."""

    infohashes: int = 0
    with_peers: int = 0
    unanswered: int = 0         # infohashes for which not one node answered
    peers: int = 0
    sent: int = 0
    answered: int = 0
    msgs_per_hash: float = 0.0
    hashes_per_s: float = 0.0
    elapsed_s: float = 0.0
    complete: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


class NodeCache:
    """Nodes in order of their ids, and the closest to an infohash; at most `limit`, the farthest forgotten."""

    def __init__(self, nodes: Iterable[tuple[bytes, bytes]] = (), limit: int | None = None) -> None:
        entries = sorted({int.from_bytes(node_id, "big"): endpoint for node_id, endpoint in nodes}.items())
        self._ids = [number for number, _ in entries]
        self._endpoints = [endpoint for _, endpoint in entries]
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
        if self._limit is not None and len(self._ids) > self._limit:
            end = 0 if at > len(self._ids) // 2 else -1
            del self._ids[end], self._endpoints[end]

    def closest(self, info_hash: bytes, count: int) -> list[bytes]:
        """The endpoints of the `count` closest, closest first. All ids of a prefix are closer than any other, so that
        the longest prefix with enough ids holds them."""
        number = int.from_bytes(info_hash, "big")
        bits = min(ID_BITS, len(self._ids).bit_length() + 2)
        while True:
            low = number >> (ID_BITS - bits) << (ID_BITS - bits)
            first = bisect.bisect_left(self._ids, low)
            last = bisect.bisect_left(self._ids, low + (1 << (ID_BITS - bits)), first)
            if last - first >= count or bits == 0:
                break
            bits -= 1
        order = sorted(range(first, last), key=lambda i: self._ids[i] ^ number)
        return [self._endpoints[i] for i in order[:count]]


class BulkPeers:
    """One run: `await run(hashes)` once; `stop()` ends it early. `found` is told of each infohash that has ended."""

    def __init__(self, config: PeersConfig, found: Found, census: Iterable[tuple[bytes, bytes]] | None = None, *,
                 clock: Callable[[], int] = monotonic_us) -> None:
        self.config = config
        self.summary = PeersSummary()
        self.is_stopped = False
        self._found = found
        self._clock = clock
        self._is_known = census is not None
        self._nodes = NodeCache(census or (), None if census is not None else CACHE_NODES)
        width = CENSUS_ASKED if self._is_known else 8
        self._lookup = LookupConfig(width=width, wide_width=max(width, 12), subnet_limit=0,
                                    max_queries=config.max_queries, deadline_us=int(4 * config.timeout_s * SECOND_US))
        self._entry: Sequence[bytes] = ()
        self._running: dict[int, Walk] = {}
        self._room = asyncio.Event()

    def stop(self) -> None:
        self.is_stopped = True
        self._room.set()

    async def run(self, hashes: Sequence[bytes]) -> PeersSummary:
        """Look up each of `hashes` (20 bytes) once. Raises ConfigError when there is nobody to ask."""
        if not self._is_known:
            self._entry = await HostList(self.config.bootstrap)(self.config.family)
        if not self._entry and not len(self._nodes):
            raise ConfigError("nobody to ask: the census has no nodes, or no bootstrap host an address")
        started_us = self._clock()
        engine = self._open()
        try:
            await self._begin_all(sorted(set(hashes)), engine)
            while self._running:
                self._room.clear()
                await self._room.wait()
                if self.is_stopped:
                    break
        finally:
            engine.close()
        return self._summarize(engine, started_us)

    def _open(self) -> Engine:
        config = self.config
        per_ip = round(10 * config.per_ip_rate) if config.per_ip_rate else UNLIMITED
        throttle = ThrottleConfig(outbound_per_ip=max(per_ip, 1), outbound_per_subnet=UNLIMITED, destinations=1 << 20)
        # room for all first questions at once: one that finds none waits for a sweep, and may do so until its deadline
        outbox = min(1 << (CENSUS_ASKED * config.concurrency).bit_length(), LARGEST_OUTBOX)
        core = Core(CoreConfig(
            family=config.family, allowed_nets=config.allow_net, read_only=True, transactions=1 << 15, outbox=outbox,
            lookups=config.concurrency, throttle=throttle, stall_us=int(config.timeout_s * SECOND_US / 3),
            timeout_us=int(config.timeout_s * SECOND_US)), random_id(config.seed), os.urandom(SECRET_SIZE), config.seed)
        engine = Engine(core, open_transport(config.bind), self._clock, lookups=config.concurrency,
                        transactions=1 << 15)
        engine.start()
        return engine

    async def _begin_all(self, hashes: Sequence[bytes], engine: Engine) -> None:
        started_us = self._clock()
        for number, info_hash in enumerate(hashes, 1):
            while not self.is_stopped and (len(self._running) >= self.config.concurrency
                                           or self._is_ahead(engine, started_us)):
                self._room.clear()
                await self._wait_for_room()
            if self.is_stopped:
                return
            self._begin(info_hash, engine)
            if number % HASHES_A_TURN == 0:
                await asyncio.sleep(0)

    def _is_ahead(self, engine: Engine, started_us: int) -> bool:
        """Whether more has been asked than the rate allows until now."""
        if not self.config.rate:
            return False
        allowed = self.config.rate * (self._clock() - started_us) / SECOND_US
        sent: int = engine.core.counters()["sent_queries"]
        if self._is_known:          # what has begun will ask just so many, though it may not have been sent yet
            sent = CENSUS_ASKED * (self.summary.infohashes + len(self._running) + 1)
        else:
            sent += self._lookup.alpha * (len(self._running) + 1)
        return sent > allowed

    async def _wait_for_room(self) -> None:
        if len(self._running) >= self.config.concurrency:
            await self._room.wait()
        else:
            await asyncio.sleep(TURN_S)

    def _begin(self, info_hash: bytes, engine: Engine) -> None:
        count = CENSUS_ASKED if self._is_known else CACHE_SEEDS
        seeds = self._nodes.closest(info_hash, count)
        walk = Walk(InfoHash(info_hash), self._lookup, self._on_end)
        if walk.start([engine.lookups], GET_PEERS, seeds or self._entry, is_fixed=self._is_known):
            self._running[id(walk)] = walk

    def _on_end(self, walk: Walk) -> None:
        self._running.pop(id(walk), None)
        self._room.set()
        report: LookupReport = walk.report
        summary = self.summary
        summary.infohashes += 1
        summary.with_peers += report.value_count > 0
        summary.unanswered += report.responses == 0
        summary.peers += report.value_count
        summary.answered += report.responses
        if not self._is_known:
            for each in report.closest[:CACHE_SEEDS]:
                self._nodes.add(each.contact.id, each.contact.endpoint.pack())
        self._found(bytes(walk.target), report)

    def _summarize(self, engine: Engine, started_us: int) -> PeersSummary:
        summary = self.summary
        summary.sent = engine.core.counters()["sent_queries"]
        summary.elapsed_s = max((self._clock() - started_us) / SECOND_US, 1e-6)
        summary.msgs_per_hash = summary.sent / max(summary.infohashes, 1)
        summary.hashes_per_s = summary.infohashes / summary.elapsed_s
        summary.complete = not self.is_stopped
        return summary
