"""Learning our own address from others, a share of whom lie (BEP 42)."""
from __future__ import annotations

import asyncio


from fastdht._ext.ids import is_secure
from fastdht.testing import Nat, NatKind, Testnet, builders, liars
from fastdht.types import Endpoint
from tests.sim.sim_kit import simulate

FALSE = Endpoint("11.66.66.66", 6666)
INSIDE = Endpoint("192.168.1.2", 6881)
NEIGHBOURS = 60


def surround(net: Testnet, share: float) -> list[str]:
    """Neighbours that answer well, a share of whom tell every asker the same false address; some to start from."""
    everybody = builders.contacts(NEIGHBOURS, net.seed, first=1000)
    lying = round(share * NEIGHBOURS)
    for number, neighbour in enumerate(everybody):
        behaviour = (liars.votes(neighbour.id, FALSE, everybody) if number < lying
                     else liars.honest(neighbour.id, everybody))
        net.network.act(neighbour.endpoint, behaviour)
    return [str(neighbour.endpoint) for neighbour in net.rng.sample(everybody, 8)]


def watch_ids(seed: int, share: float, hours: int) -> tuple[list[bytes], bytes]:
    """The ids of a node behind a translator, checked every minute, and its external address."""

    async def main() -> tuple[list[bytes], bytes]:
        async with Testnet(0) as net:
            [node] = await net.add(nat=NatKind.FULL_CONE, bootstrap=surround(net, share))
            seen = [bytes(node.id)]
            for _ in range(hours * 60):
                await asyncio.sleep(60)
                if node.id != seen[-1]:
                    seen.append(bytes(node.id))
            return seen, net.hidden[node].external_ip

    return simulate(main, seed, limit_s=100 * 3600)


def test_id_when_nobody_lies_then_changes_once_to_fit(fastdht_seed: int) -> None:
    seen, external = watch_ids(fastdht_seed, 0.0, 2)
    assert [is_secure(own_id, external + b"\0\1") for own_id in seen] == [False, True]


def test_id_when_three_of_ten_lie_then_never_false_in_a_day(fastdht_seed: int) -> None:
    seen, external = watch_ids(fastdht_seed, 0.3, 24)
    assert [is_secure(own_id, external + b"\0\1") for own_id in seen] == [False, True]
    assert not any(is_secure(own_id, FALSE.pack()) for own_id in seen)


def test_id_when_the_external_address_really_changes_then_follows(fastdht_seed: int) -> None:
    async def main() -> list[bool]:
        async with Testnet(0) as net:
            first, second = builders.endpoint(7).pack()[:-2], builders.endpoint(8).pack()[:-2]
            nat = Nat(NatKind.FULL_CONE, first)
            [node] = await net.add(bootstrap=surround(net, 0.0), transport=lambda _: net.network.open(INSIDE, nat))
            await asyncio.sleep(1800)
            fits = [is_secure(bytes(node.id), first + b"\0\1")]
            net.network.move(nat, second)
            for _ in range(4):
                await asyncio.sleep(900)
            return [*fits, is_secure(bytes(node.id), second + b"\0\1")]

    assert simulate(main, fastdht_seed) == [True, True]
