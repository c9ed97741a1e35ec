"""Keeps a crawl's control group asked, and asks it at the end whether anybody was still there. Rate class: second."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from fastdht._ext.rows import endpoints
from fastdht.crawl.control import LEAST_MEMBERS, SILENT, SIZE, ControlGroup
from fastdht.crawl.passes import Pass
from fastdht.engine.engine import Outcome

PING = 0
IPV6_SIZE = 18              # of a compact endpoint
DOUBT = 20                  # questions without one answer: is it them, or us?
POLL_S = 0.02
GRACE_US = 500_000          # beyond the timeout


class Watch:
    """The control group of one crawl, through all its passes."""

    def __init__(self, rate: float, clock: Callable[[], int]) -> None:
        self.group = ControlGroup(rate)
        self._clock = clock

    def take(self, rows: bytes) -> None:
        """Found nodes, packed: some become members while there is room."""
        if self.group.room:
            for endpoint in endpoints(rows, SIZE):
                self.group.offer(endpoint, self._clock())

    def tend(self, current: Pass, now_us: int) -> None:
        """Ask those whose turn it is, and give the pass the verdict on what came of it."""
        for endpoint in self.group.take_due(now_us):
            self._ask(current, endpoint, now_us)
        current.control = max(current.control, self.group.judge())

    def is_in_doubt(self, current: Pass) -> bool:
        """Whether what is silent now may be so because of us: no state to keep."""
        share = self.group.share
        return current.count_unheard() >= DOUBT or (share is not None and share < SILENT)

    async def find_silence(self, current: Pass) -> str:
        """Of a pass whose last questions nobody answered: ask every member once; what is wrong, or nothing."""
        if current.count_unheard() < DOUBT:
            return ""
        before, asked, now_us = self.group.answered, 0, self._clock()
        for endpoint in self.group.members:
            asked += self._ask(current, endpoint, now_us)
        until_us = now_us + current.pace.timeout_us + GRACE_US
        while asked >= LEAST_MEMBERS:
            answered = self.group.answered - before
            if 2 * answered >= asked:
                return ""
            if self._clock() >= until_us:
                return f"the control group fell silent: at the end {answered} of {asked} answered"
            await asyncio.sleep(POLL_S)
        return ""

    def _ask(self, current: Pass, endpoint: bytes, now_us: int) -> bool:
        engine = current.engines.get(6 if len(endpoint) == IPV6_SIZE else 4)
        if engine is None or not current.frontier.may_ask(endpoint, now_us):
            return False
        engine.query(PING, endpoint, partial(self._told, endpoint))
        return True

    def _told(self, endpoint: bytes, outcome: Outcome) -> None:
        source, _, answer, _ = outcome
        if source:              # else the engine was closed before anybody could answer
            self.group.tell(endpoint, answer is not None)
