"""Kaplan-Meier: a published table, and laws that hold without censoring."""
from __future__ import annotations

import math
import random

import pytest

from fastdht.crawl.monitor.survival import Survival

# Remission of 21 leukaemia patients under 6-MP, in weeks: Freireich et al. (1963), Blood 21; + is censored.
REMISSION = "6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+"
# time, at risk, ended, survival, standard error: Kleinbaum and Klein, "Survival Analysis", table 2.2 and after
PUBLISHED = [(6, 21, 3, 0.8571, 0.0764), (7, 17, 1, 0.8067, 0.0869), (10, 15, 1, 0.7529, 0.0963),
             (13, 12, 1, 0.6902, 0.1068), (16, 11, 1, 0.6275, 0.1141), (22, 7, 1, 0.5378, 0.1282),
             (23, 6, 1, 0.4482, 0.1346)]


def remission() -> Survival:
    return Survival((float(word.rstrip("+")), not word.endswith("+")) for word in REMISSION.split())


def test_published_table_is_met() -> None:
    steps = remission().steps
    assert [(step.time, step.at_risk, step.ended) for step in steps] == [row[:3] for row in PUBLISHED]
    for step, row in zip(steps, PUBLISHED, strict=True):
        assert step.survival == pytest.approx(row[3], abs=6e-5)


def test_published_errors_give_the_band() -> None:
    """The log(-log) band from the published survival and standard error: S^exp(±z·se / (S·ln S))."""
    for step, (*_, survival, error) in zip(remission().steps, PUBLISHED, strict=True):
        spread = 1.96 * error / (survival * -math.log(survival))
        assert step.low == pytest.approx(survival ** math.exp(spread), abs=3e-3)
        assert step.high == pytest.approx(survival ** math.exp(-spread), abs=3e-3)


def test_median_is_the_published_one_and_has_no_upper_bound() -> None:
    curve = remission()
    assert curve.median == 23.0
    assert curve.median_band == (13.0, None)       # as R's survfit with conf.type="log-log" prints it


def test_nothing_cut_off_gives_the_plain_shares(seed: int) -> None:
    rng = random.Random(seed)
    values = [round(rng.expovariate(1), 2) for _ in range(200)]
    curve = Survival((value, True) for value in values)
    for time in (0.1, 0.5, 1.0, 2.0):
        assert curve.at(time) == pytest.approx(sum(value > time for value in values) / 200)
    assert curve.steps[-1].survival == 0.0


def test_too_few_ends_have_no_median() -> None:
    curve = Survival([(1.0, True), (2.0, False), (3.0, False)])
    assert curve.median is None
    assert Survival([]).as_dict() == {"count": 0, "ended": 0, "median_s": None, "median_low_s": None,
                                      "median_high_s": None, "curve": []}


def test_band_holds_the_truth_about_as_often_as_it_says(seed: int) -> None:
    """Exponential with mean 1, censored by an exponential of mean 2: S(1) = 1/e."""
    rng = random.Random(seed)
    held = 0
    for _ in range(400):
        pairs = []
        for _ in range(60):
            life, cut = rng.expovariate(1), rng.expovariate(0.5)
            pairs.append((min(life, cut), life <= cut))
        last = [step for step in Survival(pairs).steps if step.time <= 1.0][-1]
        held += last.low <= 0.36788 <= last.high
    assert 0.90 <= held / 400 <= 0.99       # four standard errors around 0.95 reach 0.906 to 0.994
