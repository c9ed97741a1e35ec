"""From compiled lookups to awaitable ones. Rate class: lookup.

A Walk is one traversal: a branch (a shortlist slot) per address family, their results merged. A Lookup is one
caller's handle on a Walk, with its own place in the stream; calls with the same target share a Walk, and its traffic
stops when the last handle has been cancelled. Memory is bounded by the peers a shortlist keeps.
"""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from dataclasses import dataclass

from fastdht.config import LookupConfig
from fastdht.engine.engine import Engine
from fastdht.errors import LookupFailed, NodeClosed
from fastdht.lookup.machine import LookupState, Machine
from fastdht.stats import ClosestContact, LookupReport
from fastdht.types import Contact, Endpoint, NodeId

SECOND_US = 1_000_000
OUTCOMES = {LookupState.LATE: "late", LookupState.EXHAUSTED: "exhausted"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to look for and how; `seeds` are compact endpoints, asked alone when `is_fixed`."""

    method: int
    target: NodeId
    config: LookupConfig
    seeds: tuple[bytes, ...] = ()
    is_fixed: bool = False
    noseed: bool = False


class Branch:
    """One family's part of a walk: told of results and its end by the engine."""

    def __init__(self, walk: Walk, engine: Engine, machine: Machine) -> None:
        self.walk = walk
        self.engine = engine
        self.machine = machine
        self.slot = -1
        self.closest: list[ClosestContact] = []
        self.counts = (0, 0, 0, 0, 0, -1)

    def open(self, plan: Plan) -> bool:
        now = self.engine.clock()
        config = plan.config
        self.slot = self.engine.open_lookup(
            self.machine, self, plan.method, plan.target, width=config.width, wide_width=config.wide_width,
            subnet_limit=config.subnet_limit, max_queries=config.max_queries, deadline_us=now + config.deadline_us,
            now_us=now, seeds=plan.seeds, noseed=plan.noseed, is_fixed=plan.is_fixed)
        return self.slot >= 0

    def on_results(self) -> None:
        self.walk.add_values(self.engine.core.lookup_values(self.slot))

    def on_finished(self) -> None:
        """Keep what the slot knows, free it, and tell the walk."""
        if self.slot < 0:
            return
        core, slot, self.slot = self.engine.core, self.slot, -1
        self.walk.add_values(core.lookup_values(slot))
        self.counts = core.lookup_counts(slot)
        self.closest = [
            ClosestContact(Contact(NodeId(node_id), Endpoint.unpack(packed)), token or None, rtt_us / 1e6, hops)
            for node_id, packed, token, rtt_us, hops in core.lookup_closest(slot, self.walk.plan.config.wide_width)]
        self.engine.close_lookup(slot)
        self.walk.on_branch_end()

    def on_failed(self, error: Exception) -> None:
        self.walk.error = error
        self.on_finished()


class Walk:
    """One traversal and what it has found so far."""

    def __init__(self, plan: Plan, on_end: Callable[[], None] | None = None) -> None:
        self.plan = plan
        self.values: list[Endpoint] = []
        self.report: LookupReport | None = None
        self.error: Exception | None = None
        self.handles = 0
        self._known: set[bytes] = set()
        self._branches: list[Branch] = []
        self._open = 0
        self._on_end = on_end
        self._is_cancelled = False
        self._started_us = 0
        self._waiters: list[asyncio.Future[None]] = []

    def start(self, engines: Sequence[Engine]) -> bool:
        """Open a branch on every engine; False when none had a free slot."""
        self._started_us = engines[0].clock()
        for engine in engines:
            alpha = len(self.plan.seeds) if self.plan.is_fixed else self.plan.config.alpha
            branch = Branch(self, engine, Machine(alpha))
            self._branches.append(branch)
            self._open += branch.open(self.plan)
        return self._open > 0

    def add_values(self, packed: list[bytes]) -> None:
        fresh = [value for value in packed if value not in self._known]
        if fresh:
            self._known.update(fresh)
            self.values.extend(map(Endpoint.unpack, fresh))
            self._wake()

    def cancel(self) -> None:
        """Stop all traffic of the walk at once."""
        self._is_cancelled = True
        for branch in self._branches:
            branch.on_finished()

    def on_branch_end(self) -> None:
        self._open -= 1
        if self._open == 0 and self.report is None:
            self.report = self._summarize()
            if self._on_end is not None:
                self._on_end()
            self._wake()

    def waiter(self) -> asyncio.Future[None]:
        """A future that ends with the next news."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        return future

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(None)

    def _summarize(self) -> LookupReport:
        target = int.from_bytes(self.plan.target, "big")
        closest = [contact for branch in self._branches for contact in branch.closest]
        closest.sort(key=lambda found: int.from_bytes(found.contact.id, "big") ^ target)
        counts = [branch.counts for branch in self._branches]
        firsts = [count[5] for count in counts if count[5] >= 0]
        return LookupReport(
            target=self.plan.target, outcome=self._outcome(), closest=tuple(closest), values=tuple(self.values),
            queries=sum(count[0] for count in counts), responses=sum(count[1] for count in counts),
            failures=sum(count[2] for count in counts), hops=max((found.hops for found in closest), default=0),
            elapsed=(self._branches[0].engine.clock() - self._started_us) / SECOND_US,
            first_value=min(firsts) / SECOND_US if firsts else None, values_dropped=sum(count[4] for count in counts))

    def _outcome(self) -> str:
        if self._is_cancelled:
            return "cancelled"
        for branch in self._branches:
            if branch.machine.state in OUTCOMES:
                return OUTCOMES[branch.machine.state]
        return "done"


class Lookup:
    """A running lookup: iterate over it for peers as they come, await it for its LookupReport.

    Both may be done, in any order and more than once. Awaiting, and the end of iteration, raise LookupFailed when not
    one node has answered. `cancel()` stops its traffic at once; the report then says "cancelled".
    """

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._is_cancelled = False
        walk.handles += 1

    def __await__(self) -> Generator[object, None, LookupReport]:
        return self._finish().__await__()

    async def __aiter__(self) -> AsyncIterator[Endpoint]:
        position = 0
        while True:
            while position < len(self._walk.values) and not self._is_cancelled:
                position += 1
                yield self._walk.values[position - 1]
            if self._is_cancelled:
                return
            if self._walk.report is not None:
                self._raise_failure()
                return
            await self._walk.waiter()

    async def _finish(self) -> LookupReport:
        while self._walk.report is None:
            await self._walk.waiter()
        self._raise_failure()
        return self._walk.report

    def _raise_failure(self) -> None:
        report = self._walk.report
        if self._walk.error is not None:
            raise self._walk.error
        if report is not None and not report.responses and report.outcome != "cancelled":
            raise LookupFailed(f"no node answered {report.queries} queries for {report.target}", report)

    @property
    def report(self) -> LookupReport | None:
        """The report, once the lookup has ended."""
        return self._walk.report

    def done(self) -> bool:
        return self._walk.report is not None

    def cancel(self) -> None:
        """Give the lookup up; its traffic stops at once unless another caller shares it."""
        if not self._is_cancelled:
            self._is_cancelled = True
            self._walk.handles -= 1
            if not self._walk.handles and self._walk.report is None:
                self._walk.cancel()


def closed_error() -> NodeClosed:
    return NodeClosed("the node is closed, or has not been started: use `async with Node(...)`")
