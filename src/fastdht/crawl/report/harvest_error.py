"""How sure the total of a harvest is: the estimate made again with groups of nodes left out. Rate class: command.

A jackknife that leaves out one group at a time (delete-a-group): nodes are drawn into groups at random, the estimate of
crawl/estimate.py is made without each, and how much those differ tells how far it is from what other nodes would
have given. Source: B. Efron, "The Jackknife, the Bootstrap and Other Resampling Plans" (1982); P. Kott, "The
delete-a-group jackknife" (2001).
"""
from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastdht.crawl.estimate import estimate

if TYPE_CHECKING:
    import pyarrow

GROUPS = 20
STUDENT = 2.093             # the 97.5 % point of Student's distribution with GROUPS - 1 degrees
FEWEST_NODES = 10 * GROUPS
MOST_SAMPLES = 50_000_000   # 2 GB of memory


def total_interval(rows: pyarrow.Table, summary: dict[str, Any]) -> tuple[float, float] | None:
    """The 95 % bounds of `total`; None where too few nodes showed samples. `rows`: info_hash, ip, port, num."""
    totals = leave_out(rows, summary) if summary.get("total") and len(rows) <= MOST_SAMPLES else []
    if not totals:
        return None
    logs = [math.log(value) for value in totals]
    mean = sum(logs) / GROUPS
    spread = math.sqrt((GROUPS - 1) / GROUPS * sum((each - mean) ** 2 for each in logs))
    value, width = float(summary["total"]), math.exp(STUDENT * spread)
    return max(value / width, float(summary["infohashes"])), value * width


def leave_out(rows: pyarrow.Table, summary: dict[str, Any]) -> list[float]:
    """The total without each group; empty where too little is known."""
    import numpy
    import pyarrow.compute as compute

    speakers = compute.binary_join_element_wise(rows.column("ip"), rows.column("port").cast("string"), ":")
    nodes = speakers.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    hashes = rows.column("info_hash").combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    count = int(nodes.max(initial=-1)) + 1
    if count < FEWEST_NODES:
        return []
    shown = numpy.bincount(nodes)
    told = numpy.zeros(count)
    numpy.maximum.at(told, nodes, rows.column("num").to_numpy())
    told = numpy.maximum(told, shown)
    believed = numpy.ones(count, dtype=bool)
    believed[numpy.argsort(told)[count - int(summary.get("doubted", 0)):]] = False
    group = numpy.random.default_rng(0).permutation(count) % GROUPS
    kept = believed[nodes]
    nodes, hashes = nodes[kept], hashes[kept]
    weights = told[nodes] / shown[nodes]
    width = int(hashes.max(initial=-1)) + 1
    seen, weight = numpy.bincount(hashes, minlength=width), numpy.bincount(hashes, weights, minlength=width)
    samplers = int(summary["samplers"]) - int(summary.get("doubted", 0))
    totals: list[float] = []
    for number in range(GROUPS):
        out = group[nodes] == number
        fewer = seen - numpy.bincount(hashes[out], minlength=width)
        lighter = weight - numpy.bincount(hashes[out], weights[out], minlength=width)
        stay = believed & (group != number)
        guess = estimate({
            "distinct": int((fewer > 0).sum()), "sightings": int(fewer.sum()), "doubted": 0,
            "once": int((fewer == 1).sum()), "twice": int((fewer == 2).sum()), "num_sum": float(told[stay].sum()),
            "pairs": float((numpy.maximum(fewer - 1, 0) * lighter).sum())},
            nodes=int(summary["found"]), samplers=round(samplers * stay.sum() / believed.sum()))
        if guess.total is None:
            return []
        totals.append(guess.total)
    return totals
