"""Peers of many infohashes: bulk get_peers on one core. Rate class: lookup.

Theory of operation. Infohashes in the order of their ids are cut into as many lanes as look-ups run at a time, and each
lane is worked on from its beginning. With the nodes of a census the ones closest to an infohash are known: eight are
asked, each silent one is replaced by the next, and nobody else is asked. Without, a lookup starts at the nodes closest
to the one before it in its lane, which is its neighbour, or at the bootstrap hosts, and walks as any lookup does. As
lanes are far apart, no node is asked by many at once. The rate is kept by when lookups begin; what one address is
asked, by the core's throttle. A scrape is the same look-up for filters instead of peers (crawl/scrape.py).
Memory: 20 bytes for each infohash of the list, and what the look-ups that run hold.
"""
from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fastdht._ext.core import Core
from fastdht._ext.ids import random_id
from fastdht._ext.walks import Walk
from fastdht.blocklist import Blocklist
from fastdht.config import SECOND_US, UNLIMITED, CoreConfig, LookupConfig, ThrottleConfig
from fastdht.crawl.neighbours import CensusMap, HashList
from fastdht.crawl.scrape import ScrapeWalk, SwarmSize
from fastdht.engine.clock import monotonic_us
from fastdht.engine.engine import Engine
from fastdht.engine.names import HostList
from fastdht.engine.transport import open_transport
from fastdht.errors import ConfigError
from fastdht.stats import CLOSEST, LookupReport
from fastdht.types import Endpoint, InfoHash

GET_PEERS = 2                   # krpc Method
CENSUS_ASKED = 8                # closest nodes of a census that should answer: as many hold peers (BEP 5) …
CENSUS_SEEDS = 12               # … of so many, as those that are silent are replaced
LEAST_QUERIES = 10
SECRET_SIZE = 96
LARGEST_OUTBOX = 1 << 15
TURN_S = 0.01
STALL_US = SECOND_US            # at most: then another node is asked, though the answer may still come
HASHES_A_TURN = 64              # begun before the loop gets its turn

Found = Callable[[bytes, LookupReport], None]
Scraped = Callable[[bytes, LookupReport, SwarmSize], None]


@dataclass(frozen=True, slots=True)
class PeersConfig:
    """How many peers are looked up, how fast. Raises ConfigError."""

    bootstrap: tuple[str, ...]              # host:port; not asked with a census
    bind: Endpoint = Endpoint("0.0.0.0", 0)
    allow_net: tuple[str, ...] = ()
    blocklist: Blocklist | None = None      # addresses that are neither asked nor heard
    rate: float = 2000.0                    # queries/s; 0: no limit
    per_ip_rate: float = 1.0                # queries/s to one address; 0: no limit
    concurrency: int = 1024                 # lookups at a time: half of all contacts dead, each takes seconds
    max_queries: int = 60                   # of one infohash
    timeout_s: float = 5.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.concurrency <= 4096:
            raise ConfigError(f"concurrency is {self.concurrency}; 1 to 4096")
        if min(self.rate, self.per_ip_rate) < 0 or self.timeout_s <= 0:
            raise ConfigError("a rate cannot be negative, nor a timeout zero")
        if not LEAST_QUERIES <= self.max_queries <= 1000:
            raise ConfigError(f"max_queries is {self.max_queries}; {LEAST_QUERIES} to 1000")

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
    seeds: int = 0              # of a scrape; `peers` are then the others
    saturated: int = 0          # infohashes whose filters had no zero bit left

    def as_dict(self) -> dict[str, Any]:
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


class BulkPeers:
    """One run: `await run(hashes)` once; `stop()` ends it early. `found` is told of each infohash that has ended.

    With `scraped` swarms are counted instead, and it is told, not `found`.
    """

    def __init__(self, config: PeersConfig, found: Found | None = None,
                 census: Iterable[tuple[bytes, bytes]] | None = None, *,
                 scraped: Scraped | None = None, clock: Callable[[], int] = monotonic_us) -> None:
        self.config = config
        self.summary = PeersSummary()
        self.is_stopped = False
        self._found = found
        self._scraped = scraped
        self._clock = clock
        self._met: list[list[bytes]] = [[] for _ in range(config.concurrency)]     # by lane, as compact nodes
        self._map = None
        if census is not None:      # without who opted out, so that the next closest are asked
            self._map = CensusMap((each for each in census if not self._is_excluded(each[1])),
                                  18 if config.family == 6 else 6)
        self._lookup = LookupConfig(width=CENSUS_ASKED, wide_width=CENSUS_ASKED if census is not None else 12,
                                    subnet_limit=0, max_queries=config.max_queries,
                                    deadline_us=int(4 * config.timeout_s * SECOND_US))
        self._entry: Sequence[bytes] = ()
        self._running: dict[Walk, int] = {}         # the lane of each
        self._room = asyncio.Event()

    def stop(self) -> None:
        self.is_stopped = True
        self._room.set()

    async def run(self, hashes: Iterable[bytes]) -> PeersSummary:
        """Look up each of `hashes` (20 bytes) once; a HashList is read as it is. Raises ConfigError: nobody to ask."""
        if self._map is None:
            self._entry = await HostList(self.config.bootstrap)(self.config.family)
        if not (self._entry if self._map is None else self._map):
            raise ConfigError("nobody to ask: the census has no nodes, or no bootstrap host an address")
        started_us = self._clock()
        engine = self._open()
        try:
            await self._begin_all(hashes if isinstance(hashes, HashList) else HashList(hashes), engine)
            while self._running:
                self._room.clear()
                await self._room.wait()
                if self.is_stopped:
                    break
        finally:
            engine.close()
        return self._summarize(engine, started_us)

    def _is_excluded(self, endpoint: bytes) -> bool:
        return self.config.blocklist is not None and self.config.blocklist.ranges.holds(endpoint[:-2])

    def _open(self) -> Engine:
        config = self.config
        per_ip = round(10 * config.per_ip_rate) if config.per_ip_rate else UNLIMITED
        throttle = ThrottleConfig(outbound_per_ip=max(per_ip, 1), outbound_per_subnet=UNLIMITED, destinations=1 << 20)
        # room for all first questions at once: one that finds none waits for a sweep, and may do so until its deadline
        outbox = min(1 << (CENSUS_ASKED * config.concurrency).bit_length(), LARGEST_OUTBOX)
        core = Core(CoreConfig(
            family=config.family, allowed_nets=config.allow_net, blocklist=config.blocklist, read_only=True,
            transactions=1 << 15, outbox=outbox, lookups=config.concurrency, throttle=throttle,
            stall_us=min(int(config.timeout_s * SECOND_US / 3), STALL_US),
            timeout_us=int(config.timeout_s * SECOND_US)), random_id(config.seed), os.urandom(SECRET_SIZE), config.seed)
        engine = Engine(core, open_transport(config.bind), self._clock, lookups=config.concurrency,
                        transactions=1 << 15)
        engine.start()
        return engine

    async def _begin_all(self, hashes: HashList, engine: Engine) -> None:
        started_us = self._clock()
        for number, (lane, info_hash) in enumerate(hashes.in_lanes(self.config.concurrency), 1):
            while not self.is_stopped and (len(self._running) >= self.config.concurrency
                                           or self._is_ahead(engine, started_us)):
                self._room.clear()
                await self._wait_for_room()
            if self.is_stopped:
                return
            self._begin(info_hash, lane, engine)
            if number % HASHES_A_TURN == 0:
                await asyncio.sleep(0)

    def _is_ahead(self, engine: Engine, started_us: int) -> bool:
        """Whether more has been asked than the rate allows until now."""
        if not self.config.rate:
            return False
        allowed = self.config.rate * (self._clock() - started_us) / SECOND_US
        sent: int = engine.core.counters()["sent_queries"]
        if self._map is not None:   # what has begun will ask just so many, though it may not have been sent yet
            sent = CENSUS_ASKED * (self.summary.infohashes + len(self._running) + 1)
        else:
            sent += self._lookup.alpha * (len(self._running) + 1)
        return sent > allowed

    async def _wait_for_room(self) -> None:
        if len(self._running) >= self.config.concurrency:
            await self._room.wait()
        else:                       # ahead of the rate: nobody may be left to wake us
            await asyncio.sleep(TURN_S)

    def _begin(self, info_hash: bytes, lane: int, engine: Engine) -> None:
        if self._map is not None:
            seeds = self._map.closest(info_hash, CENSUS_SEEDS)
            seeds.reverse()     # of seeds whose ids a lookup does not know the last is asked first
        else:
            seeds = self._met[lane]
        is_scrape = self._scraped is not None
        walk = (ScrapeWalk if is_scrape else Walk)(InfoHash(info_hash), self._lookup, self._on_end)
        if walk.start([engine.lookups], GET_PEERS, seeds or self._entry, is_fixed=self._map is not None,
                      scrape=is_scrape, is_read=is_scrape):
            self._running[walk] = lane

    def _on_end(self, walk: Walk) -> None:
        lane = self._running.pop(walk)
        self._room.set()
        report: LookupReport = walk.report
        summary = self.summary
        summary.infohashes += 1
        summary.unanswered += report.responses == 0
        summary.answered += report.responses
        summary.sent += report.queries      # until the core's count, which has what goes on as well
        if self._map is None and report.responses:
            self._met[lane] = [node_id + endpoint[:size]
                               for _, node_id, size, endpoint, *_ in CLOSEST.iter_unpack(report.results[0].closest)]
        if isinstance(walk, ScrapeWalk):
            self._take_size(walk, report)
            return
        summary.with_peers += report.value_count > 0
        summary.peers += report.value_count
        if self._found is not None:
            self._found(bytes(walk.target), report)

    def _take_size(self, walk: ScrapeWalk, report: LookupReport) -> None:
        assert self._scraped is not None
        size, summary = walk.size(), self.summary
        summary.with_peers += not size.is_empty
        summary.seeds += round(size.seeds.count)
        summary.peers += round(size.downloaders.count)
        summary.saturated += size.is_saturated
        self._scraped(bytes(walk.target), report, size)

    def _summarize(self, engine: Engine, started_us: int) -> PeersSummary:
        summary = self.summary
        summary.sent = engine.core.counters()["sent_queries"]
        summary.elapsed_s = max((self._clock() - started_us) / SECOND_US, 1e-6)
        summary.msgs_per_hash = summary.sent / max(summary.infohashes, 1)
        summary.hashes_per_s = summary.infohashes / summary.elapsed_s
        summary.complete = not self.is_stopped
        return summary
