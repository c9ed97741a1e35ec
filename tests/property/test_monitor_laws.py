"""Laws of sessions, for any sequence of visits."""
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fastdht.crawl.monitor.sessions import Session, Tracker
from fastdht.crawl.monitor.survival import Survival

EVERY = 60_000_000
VISITS = st.lists(st.sampled_from("++++--."), max_size=60)


def follow(visits: list[str], step: int = 1) -> list[Session]:
    """Sessions of a node visited every `step` rounds' time."""
    tracker = Tracker(1, step * EVERY)
    for number, sign in enumerate(visits, 1):
        if sign != ".":
            (tracker.answered if sign == "+" else tracker.missed)(0, number * step * EVERY)
    tracker.finish()
    return tracker.sessions


@given(VISITS)
def test_sessions_follow_one_another_and_hold_every_answer(visits: list[str]) -> None:
    sessions = follow(visits)
    assert sum(session.visits for session in sessions) == visits.count("+")
    assert all(session.visits > 0 and session.start_us <= session.end_us for session in sessions)
    assert all(one.end_us <= two.start_us for one, two in zip(sessions, sessions[1:], strict=False))
    for session in sessions:
        # without the last, whose sequel may not be known
        assert any(session.start_us <= number * EVERY <= session.end_us + EVERY
                   for number, sign in enumerate(visits, 1) if sign == "+")


@given(VISITS)
def test_end_needs_two_misses_in_a_row_and_a_known_beginning_too(visits: list[str]) -> None:
    observed = "".join(visits).replace(".", "")
    sessions = follow(visits)
    if "--" not in observed:
        assert all(session.left_censored and session.right_censored for session in sessions)
    ended = sum(not session.right_censored for session in sessions)
    begun = sum(not session.left_censored for session in sessions)
    assert max(ended, begun) <= observed.count("--")


@given(VISITS, st.integers(2, 1000))
def test_unit_of_time_does_not_matter(visits: list[str], step: int) -> None:
    slow, fast = follow(visits, step), follow(visits)
    assert [(each.start_us, each.end_us) for each in slow] == [
        (each.start_us * step, each.end_us * step) for each in fast]


@given(st.lists(st.tuples(st.floats(0.001, 1e6), st.booleans()), max_size=60))
def test_survival_falls_within_its_band(durations: list[tuple[float, bool]]) -> None:
    curve = Survival(durations)
    shares = [1.0, *(step.survival for step in curve.steps)]
    assert shares == sorted(shares, reverse=True)
    assert curve.ended == sum(step.ended for step in curve.steps)
    for step in curve.steps:
        assert 0.0 <= step.low <= step.survival <= step.high <= 1.0
    low, high = curve.median_band
    if curve.median is not None:
        assert low is not None and low <= curve.median
        assert high is None or high >= curve.median


@given(st.lists(st.floats(0.001, 1e6), min_size=1, max_size=60), st.floats(0, 1e6))
def test_survival_without_censoring_is_the_share(durations: list[float], time: float) -> None:
    curve = Survival((each, True) for each in durations)
    assert abs(curve.at(time) - sum(each > time for each in durations) / len(durations)) < 1e-9
