"""From compiled lookups to awaitable ones. Rate class: lookup.

A Walk is one traversal: a branch (a shortlist slot) per address family, their results merged. A Lookup is one
caller's handle on a Walk, with its own place in the stream; calls with the same target share a Walk, and its traffic
stops when the last handle has been cancelled. Memory is bounded by the peers a shortlist keeps, and by one answer for
each query of a walk that is read.
What was found stays packed until somebody looks: thousands of lookups a second pay for what they read, no more. A
branch lets go of its walk when it ends, so that nothing is left for the garbage collector.
"""
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from typing import Any, NamedTuple

from fastdht._ext import krpc
from fastdht.config import LookupConfig
from fastdht.engine.engine import Engine, Outcome
from fastdht.errors import LookupFailed, NodeClosed
from fastdht.lookup.machine import DONE, SEEDING, LookupState, Machine
from fastdht.stats import LookupReport
from fastdht.types import Contact, Endpoint, NodeId

WalkKey = tuple[int, bytes, bool, bool]     # method, target, noseed, scrape: what makes two calls share a walk

OUTCOMES = {LookupState.LATE: "late", LookupState.EXHAUSTED: "exhausted"}


class Answer(NamedTuple):
    """One node's answer that holds more than nodes: who, round trip and time of arrival in µs, krpc.parse of it."""

    contact: Contact
    rtt_us: int
    received_us: int
    slots: dict[str, Any]


class Branch(Machine):
    """One family's part of a walk: its policy, told of results and its end by the engine."""

    __slots__ = ("engine", "reader", "slot", "walk")

    def __init__(self, walk: Walk, engine: Engine, alpha: int) -> None:
        self.alpha = alpha
        self.state = SEEDING
        self.walk: Walk | None = walk
        self.engine = engine
        self.slot = -1
        self.reader = 0

    def on_results(self) -> None:
        if self.walk is not None:
            self.walk.wake()

    def on_finished(self) -> None:
        """Free the slot, leave what it knew with the walk, and let go of it."""
        walk, self.walk = self.walk, None
        if self.reader:
            self.engine.forget_reader(self.reader)
            self.reader = 0
        if walk is not None:
            walk.on_branch_end(self, self.engine.finish_lookup(self.slot))

    def on_answer(self, outcome: Outcome) -> None:
        source, rtt_us, datagram, _ = outcome
        slots = krpc.parse(datagram, 4 if len(source) == 6 else 6) if datagram is not None else None
        if self.walk is not None and slots is not None and "id" in slots:
            contact = Contact(NodeId(slots["id"]), Endpoint.unpack(source))
            self.walk.on_answer(Answer(contact, rtt_us, self.engine.clock(), slots))

    def on_failed(self, error: Exception) -> None:
        if self.walk is not None:
            self.walk.error = error
        self.on_finished()


class Walk:
    """One traversal and what it has found so far; `seeds` are compact endpoints, asked alone when `is_fixed`."""

    __slots__ = ("answers", "config", "error", "handles", "is_cancelled", "key", "report", "stops", "target",
                 "_branches", "_callers", "_known", "_new_future", "_on_end", "_open", "_results", "_started_us",
                 "_values", "_waiters")

    def __init__(self, target: NodeId, config: LookupConfig, on_end: Callable[[Walk], None],
                 key: WalkKey | None = None) -> None:
        self.target = target
        self.config = config
        self.key = key
        self.report: LookupReport | None = None
        self.error: Exception | None = None
        self.handles = 0
        self.answers: list[Answer] = []         # of a walk that is read; at most one for each query
        self.stops: list[tuple[Reading, Callable[[Answer], bool]]] = []
        self.is_cancelled = False
        self._branches: list[Branch] = []
        self._results: list[tuple[object, ...]] = []
        self._values: list[Endpoint] | None = None      # made for the first who iterates, as are those known
        self._known: set[bytes] | None = None
        self._open = 0
        self._on_end = on_end
        self._started_us = 0
        self._callers: list[asyncio.Future[LookupReport]] | None = None     # who await the report
        self._waiters: list[asyncio.Future[None]] | None = None             # who iterate, and want any news

    def start(self, engines: Sequence[Engine], method: int, seeds: Sequence[bytes] = (), *, is_fixed: bool = False,
              noseed: bool = False, scrape: bool = False, is_read: bool = False) -> bool:
        """Open a branch on every engine; False when none had a free slot. `is_read`: answers are kept as they come."""
        alpha = len(seeds) if is_fixed else self.config.alpha
        first = engines[0]
        self._new_future = first.new_future
        self._started_us = now = first.clock()
        for engine in engines:
            branch = Branch(self, engine, alpha)
            if is_read:
                branch.reader = engine.add_reader(branch.on_answer)
            branch.slot = engine.open_lookup(branch, method, self.target, self.config, now, seeds, noseed, is_fixed,
                                             scrape, branch.reader)
            if branch.slot >= 0:
                self._branches.append(branch)
            elif is_read:
                engine.forget_reader(branch.reader)
        self._open = len(self._branches)
        return self._open > 0

    def values(self) -> Sequence[Endpoint]:
        """Every peer found so far, each once, in the order they came."""
        if self.report is not None:
            return self.report.values
        if self._values is None or self._known is None:
            self._values, self._known = [], set()
        for branch in self._branches:
            if branch.walk is not None:
                for packed in branch.engine.core.lookup_values(branch.slot):
                    if packed not in self._known:
                        self._known.add(packed)
                        self._values.append(Endpoint.unpack(packed))
        return self._values

    def cancel(self) -> None:
        """Stop all traffic of the walk at once."""
        self.is_cancelled = True
        for branch in list(self._branches):
            branch.on_finished()

    def on_branch_end(self, branch: Branch, result: tuple[object, ...]) -> None:
        self._results.append(result)
        self._open -= 1
        if self._open == 0:
            ended_us = branch.engine.clock() if self.is_cancelled else branch.engine.now_us
            outcome = "done" if branch.state is DONE and len(self._branches) == 1 else self._outcome()
            self.report = LookupReport(self.target, outcome, ended_us - self._started_us, self._results)
            self._branches, self.stops = [], []
            self._on_end(self)
            if self._callers is not None:
                self._answer(self._callers, self.report)
            if self._waiters is not None:
                self.wake()

    def ended(self) -> asyncio.Future[LookupReport]:
        """A future of the report, or of the error that awaiting the lookup raises."""
        future: asyncio.Future[LookupReport] = self._new_future()
        if self.report is not None:
            self._answer([future], self.report)
        elif self._callers is None:
            self._callers = [future]
        else:
            self._callers.append(future)
        return future

    def on_answer(self, answer: Answer) -> None:
        self.answers.append(answer)
        for reading, is_enough in self.stops:
            if is_enough(answer):
                reading.cancel()
        self.wake()

    def waiter(self) -> asyncio.Future[None]:
        """A future that ends with the next news."""
        future: asyncio.Future[None] = self._new_future()
        if self._waiters is None:
            self._waiters = [future]
            for branch in self._branches:
                if branch.walk is not None:
                    branch.engine.core.watch_lookup(branch.slot)
        else:
            self._waiters.append(future)
        return future

    def wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        for future in waiters or ():
            if not future.done():
                future.set_result(None)

    def failure(self, report: LookupReport) -> Exception | None:
        """What a caller of the ended walk should see raised."""
        if self.error is not None or report.responses or report.outcome == "cancelled":
            return self.error
        return LookupFailed(f"no node answered {report.queries} queries for {report.target}", report)

    def _answer(self, callers: list[asyncio.Future[LookupReport]], report: LookupReport) -> None:
        self._callers = None
        failure = self.failure(report)
        for future in callers:
            if future.done():           # its caller has given up
                continue
            if failure is None:
                future.set_result(report)
            else:
                future.set_exception(failure)

    def _outcome(self) -> str:
        if self.is_cancelled:
            return "cancelled"
        for branch in self._branches:
            if branch.state is not DONE:
                return OUTCOMES.get(branch.state, "failed")
        return "done"


class Lookup:
    """A running lookup: iterate over it for peers as they come, await it for its LookupReport.

    Both may be done, in any order and more than once. Awaiting, and the end of iteration, raise LookupFailed when not
    one node has answered. `cancel()` stops its traffic at once; the report then says "cancelled".
    """

    __slots__ = ("_is_cancelled", "_walk")

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._is_cancelled = False
        walk.handles += 1

    def __await__(self) -> Generator[Any, None, LookupReport]:
        return self._walk.ended().__await__()

    async def __aiter__(self) -> AsyncIterator[Endpoint]:
        position = 0
        walk = self._walk
        while not self._is_cancelled:
            values = walk.values()
            if position < len(values):
                position += 1
                yield values[position - 1]
            elif walk.report is not None:
                failure = walk.failure(walk.report)
                if failure is not None:
                    raise failure
                return
            else:
                await walk.waiter()

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
            else:
                self._walk.wake()


class Reading(Lookup):
    """A lookup whose answers are read one by one, as BEP 33, 44 and 51 need; its walk was started with `is_read`."""

    __slots__ = ()

    async def answers(self) -> AsyncIterator[Answer]:
        """Answers as they come, to the end of the lookup. Raises as awaiting it does."""
        position = 0
        walk = self._walk
        while True:
            if position < len(walk.answers):
                position += 1
                yield walk.answers[position - 1]
            elif self._is_cancelled:
                return
            elif walk.report is not None:
                failure = walk.failure(walk.report)
                if failure is not None:
                    raise failure
                return
            else:
                await walk.waiter()

    def stop_when(self, is_enough: Callable[[Answer], bool]) -> None:
        """Cancel as soon as an answer satisfies: before anything more is asked for it."""
        for answer in self._walk.answers:
            if is_enough(answer):
                self.cancel()
                return
        self._walk.stops.append((self, is_enough))


def closed_error() -> NodeClosed:
    return NodeClosed("the node is closed, or has not been started: use `async with Node(...)`")
