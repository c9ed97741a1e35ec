"""Throttle: floods in virtual time, what a reply may weigh, and limits raised until nothing is refused."""
from __future__ import annotations

import heapq
import random
from collections.abc import Iterator

import pytest

from fastdht._ext.throttle import Throttle

SECOND = 1_000_000
QUERY, REPLY = 95, 300          # bytes of a find_node and its answer with eight contacts
HERE = bytes([192, 0, 2, 7]) + b"\x1a\xe1"
HERE_V6 = bytes.fromhex("20010db8000000000000000000000007") + b"\x1a\xe1"


def address(rng: random.Random, first: int | None = None) -> bytes:
    head = rng.randint(1, 223) if first is None else first
    return bytes([head]) + rng.randbytes(3) + b"\x1a\xe1"


def poisson(rng: random.Random, sources: list[bytes], rate: float, until_us: int) -> Iterator[tuple[int, bytes]]:
    """Queries of `sources`, `rate` a second in all."""
    now_us = 0.0
    while (now_us := now_us + rng.expovariate(rate / SECOND)) < until_us:
        yield int(now_us), rng.choice(sources)


def answered(throttle: Throttle, packed: bytes, now_us: int) -> bool:
    if not throttle.admits(packed, now_us):
        return False
    if throttle.allowance(packed, QUERY, now_us) < REPLY:
        return False
    throttle.spent(packed, REPLY, now_us)
    return True


def honest_share(throttle: Throttle, attack: Iterator[tuple[int, bytes]], seconds: int, name: str,
                 proved: bool = False) -> float:
    """The share of queries answered of 200 honest sources that ask once in ten seconds each, during an attack."""
    rng = random.Random(1)
    honest = [address(rng) for _ in range(200)]
    known = set(honest)
    if proved:
        for packed in honest:
            throttle.proved(packed, 0)
    asked = served = taken = 0
    for now_us, packed in heapq.merge(poisson(rng, honest, 20, seconds * SECOND), attack):
        ok = answered(throttle, packed, now_us)
        if packed in known:
            asked, served = asked + 1, served + ok
        else:
            taken += ok
    print(f"{name}: honest {served}/{asked} = {served / asked:.1%}, attacker answered {taken / seconds:.0f}/s")
    return served / asked


@pytest.mark.parametrize(("sources", "rate", "least"), [(1, 50_000, 0.999), (40, 2000, 0.98), (400, 2000, 0.95),
                                                        (40, 20_000, 0.95), (5000, 20_000, 0.8)])
def test_flood_from_real_addresses_leaves_honest_sources_served(sources: int, rate: int, least: float) -> None:
    rng = random.Random(2)
    seconds = 60 if rate <= 2000 else 20        # a flood takes two seconds until it is known for what it is
    attack = poisson(rng, [address(rng) for _ in range(sources)], rate, seconds * SECOND)
    share = honest_share(Throttle(bytes(range(16))), attack, seconds, f"{sources} sources, {rate} pps")
    assert share >= least


def spoofed(rng: random.Random, rate: int, seconds: int, first: int | None) -> Iterator[tuple[int, bytes]]:
    return ((now_us, address(rng, first)) for now_us, _ in poisson(rng, [b""], rate, seconds * SECOND))


def test_flood_spoofed_from_one_8_leaves_others_served() -> None:
    share = honest_share(Throttle(bytes(range(16))), spoofed(random.Random(3), 50_000, 8, 41), 8, "spoofed /8")
    assert share >= 0.8


def test_flood_spoofed_from_everywhere_leaves_proved_sources_served() -> None:
    attack = spoofed(random.Random(4), 50_000, 8, None)
    share = honest_share(Throttle(bytes(range(16))), attack, 8, "spoofed everywhere, honest proved", proved=True)
    assert share >= 0.95


def test_single_flooder_is_muted_for_300_seconds_then_heard_again() -> None:
    throttle = Throttle(bytes(16))
    for now_us in range(0, 12 * SECOND, 20_000):        # 50 a second
        throttle.admits(HERE, now_us)
    assert throttle.mutes >= 1
    muted_us = 12 * SECOND
    assert not any(throttle.admits(HERE, muted_us + s * SECOND) for s in range(0, 285, 5))
    assert throttle.admits(HERE, muted_us + 301 * SECOND)


def test_victim_of_spoofing_loses_only_its_queries() -> None:
    throttle = Throttle(bytes(16))
    for now_us in range(0, 10 * SECOND, 1000):
        throttle.admits(HERE, now_us)
        if now_us % (4 * SECOND) == 0:                   # our pings to it go out regardless
            assert throttle.admits_query_to(HERE, now_us)
    assert not throttle.admits(HERE, 10 * SECOND)


def test_malicious_answers_that_name_one_24_get_it_at_most_16_of_our_queries() -> None:
    throttle, rng = Throttle(bytes(16)), random.Random(5)
    sent = sum(throttle.admits_query_to(bytes([20, 0, 0]) + rng.randbytes(3), now_us)
               for now_us in range(0, 10 * SECOND, 1000))
    assert sent <= 16


@pytest.mark.parametrize(("packed", "most"), [(HERE, 1400), (HERE_V6, 1232)])
def test_reply_to_a_proved_source_may_fill_a_datagram_for_600_seconds(packed: bytes, most: int) -> None:
    throttle = Throttle(bytes(16))
    assert throttle.allowance(packed, 100, 0) == 600
    throttle.proved(packed, 0)
    assert throttle.allowance(packed, 100, 0) == most
    assert throttle.allowance(packed, 100, 599 * SECOND) == most
    assert throttle.allowance(packed, 100, 600 * SECOND) == 600


def test_reply_to_an_unproved_source_never_exceeds_a_datagram() -> None:
    assert Throttle(bytes(16)).allowance(HERE, 1000, 0) == 1400


def test_replies_to_one_24_stay_under_20_kb_a_second() -> None:
    throttle, rng, sent = Throttle(bytes(16)), random.Random(6), 0
    for now_us in range(0, 60 * SECOND, 10_000):
        packed = bytes([20, 0, 0]) + rng.randbytes(1) + b"\x1a\xe1"
        throttle.proved(packed, now_us)
        if throttle.admits(packed, now_us) and throttle.allowance(packed, 300, now_us) >= 1400:
            throttle.spent(packed, 1400, now_us)
            sent += 1400
    assert 18_000 * 60 < sent < 20_000 * 62


def test_replies_in_all_stay_under_the_budget() -> None:
    throttle, rng, sent = Throttle(bytes(16)), random.Random(7), 0
    for now_us in range(0, 30 * SECOND, 500):
        packed = address(rng)
        if answered(throttle, packed, now_us):
            sent += REPLY
    assert sent < 64_000 * 32


LIMITS_OFF = {
    "per_ip_rate": 10**9, "per_ip_burst": 10**12, "per_subnet_rate": 10**9, "per_subnet_burst": 10**12,
    "mute_factor": 10**9, "reply_bytes_per_s": 10**12, "subnet_reply_bytes_per_s": 10**12, "amplification": 10**9,
    "outbound_per_ip": 10**12, "outbound_per_subnet": 10**12,
}


def test_limits_raised_to_the_sky_refuse_nothing_and_overflow_nowhere() -> None:
    throttle, rng = Throttle(bytes(16), **LIMITS_OFF), random.Random(8)    # type: ignore[arg-type]
    sources = [address(rng) for _ in range(50)] + [HERE_V6]
    now_us = 0
    for step in range(200_000):
        now_us += rng.choice([0, 0, 1]) if step % 20_000 else 30 * 365 * 86_400 * SECOND     # even years apart
        packed = rng.choice(sources)
        assert throttle.admits(packed, now_us)
        assert throttle.allowance(packed, 60, now_us) == (1400 if len(packed) == 6 else 1232)
        throttle.spent(packed, 1400, now_us)
        assert throttle.admits_query_to(packed, now_us)
    assert (throttle.dropped_source, throttle.dropped_subnet, throttle.mutes, throttle.denied_budget,
            throttle.denied_subnet, throttle.denied_outbound) == (0, 0, 0, 0, 0, 0)


def test_throttle_not_enabled_counts_and_refuses_nothing() -> None:
    throttle = Throttle(bytes(16), enabled=False)
    for _ in range(10_000):
        assert throttle.admits(HERE, 0)
        assert throttle.allowance(HERE, 60, 0) == 1400
        throttle.spent(HERE, 1400, 0)
        assert throttle.admits_query_to(HERE, 0)
    assert throttle.dropped_source > 9000
    assert throttle.denied_subnet > 9000
    assert throttle.denied_outbound > 9000


def test_throttle_given_values_outside_their_limits_names_them() -> None:
    with pytest.raises(ValueError, match="secret is 8 bytes; 16 needed"):
        Throttle(bytes(8))
    with pytest.raises(ValueError, match="per_ip_rate is 0"):
        Throttle(bytes(16), per_ip_rate=0)
    with pytest.raises(ValueError, match="sources is -1"):
        Throttle(bytes(16), sources=-1)
