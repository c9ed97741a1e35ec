"""From compiled lookups to awaitable ones. Rate class: lookup.

A Walk is one traversal: a branch (a shortlist slot) per address family, their results merged. A Lookup is one
caller's handle on a Walk, with its own place in the stream; calls with the same target share a Walk, and its traffic
stops when the last handle has been cancelled. Memory is bounded by the peers a shortlist keeps, and by one answer for
each query of a walk that is read.
What was found stays packed until somebody looks: thousands of lookups a second pay for what they read, no more.
"""
from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple, cast

from fastdht._ext import krpc
from fastdht._ext.handles import Handle
from fastdht._ext.walks import Walk
from fastdht.config import LookupConfig
from fastdht.engine.engine import Outcome
from fastdht.errors import NodeClosed
from fastdht.stats import LookupReport
from fastdht.types import Contact, Endpoint, NodeId

__all__ = ["Answer", "Lookup", "ReadWalk", "Reading", "Walk", "closed_error"]


class Answer(NamedTuple):
    """One node's answer that holds more than nodes: who, round trip and time of arrival in µs, krpc.parse of it."""

    contact: Contact
    rtt_us: int
    received_us: int
    slots: dict[str, Any]


class ReadWalk(Walk):
    """A walk whose answers are kept as they come: at most one for each query."""

    def __init__(self, target: NodeId, config: LookupConfig) -> None:
        super().__init__(target, config)
        self.answers: list[Answer] = []
        self.stops: list[tuple[Reading, Callable[[Answer], bool]]] = []

    def on_outcome(self, outcome: Outcome, clock: Callable[[], int]) -> None:
        source, rtt_us, datagram, _ = outcome
        slots = krpc.parse(datagram, 4 if len(source) == 6 else 6) if datagram is not None else None
        if slots is None or "id" not in slots:
            return
        answer = Answer(Contact(NodeId(slots["id"]), Endpoint.unpack(source)), rtt_us, clock(), slots)
        self.answers.append(answer)
        for reading, is_enough in self.stops:
            if is_enough(answer):
                reading.cancel()
        self.wake()


class Lookup(Handle[LookupReport]):
    """A running lookup: iterate over it for peers as they come, await it for its LookupReport.

    Both may be done, in any order and more than once. Awaiting, and the end of iteration, raise LookupFailed when not
    one node has answered. `cancel()` stops its traffic at once; the report then says "cancelled".
    """

    __slots__ = ()

    async def __aiter__(self) -> AsyncIterator[Endpoint]:
        position = 0
        walk = self.walk
        while not self.is_cancelled:
            values = walk.values()
            if position < len(values):
                position += 1
                yield values[position - 1]
            elif walk.report is not None:
                failure = walk.failure()
                if failure is not None:
                    raise failure
                return
            else:
                await walk.waiter()


class Reading(Lookup):
    """A lookup whose answers are read one by one, as BEP 33, 44 and 51 need."""

    __slots__ = ()

    async def answers(self) -> AsyncIterator[Answer]:
        """Answers as they come, to the end of the lookup. Raises as awaiting it does."""
        position = 0
        walk = cast(ReadWalk, self.walk)
        while True:
            if position < len(walk.answers):
                position += 1
                yield walk.answers[position - 1]
            elif self.is_cancelled:
                return
            elif walk.report is not None:
                failure = walk.failure()
                if failure is not None:
                    raise failure
                return
            else:
                await walk.waiter()

    def stop_when(self, is_enough: Callable[[Answer], bool]) -> None:
        """Cancel as soon as an answer satisfies: before anything more is asked for it."""
        walk = cast(ReadWalk, self.walk)
        for answer in walk.answers:
            if is_enough(answer):
                self.cancel()
                return
        walk.stops.append((self, is_enough))


def closed_error() -> NodeClosed:
    return NodeClosed("the node is closed, or has not been started: use `async with Node(...)`")
