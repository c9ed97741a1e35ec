"""Estimates the size of a network: lookups, then random zones crawled to their end. Rate class: second.

Theory of operation. ROUGH: lookups of random targets tell the order of size, which decides how large and how many the
zones are. CHECK: in each zone one lookup gives the nodes that its crawl starts from, and another, which the crawl knows
nothing of, a second sample. ZONES: a crawl of each, some at a time, two questions a node, none repeated: what a retry
would gain is estimated from the second questions instead. A zone that would exceed the budget of messages is left out;
which ones those are, chance decides. Ended early, the zones that are done count.
"""
from __future__ import annotations

import asyncio
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastdht._ext.frontier_save import entry_size, save_records
from fastdht.config import SECOND_US
from fastdht.crawl.crawler import Crawl, CrawlConfig
from fastdht.crawl.size import (
    ASSUMPTIONS,
    K,
    METHODS,
    Estimate,
    ZoneCount,
    alive,
    answer_rate,
    estimate_closest,
    estimate_recapture,
    estimate_zones,
    unnamed,
    widening,
)
from fastdht.crawl.size_lookups import Lookups
from fastdht.crawl.size_verify import MODE
from fastdht.crawl.zones import MAX_BITS, Zone
from fastdht.engine.clock import monotonic_us
from fastdht.engine.names import HostList
from fastdht.errors import ConfigError
from fastdht.stats import LookupReport
from fastdht.types import ID_SIZE

ROUGH_LOOKUPS = 16
FEWEST_ZONES = 10           # enough to see whether they differ
FIRST_ZONES = 4             # crawled before the rest is planned: the first lookups may be wrong by a third
MOST_ZONES = 64
CHECKS_OF_ALL = 16          # lookups that check the one zone of a small network; else one per zone
MARGIN = 1.9                # times the nodes that the target needs just so: runs differ, and corrections cost
MSGS_A_LOOKUP = 40
MSGS_A_NODE = 3.1           # two questions, and the dead; where it is more, zones are left out
SPARE_MSGS = 1.08           # of what is expected, for zones larger than others …
SPARE_LOOKUPS = 70          # … and lookups, however little is wanted
SPARE_A_ZONE = 1.1          # a zone is begun where so much more than it should cost is left
ZONES_AT_ONCE = 4
FOUND_FLAG = 0x10           # RecordFlag of _ext/questions.pxd …
STATE_AT = 26               # … in an entry of _ext/frontier_save.pyx, which ends with the number of namings
ADDRESS_AT, PORT_AT = 28, 24
ID_BITS = 8 * ID_SIZE
STOPPED = "stopped before its end"


@dataclass(frozen=True, slots=True)
class SizeConfig:
    """What to estimate, how well. Raises ConfigError."""

    crawl: CrawlConfig              # addresses, rates, timeout and seed; depth, zone and passes are set here
    method: str = "all"             # or one of METHODS: which is the answer, and what is not needed for it is left out
    ci: float = 0.95
    target_error: float = 0.03      # relative, with that chance
    max_msgs: int = 0               # 0: from the target

    def __post_init__(self) -> None:
        if self.method not in ("all", *METHODS):
            raise ConfigError(f"method is {self.method!r}; all, {', '.join(METHODS)}")
        if not 0.5 <= self.ci < 1:
            raise ConfigError(f"ci is {self.ci}; 0.5 to below 1")
        if not 0.001 <= self.target_error <= 0.5:
            raise ConfigError(f"target_error is {self.target_error}; 0.001 to 0.5")
        if self.max_msgs < 0:
            raise ConfigError(f"max_msgs is {self.max_msgs}; 0 or more")

    @property
    def wanted(self) -> int:
        """Nodes to count."""
        return math.ceil(MARGIN * (1.96 / self.target_error) ** 2)

    @property
    def budget(self) -> int:
        return self.max_msgs or math.ceil(MSGS_A_NODE * SPARE_MSGS * self.wanted) + SPARE_LOOKUPS * MSGS_A_LOOKUP


@dataclass(frozen=True, slots=True)
class SizeResult:
    """What was estimated and what it cost. Estimates are None where too little is known."""

    estimate: Estimate | None
    method: str                             # whose estimate that is
    methods: dict[str, Estimate]
    ci: float
    count: ZoneCount                        # over all zones
    zones: tuple[str, ...]
    share: float                            # of the key space that the zones are
    dispersion: float                       # by how much the interval was widened: 1 where zones differ as by chance
    lookups: int
    sent: int
    answered: int
    elapsed_s: float
    max_packets_per_ip: int = 0             # in any zone's crawl
    kernel_drops: int = 0
    complete: bool = False
    reason: str = ""
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        guess = self.estimate.as_dict() if self.estimate is not None else {"nodes": None, "low": None, "high": None}
        total = self.count
        return {
            "mode": MODE, **guess, "ci": self.ci, "method": self.method,
            "methods": {name: {**each.as_dict(), "assumptions": list(ASSUMPTIONS[name])}
                        for name, each in self.methods.items()},
            "zones": list(self.zones), "share": self.share, "found": total.found, "alive": round(alive(total)),
            "unnamed": round(unnamed(total)), "answer_rate": round(answer_rate(total), 6),
            "checked": total.checked, "rechecked": total.rechecked, "dispersion": round(self.dispersion, 4),
            "lookups": self.lookups, "sent": self.sent, "answered": self.answered,
            "elapsed_s": round(self.elapsed_s, 4), "max_packets_per_ip": self.max_packets_per_ip,
            "kernel_drops": self.kernel_drops, "complete": self.complete, "reason": self.reason, "seed": self.seed}


@dataclass(slots=True)
class Known:
    """What the run knows so far."""

    bits: int = 0
    zones: list[Zone] = field(default_factory=list)
    counts: list[ZoneCount] = field(default_factory=list)
    distances: list[int] = field(default_factory=list)
    lookups: int = 0
    sent: int = 0
    sent_in_zones: int = 0
    answered: int = 0
    running: int = 0            # messages that crawls under way are expected to send
    max_packets_per_ip: int = 0
    kernel_drops: int = 0
    left_out: int = 0


class SizeCrawl:
    """One estimate: `await run()` once; `stop()` ends it early with what is known. `on_step` is told in words."""

    def __init__(self, config: SizeConfig, *, on_step: Callable[[str], None] = lambda text: None,
                 clock: Callable[[], int] = monotonic_us) -> None:
        self.config = config
        self._on_step = on_step
        self._clock = clock
        self._known = Known()
        self._rng = random.Random(config.crawl.seed)
        self._lookups: Lookups | None = None
        self._crawls: set[Crawl] = set()
        self._is_stopped = False

    def stop(self) -> None:
        """End soon. May be called from a signal handler of the loop."""
        self._is_stopped = True
        if self._lookups is not None:
            self._lookups.stop()
        for crawl in self._crawls:
            crawl.stop()

    def figures(self) -> dict[str, float | None]:
        """Totals of the lookups and of the zones that are done."""
        known = self._known
        return {"found_total": sum(each.found for each in known.counts), "sent_total": known.sent,
                "answered_total": known.answered, "kernel_drops_total": known.kernel_drops, "zones": len(known.zones)}

    async def run(self) -> SizeResult:
        """Estimate; raises ConfigError (no seed, no socket)."""
        started_us = self._clock()
        crawl = self.config.crawl
        seeds = await HostList(crawl.bootstrap)(crawl.family)
        if not seeds:
            raise ConfigError(f"no IPv{crawl.family} address for {', '.join(crawl.bootstrap)}")
        self._lookups = Lookups(crawl, seeds, self._clock)
        rough = await self._measure([self._rng.randbytes(ID_SIZE) for _ in range(self._rough_lookups())])
        if rough is not None and self.config.method != "closest" and not self._is_stopped:
            await self._count_zones(rough.nodes)
        return self._summarize((self._clock() - started_us) / SECOND_US)

    def _rough_lookups(self) -> int:
        if self.config.method != "closest":
            return ROUGH_LOOKUPS
        return max(2, min(math.ceil(self.config.wanted / (K - 2)), self.config.budget // MSGS_A_LOOKUP))

    async def _measure(self, targets: Sequence[bytes]) -> Estimate | None:
        self._on_step(f"{len(targets)} lookups of random targets")
        await self._look_up(targets)
        return estimate_closest(self._known.distances, 1.0, self.config.ci)

    async def _look_up(self, targets: Sequence[bytes]) -> dict[bytes, LookupReport]:
        """The reports by target; their distances are noted."""
        assert self._lookups is not None
        known, before, answered = self._known, self._lookups.sent, self._lookups.answered
        reports = await self._lookups.run(targets)
        known.sent += self._lookups.sent - before
        known.answered += self._lookups.answered - answered
        for report in reports:
            if len(report.closest) >= K:
                farthest = int.from_bytes(report.closest[K - 1].contact.id, "big")
                known.distances.append(farthest ^ int.from_bytes(report.target, "big"))
        known.lookups += len(reports)
        return {bytes(report.target): report for report in reports}

    async def _count_zones(self, rough: float) -> None:
        """Some zones first; they tell how many are needed, and what one costs."""
        known = self._known
        known.bits = plan_bits(rough, self.config.wanted)
        zones = [Zone((prefix << (ID_BITS - known.bits)).to_bytes(ID_SIZE, "big"), known.bits)
                 for prefix in draw_prefixes(self._rng, known.bits, min(MOST_ZONES, 1 << known.bits))]
        self._on_step(f"about {rough:,.0f} nodes; zones of {known.bits} bits")
        await self._count_batch(zones[:FIRST_ZONES], round(MSGS_A_NODE * rough / (1 << known.bits)))
        if not known.counts or self._is_stopped:
            return
        mean = alive(sum(known.counts, ZoneCount(0))) / len(known.counts)
        number = math.ceil(self.config.wanted / max(mean, 1))
        await self._count_batch(zones[FIRST_ZONES:number], round(known.sent_in_zones / len(known.counts)))

    async def _count_batch(self, zones: Sequence[Zone], expected: int) -> None:
        each = 0 if self.config.method == "zone" else CHECKS_OF_ALL if not self._known.bits else 1
        starts = {zone: draw_inside(self._rng, zone) for zone in zones}
        checks = {zone: [draw_inside(self._rng, zone) for _ in range(each)] for zone in zones}
        inside = [target for targets in checks.values() for target in targets]
        reports = await self._look_up([*starts.values(), *inside])
        at_once = 1 if self.config.crawl.bind.port else ZONES_AT_ONCE
        turns = asyncio.Semaphore(at_once)
        async with asyncio.TaskGroup() as group:
            for zone in zones:
                found = [reports[target] for target in checks[zone] if target in reports]
                group.create_task(self._count_zone(zone, reports.get(starts[zone]), found, turns, at_once, expected))

    async def _count_zone(self, zone: Zone, start: LookupReport | None, checks: Sequence[LookupReport],
                          turns: asyncio.Semaphore, at_once: int, expected: int) -> None:
        known = self._known
        async with turns:
            if self._is_stopped:
                return
            if known.sent + known.running + SPARE_A_ZONE * expected > self.config.budget:
                known.left_out += 1
                return
            known.running += expected
            crawl = Crawl(self._zone_config(zone, start, at_once), keeps_contacts=True)
            self._crawls.add(crawl)
            try:
                result = await crawl.run()
            finally:
                self._crawls.discard(crawl)
                known.running -= expected
        known.sent += result.sent
        known.sent_in_zones += result.sent
        known.answered += result.answered
        known.kernel_drops += result.kernel_drops
        known.max_packets_per_ip = max(known.max_packets_per_ip, result.max_packets_per_ip)
        if not result.complete:
            return
        known.zones.append(zone)
        known.counts.append(self._tally(crawl, zone, checks))
        self._on_step(f"zone {zone}: {result.found:,} nodes")

    def _zone_config(self, zone: Zone, start: LookupReport | None, at_once: int) -> CrawlConfig:
        """Each of the crawls at a time gets its share of all rates, those to one address among them."""
        base = self.config.crawl
        near = [str(each.contact.endpoint) for each in start.closest if each.contact.id in zone] if start else []
        return replace(
            base, bootstrap=tuple(near) or base.bootstrap, depth="standard", zone=zone, passes=1, retry_share=0.0,
            rate=base.rate / at_once, per_ip_rate=base.per_ip_rate / at_once,
            per_ip_burst=max(1, base.per_ip_burst // at_once), seed=self._rng.getrandbits(64))

    def _tally(self, crawl: Crawl, zone: Zone, checks: Sequence[LookupReport]) -> ZoneCount:
        assert crawl.frontier is not None
        family = crawl.config.family
        entries = save_records(crawl.frontier, family, 0, crawl.config.max_contacts)
        size = entry_size(crawl.frontier, family)
        seeds = set(HostList(crawl.config.bootstrap).numeric())
        found: set[bytes] = set()
        named = [0] * 256
        for at in range(0, len(entries), size):
            node_id = entries[at:at + ID_SIZE]
            if not entries[at + STATE_AT] & FOUND_FLAG or node_id in found:
                continue                # one id at many addresses counts once
            found.add(node_id)
            port = int.from_bytes(entries[at + PORT_AT:at + PORT_AT + 2], sys.byteorder)
            # a seed is known before anybody names it
            if entries[at + ADDRESS_AT:at + size - 2] + port.to_bytes(2, "big") not in seeds:
                named[entries[at + size - 1]] += 1
        nodes, answered, inventors = crawl.totals("found", "answered", "filtered_changed_id")
        checked = {bytes(each.contact.id) for check in checks for each in check.closest if each.contact.id in zone}
        # from outside the zone, the way in would count as answers; who invents ids answers twice and is no node
        again = nodes if crawl.config.bootstrap != self.config.crawl.bootstrap or not zone.bits else 0
        return ZoneCount(len(found), named[1], named[2], again, min(again, max(0, answered - nodes - 2 * inventors)),
                         len(checked), len(checked & found))

    def _summarize(self, elapsed_s: float) -> SizeResult:
        known, ci = self._known, self.config.ci
        total = sum(known.counts, ZoneCount(0))
        share = len(known.counts) / (1 << known.bits)
        methods: dict[str, Estimate | None] = {}
        if known.counts:
            methods["zone"] = estimate_zones(known.counts, share, ci)
            methods["recapture"] = estimate_recapture(total, share, ci)
        methods["closest"] = estimate_closest(known.distances, answer_rate(total), ci)
        usable = {name: methods[name] for name in METHODS if methods.get(name) is not None}
        wanted = "zone" if self.config.method == "all" else self.config.method
        method = wanted if wanted in usable else next(iter(usable), wanted)
        reason = self._reason(total, is_wanted=method == wanted)
        return SizeResult(
            usable.get(method), method, {name: each for name, each in usable.items() if each is not None}, ci, total,
            tuple(map(str, known.zones)), share, widening(known.counts), known.lookups, known.sent, known.answered,
            elapsed_s, known.max_packets_per_ip, known.kernel_drops, not reason, reason, self.config.crawl.seed)

    def _reason(self, total: ZoneCount, *, is_wanted: bool) -> str:
        if self._is_stopped:
            return STOPPED
        if not self._known.answered:
            return "no bootstrap host answered"
        if not is_wanted:
            return f"too little was found for the method {self.config.method}"
        if self._known.left_out and alive(total) < self.config.wanted / MARGIN:
            return f"{self._known.left_out} zones left out: {self.config.budget} messages would not have been enough"
        return ""


def plan_bits(rough: float, wanted: int) -> int:
    """Bits of each zone, so that FEWEST_ZONES to twice as many have `wanted` nodes; 0 where all nodes are not more."""
    return min(MAX_BITS, math.floor(math.log2(2 * FEWEST_ZONES * rough / wanted))) if rough > wanted else 0


def draw_prefixes(rng: random.Random, bits: int, number: int) -> list[int]:
    """Different ones, in order of nothing."""
    prefixes: dict[int, None] = {}
    while len(prefixes) < number:
        prefixes[rng.getrandbits(bits) if bits else 0] = None
    return list(prefixes)


def draw_inside(rng: random.Random, zone: Zone) -> bytes:
    number = int.from_bytes(zone.prefix, "big") | rng.getrandbits(ID_BITS - zone.bits)
    return number.to_bytes(ID_SIZE, "big")
