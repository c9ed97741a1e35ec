"""All checks, in the order in which they are asked. Rate class: command.

Reading comes first: what a node sends to an unproved source shows before our first token is echoed. What looks at all
answers comes last, and whether the node is still there, after everything that could have hurt it.
"""
from __future__ import annotations

from collections.abc import Collection

from fastdht.conform import bep5, families, items, swarms, traffic
from fastdht.conform.checks import Check

CHECKS: tuple[Check, ...] = (
    *bep5.READS, *families.READS, *traffic.READS, *swarms.SAMPLES, *items.READS,
    *bep5.WRITES, *swarms.WRITES, *items.WRITES, *bep5.STRAYS,
    *bep5.LOOKS, *families.LOOKS, *traffic.LOOKS,
)
BEPS = tuple(sorted({check.bep for check in CHECKS}))


def select(beps: Collection[int]) -> tuple[Check, ...]:
    """The checks of these BEPs, all if none is given, and what they need; the node is always greeted first."""
    wanted = {check.name for check in CHECKS if check.bep in beps or not beps} | {check.name for check in CHECKS[:2]}
    for check in reversed(CHECKS):
        if check.name in wanted:
            wanted.update(check.needs)
    return tuple(check for check in CHECKS if check.name in wanted)
