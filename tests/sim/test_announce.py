"""What one node announces another finds, on good networks and bad ones."""
from __future__ import annotations

import asyncio

import pytest

from fastdht.errors import DHTError, LookupFailed
from fastdht.testing import Testnet, latency
from fastdht.types import Endpoint
from tests.sim.sim_kit import simulate

ANNOUNCES = 100
AT_ONCE = 10
PORT = 51413
# Loss of each direction, and the least share found. At 0.3 half of all exchanges fail, and queries are not repeated.
LOSSES = [(0.0, 1.0), (0.1, 0.98), (0.3, 0.88)]


async def announce_and_find(net: Testnet, gate: asyncio.Semaphore) -> bool:
    """One node announces, another looks: whether it finds exactly that peer."""
    announcer, seeker = net.rng.sample(net.nodes, 2)
    info_hash = net.rng.randbytes(20)
    async with gate:
        try:
            await announcer.announce_peer(info_hash, PORT)
            report = await seeker.get_peers(info_hash)
        except DHTError:
            return False
    return report.values == (Endpoint(announcer.endpoints[0].ip, PORT),)


async def found_share(net: Testnet, count: int = ANNOUNCES) -> float:
    gate = asyncio.Semaphore(AT_ONCE)
    found = await asyncio.gather(*(announce_and_find(net, gate) for _ in range(count)))
    return sum(found) / count


@pytest.mark.parametrize(("loss", "share"), LOSSES)
def test_peers_when_datagrams_are_lost_late_doubled_and_reordered_then_found(fastdht_seed: int, loss: float,
                                                                          share: float) -> None:
    async def main() -> float:
        async with Testnet(150, fill_tables=True, latency=latency.uniform(10, 200), duplicate=0.02, reorder=0.1) as net:
            net.network.loss = loss
            return await found_share(net)

    assert simulate(main, fastdht_seed) >= share


def test_peers_when_nodes_joined_by_themselves_then_found(fastdht_seed: int) -> None:
    async def main() -> float:
        async with Testnet(50) as net:
            return await found_share(net, 50)

    assert simulate(main, fastdht_seed) == 1.0


def test_peers_when_ipv6_then_found(fastdht_seed: int) -> None:
    async def main() -> float:
        async with Testnet(30, is_ipv6=True) as net:
            return await found_share(net, 30)

    assert simulate(main, fastdht_seed) == 1.0


def test_peers_when_the_announcer_is_gone_then_still_found_until_they_expire(fastdht_seed: int) -> None:
    async def main() -> tuple[int, int, int]:
        async with Testnet(30) as net:
            announcer, seeker = net.nodes[3], net.nodes[7]
            info_hash = net.rng.randbytes(20)
            await announcer.announce_peer(info_hash, PORT)
            await net.kill(nodes=[announcer])
            counts = []
            for minutes in (0, 40, 10):     # BEP 5 leaves the lifetime open; ours is 45 minutes
                await asyncio.sleep(minutes * 60)
                counts.append(len((await seeker.get_peers(info_hash)).values))
            return tuple(counts)

    assert simulate(main, fastdht_seed) == (1, 1, 0)


def test_peers_when_twenty_announce_then_all_are_found(fastdht_seed: int) -> None:
    async def main() -> tuple[set[Endpoint], set[Endpoint]]:
        async with Testnet(60) as net:
            info_hash = net.rng.randbytes(20)
            announcers = net.rng.sample(net.nodes[:-1], 20)
            for announcer in announcers:
                await announcer.announce_peer(info_hash, PORT)
            found = {peer async for peer in net.nodes[-1].get_peers(info_hash)}
            return found, {Endpoint(announcer.endpoints[0].ip, PORT) for announcer in announcers}

    found, expected = simulate(main, fastdht_seed)
    assert found == expected


def test_lookup_when_the_asker_is_cut_off_then_fails_in_bounded_time(fastdht_seed: int) -> None:
    async def main() -> float:
        async with Testnet(30) as net:
            node = net.nodes[5]
            net.network.down(node.endpoints[0])
            before = net.loop.time()
            with pytest.raises(LookupFailed):
                await node.get_peers(net.rng.randbytes(20))
            return net.loop.time() - before

    assert simulate(main, fastdht_seed) <= 60
