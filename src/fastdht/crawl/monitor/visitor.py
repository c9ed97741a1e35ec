"""Visits all nodes of a cohort once: one round. Rate class: lookup (two calls per visit; packets are the core's).

Theory of operation. A round is cut into slices of nodes visited one after another, and each slice is judged by
itself once all its visits are settled. It was *not observed* when
  - the loop stood still meanwhile: the machine slept, or had no time for us;
  - it was cut short, by the end of its round or of the monitor; or
  - fewer than a fifth of its control group answered: those that answered when they were last visited.
The last is what an outage of our own network looks like. What was not observed says nothing about any node. Slices
are short (seconds), so that an outage spoils what it covers and no more.
A visit is a ping, repeated once after silence. A node that answers under another id, or with an error, is there, and
is not the one looked for.
"""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from fastdht._ext import krpc
from fastdht.config import SECOND_US
from fastdht.crawl.monitor.sessions import Tracker
from fastdht.crawl.monitor.settings import TRIES, Member, MonitorConfig, lay_out
from fastdht.engine.engine import Engine, Outcome

PING = 0                    # krpc Method
TICK_S = 0.02
LONG_TICK_S = 0.25          # where nothing is due earlier
TICK_VISITS = 512           # begun in one tick at most: more would not fit the core's outbox with their repetitions
SLICE_NODES = 256           # at least, and …
SLICE_TRUSTED = 20          # … so many whose silence means something
LEAST_STALL_US = 500_000    # below, or within a timeout, a standstill costs a visit no more than its first try
ANSWERING_SHARE = 0.2       # of the control group
ALIVE, RENAMED, ERROR, SILENT, REFUSED = OUTCOMES = ("alive", "renamed", "error", "silent", "refused")
CUT_SHORT, NO_ANSWERS, STANDSTILL = "cut short", "no answers", "standstill"     # why a slice was not observed
THERE = (ALIVE, RENAMED, ERROR)     # somebody answered


class Visit(NamedTuple):
    """What one visit met; `time_us` is Unix time, `seen` the id that answered."""

    node: int
    time_us: int
    outcome: str
    seen: bytes | None
    rtt_us: int
    tries: int


class Slice:
    """Part of a round: nodes visited one after another, and those of them that should answer."""

    def __init__(self) -> None:
        self.nodes: list[int] = []
        self.trusted: set[int] = set()
        self.visits: list[Visit] = []
        self.asked = 0
        self.reason = ""            # why it was not observed

    @property
    def is_large(self) -> bool:
        return len(self.nodes) >= SLICE_NODES and len(self.trusted) >= SLICE_TRUSTED

    def judge(self) -> None:
        """Set the reason. Without a control group it was observed when anybody answered."""
        there = {visit.node for visit in self.visits if visit.outcome in THERE}
        if self.reason:
            return
        if len(self.visits) < len(self.nodes):
            self.reason = CUT_SHORT
        elif not there or len(there & self.trusted) < ANSWERING_SHARE * len(self.trusted):
            self.reason = NO_ANSWERS


class Visitor:
    """Runs rounds. `told` gets each slice that has been judged; `timeline` gives Unix time in µs, sleep included."""

    def __init__(self, engine: Engine, members: Sequence[Member], config: MonitorConfig, tracker: Tracker,
                 timeline: Callable[[], int], told: Callable[[Slice], None]) -> None:
        self._engine = engine
        self._members = members
        self._places = lay_out(members, config)
        self._tracker = tracker
        self._timeline = timeline
        self._told = told
        self._every_us = config.every_us
        self._stall_us = max(int(config.timeout_s * SECOND_US), LEAST_STALL_US)
        self._visits_per_s = config.rate / TRIES if config.rate else TICK_VISITS / TICK_S
        self._waiting: list[Slice] = []         # slices that are not judged yet, in order
        self._place = 0                         # of the next visit

    async def run(self, start_us: int, is_stopped: Callable[[], bool]) -> None:
        """One round that began at `start_us`; ends when all is settled, its time is up, or it is stopped."""
        slices = self._waiting = self._cut(start_us)
        self._place = 0
        asking = iter([each for each in slices for _ in each.nodes])
        last_us = expected_us = self._timeline()
        while self._waiting and not is_stopped():
            now_us = self._timeline()
            if now_us - expected_us > self._stall_us:
                self._disturb()
            if now_us >= start_us + self._every_us:
                break
            self._ask_due(asking, now_us - start_us, now_us - last_us)
            tick_s = self._next_tick(start_us, now_us)
            last_us, expected_us = now_us, now_us + int(tick_s * SECOND_US)
            await asyncio.sleep(tick_s)
            self._report()
        for each in self._waiting:
            self._hand_over(each)
        self._waiting = []

    def _next_tick(self, start_us: int, now_us: int) -> float:
        if self._place == len(self._places):
            return LONG_TICK_S
        wait_us = start_us + self._places[self._place][0] - now_us
        return min(max(wait_us / SECOND_US, TICK_S), LONG_TICK_S)

    def _cut(self, now_us: int) -> list[Slice]:
        """Slices with enough nodes whose silence would mean something; what is left over joins the last."""
        slices = [Slice()]
        for _, node in self._places:
            if slices[-1].is_large:
                slices.append(Slice())
            slices[-1].nodes.append(node)
            if self._tracker.is_trusted(node, now_us):
                slices[-1].trusted.add(node)
        if len(slices) > 1 and not slices[-1].is_large:
            rest = slices.pop()
            slices[-1].nodes += rest.nodes
            slices[-1].trusted |= rest.trusted
        return slices

    def _disturb(self) -> None:
        """Whoever was asked before the loop stood still may have answered unheard."""
        for each in self._waiting:
            if each.asked:
                each.reason = STANDSTILL

    def _ask_due(self, asking: Iterator[Slice], elapsed_us: int, tick_us: int) -> None:
        """Begin the visits whose time has come; after a standstill no faster than the rate."""
        allowed = min(TICK_VISITS, 1 + int(self._visits_per_s * max(tick_us / SECOND_US, TICK_S)))
        while allowed and self._place < len(self._places) and self._places[self._place][0] <= elapsed_us:
            node = self._places[self._place][1]
            part = next(asking)
            part.asked += 1
            self._ask(part, node, 1, self._timeline())
            self._place += 1
            allowed -= 1

    def _ask(self, part: Slice, node: int, tries: int, began_us: int) -> None:
        self._engine.query(PING, self._members[node].endpoint, partial(self._settle, part, node, tries, began_us))

    def _settle(self, part: Slice, node: int, tries: int, began_us: int, outcome: Outcome) -> None:
        _, rtt_us, answer, is_refused = outcome
        if self._engine.is_closed:
            return
        if answer is None and not is_refused and tries < TRIES:
            self._ask(part, node, tries + 1, began_us)
            return
        name, seen = (REFUSED if is_refused else SILENT, None) if answer is None else self._read(node, answer)
        part.visits.append(Visit(node, began_us, name, seen, rtt_us, tries))

    def _read(self, node: int, answer: bytes) -> tuple[str, bytes | None]:
        """What an answer says of the node that was looked for."""
        slots = krpc.parse(answer, 4 if len(self._members[node].endpoint) == 6 else 6)
        seen = slots.get("id") if slots is not None and slots["kind"] == "r" else None
        if seen is None:
            return ERROR, None
        return (ALIVE, None) if seen == self._members[node].id else (RENAMED, seen)

    def _report(self) -> None:
        settled = [each for each in self._waiting if len(each.visits) == len(each.nodes)]
        self._waiting = [each for each in self._waiting if len(each.visits) < len(each.nodes)]
        for each in settled:
            self._hand_over(each)

    def _hand_over(self, part: Slice) -> None:
        part.judge()
        self._told(part)
