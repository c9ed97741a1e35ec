"""What a handle of something kept alive does when the network or others change."""
from __future__ import annotations

import asyncio

import pytest

from fastdht.crypto import SigningKey
from fastdht.errors import LocalProtocolError
from fastdht.items import make_item, sign_item
from fastdht.testing import Testnet
from fastdht.types import Item
from tests.sim.keep_kit import Population
from tests.sim.sim_kit import simulate

PORT = 51413


def test_kept_item_when_a_newer_one_appears_then_stops_and_says_so(fastdht_seed: int) -> None:
    async def main() -> tuple[Item | None, bool, int]:
        async with Population(30, fastdht_seed) as net:
            key = SigningKey.generate()
            async with net.node().keep_published(sign_item(key, b"old", seq=1)) as kept:
                assert not kept.is_superseded and kept.copies >= 7
                await net.node().put_mutable(key, b"new", seq=2)
                newer = await asyncio.wait_for(kept.ended(), 3600)
                writes = kept.writes
                await asyncio.sleep(3 * 3600)
                return newer, kept.is_superseded, kept.writes - writes

    newer, is_superseded, later_writes = simulate(main, fastdht_seed)
    assert newer is not None and (newer.value, newer.seq) == (b"new", 2)
    assert is_superseded
    assert later_writes == 0


def test_kept_item_when_most_holders_die_then_repaired_at_the_next_probe(fastdht_seed: int) -> None:
    async def main() -> tuple[int, int, int]:
        async with Population(40, fastdht_seed) as net:
            item = make_item(b"value")
            keeper = net.node()
            async with keeper.keep_published(item) as kept:
                holders = {copy.contact.id for copy in (await keeper.find_item(item.target)).copies}
                await net.kill([node for node in net.nodes if node.id in holders and node is not keeper][:8])
                await asyncio.sleep(50 * 60)        # the probe is 45 minutes after the first round, a tenth more or less
                return kept.probes, kept.full_rounds, len((await net.node().find_item(item.target)).copies)

    probes, full_rounds, copies = simulate(main, fastdht_seed)
    assert (probes, full_rounds) == (1, 2)
    assert copies >= 7


def test_kept_announce_when_nothing_changes_then_probes_find_it_and_lookups_stay_few(fastdht_seed: int) -> None:
    async def main() -> tuple[int, int, int]:
        async with Population(30, fastdht_seed) as net:
            async with net.node().keep_announced(bytes(range(20)), PORT) as kept:
                await asyncio.sleep(3600)
                return kept.probes, kept.full_rounds, kept.copies

    probes, full_rounds, copies = simulate(main, fastdht_seed)
    assert probes in (2, 3) and full_rounds in (2, 3)
    assert copies >= 7


def test_kept_announce_when_the_network_fails_then_says_why_and_recovers(fastdht_seed: int) -> None:
    async def main() -> tuple[str | None, str | None, int]:
        async with Population(30, fastdht_seed) as net:
            node = net.node()
            net.network.down(node.endpoints[0])
            async with node.keep_announced(bytes(range(20)), PORT) as kept:
                first = kept.error
                net.network.up(node.endpoints[0])
                await asyncio.sleep(600)
                return first, kept.error, kept.copies

    first, last, copies = simulate(main, fastdht_seed)
    assert first is not None and "no node answered" in first
    assert last is None
    assert copies >= 7


def test_kept_when_left_or_closed_then_traffic_ends(fastdht_seed: int) -> None:
    async def main() -> tuple[int, str | None]:
        async with Population(20, fastdht_seed) as net:
            node = net.node()
            async with node.keep_announced(bytes(range(20)), PORT) as kept:
                pass
            rounds = kept.full_rounds + kept.probes
            await asyncio.sleep(2 * 3600)
            other = node.keep_published(make_item(b"x"))
            async with other:
                await net.kill([node])
                await asyncio.sleep(2 * 3600)
            return kept.full_rounds + kept.probes - rounds, other.error

    more, error = simulate(main, fastdht_seed)
    assert more == 0
    assert error is not None


def test_keep_when_arguments_are_wrong_then_refused_at_once(fastdht_seed: int) -> None:
    async def main() -> None:
        async with Testnet(2) as net:
            with pytest.raises(LocalProtocolError, match="port is 0"):
                net.nodes[0].keep_announced(bytes(20), 0)

    simulate(main, fastdht_seed)
