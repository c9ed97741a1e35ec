"""How long a simulated datagram travels. Rate class: command (tests).

A latency is a function of a seeded generator that gives microseconds one way. Jitter reorders by itself: a datagram
with a longer draw arrives after a later one with a shorter.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

Latency = Callable[[Random], int]

P90_Z = 1.2815515655446004      # the standard normal quantile at 0.9


def constant(milliseconds: float) -> Latency:
    """Every datagram takes the same time."""
    return uniform(milliseconds, milliseconds)


def uniform(low_ms: float, high_ms: float) -> Latency:
    """Evenly spread between two bounds. Raises ValueError unless 0 <= low <= high."""
    if not 0 <= low_ms <= high_ms:
        raise ValueError(f"latency of {low_ms} to {high_ms} ms; 0 <= low <= high needed")
    low_us = round(low_ms * 1000)
    span_us = round(high_ms * 1000) - low_us
    if span_us == 0:
        return lambda rng: low_us
    return lambda rng: low_us + int(rng.random() * span_us)


def log_normal(median_ms: float = 60.0, p90_ms: float = 200.0, cap_ms: float = 2000.0) -> Latency:
    """Log-normal with a given median and 90th percentile, cut at `cap_ms`: the usual shape of the internet.

    One way, so half of a round trip. Raises ValueError unless 0 < median <= p90 <= cap.
    """
    if not 0 < median_ms <= p90_ms <= cap_ms:
        raise ValueError(f"latency median {median_ms}, p90 {p90_ms}, cap {cap_ms} ms; 0 < median <= p90 <= cap needed")
    mu = math.log(median_ms * 1000)
    sigma = (math.log(p90_ms * 1000) - mu) / P90_Z
    cap_us = round(cap_ms * 1000)
    return lambda rng: min(cap_us, int(math.exp(rng.gauss(mu, sigma))))
