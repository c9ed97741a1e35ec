"""Runs a monitor: rounds at their times, one core and socket, a writer thread. Rate class: second.

Theory of operation. Round n begins at `started + n · every` of a time line that counts the sleep of the machine and
does not follow corrections of the clock. A round whose beginning is missed is left out, never made up for: its nodes
were not observed. Slices of visits go to the book and the store when they are judged; the store's thread writes them.
"""
from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from random import Random
from typing import Any

from fastdht._ext.core import Core
from fastdht._ext.ids import random_id
from fastdht.blocklist import Blocklist
from fastdht.config import SECOND_US, CoreConfig, ThrottleConfig
from fastdht.crawl.crawler import open_crawl_transport
from fastdht.crawl.monitor.book import Book, RoundCount, visit_row
from fastdht.crawl.monitor.sessions import UP
from fastdht.crawl.monitor.settings import Member, MonitorConfig
from fastdht.crawl.monitor.store import NullStore, Store, describe
from fastdht.crawl.monitor.targets import Lookups
from fastdht.crawl.monitor.visitor import Slice, Visitor
from fastdht.crawl.peers import NodeCache
from fastdht.engine.clock import monotonic_us, suspended_us, wall_s
from fastdht.engine.engine import Engine
from fastdht.engine.names import HostList
from fastdht.engine.transport import Transport
from fastdht.errors import ConfigError
from fastdht.types import Endpoint

LOOKUPS = 64
TRANSACTIONS = 1 << 15
OUTBOX = 1 << 12
EVENTS = 256
SECRET_SIZE = 96
LATE = 4                    # a round begun so late, a quarter of it, could not be done in time
PAUSE_S = 0.5               # the time line is looked at so often while nothing is due
ROWS_AT_ONCE = 10_000
ENTRIES = 10_000            # nodes that look-ups may begin at: a cohort is in no order, so any part of it will do


@dataclass(frozen=True, slots=True)
class MonitorResult:
    """What a monitor saw and what it cost."""

    sent: int                   # queries, since it was started or went on
    elapsed_s: float            # from the first round on, sleep and pauses included
    rounds: int                 # begun until now, visited or not
    complete: bool              # it lasted as long as was wanted
    reason: str                 # why not
    kernel_drops: int           # datagrams that our own receive buffer had no room for
    findings: dict[str, Any] = field(default_factory=dict)      # Book.summary, and of each target

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"mode": "monitor", "complete": self.complete, "reason": self.reason, "rounds": self.rounds,
                "sent": self.sent, "elapsed_s": round(self.elapsed_s, 3), "kernel_drops": self.kernel_drops,
                **self.findings}


class Monitor:
    """One monitor of `members`: `await run()` once; `stop()` ends it early with what was seen.

    `started_us`: the time line at round 0; None: now. `clock` is the engine's, `timeline` gives Unix time in µs that
    counts sleep. `told` gets each round's number and counts. To go on with one that was killed, `replay` its visits.
    """

    def __init__(self, config: MonitorConfig, members: Sequence[Member], store: Store | None = None, *,
                 started_us: int | None = None, blocklist: Blocklist | None = None,
                 told: Callable[[int, RoundCount], None] | None = None, clock: Callable[[], int] = monotonic_us,
                 timeline: Callable[[], int] | None = None,
                 transport: Callable[[Endpoint], Transport] = open_crawl_transport) -> None:
        if not members:
            raise ConfigError("no node to visit: the cohort is empty")
        config.check_rate(len(members))
        self.config = config
        self.book = Book(members, config.every_us)
        self.timeline = timeline or steady_wall()
        self.started_us = self.timeline() if started_us is None else started_us
        self._store = store or NullStore()
        self._blocklist = blocklist
        self._told = told
        self._clock = clock
        self._open_transport = transport
        self._where = [describe(member) for member in members]
        self._number = 0
        self._targets: dict[str, list[int]] = {}
        self._rng = Random(config.seed)
        self._followed = self._moved = 0
        self._stopped = asyncio.Event()
        self._writes: list[asyncio.Future[None]] = []
        self._rolled_us = self.timeline()

    def replay(self, rows: Iterable[dict[str, Any]]) -> None:
        """Take in visits that an earlier run made; rounds they belong to are not made again."""
        self.book.replay(rows)
        self.book.tracker.gone.clear()
        self._number = max(self.book.rounds, default=-1) + 1

    def stop(self) -> None:
        """End soon. May be called from a signal handler of the loop."""
        self._stopped.set()

    async def run(self) -> MonitorResult:
        """Visit to the end; raises ConfigError (no socket), PersistError (disk)."""
        entry = await HostList(self.config.bootstrap)(self.config.family) if self.config.targets else []
        engine = self._open()
        lookups = Lookups(engine, self.config, entry, self.timeline)
        visitor = Visitor(engine, self.book.members, self.config, self.book.tracker, self.timeline, self._on_slice)
        with ThreadPoolExecutor(1, thread_name_prefix="monitor-writer") as self._writer:
            try:
                await self._run_rounds(visitor, lookups)
            finally:
                engine.close()
                await self._write_all()
            result = self._summarize(engine)
            await self._write_derived(result.rounds)
        return result

    def _open(self) -> Engine:
        config = self.config
        # visits keep their own pace per address; the throttle is for look-ups
        throttle = ThrottleConfig(outbound_per_ip=max(1, round(10 * config.per_ip_rate)) if config.per_ip_rate
                                  else 1_000_000, outbound_per_subnet=1_000_000)
        timeout_us = int(config.timeout_s * SECOND_US)
        core = Core(CoreConfig(
            family=config.family, allowed_nets=config.allow_net, blocklist=self._blocklist, read_only=True,
            transactions=TRANSACTIONS, outbox=OUTBOX, events=EVENTS, lookups=LOOKUPS, throttle=throttle,
            stall_us=min(SECOND_US, timeout_us), timeout_us=timeout_us),
            random_id(config.seed), os.urandom(SECRET_SIZE), config.seed)
        engine = Engine(core, self._open_transport(config.bind), self._clock, lookups=LOOKUPS,
                        transactions=TRANSACTIONS)
        engine.start()
        return engine

    async def _run_rounds(self, visitor: Visitor, lookups: Lookups) -> None:
        every_us, last = self.config.every_us, self.config.rounds
        while not self._stopped.is_set() and (last is None or self._number < last):
            due_us = self.started_us + self._number * every_us
            wait_us = due_us - self.timeline()
            if wait_us < -every_us // LATE:
                self._number = max(self._number + 1, -(-(self.timeline() - self.started_us) // every_us))
            elif wait_us > 0:
                await self._pause(min(wait_us / SECOND_US, PAUSE_S))
            else:
                await self._run_round(visitor, lookups, due_us)
                self._number += 1

    async def _run_round(self, visitor: Visitor, lookups: Lookups, due_us: int) -> None:
        looking = asyncio.ensure_future(self._look_up(lookups, due_us))
        try:
            await visitor.run(due_us, self._stopped.is_set)
            if not self._stopped.is_set():
                await looking
        finally:
            looking.cancel()
            await asyncio.wait([looking])
        await self._write_all()
        if self._told is not None:
            self._told(self._number, self.book.rounds.get(self._number, RoundCount()))

    async def _pause(self, seconds: float) -> None:
        """Let time pass, unless stopped."""
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return

    async def _look_up(self, lookups: Lookups, due_us: int) -> None:
        """All targets, and some of the nodes that have gone, evenly over the first half of the round."""
        members, states = self.book.members, self.book.tracker.states
        followed = self._choose_gone()
        if not self.config.targets and not followed:
            return
        there = (each for each, state in zip(members, states, strict=True) if state == UP)
        nodes = NodeCache((each.id, each.endpoint) for each in islice(there, ENTRIES))
        jobs: list[Callable[[], Coroutine[Any, Any, None]]] = [
            *(partial(self._count_target, lookups, target, nodes) for target in self.config.targets),
            *(partial(self._follow, lookups, node, nodes) for node in followed)]
        async with asyncio.TaskGroup() as running:
            for place, job in enumerate(jobs):
                wait_us = due_us + place * self.config.window_us // (2 * len(jobs)) - self.timeline()
                await self._pause(max(wait_us, 0) / SECOND_US)
                running.create_task(job())

    def _choose_gone(self) -> list[int]:
        """Some of the nodes that have gone since it was last asked."""
        tracker = self.book.tracker
        gone, tracker.gone = tracker.gone, []
        return self._rng.sample(gone, min(len(gone), self.config.followed(len(self.book.members))))

    async def _count_target(self, lookups: Lookups, target: bytes, nodes: NodeCache) -> None:
        row = await lookups.look_up(self._number, target, nodes)
        if row is None:
            return
        if "peers" in row:
            self._targets.setdefault(row["target"], []).append(row["peers"])
        self._write("targets", [row])

    async def _follow(self, lookups: Lookups, node: int, nodes: NodeCache) -> None:
        place = await lookups.find(self.book.members[node], nodes)
        self._followed += 1
        if place is None:
            return
        self._moved += 1
        found = Endpoint.unpack(place)
        self._write("moves", [{"t": self.timeline() / SECOND_US, **self._where[node], "new_ip": found.ip,
                               "new_port": found.port}])

    def _on_slice(self, part: Slice) -> None:
        for visit in part.visits:
            self.book.add(self._number, visit, part.reason)
        self._write("visits", [visit_row(self._number, visit, self._where[visit.node], part.reason)
                               for visit in part.visits])

    def _write(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        now_us = self.timeline()
        is_due = now_us - self._rolled_us >= self.config.checkpoint_s * SECOND_US
        if is_due:
            self._rolled_us = now_us
        loop = asyncio.get_running_loop()
        self._writes.append(loop.run_in_executor(self._writer, self._add, table, rows, is_due))

    def _add(self, table: str, rows: Sequence[dict[str, Any]], is_due: bool) -> None:
        """In the writer's thread."""
        self._store.add(table, rows)
        if is_due:
            self._store.roll()

    async def _write_all(self) -> None:
        """Wait for what is being written; raises what the writer raised."""
        writes, self._writes = self._writes, []
        await asyncio.gather(*writes)

    async def _write_derived(self, rounds: int) -> None:
        """What follows from the visits, at the end."""
        every_us = self.config.every_us
        for table, rows in (("sessions", iter(self.book.session_rows())),
                            ("rounds", iter(self.book.round_rows(rounds, self.started_us, every_us)))):
            while block := list(islice(rows, ROWS_AT_ONCE)):
                self._write(table, block)
        await self._write_all()
        await asyncio.get_running_loop().run_in_executor(self._writer, self._store.roll)

    def _summarize(self, engine: Engine) -> MonitorResult:
        self.book.finish()
        elapsed_us = self.timeline() - self.started_us
        rounds = max(self._number, max(self.book.rounds, default=-1) + 1)
        is_early = self._stopped.is_set() and self.config.rounds is not None
        targets = {target: {"rounds": len(peers), "first": peers[0], "last": peers[-1], "most": max(peers)}
                   for target, peers in self._targets.items()}
        return MonitorResult(
            sent=engine.core.counters()["sent_queries"], elapsed_s=elapsed_us / SECOND_US,
            rounds=min(rounds, self.config.rounds or rounds), complete=not is_early,
            reason="stopped before its end" if is_early else "",
            kernel_drops=engine.transport.counters().get("kernel_drops", 0),
            findings={**self.book.summary(), "gone_looked_up": self._followed, "address_changes": self._moved,
                      "targets": targets})


def steady_wall() -> Callable[[], int]:
    """Unix time in µs as it is now, and from now on by a clock that nobody corrects and that counts sleep."""
    offset_us = int(wall_s() * SECOND_US) - monotonic_us() - suspended_us()
    return lambda: offset_us + monotonic_us() + suspended_us()
