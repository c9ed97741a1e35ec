"""The lookup policy is a table of five counts; expectations are the rules of Kademlia §2.3 and BEP 5."""
from __future__ import annotations

import pytest

from fastdht.lookup.machine import (
    FINISHED, FLAG_BLOCKED, FLAG_EXHAUSTED, FLAG_LATE, FLAG_RESULTS, WAIT, LookupState, Machine)


@pytest.mark.parametrize(
    ("in_flight", "fresh", "pending", "answered", "flags", "expected", "state"),
    [
        (0, 8, 0, 0, 0, 3, LookupState.SEEDING),                        # ask alpha of the seeds
        (1, 8, 1, 0, 0, 2, LookupState.SEEDING),                        # fill up to alpha
        (3, 5, 3, 1, 0, WAIT, LookupState.CONVERGING),                  # never more than alpha in flight
        (0, 1, 0, 7, 0, 1, LookupState.CONVERGING),                     # never more than there are
        (2, 0, 2, 6, 0, WAIT, LookupState.CLOSING),                     # all asked: wait for the last answers
        (0, 0, 0, 8, 0, FINISHED, LookupState.DONE),                    # the closest have answered
        (0, 0, 0, 0, 0, FINISHED, LookupState.DONE),                    # nobody to ask
        (4, 0, 0, 8, 0, FINISHED, LookupState.DONE),                    # queries out to farther ones are not awaited
        (1, 5, 1, 2, FLAG_LATE, FINISHED, LookupState.LATE),            # the deadline ends everything
        (1, 5, 1, 2, FLAG_EXHAUSTED, WAIT, LookupState.CLOSING),        # no budget: wait for what is out
        (0, 5, 0, 2, FLAG_EXHAUSTED, FINISHED, LookupState.EXHAUSTED),  # and end when it is in
        (1, 5, 1, 2, FLAG_RESULTS | FLAG_BLOCKED, 2, LookupState.CONVERGING),   # neither changes the decision
    ],
)
def test_step_when_counts_are_given_then_decides_by_the_rules(
    in_flight, fresh, pending, answered, flags, expected, state
):
    machine = Machine(alpha=3)
    assert machine.step(in_flight, fresh, pending, answered, flags) == expected
    assert machine.state is state
