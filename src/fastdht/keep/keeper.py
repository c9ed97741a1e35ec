"""One announce or item, kept alive. Rate class: second.

Theory of operation.
    FULL     look up, write where it is missing or old; a failure is tried again after 15, 30, 60 … seconds
    RESTING  wait; then ask those written to (a probe); enough hold it: rest again, then FULL. Else FULL at once
    ENDED    closed by its user, or a newer item of the same key was found, which is then left alone for good
No round begins before the node has room for it (`gate`), so that thousands of kept things cost no burst.
"""
from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Protocol, Self

from fastdht.errors import DHTError, NodeClosed
from fastdht.keep.plan import Plan, is_enough
from fastdht.types import Endpoint, Item, NodeId

log = logging.getLogger(__name__)

MAX_REMEMBERED = 32         # nodes written to; the longest unwritten is forgotten, as others are closer by now
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Round:
    """What one round found and did: who holds it now, who of them was written to just now, and a newer item."""

    holders: frozenset[Endpoint]
    written: frozenset[Endpoint] = frozenset()
    newer: Item | None = None


class Gate:
    """Lets `places` rounds run at a time, each begun `gap_s` seconds after the one before."""

    def __init__(self, places: int, gap_s: float) -> None:
        self._places = asyncio.Semaphore(places)
        self._gap_s = gap_s
        self._next_s = 0.0

    async def __aenter__(self) -> None:
        await self._places.acquire()
        now = asyncio.get_running_loop().time()
        begin = max(now, self._next_s)
        self._next_s = begin + self._gap_s
        try:
            await asyncio.sleep(begin - now)
        except BaseException:
            self._places.release()
            raise

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        self._places.release()


class Subject(Protocol):
    """What is kept: how to look after it."""

    @property
    def target(self) -> NodeId: ...

    @property
    def plan(self) -> Plan: ...

    async def full(self, fresh: Collection[Endpoint]) -> Round:
        """Look up and write, but not to those in `fresh` that hold it."""

    async def probe(self, holders: Collection[Endpoint]) -> Round:
        """Ask these whether they hold it."""


class KeptAlive:
    """A handle: `async with node.keep_published(item) as kept:`; entering waits for the first round, failed or not.

    copies: nodes known to hold it. error: why the last round failed, None when it did not. newer: the item of a
    higher seq that ended it. full_rounds, probes, writes: what was done so far.
    """

    def __init__(self, subject: Subject, clock: Callable[[], int], rng: Random, gate: Gate) -> None:
        self.target = subject.target
        self.copies = 0
        self.error: str | None = None
        self.newer: Item | None = None
        self.full_rounds = self.probes = self.writes = 0
        self._subject = subject
        self._clock = clock
        self._rng = rng
        self._gate = gate
        self._written: dict[Endpoint, int] = {}     # when, in µs, the longest ago first; at most MAX_REMEMBERED
        self._failures = 0
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.get_running_loop().create_task(self._run())
        try:
            await self._tried.wait()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Look after it no more; nodes forget it by themselves. May be called again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def ended(self) -> Item | None:
        """Wait until it is kept no more: the newer item that was found, None when it was closed or the node was."""
        if self._task is not None:
            await asyncio.wait([self._task])
        return self.newer

    @property
    def is_superseded(self) -> bool:
        return self.newer is not None

    async def _run(self) -> None:
        try:
            is_full = True
            while self.newer is None:
                is_full = await self._attempt(is_full)
        except NodeClosed:
            self.error = "the node was closed"
        finally:
            self._tried.set()

    async def _attempt(self, is_full: bool) -> bool:
        """One round and the wait after it; whether the next is a full one."""
        try:
            async with self._gate:
                await (self._fill() if is_full else self._probe())
        except NodeClosed:
            raise
        except DHTError as error:
            return await self._retry(str(error))
        except Exception as error:
            log.exception("keeping %s alive failed", self.target)
            return await self._retry(repr(error))
        self.error, self._failures = None, 0
        self._tried.set()
        if self.newer is not None:
            log.info("%s has a newer item, seq %s; it is kept no more", self.target, self.newer.seq)
            return True
        if not is_full and not is_enough(self.copies, len(self._written)):
            return True
        await asyncio.sleep(self._subject.plan.wait_s(self._rng))
        return not is_full

    async def _retry(self, why: str) -> bool:
        self.error = why
        self._failures += 1
        self._tried.set()
        await asyncio.sleep(self._subject.plan.retry_wait_s(self._failures, self._rng))
        return True

    async def _fill(self) -> None:
        now = self._clock()
        fresh_us = int(self._subject.plan.fresh_s * SECOND_US)
        done = await self._subject.full({place for place, when in self._written.items() if now - when < fresh_us})
        self.full_rounds += 1
        self.writes += len(done.written)
        self._note(done)
        kept = {place: self._written.get(place, now) for place in done.holders}
        kept |= dict.fromkeys(done.written, self._clock())
        self._written = dict(sorted(kept.items(), key=lambda entry: entry[1])[-MAX_REMEMBERED:])

    async def _probe(self) -> None:
        self.probes += 1
        self._note(await self._subject.probe(self._written))

    def _note(self, done: Round) -> None:
        self.copies = len(done.holders)
        self.newer = done.newer
