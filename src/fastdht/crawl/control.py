"""A few nodes known to be alive, asked again and again: what tells packets lost near us from nodes that are dead.

Rate class: second. The share of answers to all questions falls when a crawl comes to dead contacts; that of this group
falls only when something between us and everybody changes. Members are taken from the first nodes found; each is asked
for a sign of life every ten seconds, more rarely where that would be more than a hundredth of the rate. One that is
silent three times in a row, while others answer, has left, and makes room. A window of 64 outcomes is judged against
all before it: lower by five points and two standard errors is a fall, less than half is silence.
Source: docs/crawl.md, "Pacing".
"""
from __future__ import annotations

from collections import deque
from enum import IntEnum
from math import sqrt

SIZE = 48
LEAST_MEMBERS = 8           # fewer say nothing
INTERVAL_US = 10_000_000
RATE_SHARE = 0.01           # of the packets a second, at most
WINDOW = 64
FALL = 0.05
ERRORS = 2.0
SILENCES = 3
SILENT = 0.5


class Verdict(IntEnum):
    """What the latest outcomes say."""

    STEADY = 0
    FALLEN = 1              # packets get lost
    GONE = 2                # hardly anybody answers


class Member:
    """One node, and when to ask it next."""

    __slots__ = ("asked", "due_us", "endpoint", "silences")

    def __init__(self, endpoint: bytes, due_us: int) -> None:
        self.endpoint = endpoint
        self.due_us = due_us
        self.silences = 0
        self.asked = 0


class ControlGroup:
    """Members by compact endpoint; `rate` is the crawl's, in packets/s, 0 without a limit."""

    def __init__(self, rate: float) -> None:
        self.asked = 0
        self.answered = 0
        self.most_per_address = 0       # questions that one address got
        self._interval_us = max(INTERVAL_US, int(SIZE / (RATE_SHARE * rate) * 1e6) if rate else 0)
        self._members: dict[bytes, Member] = {}
        self._window: deque[bool] = deque(maxlen=WINDOW)
        self._unjudged = 0              # outcomes since the last verdict
        self._steady = [0, 0]           # outcomes and answers of the windows that were steady

    @property
    def members(self) -> list[bytes]:
        return list(self._members)

    @property
    def room(self) -> int:
        return SIZE - len(self._members)

    @property
    def share(self) -> float | None:
        """Of the latest outcomes, up to 64; None while there are too few."""
        return sum(self._window) / len(self._window) if len(self._window) >= LEAST_MEMBERS else None

    def offer(self, endpoint: bytes, now_us: int) -> None:
        """A node that has just answered. Its turn comes an interval later, and members are spread over one."""
        if self.room > 0 and endpoint not in self._members:
            spread = len(self._members) * self._interval_us // SIZE
            self._members[endpoint] = Member(endpoint, now_us + self._interval_us + spread)

    def take_due(self, now_us: int) -> list[bytes]:
        """Whom to ask now."""
        due = [member for member in self._members.values() if member.due_us <= now_us]
        for member in due:
            member.due_us = now_us + self._interval_us
        return [member.endpoint for member in due]

    def tell(self, endpoint: bytes, is_answered: bool) -> None:
        """The outcome of a question."""
        self.asked += 1
        self.answered += is_answered
        self._window.append(is_answered)
        self._unjudged += 1
        member = self._members.get(endpoint)
        if member is None:
            return
        member.asked += 1
        address = endpoint[:-2]
        self.most_per_address = max(self.most_per_address, sum(
            each.asked for each in self._members.values() if each.endpoint[:-2] == address))
        member.silences = 0 if is_answered else member.silences + 1
        share = self.share
        if member.silences >= SILENCES and share is not None and share >= SILENT:
            del self._members[endpoint]

    def judge(self) -> Verdict:
        """The verdict on a window that is full of new outcomes; STEADY before."""
        if self._unjudged < WINDOW:
            return Verdict.STEADY
        self._unjudged = 0
        share = sum(self._window) / WINDOW
        if share < SILENT:
            return Verdict.GONE
        outcomes, answers = self._steady
        if outcomes:            # the first window says what is usual
            usual = answers / outcomes
            if share < usual - FALL - ERRORS * sqrt(usual * (1 - usual) / WINDOW):
                return Verdict.FALLEN
        self._steady = [outcomes + WINDOW, answers + sum(self._window)]
        return Verdict.STEADY
