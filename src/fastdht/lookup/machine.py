"""The decisions of one lookup. Rate class: lookup.

Theory of operation. The compiled shortlist holds candidates and counts; after each batch of datagrams each lookup
that changed is decided once. Decisions are small integers: ask that many more, wait, or finish. They follow from five
counts and alpha, which Python configures, so that they are compiled (`_ext/machine.pxd`): a lookup is stepped four
times, and the processor has better things to remember than the interpreter. Whoever wants to decide otherwise hands
the engine a machine of his own, with a `step` such as this one's.

    SEEDING      nobody has answered yet
    CONVERGING   some of the closest have not been asked
    CLOSING      all of them have; some answers are still out
    DONE         the closest have all answered, or nothing is left to ask
    LATE         the deadline has passed
    EXHAUSTED    the budget of queries is spent

Never: more than alpha in flight, a step after the end, a finish while a closer candidate is unasked and affordable.
Source: Kademlia (Maymounkov, Mazières 2002) §2.3; the stop at the closest `width` that have not failed is BEP 5's
"until no closer nodes are found", made robust against dead nodes.
"""
from __future__ import annotations

from enum import IntEnum

from fastdht._ext.machine import decide_by

FLAG_LATE = 1
FLAG_RESULTS = 2
FLAG_BLOCKED = 4
FLAG_EXHAUSTED = 8

WAIT = 0
FINISHED = -1


class LookupState(IntEnum):
    """Where a lookup stands; the last three are its ends."""

    SEEDING = 0
    CONVERGING = 1
    CLOSING = 2
    DONE = 3
    LATE = 4
    EXHAUSTED = 5


STATES = tuple(LookupState)


class Machine:
    """Decides from five counts; `alpha` is the most queries in flight."""

    __slots__ = ("alpha", "state")

    def __init__(self, alpha: int) -> None:
        self.alpha = alpha
        self.state = LookupState.SEEDING

    def step(self, in_flight: int, fresh: int, pending: int, answered: int, flags: int) -> int:
        """How many more to ask (> 0), WAIT or FINISHED; counts are over the closest that have not failed."""
        wanted, phase = decide_by(self.alpha, self.state, in_flight, fresh, pending, answered, flags)
        self.state = STATES[phase]
        return wanted
