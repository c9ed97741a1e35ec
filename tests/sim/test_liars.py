"""Lookups among remote ends that answer falsely."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from statistics import fmean

import pytest

from fastdht.testing import Testnet, builders, liars
from fastdht.testing.network import Behaviour
from fastdht.testing.testnet import choose_table
from fastdht.types import Contact, Endpoint, NodeId
from tests.sim.sim_kit import simulate

HONEST = 80
LYING = 20
LOOKUPS = 30
BOGUS = [Contact(NodeId(bytes([number]) * 20), Endpoint(ip, port)) for number, (ip, port) in enumerate([
    ("0.1.2.3", 6881), ("10.1.2.3", 6881), ("127.0.0.1", 6881), ("192.168.7.7", 6881), ("224.0.0.1", 6881),
    ("255.255.255.255", 6881), ("169.254.1.1", 6881), ("11.250.1.1", 0)])]

KINDS: dict[str, Callable[[Contact, list[Contact]], Behaviour]] = {
    "wrong id": lambda liar, table: liars.wrong_id(1, table),
    "mirrors id": lambda liar, table: liars.mirrors_id(table),
    "next to target": lambda liar, table: liars.next_to_target(),
    "wrong tid": lambda liar, table: liars.wrong_tid(liar.id, table),
    "bogus nodes": lambda liar, table: liars.names_only(liar.id, BOGUS),
    "garbage": lambda liar, table: liars.garbage(1),
    "reflects": lambda liar, table: liars.reflects(),
    "repeats": lambda liar, table: liars.repeats(liars.honest(liar.id, table), 3),
    "silent": lambda liar, table: liars.silent(),
}

MEMBERS = {"bogus nodes", "repeats"}      # they lie about others, but are who and where they say: they are found too


async def look_among(net: Testnet, kind: str) -> tuple[list[float], list[int]]:
    """One real node among behaviours with honest and lying ones in their tables: recall of each lookup, and queries."""
    population = builders.contacts(HONEST + LYING, net.seed, first=1000)
    honest, lying = population[:HONEST], population[HONEST:]
    by_id = sorted(population, key=lambda contact: contact.id)
    for contact in population:
        table = choose_table(contact, by_id, net.rng)
        behaviour = KINDS[kind](contact, table) if contact in lying else liars.honest(contact.id, table)
        net.network.act(contact.endpoint, behaviour)
    [node] = await net.add(bootstrap=[str(contact.endpoint) for contact in honest[:4]])
    await asyncio.sleep(30)
    findable = population if kind in MEMBERS else honest
    recalls, queries = [], []
    for _ in range(LOOKUPS):
        report = await node.find_node(net.rng.randbytes(20))
        expected = {contact.id for contact in builders.closest(findable, report.target, 8)}
        recalls.append(len(expected & {found.contact.id for found in report.closest}) / 8)
        queries.append(report.queries)
    return recalls, queries


@pytest.mark.parametrize("kind", KINDS)
def test_lookups_when_a_fifth_lies_then_the_honest_are_found_and_nobody_else_is_asked(fastdht_seed: int,
                                                                                   kind: str) -> None:
    async def main() -> tuple[list[float], list[int]]:
        async with Testnet(0) as net:
            trace = net.network.capture()
            results = await look_among(net, kind)
            bogus = {contact.endpoint for contact in BOGUS}
            assert not [packet.target for packet in trace if packet.target in bogus]
            return results

    recalls, queries = simulate(main, fastdht_seed)
    assert fmean(recalls) >= 0.93      # a silent or lying fifth is a fifth of dead contacts, in a table of forty
    assert max(queries) <= 100


def test_liars_when_they_claim_ids_not_their_own_then_never_in_the_closest_set(fastdht_seed: int) -> None:
    async def main() -> set[Endpoint]:
        async with Testnet(0) as net:
            await look_among(net, "mirrors id")
            report = await net.nodes[0].find_node(net.nodes[0].id)
            return {found.contact.endpoint for found in report.closest}

    lying = {contact.endpoint for contact in builders.contacts(LYING, first=1000 + HONEST)}
    assert not simulate(main, fastdht_seed) & lying
