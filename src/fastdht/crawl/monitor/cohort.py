"""Which nodes are visited: a random sample of a census, of an earlier cohort, or of the network as it is now.

Rate class: command. A sample of those who are there now holds long sessions more often than short ones (each counts by
its length): right for availability and for what is left of sessions, wrong for how long sessions are. Those are
measured from returns, whose beginning is seen.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random

from fastdht.blocklist import Blocklist
from fastdht.crawl.crawler import Crawl, CrawlConfig, open_crawl_transport
from fastdht.crawl.monitor.settings import Member, MonitorConfig
from fastdht.crawl.monitor.store import pack, read_cohort
from fastdht.crawl.packed import NODES
from fastdht.crawl.verify import read_nodes
from fastdht.crawl.zones import Zone
from fastdht.engine.clock import monotonic_us, thread_busy_us
from fastdht.engine.transport import Transport
from fastdht.types import ID_SIZE, Endpoint

FIRST_BITS = 12             # of a zone: some thousands of nodes where there are ten millions …
COARSER = 2                 # … and as many fewer bits as long as a zone has not a quarter of what is wanted
MOST_ZONES = 64
SPARE = 2                   # candidates kept for each node wanted: some addresses have too many


def read_candidates(directory: Path, config: MonitorConfig) -> list[Member]:
    """A random part of the nodes of a census or of another monitor's cohort. Raises PersistError."""
    if (directory / "parts" / "cohort").is_dir():
        return read_cohort(directory)
    found = (Member(key[-ID_SIZE:], key[:-ID_SIZE]) for keys, _ in read_nodes(directory) for key in keys)
    return draw(found, SPARE * config.nodes + 1024, config.seed)


def draw(members: Iterable[Member], count: int, seed: int) -> list[Member]:
    """`count` of them, each with the same chance, without holding all (Vitter's algorithm R)."""
    rng = Random(seed)
    kept: list[Member] = []
    for number, member in enumerate(members):
        if number < count:
            kept.append(member)
        elif (place := rng.randrange(number + 1)) < count:
            kept[place] = member
    return kept


class MemorySink:
    """Keeps the nodes that a crawl finds."""

    def __init__(self) -> None:
        self.members: list[Member] = []

    def write(self, block: bytes, now_us: int) -> None:
        for line in NODES.json_lines(block).splitlines():
            row = json.loads(line)
            self.members.append(Member(bytes.fromhex(row["id"]), pack(row["ip"], row["port"])))

    def close(self) -> None:
        return


class Sampler:
    """Crawls random zones until they hold enough nodes: `await run()` once; `stop()` ends it early."""

    def __init__(self, config: MonitorConfig, *, blocklist: Blocklist | None = None,
                 clock: Callable[[], int] = monotonic_us, busy_clock: Callable[[], int] = thread_busy_us,
                 transport: Callable[[Endpoint], Transport] = open_crawl_transport) -> None:
        self._config = config
        self._blocklist = blocklist
        self._clock = clock
        self._busy_clock = busy_clock
        self._transport = transport
        self._crawl: Crawl | None = None
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True
        if self._crawl is not None:
            self._crawl.stop()

    async def run(self) -> list[Member]:
        """The nodes found: more than wanted, or all there are. Raises ConfigError."""
        found: dict[bytes, Member] = {}
        bits = FIRST_BITS
        for _, place in zip(range(MOST_ZONES), places(self._config.seed), strict=False):
            members = await self._crawl_zone(zone_at(place, bits))
            found.update((member.endpoint, member) for member in members)
            if self.is_stopped or len(found) >= SPARE * self._config.nodes or bits == 0:
                break
            if len(members) < self._config.nodes // 4 + 1:
                bits = max(0, bits - COARSER)
        return list(found.values())

    async def _crawl_zone(self, zone: Zone) -> list[Member]:
        config, sink = self._config, MemorySink()
        self._crawl = Crawl(CrawlConfig(
            bootstrap=config.bootstrap, bind=config.bind, allow_net=config.allow_net, blocklist=self._blocklist,
            zone=zone, rate=config.rate, per_ip_rate=config.per_ip_rate, seed=config.seed), sink,
            clock=self._clock, busy_clock=self._busy_clock, transport=self._transport)
        await self._crawl.run()
        return sink.members


def places(seed: int) -> Iterator[int]:
    rng = Random(seed)
    while True:
        yield rng.getrandbits(8 * ID_SIZE)


def zone_at(place: int, bits: int) -> Zone:
    """The zone of so many bits that an id lies in."""
    low = 8 * ID_SIZE - bits
    return Zone((place >> low << low).to_bytes(ID_SIZE, "big"), bits)
