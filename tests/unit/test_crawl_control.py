"""The control group of a crawl: who is asked when, and which outcomes are a sign of loss."""
from __future__ import annotations

import random

import pytest

from fastdht.crawl.control import INTERVAL_US, LEAST_MEMBERS, SIZE, WINDOW, ControlGroup, Verdict


def group(members: int = SIZE, rate: float = 0.0) -> ControlGroup:
    made = ControlGroup(rate)
    for number in range(members):
        made.offer(number.to_bytes(6, "big"), 0)
    return made


def ask(made: ControlGroup, chance: float, rng: random.Random, count: int = WINDOW) -> None:
    """`count` outcomes, of all members in turn."""
    for number in range(count):
        members = made.members
        made.tell(members[number % len(members)], rng.random() < chance)


def test_member_is_asked_once_an_interval() -> None:
    made = group(1)
    assert made.take_due(INTERVAL_US - 1) == []
    assert made.take_due(INTERVAL_US) == made.members
    assert made.take_due(2 * INTERVAL_US - 1) == []
    assert made.take_due(2 * INTERVAL_US) == made.members


@pytest.mark.parametrize("rate", [10.0, 100.0, 2000.0])
def test_questions_are_at_most_a_hundredth_of_the_rate(rate: float) -> None:
    made, seconds = group(rate=rate), 10_000
    asked = sum(len(made.take_due(second * 1_000_000)) for second in range(seconds))
    assert asked <= 0.01 * rate * seconds + SIZE


def test_group_takes_no_more_than_it_holds_and_nobody_twice() -> None:
    made = group(SIZE + 5)
    made.offer(bytes(6), 0)
    assert (len(made.members), made.room) == (SIZE, 0)


def test_share_of_few_outcomes_is_unknown() -> None:
    made = group()
    ask(made, 1.0, random.Random(1), LEAST_MEMBERS - 1)
    assert made.share is None
    ask(made, 1.0, random.Random(1), 1)
    assert made.share == 1.0


@pytest.mark.parametrize("usual", [0.98, 0.8])
def test_steady_loss_is_rarely_taken_for_a_fall(usual: float) -> None:
    rng, made, falls = random.Random(5), group(), 0
    for _ in range(1000):
        ask(made, usual, rng)
        for number in range(SIZE):              # who was silent too often has made room
            made.offer(number.to_bytes(6, "big"), 0)
        falls += made.judge() is not Verdict.STEADY
    assert falls < 20                           # the chance is below one in a hundred


@pytest.mark.parametrize(("later", "verdict"), [(0.6, Verdict.FALLEN), (0.0, Verdict.GONE)])
def test_loss_that_grows_is_seen_in_one_window(later: float, verdict: Verdict) -> None:
    rng, made = random.Random(6), group()
    for _ in range(3):
        ask(made, 0.98, rng)
        assert made.judge() is Verdict.STEADY
    ask(made, later, rng)
    assert made.judge() is verdict
    assert made.judge() is Verdict.STEADY       # until another window is full


def test_member_that_left_makes_room_while_others_answer() -> None:
    made = group()
    ask(made, 1.0, random.Random(7))
    gone = made.members[0]
    for _ in range(3):
        made.tell(gone, False)
    assert gone not in made.members
    assert made.room == 1


def test_members_stay_when_all_are_silent() -> None:
    made = group()
    ask(made, 0.0, random.Random(8), 5 * SIZE)
    assert len(made.members) == SIZE


def test_questions_to_one_address_are_summed_over_its_ports() -> None:
    group = ControlGroup(0.0)
    places = [bytes([127, 0, 0, host]) + port.to_bytes(2, "big") for host, port in ((1, 7), (1, 8), (2, 7))]
    for place in places:
        group.offer(place, 0)
    for place in [*places, *places, places[0]]:
        group.tell(place, True)
    assert (group.asked, group.most_per_address) == (7, 5)
