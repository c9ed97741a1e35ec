"""How many of the closest live nodes lookups find, and for how many queries, with dead contacts in every table."""
from __future__ import annotations

from statistics import fmean

import pytest

from fastdht.testing import Testnet
from tests.sim.sim_kit import Figures, measure_lookups, simulate

NODES = 1000
LOOKUPS = 200
SEEDS = (1, 2, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("dead", "recall", "queries"), [(0.0, 1.0, 25), (0.3, 0.99, 32), (0.5, 0.96, 44)])
def test_lookups_when_a_share_of_contacts_is_dead_then_most_of_the_closest_are_found(
        dead: float, recall: float, queries: float) -> None:
    async def main() -> Figures:
        async with Testnet(NODES, fill_tables=True, dead_contacts=dead) as net:
            return await measure_lookups(net, LOOKUPS)

    results = [simulate(main, seed) for seed in SEEDS]
    for seed, figures in zip(SEEDS, results, strict=True):
        print(f"seed {seed}, {dead:.0%} dead: recall {figures.recall:.4f}, {figures.queries:.1f} queries, "
              f"{figures.elapsed:.2f} s")
    assert fmean(figures.recall for figures in results) >= recall
    assert fmean(figures.queries for figures in results) <= queries
    assert all(figures.outcomes == {"done"} for figures in results)


def test_lookups_when_all_nodes_joined_by_themselves_then_every_closest_is_found(fastdht_seed: int) -> None:
    async def main() -> Figures:
        async with Testnet(60) as net:
            return await measure_lookups(net, 60)

    figures = simulate(main, fastdht_seed)
    assert figures.recall >= 0.995
    assert figures.queries <= 16


def test_lookups_when_the_network_churns_then_still_found(fastdht_seed: int) -> None:
    async def main() -> list[Figures]:
        async with Testnet(60) as net:
            results = []
            for _ in range(5):
                await net.churn(0.1)
                results.append(await measure_lookups(net, 30))
            return results

    results = simulate(main, fastdht_seed)
    assert fmean(figures.recall for figures in results) >= 0.97


def test_lookups_when_half_died_and_came_back_then_whole_again(fastdht_seed: int) -> None:
    async def main() -> Figures:
        async with Testnet(40) as net:
            await net.kill(0.5)
            assert len(net.nodes) == len(net.dead) == 20
            await net.revive()
            assert len(net.nodes) == 40 and not net.dead
            await net.settle(60)
            return await measure_lookups(net, 40)

    assert simulate(main, fastdht_seed).recall >= 0.97
