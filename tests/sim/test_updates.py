"""Torrents that a key names (BEP 46), and DNS records under a key (pkarr), on a simulated network."""
from __future__ import annotations

import asyncio

import pytest

from fastdht import pkarr
from fastdht.crypto import SigningKey
from fastdht.errors import ConfigError, LocalProtocolError
from fastdht.links import Magnet
from fastdht.node import Node
from fastdht.ops.updates import TorrentUpdate
from fastdht.testing import Testnet
from tests.sim.keep_kit import Population
from tests.sim.sim_kit import simulate

FIRST, SECOND, THIRD = (bytes([number]) * 20 for number in (1, 2, 3))


async def collect(node: Node, key: SigningKey, count: int, **options: object) -> list[TorrentUpdate]:
    found = []
    async for update in node.follow(key.public_key, **options):
        found.append(update)
        if len(found) == count:
            break
    return found


def test_follow_when_published_three_times_then_each_in_order(fastdht_seed: int) -> None:
    async def main() -> list[TorrentUpdate]:
        async with Testnet(30) as net:
            key = SigningKey.generate()
            publisher, follower = net.nodes[3], net.nodes[20]
            following = asyncio.create_task(collect(follower, key, 3, salt=b"n", every=60.0))
            for info_hash in (FIRST, SECOND, THIRD):
                await asyncio.sleep(200)
                await publisher.publish(key, info_hash, salt=b"n")
            return await following

    updates = simulate(main, fastdht_seed)
    assert [update.info_hash for update in updates] == [FIRST, SECOND, THIRD]
    assert [update.seq for update in updates] == [1, 2, 3]
    assert updates[0].item.raw == b"d2:ih20:" + FIRST + b"e"        # BEP 46


def test_follow_when_the_item_names_no_torrent_then_passed_over(fastdht_seed: int) -> None:
    async def main() -> list[TorrentUpdate]:
        async with Testnet(30) as net:
            key = SigningKey.generate()
            following = asyncio.create_task(collect(net.nodes[20], key, 1, seq=1, every=60.0))
            for value in ({b"ih": SECOND}, {b"ih": b"short"}, [1], b"text", {b"ih": THIRD, b"more": 1}):
                await net.nodes[3].put_mutable(key, value)
                await asyncio.sleep(200)
            return await following

    updates = simulate(main, fastdht_seed)
    assert [(update.info_hash, update.seq) for update in updates] == [(THIRD, 5)]


@pytest.mark.parametrize(("republish", "fewest", "most"), [(True, 7, 40), (False, 0, 0)])
def test_follow_when_the_publisher_is_gone_then_followers_keep_the_item(fastdht_seed: int, republish: bool, fewest: int,
                                                                       most: int) -> None:
    async def main() -> tuple[int, int]:
        async with Population(40, fastdht_seed) as net:
            net.live(replaces=False)
            key = SigningKey.generate()
            publisher, follower = net.rng.sample(net.nodes, 2)
            target = (await publisher.publish(key, FIRST)).target
            following = asyncio.create_task(collect(follower, key, 2, every=600.0, republish=republish))
            await asyncio.sleep(60)
            holders = {copy.contact.id for copy in (await follower.find_item(target)).copies}
            await net.kill([publisher, *(node for node in net.nodes if node.id in holders and node is not follower)][:5])
            await asyncio.sleep(7 * 3600)           # nodes keep an item for two hours
            copies = len((await follower.find_item(target)).copies)
            following.cancel()
            return len(holders), copies

    before, after = simulate(main, fastdht_seed)
    assert before >= 7
    assert fewest <= after <= most


def test_follow_when_arguments_are_wrong_then_refused(fastdht_seed: int) -> None:
    async def main() -> None:
        async with Testnet(2) as net:
            for options in ({"every": 1.0}, {"salt": bytes(65)}, {"seq": -2}):
                with pytest.raises((ConfigError, LocalProtocolError)):
                    await collect(net.nodes[0], SigningKey.generate(), 1, **options)

    simulate(main, fastdht_seed)


def test_publish_when_linked_then_the_link_finds_it(fastdht_seed: int) -> None:
    async def main() -> bool:
        async with Testnet(20) as net:
            key = SigningKey.generate()
            await net.nodes[3].publish(key, FIRST, salt=b"s")
            link = Magnet.parse(str(Magnet(public_key=key.public_key, salt=b"s")))
            assert link.public_key is not None
            async for update in net.nodes[9].follow(link.public_key, salt=link.salt):
                return update.info_hash == FIRST
            return False

    assert simulate(main, fastdht_seed)


def test_resolve_when_records_were_published_then_the_newest(fastdht_seed: int) -> None:
    rrset = pytest.importorskip("dns.rrset")

    async def main() -> list[str]:
        async with Testnet(20) as net:
            key = SigningKey.generate()
            for number in (1, 2):
                await pkarr.publish(net.nodes[number], key, [rrset.from_text("www", 60, "IN", "A", f"192.0.2.{number}")],
                                    timestamp=number)
            packet = await pkarr.resolve(net.nodes[9], f"pk:{pkarr.encode_key(key.public_key)}", timestamp=2)
            return [str(record[0]) for record in packet.records("www")]

    assert simulate(main, fastdht_seed) == ["192.0.2.2"]
