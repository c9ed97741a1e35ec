"""A network whose nodes come and go as a seeded plan says, for tests of the monitor."""
from __future__ import annotations

import asyncio
import bisect
from collections.abc import Callable, Coroutine, Iterable
from random import Random
from typing import Any, TypeVar

from fastdht.crawl.monitor.run import Monitor, MonitorResult
from fastdht.crawl.monitor.settings import Member, MonitorConfig
from fastdht.crawl.monitor.store import Store
from fastdht.testing import SimNetwork
from fastdht.testing.builders import contact
from fastdht.testing.clock import VirtualLoop
from fastdht.testing.liars import honest
from fastdht.types import Endpoint

UNIX_US = 1_700_000_000_000_000
HOUR_S = 3600.0
T = TypeVar("T")
Draw = Callable[[Random], float]


class Village:
    """Nodes that are there in the intervals of `plans`: (from, to) in seconds of virtual time."""

    def __init__(self, loop: VirtualLoop, network: SimNetwork, plans: list[list[tuple[float, float]]]) -> None:
        self.loop = loop
        self.network = network
        self.suspended_us = 0       # how long the machine has slept by a clock that stood still meanwhile
        self.members: list[Member] = []
        for number, plan in enumerate(plans):
            found = contact(number, 7)
            self.members.append(Member(bytes(found.id), found.endpoint.pack()))
            network.act(found.endpoint, self.living(honest(found.id), plan))

    def living(self, behave: Callable[[bytes, bytes], Iterable[tuple[bytes, bytes]]], plan: list[tuple[float, float]]
               ) -> Callable[[bytes, bytes], Iterable[tuple[bytes, bytes]]]:
        starts = [start for start, _ in plan]

        def answer(data: bytes, source: bytes) -> Iterable[tuple[bytes, bytes]]:
            now = self.loop.clock.now_us / 1e6
            at = bisect.bisect_right(starts, now) - 1
            return behave(data, source) if at >= 0 and now < plan[at][1] else []

        return answer

    def monitor(self, config: MonitorConfig, store: Store | None = None, **options: Any) -> Monitor:
        options = {"timeline": lambda: UNIX_US + self.loop.clock.now_us + self.suspended_us} | options
        return Monitor(config, self.members, store, clock=self.loop.clock, transport=self.network.open, **options)


def make_plan(rng: Random, until_s: float, stay: Draw, away: Draw) -> list[tuple[float, float]]:
    """Stays and absences in turn, from a random moment of either on."""
    now = -rng.uniform(0, 5 * HOUR_S)
    plan = []
    while now < until_s + HOUR_S:       # virtual time does not begin at 0
        end = now + stay(rng)
        plan.append((now, end))
        now = end + away(rng)
    return plan


def simulate(seed: int, plans: list[list[tuple[float, float]]], main: Callable[[Village], Coroutine[Any, Any, T]], *,
             loss: float = 0.0) -> T:
    """Run `main` beside a village of these plans."""
    loop = VirtualLoop(seed)
    village = Village(loop, SimNetwork(loop, seed, latency=40.0, loss=loss), plans)
    try:
        return loop.run_until_complete(main(village))
    finally:
        loop.close()


def simulate_monitor(seed: int, plans: list[list[tuple[float, float]]], config: MonitorConfig, *, loss: float = 0.0,
                     during: Callable[[Village, Monitor], Coroutine[Any, Any, None]] | None = None,
                     store: Store | None = None) -> tuple[MonitorResult, Monitor]:
    """Monitor a village; `during` runs beside it."""
    async def main(village: Village) -> tuple[MonitorResult, Monitor]:
        monitor = village.monitor(config, store)
        beside = asyncio.ensure_future(during(village, monitor)) if during is not None else None
        result = await monitor.run()
        if beside is not None:
            await beside
        return result, monitor

    return simulate(seed, plans, main, loss=loss)


def config(**changes: Any) -> MonitorConfig:
    values: dict[str, Any] = {"bootstrap": (), "bind": Endpoint("203.0.113.9", 6881), "every_s": 60.0,
                              "duration_s": HOUR_S, "timeout_s": 2.0, "seed": 3, "follow": 0}
    return MonitorConfig(**{**values, **changes})
