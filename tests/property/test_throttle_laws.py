"""Throttle against token buckets in exact fractions, and its limits over every window."""
from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdht._ext.throttle import Throttle
from tests.oracle.throttle import SlowThrottle

SECOND = 1_000_000
V4 = [bytes([20, 0, net, host]) + b"\x1a\xe1" for net in range(3) for host in range(3)]
V6 = [bytes.fromhex("200148600000") + bytes([net, host]) + bytes(8) + b"\x1a\xe1" for net in range(3) for host in range(3)]
# Rates whose intervals are whole nanoseconds, so that fractions and meters agree to the last query.
LIMITS = {"per_ip_rate": 10, "per_ip_burst": 5, "per_subnet_rate": 20, "per_subnet_burst": 8, "mute_factor": 2,
          "mute_s": 30}


def make_pair() -> tuple[Throttle, SlowThrottle]:
    return Throttle(bytes(range(16)), **LIMITS), SlowThrottle(10, 5, 20, 8, 2, 30)     # type: ignore[arg-type]


PAUSES_US = [0, 1, 1000, 30_000, 100_000, 2 * SECOND, 40 * SECOND]
STEPS = st.lists(st.tuples(st.sampled_from(V4 + V6), st.sampled_from(PAUSES_US), st.integers(1, 60)), max_size=40)


@given(steps=STEPS)
@settings(max_examples=200, deadline=None)
def test_query_limits_equal_token_buckets(steps: list[tuple[bytes, int, int]]) -> None:
    fast, slow = make_pair()
    now_us = 10 * SECOND
    for packed, step_us, count in steps:
        now_us += step_us
        for _ in range(count):
            assert fast.admits(packed, now_us) == slow.admits(packed, now_us)


def test_query_limits_over_100_000_random_queries_equal_token_buckets() -> None:
    seed = 5
    print(f"seed {seed}")
    rng = random.Random(seed)
    fast, slow = make_pair()
    now_us, admitted, mean_gap_us = 0, 0, 0
    for step in range(100_000):
        if step % 500 == 0:
            mean_gap_us = rng.choice([100, 3_000, 20_000])
        now_us += int(rng.expovariate(1 / mean_gap_us))
        packed = rng.choice(V4 if rng.random() < 0.7 else V6)
        verdict = fast.admits(packed, now_us)
        assert verdict == slow.admits(packed, now_us)
        admitted += verdict
    assert 1000 < admitted < 90_000
    assert fast.mutes > 0


@pytest.mark.parametrize(("count", "same_net"), [(4, False), (16, True), (1, False), (5, True)])
def test_our_queries_to_one_address_or_subnet_never_exceed_their_window(count: int, same_net: bool) -> None:
    seed = count
    print(f"seed {seed}")
    rng = random.Random(seed)
    limits = {"outbound_per_ip": 10**9, "outbound_per_subnet": count} if same_net else {
        "outbound_per_ip": count, "outbound_per_subnet": 10**9}
    throttle = Throttle(bytes(16), **limits)    # type: ignore[arg-type]
    sent: list[int] = []
    now_us = 0
    while now_us < 200 * SECOND:
        now_us += rng.randint(0, 200_000)
        packed = bytes([20, 0, 0, rng.randrange(256) if same_net else 1]) + b"\x1a\xe1"
        if throttle.admits_query_to(packed, now_us):
            sent.append(now_us)
    assert len(sent) >= 17 * (count - max(1, count // 2) + 1)
    assert all(sum(1 for at in sent if first <= at < first + 10 * SECOND) <= count for first in sent)
