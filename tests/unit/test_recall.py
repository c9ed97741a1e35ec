"""The estimate of a crawl's recall: mixtures whose unseen part is known, and the cases where nothing may be said."""
from __future__ import annotations

import random
from dataclasses import replace
from math import exp, lgamma, log

import pytest

from fastdht._ext import drive
from fastdht._ext.addresses import AddressFilter
from fastdht._ext.frontier import Frontier
from fastdht.crawl.recall import LEAST, Sightings, combined_fields, estimate_reachable, extrapolate, recall_fields
from fastdht.crawl.records import CrawlResult, combine

MOST = 64


def negative_binomial(shape: float, mean: float) -> list[float]:
    """Of Poisson counts whose means are gamma distributed: the share of each count."""
    p = mean / (mean + shape)
    return [exp(lgamma(r + shape) - lgamma(shape) - lgamma(r + 1) + shape * log(1 - p) + r * log(p))
            for r in range(MOST + 1)]


def simulate(nodes: int, shape: float, mean: float, chance: float, retry: float, seed: int) -> tuple[int, Sightings]:
    """A network where each node is named as its popularity says, and loss takes answers; some silent are retried."""
    rng = random.Random(seed)
    found, unfound, retried = ([0] * (MOST + 1) for _ in range(3))
    counts = rng.choices(range(MOST + 1), negative_binomial(shape, mean), k=nodes)
    for count in counts:
        if count == 0:
            continue
        is_retried = rng.random() < retry
        if rng.random() < chance or (is_retried and rng.random() < chance):
            found[count] += 1
    for count in counts:            # as many dead contacts as living nodes, named alike
        unfound[count] += 1
        retried[count] += rng.random() < retry
    answered = sum(rng.random() < chance for _ in range(nodes))
    return sum(found), Sightings(sum(found), found, unfound, retried, answered, nodes - answered)


@pytest.mark.parametrize(("shape", "mean", "error"), [(1.0, 6.0, 0.2), (2.0, 5.0, 0.1), (4.0, 5.0, 0.05)])
def test_extrapolation_of_a_gamma_mixture_comes_near_its_zero_class(shape: float, mean: float, error: float) -> None:
    shares = negative_binomial(shape, mean)
    assert extrapolate(shares) == pytest.approx(shares[0], rel=error)


def test_extrapolation_of_equal_nodes_is_exact() -> None:
    shares = [exp(-5 + r * log(5) - lgamma(r + 1)) for r in range(MOST + 1)]
    assert extrapolate(shares) == pytest.approx(shares[0], rel=1e-9)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(("chance", "retry"), [(1.0, 0.0), (0.98, 0.0), (0.9, 0.0), (0.9, 0.6)])
def test_estimate_of_a_simulated_crawl_is_within_half_a_point(chance: float, retry: float, seed: int) -> None:
    nodes = 60_000
    found, seen = simulate(nodes, 4.0, 6.0, chance, retry, seed)
    fields = recall_fields(found, [seen])
    assert fields["recall_estimate"] == pytest.approx(found / nodes, abs=0.005)
    assert fields["reachable_estimate"] >= found
    assert 0 <= fields["recall_low"] <= fields["recall_estimate"] <= fields["recall_high"] <= 1


def test_two_passes_are_held_against_the_mean_of_their_estimates() -> None:
    passes = [simulate(60_000, 4.0, 6.0, 0.98, 0.0, seed)[1] for seed in (4, 5)]
    each = [estimate.nodes for one in passes if (estimate := estimate_reachable(one)) is not None]
    fields = recall_fields(59_000, passes)
    assert fields["reachable_estimate"] == pytest.approx(sum(each) / 2, abs=0.1)
    assert fields["recall_estimate"] == pytest.approx(59_000 * 2 / sum(each), abs=1e-5)


def test_estimate_never_falls_below_the_found() -> None:
    _, seen = simulate(60_000, 4.0, 6.0, 0.98, 0.0, 6)
    assert recall_fields(70_000, [seen])["recall_estimate"] == 1.0


def test_too_few_sightings_give_no_estimate() -> None:
    _, seen = simulate(60_000, 4.0, 6.0, 0.98, 0.0, 7)
    assert recall_fields(59_000, [seen])
    assert recall_fields(59_000, []) == {}
    assert recall_fields(59_000, [seen, seen._replace(answered=LEAST - 1)]) == {}
    assert recall_fields(59_000, [seen._replace(found=[0, LEAST - 1, *seen.found[2:]])]) == {}
    assert recall_fields(59_000, [seen._replace(found=seen.found[:8])]) == {}


def test_zones_add_up_and_one_without_an_estimate_leaves_none() -> None:
    one = CrawlResult(900, 0, 1, 1, 0, elapsed_s=1, complete=True, reachable_estimate=1000.0, recall_estimate=0.9,
                      recall_low=0.88, recall_high=0.92)
    both = combine([one, replace(one, found=190, reachable_estimate=200.0, recall_low=0.9, recall_high=1.0)])
    assert both.reachable_estimate == 1200.0
    assert both.recall_estimate == pytest.approx(1090 / 1200, abs=1e-6)
    assert both.recall_low is not None and both.recall_high is not None
    assert 0.88 < both.recall_low < 0.9 < both.recall_estimate < both.recall_high < 1.0
    assert combined_fields([one, replace(one, reachable_estimate=None)])["recall_estimate"] is None


def test_sample_of_the_contacts_tells_as_much_as_all() -> None:
    _, seen = simulate(60_000, 4.0, 6.0, 0.98, 0.0, 8)
    half = seen._replace(**{name: [count // 2 for count in getattr(seen, name)] for name in ("found", "unfound", "retried")})
    all_, some = estimate_reachable(seen), estimate_reachable(half)
    assert all_ is not None and some is not None
    assert some.nodes == pytest.approx(all_.nodes, rel=1e-3)
    assert some.error > all_.error


def test_histogram_counts_who_was_named_how_often_and_heard() -> None:
    entry, first, second = (bytes([9, 8, 7, host, 0x1A, 0xE1]) for host in (1, 2, 3))
    ids = {entry: b"\x11" * 20, first: b"\x22" * 20, second: b"\x33" * 20}
    frontier = Frontier(b"\x5a" * 20, AddressFilter(), depth=0, seed=3, address_rate=0, max_contacts=100, retry_share=0.0)
    frontier.offer(entry)
    replies = {entry: [b"", ids[first] + first + ids[second] + second], first: [b"", ids[second] + second]}
    while (question := drive.ask(frontier, 0)) is not None:
        endpoint = question[0]
        if endpoint == second:
            drive.time_out(frontier, question)      # never heard
        else:       # asked again, a node names nobody
            drive.answer(frontier, question, ids[endpoint], nodes=replies[endpoint].pop() if replies[endpoint] else b"")
    found, unfound, retried = frontier.referrer_histogram(4)
    assert (found[1], sum(found[2:])) == (2, 0)     # the entry by offering it, `first` by the entry
    assert (unfound, retried) == ([0, 0, 1, 0, 0], [0, 0, 0, 0, 0])
    assert sum(map(sum, frontier.referrer_histogram(4, 2))) == 2
    with pytest.raises(ValueError, match="every 0"):
        frontier.referrer_histogram(4, 0)
