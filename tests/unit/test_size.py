"""Estimates of a network's size against known formulas, and against simulated truths."""
from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from fastdht.crawl.crawler import CrawlConfig
from fastdht.crawl.size import (
    SPACE,
    K,
    ZoneCount,
    alive,
    answer_rate,
    estimate_closest,
    estimate_recapture,
    estimate_zones,
    gamma_quantile,
    interval,
    unnamed,
    widening,
)
from fastdht.crawl.size_run import SizeConfig, draw_inside, draw_prefixes, plan_bits
from fastdht.crawl.size_verify import is_size, verify_size
from fastdht.crawl.zones import Zone
from fastdht.errors import ConfigError, PersistError

RUNS = 400


def binomial(rng: random.Random, number: int, share: float) -> int:
    return sum(rng.random() < share for _ in range(number))


def test_unnamed_is_chaos_corrected_bound() -> None:
    assert unnamed(ZoneCount(100, once=20, twice=9)) == 20 * 19 / (2 * 10)
    assert unnamed(ZoneCount(100)) == 0


def test_alive_divides_by_the_share_that_answers_again() -> None:
    count = ZoneCount(900, asked_again=899, answered_again=809)
    assert answer_rate(count) == 810 / 900
    assert alive(count) == pytest.approx(1000)


def test_answer_rate_without_a_second_question_is_one() -> None:
    assert answer_rate(ZoneCount(0)) == 1


def test_recapture_is_chapmans_formula() -> None:
    guess = estimate_recapture(ZoneCount(199, checked=99, rechecked=49), 0.5, 0.95)
    assert guess is not None
    assert guess.nodes == (200 * 100 / 50 - 1) / 0.5
    assert guess.low < guess.nodes < guess.high


def test_recapture_without_overlap_says_nothing() -> None:
    assert estimate_recapture(ZoneCount(100, checked=10), 0.5, 0.95) is None


def test_closest_of_known_distances_is_the_mean_density() -> None:
    distances = [SPACE // 100 - 1, SPACE // 300 - 1]
    guess = estimate_closest(distances, 0.5, 0.95)
    assert guess is not None
    assert guess.nodes == pytest.approx((K - 1) * (100 + 300) / 2 / 0.5, rel=1e-6)


def test_too_few_lookups_or_empty_zones_say_nothing() -> None:
    assert estimate_closest([5], 1.0, 0.95) is None
    assert estimate_zones([ZoneCount(0)], 0.1, 0.95) is None
    assert estimate_zones([], 0.0, 0.95) is None


def test_interval_is_even_in_its_logarithm_and_1_96_deviations_wide() -> None:
    guess = interval(1000, 0.1, 0.95)
    assert guess.low * guess.high == pytest.approx(1000 ** 2)
    assert math.log(guess.high / 1000) == pytest.approx(0.195996, rel=1e-4)


def test_gamma_quantiles_are_those_of_chi_square_tables() -> None:
    """Half the 0.975 quantiles of chi-square with 6, 18 and 40 degrees of freedom: NIST, table 1.3.6.7.4."""
    for shape, quantile in ((3, 14.449), (9, 31.526), (20, 59.342)):
        assert gamma_quantile(shape, 0.975) == pytest.approx(quantile / 2, rel=0.01)


def test_even_zones_do_not_widen_the_interval_and_uneven_ones_do() -> None:
    assert widening([ZoneCount(n) for n in (480, 510, 495, 530, 470, 500, 515, 505)]) == 1
    uneven = [ZoneCount(n) for n in (300, 700, 500, 450, 640, 380, 510, 520)]
    mean = sum(each.found for each in uneven) / 8
    assert widening(uneven) == pytest.approx(sum((each.found - mean) ** 2 for each in uneven) / 7 / mean)
    assert widening([ZoneCount(500)]) == 1


def simulate_zone(rng: random.Random, nodes: int, share: float, rate: float) -> ZoneCount:
    """A zone of a network of `nodes`: how often each is named differs widely, and messages are lost."""
    lives = round(rng.gauss(nodes * share, math.sqrt(nodes * share * (1 - share))))
    namings = [poisson(rng, min(30.0, 2 + rng.expovariate(0.15))) for _ in range(lives)]
    found = [number for number in namings if number and rng.random() < rate]
    return ZoneCount(len(found), found.count(1), found.count(2), len(found), binomial(rng, len(found), rate))


def poisson(rng: random.Random, mean: float) -> int:
    limit, number, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        number, product = number + 1, product * rng.random()
    return number


def test_zone_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng, truth, held = random.Random(5), 50_000, 0
    for _ in range(RUNS):
        guess = estimate_zones([simulate_zone(rng, truth, 1 / 512, 0.9) for _ in range(10)], 10 / 512, 0.95)
        assert guess is not None
        held += guess.low <= truth <= guess.high
    assert 0.92 * RUNS <= held <= 0.985 * RUNS       # 95 %, plus or minus 2.7 deviations of 400 runs


def test_zone_estimates_have_no_bias_that_their_corrections_should_take() -> None:
    rng, truth = random.Random(6), 50_000
    raw, corrected = [], []
    for _ in range(100):
        counts = [simulate_zone(rng, truth, 1 / 512, 0.9) for _ in range(10)]
        guess = estimate_zones(counts, 10 / 512, 0.95)
        assert guess is not None
        raw.append(sum(each.found for each in counts) * 51.2 / truth)
        corrected.append(guess.nodes / truth)
    assert sum(raw) / 100 < 0.89
    assert sum(corrected) / 100 == pytest.approx(1, abs=0.012)      # three deviations of the mean


def test_closest_intervals_hold_the_truth_and_uneven_density_does_not_bias_them() -> None:
    rng, truth, held, nodes = random.Random(7), 1_000_000, 0, []
    for _ in range(RUNS):
        distances = []
        for _ in range(60):
            density = truth * rng.choice((1.7, 0.3))        # half of the prefixes are nearly empty
            distances.append(int(rng.gammavariate(K, 1 / density) * SPACE))
        guess = estimate_closest(distances, 1.0, 0.95)
        assert guess is not None
        nodes.append(guess.nodes)
        held += guess.low <= truth <= guess.high
    assert sum(nodes) / RUNS == pytest.approx(truth, rel=0.02)
    assert 0.91 * RUNS <= held <= 0.985 * RUNS


def test_plan_gives_ten_to_twenty_zones_for_the_wanted_nodes() -> None:
    for rough in (20_000, 200_000, 3_000_000, 10_000_000):
        bits = plan_bits(rough, 8000)
        assert 10 <= 8000 / (rough / 2 ** bits) <= 20 or bits == 0
    assert plan_bits(5000, 8000) == 0


def test_drawn_prefixes_differ_and_targets_lie_inside() -> None:
    rng = random.Random(1)
    assert sorted(draw_prefixes(rng, 3, 8)) == list(range(8))
    assert draw_prefixes(rng, 0, 1) == [0]
    zone = Zone(bytes([0xA0]) + bytes(19), 4)
    assert all(draw_inside(rng, zone) in zone for _ in range(50))


def test_budget_of_three_percent_is_thirty_thousand_messages() -> None:
    config = CrawlConfig(bootstrap=("127.0.0.1:9",))
    assert 29_000 <= SizeConfig(config).budget <= 30_000
    assert SizeConfig(config, max_msgs=7).budget == 7


@pytest.mark.parametrize("wrong", [{"method": "guess"}, {"ci": 1.0}, {"target_error": 0.0}, {"max_msgs": -1}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        SizeConfig(CrawlConfig(bootstrap=("127.0.0.1:9",)), **wrong)    # type: ignore[arg-type]


def test_verdict_puts_the_answer_first_beside_the_truth(tmp_path: Path) -> None:
    guess = {"nodes": 110, "low": 90, "high": 130}
    (tmp_path / "summary.json").write_text(json.dumps({
        "mode": "size", "sent": 5, "method": "zone", "methods": {"closest": {**guess, "low": 105}, "zone": guess}}))
    assert is_size(tmp_path)
    verdicts = verify_size(tmp_path, 100)
    assert list(verdicts) == ["zone", "closest"]
    assert verdicts["zone"].error == pytest.approx(0.1)
    assert (verdicts["zone"].is_held, verdicts["closest"].is_held) == (True, False)


def test_verdict_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps({"mode": "size", "sent": 5}))
    with pytest.raises(PersistError, match="no estimate"):
        verify_size(tmp_path, 100)
