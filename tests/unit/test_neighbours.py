"""Sorted lists without objects, and the closest of them: as a full sort has it."""
from __future__ import annotations

import random

import pytest

from fastdht.crawl.neighbours import CensusMap, HashList


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


def test_list_of_infohashes_is_in_order_and_without_doubles() -> None:
    rng = random.Random(4)
    hashes = [rng.randbytes(20) for _ in range(3000)]
    assert list(HashList(iter(hashes + hashes[::2]))) == sorted(hashes)
    assert len(HashList(hashes + hashes)) == 3000


@pytest.mark.parametrize(("count", "lanes"), [(0, 4), (1, 4), (3, 4), (4, 4), (10, 4), (1000, 7), (5, 1)])
def test_lanes_are_runs_of_neighbours_worked_on_in_turn(count: int, lanes: int) -> None:
    rng = random.Random(count)
    hashes = [rng.randbytes(20) for _ in range(count)]
    given = list(HashList(hashes).in_lanes(lanes))
    runs = [[each for lane, each in given if lane == number] for number in range(lanes)]
    assert [each for run in runs for each in run] == sorted(hashes)
    assert max(map(len, runs)) - min(map(len, runs)) <= 1
    for first in range(0, len(given) - lanes, lanes):
        assert len({lane for lane, _ in given[first:first + lanes]}) == lanes
