"""Lookups of random targets: the closest nodes that answer there. Rate class: lookup.

Each walks from the bootstrap hosts with find_node, which leaves nothing behind. The rate is kept by when lookups begin,
so that those under way may exceed it for a moment.
"""
from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

from fastdht._ext.core import Core
from fastdht._ext.ids import random_id
from fastdht._ext.walks import Walk
from fastdht.config import SECOND_US, UNLIMITED, CoreConfig, LookupConfig, ThrottleConfig
from fastdht.crawl.settings import CrawlConfig
from fastdht.engine.engine import Engine
from fastdht.engine.transport import open_transport
from fastdht.stats import LookupReport
from fastdht.types import InfoHash

FIND_NODE = 1                   # krpc Method
WIDTH = 12                      # closest nodes that must have answered: eight count, and some would else be missed
ALPHA = 4                       # 8 costs a fifth more messages, and finds the same
MAX_QUERIES = 128
LONGEST_S = 30.0                # for one lookup
PACKETS_A_LOOKUP = 100          # a second, so that --rate gives how many run at a time
MOST_AT_ONCE = 32
TURN_S = 0.02
TIMEOUT_S = 5.0
SECRET_SIZE = 96


class Lookups:
    """Runs lookups of one crawl; `await run(targets)`, as often as wanted; `stop()` ends them."""

    def __init__(self, config: CrawlConfig, seeds: Sequence[bytes], clock: Callable[[], int]) -> None:
        self.sent = 0
        self.answered = 0
        self.is_stopped = False
        self._config = config
        self._seeds = seeds
        self._clock = clock
        self._rounds = 0
        self._running: set[Walk] = set()
        self._ended = asyncio.Event()
        self._lookup = LookupConfig(alpha=ALPHA, width=WIDTH, wide_width=WIDTH, subnet_limit=0, max_queries=MAX_QUERIES,
                                    deadline_us=int(LONGEST_S * SECOND_US))

    def stop(self) -> None:
        self.is_stopped = True
        self._ended.set()

    async def run(self, targets: Sequence[bytes]) -> list[LookupReport]:
        """The reports of all lookups that ended, in no order. Raises OSError when there is no socket."""
        reports: list[LookupReport] = []
        engine = self._open()
        sent = engine.core.counters()["sent_queries"]
        started_us = self._clock()
        try:
            for target in targets:
                while not self.is_stopped and self._is_full(engine, started_us):
                    await self._wait()
                if not self.is_stopped:
                    self._begin(target, engine, reports)
            while self._running and not self.is_stopped:
                await self._wait()
        finally:
            self.sent += engine.core.counters()["sent_queries"] - sent
            engine.close()
            self._running.clear()
        self.answered += sum(each.responses for each in reports)
        return reports

    async def _wait(self) -> None:
        self._ended.clear()
        try:
            async with asyncio.timeout(TURN_S):
                await self._ended.wait()
        except TimeoutError:
            return

    def _is_full(self, engine: Engine, started_us: int) -> bool:
        rate = self._config.rate
        most = min(MOST_AT_ONCE, max(1, int(rate / PACKETS_A_LOOKUP))) if rate else MOST_AT_ONCE
        if len(self._running) >= most:
            return True
        sent: int = engine.core.counters()["sent_queries"]
        return bool(rate) and sent + ALPHA * (len(self._running) + 1) > ALPHA + rate * (
            self._clock() - started_us) / SECOND_US

    def _begin(self, target: bytes, engine: Engine, reports: list[LookupReport]) -> None:
        def end(walk: Walk) -> None:
            self._running.discard(walk)
            reports.append(walk.report)
            self._ended.set()

        walk = Walk(InfoHash(target), self._lookup, end)
        if walk.start([engine.lookups], FIND_NODE, self._seeds):
            self._running.add(walk)

    def _open(self) -> Engine:
        config = self._config
        self._rounds += 1
        seed = config.seed + self._rounds
        per_ip = max(round(10 * config.per_ip_rate), 1) if config.per_ip_rate else UNLIMITED    # of ten seconds
        throttle = ThrottleConfig(outbound_per_ip=per_ip, outbound_per_subnet=UNLIMITED, destinations=1 << 16)
        timeout_us = int((config.timeout_s or TIMEOUT_S) * SECOND_US)
        core = Core(CoreConfig(
            family=config.family, allowed_nets=config.allow_net, blocklist=config.blocklist, read_only=True,
            transactions=1 << 13, outbox=1 << 10, lookups=MOST_AT_ONCE, throttle=throttle, stall_us=timeout_us // 5,
            timeout_us=timeout_us), random_id(seed), os.urandom(SECRET_SIZE), seed)
        engine = Engine(core, open_transport(config.bind), self._clock, lookups=MOST_AT_ONCE, transactions=1 << 13)
        engine.start()
        return engine
