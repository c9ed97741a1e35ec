"""One pass of a crawl: a socket and a core for each address family, a frontier and a pace for all. Rate class: second.

Theory of operation. The frontier keeps the contacts of each family apart, and each core asks those of its own family.
With two families every question wants nodes of both (BEP 32), so that what is named over IPv4 leads to IPv6 and the
other way about. The rate and the window are shared: half for each while both have somebody to ask, and nearly all for
the one that has. What is left for the other pays for what it may be told of before it gets its share again.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from fastdht._ext.addresses import AddressFilter
from fastdht._ext.core import Core
from fastdht._ext.frontier import Frontier
from fastdht._ext.ids import random_id
from fastdht._ext.ledger import Ledger
from fastdht.config import SECOND_US, CoreConfig
from fastdht.crawl.control import Verdict
from fastdht.crawl.pace import PACE_US, Pace, Signals
from fastdht.crawl.settings import DEPTHS, CrawlConfig
from fastdht.engine.engine import Engine
from fastdht.engine.transport import Transport, UdpTransport
from fastdht.types import Endpoint

TRANSACTIONS = 131_072
FIRST_SLOTS = 10 << 18      # of the seen set: 27 MB, room for 2.1 million contacts before it grows
ADDRESS_CELLS = 1 << 20      # 4 MB: room for 650,000 addresses asked within the last second or so
EDGES = 1 << 21             # 32 MB: half of them stop the asking, and all that is out then finds room in the rest
SECRET_SIZE = 96
OTHER_SOCKET = 1 << 63      # of a seed: the second core's differs
IDLE_SHARE = 0.02           # of the rate, for a family that has nobody to ask
NOT_IN_THE_FRONTIER = ("sent", "sent_v6", "filtered_reflected", "kernel_drops")     # nor in a saved one


def pass_seed(config: CrawlConfig, number: int) -> int:
    return (config.seed + 0x9E3779B97F4A7C15 * number) & 0xFFFFFFFFFFFFFFFF


def own_id(seed: int, family: int) -> bytes:
    """Each socket is a node of its own (BEP 45)."""
    return random_id(seed ^ OTHER_SOCKET if family == 6 else seed)


def make_frontier(config: CrawlConfig, number: int, previous: Frontier | None, ledger: Ledger | None) -> Frontier:
    seed = pass_seed(config, number)
    return Frontier(
        own_id(seed, 4), AddressFilter(config.allow_net, config.blocklist.ranges if config.blocklist else None),
        row_capacity=TRANSACTIONS, previous=previous, ledger=ledger, own_id6=own_id(seed, 6),
        edge_capacity=EDGES if config.edges else 0,
        depth=DEPTHS.index(config.depth), seed=seed, families=sum(1 if each == 4 else 2 for each in config.families),
        max_contacts=config.max_contacts, slots=min(FIRST_SLOTS, max(64, 2 * config.max_contacts)),
        rate=config.rate, zone=config.zone.prefix, zone_bits=config.zone.bits, address_rate=config.per_ip_rate,
        address_burst=config.per_ip_burst, address_cells=ADDRESS_CELLS,
        retry_share=config.retry_share if config.passes == 1 else 0.0,      # a second pass buys more than retries
        retry_referrers=config.retry_referrers)


class CrawlEngine(Engine):
    """An engine whose core asks by itself: where the system has batches, Python is spared them."""

    def on_readable(self) -> None:
        if not isinstance(self.transport, UdpTransport):
            super().on_readable()
            return
        self.transport.run_rounds(self.core, self._inbox)
        now = self.clock()
        if self.core.has_events():          # of the control group
            self._settle(now)
        self._drain_refusals(now)
        self._arm(now)


class Pass:
    """One pass: its cores, frontier, engines and pace; `before` are the totals of what is continued."""

    def __init__(self, config: CrawlConfig, number: int, frontier: Frontier, before: Mapping[str, int],
                 clock: Callable[[], int], busy_clock: Callable[[], int],
                 transport: Callable[[Endpoint], Transport]) -> None:
        self.number = number
        self.paced_us = 0
        self.late_us = 0
        self.control = Verdict.STEADY       # of the control group, since the pace was last set
        self.frontier = frontier
        self._heard = (0, 0)                # answers, and time-outs when the last of them was seen
        self._before = before
        self._busy_clock = busy_clock
        self.engines: dict[int, Engine] = {}
        try:
            for family, bind in zip(config.families, config.binds, strict=True):
                self.engines[family] = make_engine(config, number, frontier, bind, clock, transport)
        except BaseException:
            self.close()
            raise
        timeout_us = int(config.timeout_s * SECOND_US) or None
        self.pace = Pace(config.rate, config.max_in_flight, timeout_us)
        self.apply_pace()

    def start(self) -> None:
        for engine in self.engines.values():
            engine.start()

    def close(self) -> None:
        for engine in self.engines.values():
            engine.close()

    def apply_pace(self) -> None:
        for engine in self.engines.values():
            engine.core.set_timeout(self.pace.timeout_us)
            engine.core.set_stall(self.pace.stall_us)
        self.share_out()

    def share_out(self) -> None:
        """Give each family its part of the rate and the window."""
        window = min(self.pace.window, TRANSACTIONS)
        for family, share in self._shares().items():
            self.frontier.set_rate(self.pace.rate * share, family)
            self.frontier.set_max_in_flight(max(1, round(window * share)), family)

    def _shares(self) -> dict[int, float]:
        if len(self.engines) == 1:
            return dict.fromkeys(self.engines, 1.0)
        has_questions = {family: self.frontier.has_questions(family) for family in self.engines}
        if len(set(has_questions.values())) == 1:
            return dict.fromkeys(self.engines, 0.5)
        return {family: 1.0 - IDLE_SHARE if has else IDLE_SHARE for family, has in has_questions.items()}

    def tick(self, now_us: int, late_us: int) -> None:
        """Ten times a second: set the pace when that is due, and go on asking where something held it back."""
        self.late_us = max(self.late_us, late_us)
        if self.paced_us == 0:
            self.paced_us = now_us
        if now_us - self.paced_us >= PACE_US:
            self._set_pace(now_us - self.paced_us)
            self.paced_us = now_us
        elif len(self.engines) > 1:
            self.share_out()
        for engine in self.engines.values():
            engine.kick()

    def _set_pace(self, elapsed_us: int) -> None:
        network = self._network("kernel_drops"), self._network("congested")
        counts = self.frontier.counters()
        signals = Signals(*network, counts["stalled"] - counts["late"], self.late_us, self._busy_clock(), self.control)
        self.late_us = 0
        self.control = Verdict.STEADY
        self._hear(counts)
        self.pace.tick(elapsed_us, signals, self.frontier.rtt_histogram())
        self.apply_pace()

    def _hear(self, counts: Mapping[str, int]) -> None:
        if counts["answered"] > self._heard[0]:
            self._heard = counts["answered"], counts["timeouts"]

    def count_unheard(self) -> int:
        """Questions that have timed out since the last answer, to within five a second."""
        counts = self.frontier.counters()
        self._hear(counts)
        return counts["timeouts"] - self._heard[1]

    def _network(self, name: str) -> int:
        return sum(engine.transport.counters().get(name, 0) for engine in self.engines.values())

    def totals(self) -> dict[str, int]:
        """All counters of this pass, so far."""
        cores = {family: engine.core.counters() for family, engine in self.engines.items()}
        totals = self.frontier.counters()
        totals["sent"] = sum(core["sent_queries"] for core in cores.values())
        totals["sent_v6"] = cores[6]["sent_queries"] if 6 in cores else 0
        totals["filtered_reflected"] = sum(core["drop_own_id"] for core in cores.values())   # what carries our id
        totals["kernel_drops"] = self._network("kernel_drops")
        for name in NOT_IN_THE_FRONTIER:
            totals[name] += self._before.get(name, 0)
        return totals


def make_engine(config: CrawlConfig, number: int, frontier: Frontier, bind: Endpoint, clock: Callable[[], int],
                transport: Callable[[Endpoint], Transport]) -> Engine:
    """A core of the family of `bind` on a socket there; raises ConfigError."""
    seed, family = pass_seed(config, number), 6 if bind.is_ipv6 else 4
    core_config = CoreConfig.crawl(6 if bind.is_ipv6 else 4, allowed_nets=config.allow_net, blocklist=config.blocklist)
    core = Core(core_config, own_id(seed, family), os.urandom(SECRET_SIZE), seed, frontier)
    return CrawlEngine(core, transport(bind), clock)
