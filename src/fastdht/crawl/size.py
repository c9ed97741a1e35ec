"""How many nodes a network has, from samples of it: three estimates and their intervals. Rate class: command.

Ids are spread evenly over the key space, so that what is counted in a known share of it tells the whole. Three counts:
  closest    the k nodes closest to a random target lie within a distance that is Gamma(k)/N there;
  zone       the nodes found in random zones, plus those never named there, divided by the share that answers;
  recapture  how many of a second, independent sample of the same zones the first one had found as well.
Intervals are for the error of sampling, and for that of the corrections; what an estimate assumes stands with it.
Sources: J. Sohl, distances of ordinary lookups; A. Chao, "Nonparametric estimation of the number of classes in a
population" (1984), with replies as the sample; D. Chapman (1951) and G. Seber (1970) for two samples.
"""
from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from fastdht.types import ID_SIZE

SPACE = 1 << (8 * ID_SIZE)
K = 8                   # closest nodes that a distance is of: what one honest reply can name
DISPERSED_AT = 0.975    # zones that differ more than so many of even networks: the interval widens to what they show
METHODS = ("zone", "closest", "recapture")

ASSUMPTIONS = {
    "zone": (
        "ids are spread evenly over zones; where the zones differ too much, the interval is widened to show it",
        "a node that answered one question answers the next as often as any node answers its first",
        "of the nodes that no reply named there are as many as those named once and twice tell (Chao): a lower bound",
    ),
    "closest": (
        "ids are spread evenly over targets, and around each",
        "a lookup finds all the closest nodes that answer, and as many of them answer as in the zones",
    ),
    "recapture": (
        "ids are spread evenly over zones",
        "the lookups that check a zone find nodes independently of the crawl of it",
        "every node is as easy to find: those that few others know make it too low",
    ),
}


@dataclass(frozen=True, slots=True)
class Estimate:
    """Nodes of the whole network; `low` and `high` hold the truth with the wanted chance, if what is assumed holds."""

    nodes: float
    low: float
    high: float

    def as_dict(self) -> dict[str, Any]:
        return {"nodes": round(self.nodes), "low": round(self.low), "high": round(self.high)}


@dataclass(frozen=True, slots=True)
class ZoneCount:
    """What the crawl of one zone counted; lookups inside checked it."""

    found: int              # nodes that answered
    once: int = 0           # of them, named by one reply
    twice: int = 0          # by two
    asked_again: int = 0    # questions to nodes that had answered one
    answered_again: int = 0
    checked: int = 0        # nodes in it that the check found
    rechecked: int = 0      # of them, that the crawl had found

    def __add__(self, other: ZoneCount) -> ZoneCount:
        return ZoneCount(*(getattr(self, name) + getattr(other, name) for name in ZoneCount.__dataclass_fields__))


def answer_rate(count: ZoneCount) -> float:
    """The share of living nodes that one question finds; both its packets and those of the answer must arrive."""
    return (count.answered_again + 1) / (count.asked_again + 1)     # never 0, and 1 where nothing is known


def unnamed(count: ZoneCount) -> float:
    """Nodes that no reply named, at the least: Chao's bias-corrected bound."""
    return count.once * (count.once - 1) / (2 * (count.twice + 1))


def unnamed_variance(count: ZoneCount) -> float:
    once, twice = count.once, count.twice + 1
    ratio = once / twice
    return twice * (ratio ** 2 / 2 + ratio ** 3 + ratio ** 4 / 4)


def alive(count: ZoneCount) -> float:
    """Nodes that live in the zone."""
    return (count.found + unnamed(count)) / answer_rate(count)


def estimate_zones(counts: Sequence[ZoneCount], share: float, ci: float) -> Estimate | None:
    """From zones that are `share` of the key space together; None where nothing was found."""
    total = sum(counts, ZoneCount(0))
    if not total.found:
        return None
    rate, inside = answer_rate(total), alive(total)
    asked = max(total.asked_again, 1)
    spread = inside * (1 - share) * widening(counts)            # how many of all ids fall into the zones
    lost = inside * (1 - rate) / rate                           # and which of them answer
    corrected = (inside ** 2) * (1 - rate) / (rate * asked) + unnamed_variance(total) / rate ** 2
    return interval(inside / share, math.sqrt(spread + lost + corrected) / inside, ci)


def widening(counts: Sequence[ZoneCount]) -> float:
    """By how much the variance between zones exceeds that of even ids; 1 where chance would explain it."""
    if len(counts) < 2:
        return 1.0
    mean = sum(each.found for each in counts) / len(counts)
    dispersion = sum((each.found - mean) ** 2 for each in counts) / mean / (len(counts) - 1) if mean else 1.0
    limit = gamma_quantile((len(counts) - 1) / 2, DISPERSED_AT) / ((len(counts) - 1) / 2)
    return dispersion if dispersion > limit else 1.0


def estimate_recapture(count: ZoneCount, share: float, ci: float) -> Estimate | None:
    """Chapman's estimate over all zones; None without a node that both samples found."""
    first, second, both = count.found, count.checked, count.rechecked
    if not both:
        return None
    inside = (first + 1) * (second + 1) / (both + 1) - 1
    variance = (first + 1) * (second + 1) * (first - both) * (second - both) / ((both + 1) ** 2 * (both + 2))
    return interval(inside / share, math.sqrt(variance + inside * (1 - share)) / inside, ci)


def estimate_closest(distances: Sequence[int], rate: float, ci: float) -> Estimate | None:
    """From the distance (XOR, as a number) of the K-th closest node that answered, one per target.

    The mean of (K - 1)/distance is right for any density that is even near each target; a likelihood would not be: the
    ids that BEP 42 allows within one /8 leave half of all prefixes of 13 bits empty.
    """
    if len(distances) < 2:
        return None
    densities = [(K - 1) * SPACE / (distance + 1) for distance in distances]
    least = 1 / math.sqrt((K - 2) * len(densities))
    mean = statistics.fmean(densities)
    spread = statistics.stdev(densities) / mean / math.sqrt(len(densities))
    return interval(mean / rate, max(least, spread), ci)


def interval(nodes: float, relative_sd: float, ci: float) -> Estimate:
    """Even on the logarithmic scale, so that it never reaches below zero."""
    width = math.exp(NormalDist().inv_cdf((1 + ci) / 2) * relative_sd)
    return Estimate(nodes, nodes / width, nodes * width)


def gamma_quantile(shape: float, share: float) -> float:
    """Of the gamma distribution with scale 1; by E. Wilson and M. Hilferty (1931), good to 1 % from shape 2 on."""
    return float(shape * (1 - 1 / (9 * shape) + NormalDist().inv_cdf(share) / (3 * math.sqrt(shape))) ** 3)
