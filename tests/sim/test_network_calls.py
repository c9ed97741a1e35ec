"""Items, scrapes and samples on a network of our own nodes, against what was really done."""
from __future__ import annotations

import asyncio

import pytest

from fastdht import crypto
from fastdht.testing import Testnet, builders
from tests.sim.sim_kit import simulate

KEY = crypto.SigningKey.from_seed(bytes(range(32)))
NODES = 60
SEEDS, PEERS = 12, 20
TORRENTS = 30


@pytest.mark.parametrize("is_ipv6", [False, True], ids=["IPv4", "IPv6"])
def test_items_when_put_by_one_node_then_found_by_all_others_asked(fastdht_seed, is_ipv6):
    async def main():
        async with Testnet(NODES, seed=fastdht_seed, fill_tables=True, is_ipv6=is_ipv6) as net:
            writer = net.nodes[0]
            values = [net.rng.randbytes(50) for _ in range(20)]
            targets = [(await writer.put(value)).target for value in values]
            for turn in range(3):
                written = await writer.put_mutable(KEY, turn, salt=b"s")
            found = [await net.node().get(target) for target in targets]
            newest = [await net.node().get_mutable(KEY.public_key, salt=b"s") for _ in range(10)]
            return values, found, written, newest

    values, found, written, newest = simulate(main, fastdht_seed)
    assert [item.value for item in found] == values
    assert {(item.seq, item.value) for item in newest} == {(3, 2)}
    assert written.accepted == 8


def test_scrape_when_peers_have_announced_then_the_intervals_hold_the_truth(fastdht_seed):
    info_hash = builders.info_hash(1)

    async def main():
        async with Testnet(NODES, seed=fastdht_seed, fill_tables=True) as net:
            await asyncio.gather(*(
                node.announce_peer(info_hash, 5000, seed=number < SEEDS)
                for number, node in enumerate(net.rng.sample(net.nodes[1:], SEEDS + PEERS))))
            swarm = await net.nodes[0].scrape(info_hash)
            unknown = await net.nodes[0].scrape(builders.info_hash(2))
            return swarm, unknown

    swarm, unknown = simulate(main, fastdht_seed)
    assert swarm.seeds.low <= SEEDS <= swarm.seeds.high <= SEEDS + 3
    assert swarm.peers.low <= PEERS <= swarm.peers.high <= PEERS + 3
    assert (unknown.seeds.estimate, unknown.peers.estimate) == (0, 0)
    assert unknown.answered >= 8


def test_samples_when_the_key_space_is_walked_then_every_announced_torrent_is_met(fastdht_seed):
    announced = {builders.info_hash(number) for number in range(TORRENTS)}

    async def main():
        async with Testnet(NODES, seed=fastdht_seed, fill_tables=True) as net:
            for info_hash in announced:
                await net.nodes[1].announce_peer(info_hash, 5000)
            met = set()
            for number in range(16):        # a lookup in each sixteenth of the key space
                samples = await net.nodes[0].sample_infohashes(bytes([number << 4]) + bytes(19))
                met |= set(samples.info_hashes)
            return met

    assert simulate(main, fastdht_seed) == announced
