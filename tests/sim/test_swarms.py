"""Scrapes (BEP 33) and samples (BEP 51) against scripted nodes whose truth is known."""
from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import math

import pytest

from fastdht import ConfigError, Endpoint, LookupFailed
from fastdht.testing import builders
from tests.sim.sim_kit import simulate
from tests.sim.stage import stage

INFO_HASH = bytes(range(20))
FULL = b"\xff" * 256


def filter_of(addresses) -> bytes:
    """BEP 33's filter, bit by bit as the text has it."""
    bits = bytearray(256)
    for address in addresses:
        digest = hashlib.sha1(ipaddress.ip_address(address).packed).digest()
        for low, high in ((0, 1), (2, 3)):
            index = (digest[low] | digest[high] << 8) % 2048
            bits[index // 8] |= 1 << index % 8
    return bytes(bits)


def addresses(first: int, count: int) -> list[str]:
    return [str(ipaddress.ip_address(0x0B000001 + first + number)) for number in range(count)]


def test_scrape_when_nodes_know_overlapping_parts_then_their_union_is_estimated(fastdht_seed):
    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            for number, each in enumerate(scripted):        # 50 seeds each, 25 of them shared with the next
                each.extra = {"seed_filter": filter_of(addresses(25 * number, 50)),
                              "peer_filter": filter_of(addresses(10_000, 30))}
            return await node.scrape(INFO_HASH)

    swarm = simulate(main, fastdht_seed)
    assert swarm.seeds.low <= 25 * 7 + 50 <= swarm.seeds.high
    assert swarm.peers.low <= 30 <= swarm.peers.high
    assert swarm.seeds.low <= swarm.seeds.estimate <= swarm.seeds.high
    assert (swarm.answered, len(swarm.answers), swarm.seeds.is_saturated) == (8, 8, False)
    assert all(each.seeds.low <= 50 <= each.seeds.high for each in swarm.answers)
    assert bytes(swarm.info_hash) == INFO_HASH


def test_scrape_when_the_filter_is_that_of_bep_33_then_its_estimate(fastdht_seed):
    inserted = ([f"192.0.2.{last}" for last in range(256)]
                + [str(ipaddress.ip_address("2001:db8::") + number) for number in range(1000)])

    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            scripted[3].extra = {"peer_filter": filter_of(inserted)}
            return await node.scrape(INFO_HASH)

    assert math.isclose(simulate(main, fastdht_seed).peers.estimate, 1224.9308, abs_tol=1e-3)      # as the BEP prints it


def test_scrape_when_a_node_knows_no_filters_then_the_peers_it_names_count(fastdht_seed):
    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            scripted[0].values = [Endpoint(ip, port) for ip in addresses(0, 10) for port in (1000, 2000)]
            scripted[1].values = [Endpoint(ip, 3000) for ip in addresses(5, 10)]
            scripted[2].values = [Endpoint(ip, 4000) for ip in addresses(500, 20)]
            scripted[2].extra = {"seed_filter": filter_of(addresses(500, 20)), "peer_filter": filter_of([])}
            return await node.scrape(INFO_HASH), [each.contact for each in scripted[:3]]

    swarm, contacts = simulate(main, fastdht_seed)
    assert swarm.peers.low <= 15 <= swarm.peers.high            # 15 addresses, whatever their ports
    assert swarm.peers.high < 20
    assert swarm.seeds.low <= 20 <= swarm.seeds.high
    answers = {answer.contact: answer for answer in swarm.answers}
    assert (answers[contacts[0]].peers, answers[contacts[0]].values) == (None, 20)
    assert answers[contacts[2]].values == 20


def test_scrape_when_a_filter_is_full_then_saturated(fastdht_seed):
    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            scripted[0].extra = {"seed_filter": FULL}
            return await node.scrape(INFO_HASH)

    swarm = simulate(main, fastdht_seed)
    assert swarm.seeds.is_saturated
    assert swarm.seeds.high == math.inf
    assert 4000 < swarm.seeds.low <= 6471       # addresses that leave a zero bit with a chance of 97.5 %
    assert (swarm.peers.estimate, swarm.peers.high) == (0, 0)


def test_scrape_when_a_filter_has_another_size_then_it_does_not_count(fastdht_seed):
    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            scripted[0].extra = {"seed_filter": b"\xff" * 255}
            return await node.scrape(INFO_HASH)

    assert simulate(main, fastdht_seed).seeds.estimate == 0


def test_scrape_when_nobody_answers_then_lookup_failed(fastdht_seed):
    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.silences = lambda query: True
            with pytest.raises(LookupFailed):
                await node.scrape(INFO_HASH)
            return [swarm async for swarm in node.scrape_many([INFO_HASH])]

    [swarm] = simulate(main, fastdht_seed)
    assert (swarm.answered, swarm.answers, swarm.seeds.estimate) == (0, (), 0)


def test_scrape_many_when_more_than_fit_then_all_come_and_few_run_at_once(fastdht_seed):
    hashes = [builders.info_hash(number) for number in range(40)]

    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.extra = {"peer_filter": filter_of(addresses(0, 9))}
            most, found = 0, []
            async for swarm in node.scrape_many(iter(hashes), concurrency=100):     # SMALL has room for 8 lookups
                most = max(most, node.stats().lookups)
                found.append(swarm)
            return most, found

    most, found = simulate(main, fastdht_seed)
    assert sorted(swarm.info_hash for swarm in found) == sorted(hashes)
    assert all(swarm.peers.low <= 9 <= swarm.peers.high for swarm in found)
    assert most <= 4


def test_scrape_many_when_left_early_then_its_traffic_stops(fastdht_seed):
    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], _):
            swarms = node.scrape_many(map(builders.info_hash, range(10**6)), concurrency=4)
            await anext(swarms)
            await swarms.aclose()
            await asyncio.sleep(0.001)
            return node.stats().lookups

    assert simulate(main, fastdht_seed) == 0


def test_scrape_many_when_the_concurrency_is_none_then_refused(fastdht_seed):
    async def main():
        async with stage(1, seed=fastdht_seed) as ([node], _):
            with pytest.raises(ConfigError, match="concurrency is 0"):
                await anext(node.scrape_many([INFO_HASH], concurrency=0))

    simulate(main, fastdht_seed)


def samples_of(numbers) -> bytes:
    return b"".join(builders.info_hash(number) for number in numbers)


def test_sample_when_nodes_answer_as_bep_51_says_and_otherwise_then_read_leniently(fastdht_seed):
    extras = [
        {"samples": samples_of(range(3)), "num": 3, "interval": 300},
        {"samples": samples_of(range(2, 5)), "num": 10**6, "interval": 10**9},
        {"samples": samples_of(range(5, 8)) + b"ragged", "num": 3, "interval": 9},     # where does one begin?
        {"samples": b"", "num": 0, "interval": 21_600},
        {"samples": samples_of([9]), "num": -4, "interval": -1},
        {"samples": samples_of([9])},
        {},                                                     # a node without BEP 51
    ]

    async def main():
        async with stage(len(extras), seed=fastdht_seed) as ([node], scripted):
            for each, extra in zip(scripted, extras):
                each.extra = extra
            before = node._clock() / 1e6
            found = await node.sample_infohashes(INFO_HASH)
            return found, [each.contact for each in scripted], before, node._clock() / 1e6

    found, contacts, before, after = simulate(main, fastdht_seed)
    nodes = {each.contact: each for each in found.nodes}
    assert set(nodes) == set(contacts[:6])
    assert [nodes[contact].num for contact in contacts[:6]] == [3, 10**6, 3, 0, None, None]
    assert [nodes[contact].interval for contact in contacts[:6]] == [300, 21_600, 9, 21_600, 0, 0]
    assert nodes[contacts[1]].samples == tuple(builders.info_hash(number) for number in range(2, 5))
    assert nodes[contacts[2]].samples == ()
    assert set(found.info_hashes) == {builders.info_hash(number) for number in (0, 1, 2, 3, 4, 9)}
    assert len(found.info_hashes) == 6
    assert before + 300 <= nodes[contacts[0]].not_before <= after + 300
    assert found.lookup.responses == 7


def test_sample_when_one_node_is_named_then_only_it_is_asked(fastdht_seed):
    async def main():
        async with stage(4, seed=fastdht_seed) as ([node], scripted):
            scripted[2].extra = {"samples": samples_of([1]), "num": 1, "interval": 0}
            found = await node.sample_infohashes(INFO_HASH, to=[str(scripted[2].contact.endpoint)])
            return found.info_hashes, [len(each.asked("sample_infohashes")) for each in scripted]

    assert simulate(main, fastdht_seed) == ((builders.info_hash(1),), [0, 0, 1, 0])


def test_get_peers_when_not_scraping_then_no_flag_is_sent_and_no_answer_kept(fastdht_seed):
    async def main():
        async with stage(8, seed=fastdht_seed) as ([node], scripted):
            for each in scripted:
                each.values = [Endpoint("11.0.0.1", 1)]
                each.extra = {"peer_filter": FULL}
            lookup = node.get_peers(INFO_HASH)
            await lookup
            return hasattr(lookup.walk, "answers"), any("scrape" in query for each in scripted for query in each.queries)

    assert simulate(main, fastdht_seed) == (False, False)


def test_scrape_when_asked_then_the_flag_is_sent(fastdht_seed):
    async def main():
        async with stage(2, seed=fastdht_seed) as ([node], scripted):
            await node.scrape(INFO_HASH)
            return [query["scrape"] for each in scripted for query in each.asked("get_peers")]

    assert simulate(main, fastdht_seed) == [1, 1]
