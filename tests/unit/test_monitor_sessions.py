"""Sessions from visits: each rule by hand, and their survival against lives that are known."""
from __future__ import annotations

import math
from random import Random

import pytest

from fastdht.crawl.monitor.sessions import DOWN, UP, Session, Tracker
from fastdht.crawl.monitor.survival import Survival

S = 1_000_000
EVERY = 60 * S


def track(visits: str) -> list[Session]:
    """Sessions of one node visited once a minute: + answered, - missed, . not observed."""
    tracker = Tracker(1, EVERY)
    for number, sign in enumerate(visits, 1):
        if sign == "+":
            tracker.answered(0, number * EVERY)
        elif sign == "-":
            tracker.missed(0, number * EVERY)
    tracker.finish()
    return tracker.sessions


def minutes(session: Session) -> tuple[float, float, bool, bool]:
    return session.start_us / EVERY, session.end_us / EVERY, session.left_censored, session.right_censored


@pytest.mark.parametrize(("visits", "expected"), [
    ("++++", [(1, 3, True, True)]),                 # the fate of the last answer is not known yet
    ("+++-", [(1, 3, True, True)]),                 # nor is it when one visit was missed
    ("+++--", [(1, 3.5, True, False)]),
    ("++-++", [(1, 4, True, True)]),                # one miss is no death
    ("--++--", [(2.5, 4.5, False, False)]),
    ("--+--++--", [(2.5, 3.5, False, False), (5.5, 7.5, False, False)]),
    ("-++++", [(2, 4, True, True)]),                # one miss is no proof that it was not there before
    ("++.++", [(1, 4, True, True)]),                # one round unseen: who is gone for one is never told
    ("++..++", [(1, 1, True, True), (5, 5, True, True)]),       # two: it may have gone and come back
    ("++-...-+++", [(1, 2, True, True), (8, 9, True, True)]),
    ("++-.-", [(1, 2.5, True, False)]),             # two observed misses in a row, whatever lay between
    ("--...++", [(6, 6, True, True)]),              # it may have begun in the dark
    ("----", []), ("....", []), ("", []),
])
def test_visits_make_these_sessions(visits: str, expected: list[tuple[float, float, bool, bool]]) -> None:
    assert [minutes(session) for session in track(visits)] == expected


def test_answered_visits_are_counted() -> None:
    assert [session.visits for session in track("++-+--++--")] == [3, 2]


def test_trust_is_for_who_answered_when_last_observed_and_lately() -> None:
    tracker = Tracker(1, EVERY)
    assert not tracker.is_trusted(0, EVERY)
    tracker.answered(0, EVERY)
    assert tracker.is_trusted(0, 3 * EVERY)
    assert not tracker.is_trusted(0, 4 * EVERY)
    tracker.missed(0, 4 * EVERY)
    assert not tracker.is_trusted(0, 4 * EVERY)


def test_first_verdict_stays_and_the_gone_are_named() -> None:
    tracker = Tracker(3, EVERY)
    for number, (one, two) in enumerate(zip("--++--", "++--++", strict=True), 1):
        (tracker.answered if one == "+" else tracker.missed)(0, number * EVERY)
        (tracker.answered if two == "+" else tracker.missed)(1, number * EVERY)
    assert list(tracker.first) == [DOWN, UP, 0]
    assert tracker.gone == [1, 0]


def observe(rng: Random, nodes: int, hours: float) -> list[Session]:
    """Nodes that stay 40 minutes in the mean (exponential) and are away for at least five, visited once a minute."""
    end = hours * 3600
    tracker = Tracker(nodes, EVERY)
    for node in range(nodes):
        now = -rng.uniform(0, 5 * 3600)
        lives = []
        while now < end:
            lives.append((now, now + rng.expovariate(1 / 2400)))
            now = lives[-1][1] + 300 + rng.expovariate(1 / 900)
        at, place = 0, rng.uniform(0, 60)
        for number in range(int(hours * 60)):
            now = place + 60 * number
            while at < len(lives) - 1 and lives[at + 1][0] <= now:
                at += 1
            is_there = lives[at][0] <= now < lives[at][1]
            (tracker.answered if is_there else tracker.missed)(node, int((now + 1) * S))
    tracker.finish()
    return tracker.sessions


def test_band_of_the_median_holds_the_truth_about_as_often_as_it_says(seed: int) -> None:
    truth = 2400 * math.log(2)
    held, medians = 0, []
    for number in range(60):
        sessions = observe(Random(seed * 1000 + number), 60, 4)
        curve = Survival((each.seconds, not each.right_censored) for each in sessions if not each.left_censored)
        low, high = curve.median_band
        assert low is not None and high is not None and curve.median is not None
        held += low <= truth <= high
        medians.append(curve.median)
    # 95 % of 60 are 57; 50 is 4 standard errors below. Visits a minute apart make lengths multiples of 60 s.
    assert held >= 50
    assert sum(medians) / 60 == pytest.approx(truth, rel=0.06)


def test_what_is_left_of_exponential_sessions_is_distributed_as_they_are(seed: int) -> None:
    """They have no memory: the residual median is the median."""
    sessions = observe(Random(seed), 1500, 4)
    first: dict[int, Session] = {}
    for each in sessions:
        first.setdefault(each.node, each)
    curve = Survival((each.seconds, not each.right_censored) for each in first.values() if each.left_censored)
    assert curve.median == pytest.approx(2400 * math.log(2), rel=0.2)
