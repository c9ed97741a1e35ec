"""How sure the total of a harvest is: the estimate made again with groups of nodes left out. Rate class: command.

A jackknife that leaves out one group at a time (delete-a-group): nodes are drawn into groups at random, the estimate of
crawl/estimate.py is made without each, and how much those differ tells how far it is from what other nodes would
have given. Source: B. Efron, "The Jackknife, the Bootstrap and Other Resampling Plans" (1982); P. Kott, "The
delete-a-group jackknife" (2001).
"""
from __future__ import annotations

import math
from typing import Any

from fastdht.crawl.estimate import estimate
from fastdht.crawl.report.samples import Samples

GROUPS = 20
NOBODY = -1                 # the group of nodes that are doubted
STUDENT = 2.093             # the 97.5 % point of Student's distribution with GROUPS - 1 degrees
FEWEST_NODES = 10 * GROUPS
MOST_SAMPLES = 50_000_000   # more take gigabytes of memory, and have next to no error of sampling


def total_interval(samples: Samples, summary: dict[str, Any]) -> tuple[float, float] | None:
    """The 95 % bounds of `total`; None where too few nodes showed samples."""
    is_enough = len(samples.ends) >= FEWEST_NODES and len(samples.hashes) <= MOST_SAMPLES
    totals = leave_out(samples, summary) if summary.get("total") and is_enough else []
    if not totals:
        return None
    logs = [math.log(value) for value in totals]
    mean = sum(logs) / GROUPS
    spread = math.sqrt((GROUPS - 1) / GROUPS * sum((each - mean) ** 2 for each in logs))
    value, width = float(summary["total"]), math.exp(STUDENT * spread)
    return max(value / width, float(summary["infohashes"])), value * width


def leave_out(samples: Samples, summary: dict[str, Any]) -> list[float]:
    """The total without each group; empty where too little is known."""
    import numpy

    count, doubted = len(samples.ends), int(summary.get("doubted", 0))
    shown = numpy.diff(samples.ends, prepend=-1)
    told = numpy.maximum(samples.nums, shown)
    group = numpy.random.default_rng(0).permutation(count) % GROUPS
    group[numpy.argsort(told)[count - doubted:]] = NOBODY
    kept = group[samples.nodes] != NOBODY
    nodes, hashes = samples.nodes[kept], samples.hashes[kept]
    weights, groups = (told / shown)[nodes], group[nodes]
    width = samples.distinct
    seen, weight = numpy.bincount(hashes, minlength=width), numpy.bincount(hashes, weights, minlength=width)
    totals: list[float] = []
    for number in range(GROUPS):
        out, stay = groups == number, (group != number) & (group != NOBODY)
        fewer = seen - numpy.bincount(hashes[out], minlength=width)
        lighter = weight - numpy.bincount(hashes[out], weights[out], minlength=width)
        guess = estimate({
            "distinct": int((fewer > 0).sum()), "sightings": int(fewer.sum()), "doubted": 0,
            "once": int((fewer == 1).sum()), "twice": int((fewer == 2).sum()), "num_sum": float(told[stay].sum()),
            "pairs": float((numpy.maximum(fewer - 1, 0) * lighter).sum())},
            nodes=int(summary["found"]),
            samplers=round((int(summary["samplers"]) - doubted) * stay.sum() / (count - doubted)))
        if guess.total is None:
            return []
        totals.append(guess.total)
    return totals
