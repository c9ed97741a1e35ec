"""Swarms counted from several nodes' filters: how often the bounds hold, and what liars can do."""
from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from fastdht._ext.filters import Filter, estimate_zeros
from fastdht._ext.filters_votes import Votes, estimate_votes

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "dht.json").read_text())["bep33"]["vector"]
FULL = b"\xff" * 256
LARGEST = 5000
TRIALS = 200

Shares = Callable[[Random], Sequence[float]]


def seven(rng: Random) -> list[float]:
    """What share of a swarm each of seven nodes knows: as the virtual network has it."""
    return [rng.uniform(0.6, 1) for _ in range(7)]


def three(rng: Random) -> list[float]:
    return seven(rng)[:3]


def filters_of(count: int, shares: Sequence[float], rng: Random) -> list[bytes]:
    filters = [Filter() for _ in shares]
    for _ in range(count):
        address = rng.randbytes(4)
        for each, share in zip(filters, shares, strict=True):
            if rng.random() < share:
                each.add(address)
    return [bytes(each) for each in filters]


def draw_count(rng: Random) -> int:
    return int(math.exp(rng.random() * math.log(LARGEST + 1)))


def count_held(shares: Shares, rng: Random, lie: Callable[[Random], bytes] | None = None) -> int:
    held = 0
    for _ in range(TRIALS):
        count = draw_count(rng)
        filters = filters_of(count, shares(rng), rng)
        if lie is not None:
            filters.insert(rng.randrange(len(filters) + 1), lie(rng))
        estimate = estimate_votes(filters)
        assert estimate.low <= math.ceil(estimate.count) and math.floor(estimate.count) <= estimate.high
        held += estimate.low <= count <= estimate.high
    return held


@pytest.mark.parametrize("shares", [seven, three])
def test_bounds_hold_the_truth_as_often_as_they_say(shares: Shares, seed: int) -> None:
    assert count_held(shares, Random(seed)) >= 0.93 * TRIALS - 8     # a deviation of 3.1: two and a half below 93 %


def test_bounds_are_no_wider_than_the_bits_allow(seed: int) -> None:
    """With everything known to all eight nodes only the bits are uncertain."""
    rng = Random(seed)
    for count in (100, 1000, 5000):
        one = filters_of(count, [1.0], rng)[0]
        alone, together = estimate_zeros(zeros_of(one)), estimate_votes([one] * 8)
        assert together.count == pytest.approx(alone.count, rel=1e-6)
        assert together.high - together.low <= 1.1 * (alone.high - alone.low) + 2


def zeros_of(data: bytes) -> int:
    return 2048 - int.from_bytes(data, "big").bit_count()


def random_bits(rng: Random) -> bytes:
    return bytes(rng.randrange(256) for _ in range(256))


@pytest.mark.parametrize("lie", [lambda rng: FULL, lambda rng: b"\xfe" + FULL[1:], random_bits, lambda rng: bytes(256)],
                         ids=["full", "all but a bit", "random", "empty"])
def test_one_liar_among_seven_changes_nothing(lie: Callable[[Random], bytes], seed: int) -> None:
    assert count_held(seven, Random(seed), lie) >= 0.93 * TRIALS - 8


def test_full_filters_are_left_out_while_they_are_fewer_than_half(seed: int) -> None:
    honest = filters_of(300, [0.9] * 5, Random(seed))
    alone = estimate_votes(honest)
    assert alone.count == pytest.approx(300, rel=0.12)      # a deviation of 2 %
    for liars in range(1, 5):
        assert estimate_votes(honest + [FULL] * liars) == alone
    assert estimate_votes(honest + [FULL] * 5).is_saturated


def test_swarm_beyond_what_filters_hold_is_saturated(seed: int) -> None:
    estimate = estimate_votes(filters_of(40_000, [0.9] * 8, Random(seed)))
    assert estimate.is_saturated and estimate.high == math.inf and estimate.low > 5000


def test_what_nodes_know_little_of_is_extrapolated_with_wide_bounds(seed: int) -> None:
    """Eight nodes that store 500 of 2,000 each: two or more know a third, all together nine in ten."""
    held = sum(estimate.low <= 2000 <= estimate.high for estimate in
               (estimate_votes(filters_of(2000, [0.25] * 8, rng)) for rng in [Random(seed + i) for i in range(40)]))
    assert held >= 33       # 95 % of 40, with a deviation of 1.4: three and a half below


def test_nodes_that_share_nothing_count_as_their_middle_at_least(seed: int) -> None:
    rng = Random(seed)
    parts = [filters_of(40, [1.0], rng)[0] for _ in range(3)]
    estimate = estimate_votes(parts)
    assert estimate.count >= 35 and estimate.high >= 40


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_filters_are_united(count: int, seed: int) -> None:
    rng = Random(seed)
    filters = [filters_of(100, [1.0], rng)[0] for _ in range(count)]
    united = Filter()
    for each in filters:
        united = united.union(Filter(each))
    assert estimate_votes(filters) == united.estimate()


def test_vector_of_bep_33_is_estimated_as_the_bep_has_it() -> None:
    data = bytes.fromhex(VECTOR["filter_hex"])
    for count in (1, 8):
        assert estimate_votes([data] * count).count == pytest.approx(VECTOR["estimate_bep"], abs=1e-2)


def test_filter_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="a filter is 255 bytes; 256 needed"):
        estimate_votes([bytes(255)])


def test_names_count_as_peers_until_two_nodes_sent_filters() -> None:
    votes = Votes()
    votes.add(None, None, [bytes([10, 0, 0, i, 0, 9]) for i in range(20)])
    assert votes.peers().low <= 20 <= votes.peers().high and votes.seeds().count == 0
    seeds = filters_of(50, [1.0], Random(1))[0]
    votes.add(seeds, None)
    assert votes.peers().count > 15
    votes.add(seeds, None)
    assert (votes.count, votes.peers().count) == (2, 0)
    assert votes.seeds().low <= 50 <= votes.seeds().high
