"""Whether ids are spread as honest ones are. Rate class: command.

Honest ids are uniform: BEP 42 takes them from a checksum of the address, older clients from a random generator. Nodes
that gather around a target stand out as slices of the key space that hold more than chance allows.
Source: Cholez et al. 2010, "Detection and mitigation of localized attacks" (Kullback-Leibler of prefix counts).
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FALSE_ALARMS = 0.001        # chance of one alarm anywhere in an honest network
LEAST_MEAN = 24             # nodes per slice: of fewer, chance alone makes a cloud
LEAST_SLICES = 256


@dataclass(frozen=True, slots=True)
class Density:
    """Spread over equal slices; `divergence` in bits, of which an honest network of this size has about `expected`."""

    mean: float
    divergence: float
    expected: float
    limit: float            # of one slice: more is an alarm
    crowded: tuple[tuple[int, int], ...]        # (slice, count) beyond it, fullest first


def widen(counts: Sequence[int]) -> list[int]:
    """Join sixteen neighbouring slices into one until they hold enough nodes each to be compared."""
    wide = list(counts)
    while sum(wide) < LEAST_MEAN * len(wide) and len(wide) > LEAST_SLICES:
        wide = [sum(wide[i:i + 16]) for i in range(0, len(wide), 16)]
    return wide


def judge_density(counts: Sequence[int]) -> Density:
    """Compare the counts of equal slices with uniform ones."""
    total, slices = sum(counts), len(counts)
    mean = total / slices
    if not total:
        return Density(0.0, 0.0, 0.0, 0.0, ())
    divergence = sum(count / total * math.log2(count / mean) for count in counts if count)
    limit = upper_limit(mean, FALSE_ALARMS / slices)
    crowded = sorted(((i, count) for i, count in enumerate(counts) if count > limit), key=lambda each: -each[1])
    return Density(mean, divergence, (slices - 1) / (2 * math.log(2) * total), limit, tuple(crowded))


def upper_limit(mean: float, chance: float) -> float:
    """What a Poisson count of this mean exceeds with less than this chance."""
    term, below, count = math.exp(-min(mean, 700.0)), 0.0, 0
    if mean > 700:          # the normal form: its error is far below what matters here
        return mean + 5.5 * math.sqrt(mean)
    while 1 - below - term > chance and count < 10 * mean + 100:
        below += term
        count += 1
        term *= mean / count
    return float(count)
