"""What tests of whole networks share."""
from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeVar

from fastdht.node import Node
from fastdht.stats import LookupReport
from fastdht.testing import Testnet, run

T = TypeVar("T")
AT_ONCE = 20            # lookups in flight over the whole network


@dataclass(frozen=True)
class Figures:
    """Means over many lookups."""

    recall: float
    queries: float
    elapsed: float
    outcomes: frozenset[str]


def simulate(main: Callable[[], Coroutine[Any, Any, T]], seed: int, limit_s: float = 86_400.0) -> T:
    """Run in virtual time; networks are cycles, so collect them before the next one is built."""
    try:
        return run(main, seed=seed, limit_s=limit_s)
    finally:
        gc.collect()


async def measure_lookups(net: Testnet, count: int) -> Figures:
    """Random nodes look for random targets; compare with the truth of the moment each one ends."""
    gate = asyncio.Semaphore(AT_ONCE)
    chosen = [(net.node(), net.rng.randbytes(20)) for _ in range(count)]

    async def look(node: Node, target: bytes) -> tuple[float, LookupReport]:
        async with gate:
            report = await node.find_node(target)
            return net.truth.recall(report, without=node), report

    results = await asyncio.gather(*(look(node, target) for node, target in chosen))
    return Figures(
        recall=fmean(recall for recall, _ in results), queries=fmean(report.queries for _, report in results),
        elapsed=fmean(report.elapsed for _, report in results),
        outcomes=frozenset(report.outcome for _, report in results))


def good_contacts(node: Node) -> set[bytes]:
    """Compact endpoints of a node's contacts that answer, as far as it knows."""
    return {entry[1] for entry in table_entries(node) if entry[2] == "good"}


def usable_contacts(node: Node) -> set[bytes]:
    """Compact endpoints of those that are not known to be dead."""
    return {entry[1] for entry in table_entries(node) if entry[2] != "bad"}


def table_entries(node: Node) -> list[tuple[Any, ...]]:
    return [entry for engine in node._engines for entry in engine.core.table.contacts()]
