"""All checks, in the order in which they are asked. Rate class: command.

Reading comes first: what a node sends to an unproved source shows before our first token is echoed. What looks at all
answers comes last, and whether the node is still there, after everything that could have hurt it.
"""
from __future__ import annotations

from fastdht.conform import bep5, families, items, swarms, traffic
from fastdht.conform.checks import Check

CHECKS: tuple[Check, ...] = (
    *bep5.READS, *families.READS, *traffic.READS, *swarms.SAMPLES, *items.READS,
    *bep5.WRITES, *swarms.WRITES, *items.WRITES,
    *bep5.LOOKS, *families.LOOKS, *traffic.LOOKS,
)
