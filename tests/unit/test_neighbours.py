"""Sorted lists without objects, and the closest of them: as a full sort has it."""
from __future__ import annotations

import random

import pytest

from fastdht.crawl.neighbours import CensusMap, HashList, NodeCache


def draw_nodes(seed: int, count: int) -> list[tuple[bytes, bytes]]:
    """Some of them crowded below one prefix, as ids of neighbours that were met are."""
    rng = random.Random(seed)
    return [((b"\x77" * rng.choice([0, 1, 3]) + rng.randbytes(20))[:20], rng.randbytes(6)) for _ in range(count)]


def draw_targets(seed: int) -> list[bytes]:
    rng = random.Random(seed + 100)
    return [(b"\x77" * rng.choice([0, 1, 3]) + rng.randbytes(20))[:20] for _ in range(200)]


def ranked(nodes: list[tuple[bytes, bytes]], target: bytes) -> list[bytes]:
    number = int.from_bytes(target, "big")
    return [endpoint for node_id, endpoint in sorted(nodes, key=lambda node: int.from_bytes(node[0], "big") ^ number)]


@pytest.mark.parametrize("seed", range(5))
def test_closest_of_the_cache_are_those_of_a_full_sort(seed: int) -> None:
    nodes = draw_nodes(seed, 700)
    cache = NodeCache(1000)
    for node_id, endpoint in nodes:
        cache.add(node_id, endpoint)
    for target in draw_targets(seed):
        assert cache.closest(target, 10) == ranked(nodes, target)[:10]


@pytest.mark.parametrize("seed", range(5))
def test_closest_of_a_census_are_those_of_a_full_sort(seed: int) -> None:
    nodes = draw_nodes(seed, 700)
    known = CensusMap(iter(nodes))
    assert len(known) == 700
    for target in draw_targets(seed):
        assert known.closest(target, 12) == ranked(nodes, target)[:12]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_closest_of_few_are_all_of_them(count: int) -> None:
    nodes = draw_nodes(9, count)
    assert CensusMap(nodes).closest(bytes(20), 12) == ranked(nodes, bytes(20))


def test_id_claimed_at_many_addresses_fills_one_place() -> None:
    nodes = draw_nodes(3, 50)
    liars = [(b"\x11" * 20, number.to_bytes(6, "big")) for number in range(1000)]
    closest = CensusMap(nodes + liars).closest(b"\x11" * 20, 8)
    assert closest == [liars[0][1], *ranked(nodes, b"\x11" * 20)[:7]]


def test_node_of_the_other_family_is_left_out() -> None:
    known = CensusMap([(b"\x01" * 20, bytes(18)), (b"\x02" * 20, bytes(6))])
    assert known.closest(bytes(20), 8) == [bytes(6)]
    assert len(CensusMap([(b"\x01" * 20, bytes(18))], 18)) == 1


def test_cache_forgets_what_is_farthest_from_the_newest() -> None:
    cache = NodeCache(50)
    for number in range(200):
        cache.add(bytes([number]) + bytes(19), number.to_bytes(6, "big"))
    assert len(cache) == 50
    assert cache.closest(bytes([199]) + bytes(19), 1) == [(199).to_bytes(6, "big")]


def test_list_of_infohashes_is_in_order_and_without_doubles() -> None:
    rng = random.Random(4)
    hashes = [rng.randbytes(20) for _ in range(3000)]
    assert list(HashList(iter(hashes + hashes[::2]))) == sorted(hashes)
    assert len(HashList(hashes)) == 3000
