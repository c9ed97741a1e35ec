"""How many reachable nodes a crawl missed, from how often others named those it found. Rate class: command.

`named[r]` is the number of found nodes that r replies named. Divided by q, the chance that a living node answers (from
nodes already found that were asked again), these are all living nodes that were named r times; the nodes named never
are extrapolated: the ratios a_r = (r + 1) n_{r+1} / n_r of a mixture of Poisson counts are carried on in a straight
line to r = 0 (Robbins), so that n_0 = n_1 / (2 a_1 - a_2). Source: H. Robbins 1956; docs/crawl.md.
"""
from __future__ import annotations

from math import sqrt
from typing import Any, NamedTuple

METHOD = "referrers"
ASSUMPTIONS = ("how often a node is named is a Poisson mixture whose ratios are linear near zero; "
               "loss is independent of the node; nodes that nobody names beyond that mixture are not counted")
LEAST = 100         # named once, twice, thrice, and control answers: with fewer there is no estimate
NORMAL_95 = 1.96
MODEL_ERROR = 0.003  # of recall: what the straight line is wrong by where it was checked


MOST_NAMED = 64


class Sightings(NamedTuple):
    """Of one pass: contacts by how many replies named them, and answers of nodes known to be alive."""

    found: list[int]
    unfound: list[int]
    retried: list[int]      # of the unfound
    answered: int           # questions to nodes already found
    silent: int
    joint: list[int]        # found by this pass or the one before, by the replies of both; empty for the first


class Reachable(NamedTuple):
    """An estimate of the reachable nodes, and its standard error without that of the model."""

    nodes: float
    error: float


def estimate_reachable(named: list[int], answered: int, silent: int) -> Reachable | None:
    """All reachable nodes; None when too few were named rarely, or asked again, to tell."""
    if len(named) < 4 or min(named[1:4]) < LEAST or answered < LEAST:
        return None
    found = sum(named)
    chance = answered / (answered + silent)
    unnamed = extrapolate(*(float(count) for count in named[1:4]))
    if unnamed is None:
        return None
    variance = 0.0
    for i in range(3):          # of Poisson counts, by differences
        moved = [float(count) for count in named[1:4]]
        moved[i] += sqrt(moved[i])
        other = extrapolate(*moved)
        variance += (other - unnamed) ** 2 if other is not None else unnamed ** 2
    nodes = (found + unnamed) / chance
    spread = sqrt(variance) / chance
    loss = nodes * sqrt((1 - chance) / (chance * (answered + silent)))
    return Reachable(nodes, sqrt(spread ** 2 + loss ** 2))


def extrapolate(once: float, twice: float, thrice: float) -> float | None:
    """Nodes named never, from those named once, twice and thrice; None when the line falls below zero."""
    ratio = 2 * (2 * twice / once) - 3 * thrice / twice
    return once / ratio if ratio > 0 else None


def recall_fields(found: int, passes: list[Sightings]) -> dict[str, Any]:
    return {}
