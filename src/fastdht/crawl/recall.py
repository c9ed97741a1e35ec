"""How many reachable nodes a crawl missed, from how often others named those it found. Rate class: command.

Of the nodes that r replies named, the share found is what loss leaves: q, the chance that a living node answers (of
nodes already found, those that answered again), or more where the silent were asked twice. Divided by it, these are
all living nodes named r times. Those named never are extrapolated: of a mixture of Poisson counts the ratios
a_r = (r + 1) n_{r+1} / n_r rise smoothly with r, and n_0 = n_1 / a_0 (Robbins). The root of a_r, in which neither
small nor large ratios dominate, is carried on to r = 0 by a parabola through a_1 to a_7 (ratio regression).
Sources: H. Robbins 1956; I. Rocchetti, J. Bunge, D. Böhning 2011; docs/crawl.md has the errors measured.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any, NamedTuple, Protocol

METHOD = "referrers"
ASSUMPTIONS = ("how often a node is named is a mixture of Poisson counts whose ratios rise smoothly from zero; loss is "
               "independent of the node; nodes that no node would ever name are not counted")
RATIOS = 7              # fewer are noise, more are the names that neighbours owe each other
LEAST = 30              # nodes named each number of times up to there, and control answers: else there is no estimate
NORMAL_95 = 1.96
MODEL_ERROR = 0.0015    # of recall, a standard deviation: what is left where a truth was known, in docs/crawl.md
MOST_NAMED = 64
ENOUGH_CONTACTS = 400_000   # of more, a sample is looked at: in time that does not grow, and as exact


class Sightings(NamedTuple):
    """Of one pass: contacts by how many replies named them, all or a sample; and answers of nodes known to be alive."""

    nodes: int              # found in this pass, sampled or not
    found: Sequence[int]
    unfound: Sequence[int]
    retried: Sequence[int]  # of the unfound
    answered: int           # questions to nodes already found
    silent: int


class Reachable(NamedTuple):
    """An estimate of the reachable nodes, and its standard error without that of the model."""

    nodes: float
    error: float


class HasRecall(Protocol):
    """The fields of a crawl's result that belong to the estimate."""

    @property
    def found(self) -> int: ...
    @property
    def reachable_estimate(self) -> float | None: ...
    @property
    def recall_low(self) -> float | None: ...
    @property
    def recall_high(self) -> float | None: ...


def estimate_reachable(seen: Sightings) -> Reachable | None:
    """All reachable nodes; None when too few were named rarely, or asked again, to tell."""
    if len(seen.found) < RATIOS + 2 or min(seen.found[1:RATIOS + 2]) < LEAST or seen.answered < LEAST:
        return None
    chance = seen.answered / (seen.answered + seen.silent)
    named = undo_loss(seen, chance)
    unnamed = extrapolate(named)
    if unnamed is None:
        return None
    variance = 0.0
    for i in range(1, RATIOS + 2):      # by differences; the counts are Poisson
        moved = list(named)
        moved[i] += sqrt(named[i])
        other = extrapolate(moved)
        variance += (other - unnamed) ** 2 if other is not None else unnamed ** 2
    nodes = sum(named) + unnamed
    loss = nodes * sqrt((1 - chance) / (chance * (seen.answered + seen.silent)))
    scale = seen.nodes / sum(seen.found)
    return Reachable(scale * nodes, scale * sqrt(variance + loss ** 2))


def undo_loss(seen: Sightings, chance: float) -> list[float]:
    """Living nodes by how often they were named, found or not; a question is answered with `chance`."""
    nodes = []
    for found, unfound, retried in zip(seen.found, seen.unfound, seen.retried, strict=True):
        asked_twice = retried / unfound if unfound else 0.0
        nodes.append(found / (chance + (1 - chance) * asked_twice * chance))
    return nodes


def extrapolate(named: Sequence[float]) -> float | None:
    """Nodes named never, from those named 1 to RATIOS + 1 times; None when the parabola falls to zero."""
    points = []
    for r in range(1, RATIOS + 1):
        ratio = (r + 1) * named[r + 1] / named[r]
        weight = 1 / (ratio * (1 / named[r] + 1 / named[r + 1]))    # of the root, by the variance of Poisson counts
        points.append((float(r), sqrt(ratio), weight))
    root = parabola_at_zero(points)
    return named[1] / root ** 2 if root > 0 else None


def parabola_at_zero(points: Iterable[tuple[float, float, float]]) -> float:
    """Where the parabola of least squares through (x, y, weight) meets x = 0; Cramer's rule."""
    s = [0.0] * 5
    t = [0.0] * 3
    for x, y, weight in points:
        for i in range(5):
            s[i] += weight * x ** i
        for i in range(3):
            t[i] += weight * y * x ** i
    first, second, third = s[2] * s[4] - s[3] ** 2, s[1] * s[4] - s[2] * s[3], s[1] * s[3] - s[2] ** 2
    return ((t[0] * first - t[1] * second + t[2] * third)
            / (s[0] * first - s[1] * second + s[2] * third))


def recall_fields(found: int, passes: Sequence[Sightings]) -> dict[str, Any]:
    """The summary's fields: `found` nodes of all passes beside the mean of what each pass estimates; or none."""
    known = [estimate for estimate in map(estimate_reachable, passes) if estimate is not None]
    if not found or not known or len(known) < len(passes):
        return {}
    nodes = max(float(found), sum(estimate.nodes for estimate in known) / len(known))
    error = max(estimate.error for estimate in known)   # passes see the same tables: their errors are not independent
    recall = found / nodes
    margin = NORMAL_95 * sqrt((recall * error / nodes) ** 2 + MODEL_ERROR ** 2)
    return describe(nodes, recall, recall - margin, recall + margin)


def combined_fields(results: Sequence[HasRecall]) -> dict[str, Any]:
    """The fields of several zones as one; the errors are taken to go together, for they are mostly the model's."""
    found = sum(each.found for each in results)
    sums = {}
    for name in ("reachable_estimate", "recall_low", "recall_high"):
        values = [getattr(each, name) for each in results]
        if not found or None in values:
            return describe()
        sums[name] = sum(value if name == "reachable_estimate" else each.found / max(value, 1e-9)
                         for each, value in zip(results, values, strict=True))
    nodes = sums["reachable_estimate"]
    return describe(nodes, found / nodes, found / sums["recall_low"], found / sums["recall_high"])


def describe(nodes: float | None = None, recall: float = 0.0, low: float = 0.0, high: float = 0.0) -> dict[str, Any]:
    if nodes is None:
        return {"reachable_estimate": None, "recall_estimate": None, "recall_low": None, "recall_high": None,
                "recall_method": "", "recall_assumptions": ""}
    return {"reachable_estimate": round(nodes, 1), "recall_estimate": round(recall, 6),
            "recall_low": round(max(0.0, low), 6), "recall_high": round(min(1.0, high), 6),
            "recall_method": METHOD, "recall_assumptions": ASSUMPTIONS}
