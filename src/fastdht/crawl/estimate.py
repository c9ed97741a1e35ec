"""How many infohashes there are, from one sweep of samples. Rate class: command.

A node that stores `num` infohashes and shows s of them shows each with chance s/num. So, over all ordered pairs of
sightings of one infohash, the sum of num/s of the second, divided by the number of sightings, estimates how many
*other* nodes that answered hold it: (K - 1)·q, where K nodes hold each infohash and the share q of all nodes answered
with samples. That gives K, the mean number of infohashes per node gives the total: sum(num) / (K·q).
Assumptions: every infohash is on the same number of nodes; answering does not depend on what is stored; nodes tell the
truth about num; samples are drawn evenly. Infohashes on fewer nodes than others make the estimate too low.
One node that says it stores a billion would outweigh all others. So a num counts only from a node that shows samples,
and what is far beyond the others' is left out, num and sightings both: further above the median than six times the
upper quartile is, in logarithms, which of log-normal nums is one in 40,000. Below that, or where a quarter of the nodes
lie, nothing protects the estimate.
Sources: D. Horvitz, D. Thompson, "A Generalization of Sampling Without Replacement" (1952); A. Chao, "Estimating the
population size for capture-recapture data with unequal catchability" (1987), with nodes as occasions (Chao2).
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ASSUMPTIONS = (
    "every infohash is on the same number of nodes",
    "whether a node answers does not depend on what it stores",
    "nodes tell the truth about num, but for those far beyond the others, and draw their samples evenly",
    "infohashes on fewer nodes than others make both totals too low",
)


@dataclass(frozen=True, slots=True)
class HashEstimate:
    """What a sweep says about the infohashes it did not see; None where it saw too little."""

    infohashes: int             # different ones seen
    replicas: float | None      # nodes that hold each
    total: float | None         # Horvitz-Thompson
    total_chao2: float | None   # a lower bound
    coverage: float | None      # seen, of the total
    doubted: int = 0            # nodes left out because they say they store far more than others


def estimate(sums: Mapping[str, float], *, nodes: int, samplers: int) -> HashEstimate:
    """`sums` as SampleTally gives them; `nodes` found, `samplers` of them answered with samples, be it none."""
    distinct, doubted = int(sums["distinct"]), int(sums["doubted"])
    if not sums["sightings"] or samplers <= doubted or not nodes:
        return HashEstimate(distinct, None, None, None, None, doubted)
    share = min(1.0, samplers / nodes)
    others = sums["pairs"] / sums["sightings"]
    replicas = 1 + others / share
    num_sum = sums["num_sum"] * samplers / (samplers - doubted)
    total = max(num_sum / (replicas * share), distinct)
    return HashEstimate(distinct, replicas, total, bound_chao2(sums, replicas * share), distinct / total, doubted)


def bound_chao2(sums: Mapping[str, float], occasions: float) -> float:
    """The bias-corrected Chao2 bound, from infohashes seen on one and on two nodes. The occasions are those an infohash
    has to be seen: the sampled nodes that hold it, not all nodes; with so few, leaving that out gives too much."""
    once, twice = sums["once"], sums["twice"]
    return sums["distinct"] + max(0.0, 1 - 1 / occasions) * once * (once - 1) / (2 * (twice + 1))
