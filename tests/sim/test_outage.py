"""Networks that go away and come back: off, partitioned, asleep, refused."""
from __future__ import annotations

import asyncio
from collections.abc import Sequence
from statistics import fmean

import pytest

from fastdht.node import Node
from fastdht.testing import Testnet, builders
from tests.sim.sim_kit import good_contacts, measure_lookups, simulate

HOUR_US = 3600 * 1_000_000
CLOSED_PORTS = 1000
AT_ONCE = 50            # an outbox of Testnet nodes holds 64 datagrams


async def keep_looking(net: Testnet, nodes: Sequence[Node], seconds: int) -> None:
    """Start lookups that can only fail: each failure could cost a contact."""
    for _ in range(seconds // 5):
        lookups = [node.find_node(net.rng.randbytes(20)) for node in nodes]
        await asyncio.sleep(5)
        for lookup in lookups:
            lookup.cancel()


@pytest.mark.parametrize("minutes", [1, 30])
def test_tables_when_the_network_was_off_then_back_in_a_minute(fastdht_seed: int, minutes: int) -> None:
    async def main() -> tuple[float, float]:
        async with Testnet(60) as net:
            await asyncio.sleep(300)
            before = sum(len(good_contacts(node)) for node in net.nodes)
            net.network.off()
            await keep_looking(net, net.nodes[:10], 60)
            await asyncio.sleep(60 * (minutes - 1))
            net.network.on()
            await asyncio.sleep(60)
            after = sum(len(good_contacts(node)) for node in net.nodes)
            return after / before, (await measure_lookups(net, 40)).recall

    share, recall = simulate(main, fastdht_seed)
    assert share >= (0.95 if minutes == 1 else 0.7)
    assert recall >= 0.97


def test_table_when_one_node_was_cut_off_while_it_looked_then_back_in_a_minute(fastdht_seed: int) -> None:
    async def main() -> tuple[float, float]:
        async with Testnet(60) as net:
            await asyncio.sleep(300)
            node = net.nodes[0]
            before = len(good_contacts(node))
            net.network.down(node.endpoints[0])
            await keep_looking(net, [node], 60)
            net.network.up(node.endpoints[0])
            await asyncio.sleep(60)
            report = await node.find_node(net.rng.randbytes(20))
            return len(good_contacts(node)) / before, net.truth.recall(report, without=node)

    kept, recall = simulate(main, fastdht_seed)
    assert kept >= 0.8
    assert recall == 1.0


def test_node_when_started_without_a_network_then_joins_when_it_comes(fastdht_seed: int) -> None:
    async def main() -> float:
        async with Testnet(20, join_limit_s=600) as net:      # longer than what is asked below
            net.network.names["router.test"] = [net.nodes[0].endpoints[0].ip]
            net.network.off()
            late = asyncio.ensure_future(net.add(bootstrap=["router.test:6881"]))
            await asyncio.sleep(200)
            assert not late.done()
            net.network.on()
            came = net.loop.time()
            await late
            return net.loop.time() - came

    assert simulate(main, fastdht_seed) <= 300 * 1.25      # the longest back-off, and its jitter


def test_lookups_when_two_halves_were_cut_apart_and_healed_then_one_network_again(fastdht_seed: int) -> None:
    async def main() -> tuple[float, float]:
        async with Testnet(60) as net:
            left = [node.endpoints[0] for node in net.nodes[:30]]
            cut = net.network.partition(left)
            await asyncio.sleep(1800)
            apart = (await measure_lookups(net, 40)).recall
            cut.heal()
            await asyncio.sleep(1800)
            return apart, (await measure_lookups(net, 40)).recall

    apart, healed = simulate(main, fastdht_seed)
    assert apart < 0.8         # the cut was real
    assert healed >= 0.97


def test_node_when_all_machines_slept_eight_hours_then_answers_within_five_seconds(fastdht_seed: int) -> None:
    async def main() -> tuple[list[float], list[bool]]:
        async with Testnet(50) as net:
            await asyncio.sleep(600)
            before = [{contact.endpoint for contact in node.contacts()} for node in net.nodes]
            net.loop.clock.advance(8 * HOUR_US)
            reports = await asyncio.gather(*(
                asyncio.wait_for(ready(node.find_node(node.id)), 5) for node in net.nodes), return_exceptions=True)
            await asyncio.sleep(60)
            kept = [len({contact.endpoint for contact in node.contacts()} & known) / len(known)
                    for node, known in zip(net.nodes, before, strict=True)]
            return kept, [not isinstance(report, BaseException) for report in reports]

    kept, answered = simulate(main, fastdht_seed)
    assert all(answered)
    assert fmean(kept) >= 0.95


async def ready(lookup: object) -> object:
    return await lookup


def test_node_when_a_thousand_targets_refuse_then_still_answers_and_keeps_its_table(fastdht_seed: int) -> None:
    async def main() -> tuple[int, float]:
        async with Testnet(20, icmp=True) as net:
            node = net.nodes[0]
            before = {contact.endpoint for contact in node.contacts()}
            refused = node.counters()["socket"]["errors_in"]
            closed = [builders.endpoint(5000 + number) for number in range(CLOSED_PORTS)]
            results = []
            for start in range(0, CLOSED_PORTS, AT_ONCE):
                results += await asyncio.gather(*(node.ping(place) for place in closed[start:start + AT_ONCE]),
                                                return_exceptions=True)
            assert all(isinstance(result, Exception) for result in results)
            await net.nodes[1].ping(node.endpoints[0])
            report = await node.find_node(net.rng.randbytes(20))
            assert {contact.endpoint for contact in node.contacts()} >= before
            return node.counters()["socket"]["errors_in"] - refused, net.truth.recall(report, without=node)

    refusals, recall = simulate(main, fastdht_seed)
    assert refusals == CLOSED_PORTS
    assert recall == 1.0


def test_nodes_when_started_and_stopped_a_hundred_times_then_nothing_is_left_running(fastdht_seed: int) -> None:
    async def main() -> tuple[int, int]:
        async with Testnet(12) as net:
            await asyncio.sleep(60)     # joining has its own tasks
            tasks = len(asyncio.all_tasks())
            for _ in range(100):
                [node] = await net.add()
                await net.kill(nodes=[node])
            await asyncio.sleep(60)
            return len(asyncio.all_tasks()) - tasks, len(net.nodes)

    assert simulate(main, fastdht_seed) == (0, 12)
