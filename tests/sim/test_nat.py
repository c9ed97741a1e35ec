"""Nodes behind translators: what they can do, and what they must not do to the tables of others."""
from __future__ import annotations

import asyncio

import pytest

from fastdht._ext.ids import is_secure
from fastdht.testing import NatKind, Testnet
from fastdht.types import Endpoint
from tests.sim.sim_kit import simulate, usable_contacts

PORT = 51413


@pytest.mark.parametrize("kind", list(NatKind))
def test_node_when_behind_a_translator_then_looks_up_and_announces_its_external_address(fastdht_seed: int,
                                                                                     kind: NatKind) -> None:
    async def main() -> tuple[tuple[Endpoint, ...], str, float]:
        async with Testnet(40) as net:
            [hidden] = await net.add(nat=kind)
            await asyncio.sleep(120)
            external = Endpoint.unpack(net.hidden[hidden].external_ip + b"\0\1").ip
            info_hash = net.rng.randbytes(20)
            await hidden.announce_peer(info_hash, PORT)
            report = await hidden.find_node(net.rng.randbytes(20))
            return (await net.nodes[0].get_peers(info_hash)).values, external, net.truth.recall(report)

    values, external, recall = simulate(main, fastdht_seed)
    assert values == (Endpoint(external, PORT),)
    assert recall == 1.0


@pytest.mark.parametrize("kind", [NatKind.PORT_RESTRICTED, NatKind.SYMMETRIC])
def test_node_when_behind_a_translator_then_takes_an_id_that_fits_its_external_address(fastdht_seed: int,
                                                                                    kind: NatKind) -> None:
    async def main() -> tuple[bool, bool]:
        async with Testnet(40) as net:
            [hidden] = await net.add(nat=kind)
            external = net.hidden[hidden].external_ip + b"\0\1"
            before = is_secure(bytes(hidden.id), external)
            await asyncio.sleep(600)
            return before, is_secure(bytes(hidden.id), external)

    assert simulate(main, fastdht_seed) == (False, True)


@pytest.mark.slow
def test_tables_when_a_third_of_all_nodes_is_behind_translators_then_few_of_them_stay(fastdht_seed: int) -> None:
    async def main() -> float:
        async with Testnet(50) as net:
            await net.add(13, nat=NatKind.PORT_RESTRICTED)
            await net.add(12, nat=NatKind.SYMMETRIC)
            for _ in range(6):      # 30 virtual minutes; every translator forgets its mappings every five
                await asyncio.sleep(300)
                for nat in net.hidden.values():
                    nat.rebind()
            reachable = {node.endpoints[0].pack() for node in net.nodes if node not in net.hidden}
            entries = [place for node in net.nodes[:50] for place in usable_contacts(node)]
            return sum(place not in reachable for place in entries) / len(entries)

    assert simulate(main, fastdht_seed) <= 0.10
