"""The slow twin of Throttle's query limits: token buckets in exact fractions, one per source, never forgotten."""
from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

SECOND = 1_000_000


@dataclass
class Bucket:
    rate: Fraction          # tokens per µs
    burst: int
    tokens: Fraction = Fraction(0)
    filled_us: int | None = None

    def fill(self, now_us: int) -> Fraction:
        if self.filled_us is None:
            self.tokens = Fraction(self.burst)
        else:
            self.tokens = min(Fraction(self.burst), self.tokens + (now_us - self.filled_us) * self.rate)
        self.filled_us = now_us
        return self.tokens


class SlowThrottle:
    """Per-source and per-subnet limits, muting, and the outbound windows."""

    def __init__(self, rate: int, burst: int, net_rate: int, net_burst: int, mute_factor: int, mute_s: int) -> None:
        self.rate, self.burst, self.net_rate, self.net_burst = rate, burst, net_rate, net_burst
        self.mute_factor, self.mute_s = mute_factor, mute_s
        self.sources: dict[bytes, Bucket] = {}
        self.nets: dict[bytes, Bucket] = {}
        self.abuse: dict[bytes, Bucket] = {}
        self.muted_until: dict[bytes, int] = {}

    def admits(self, packed: bytes, now_us: int) -> bool:
        ip, net = (packed[:4], packed[:3]) if len(packed) == 6 else (packed[:8], packed[:7])
        source = self.sources.setdefault(ip, Bucket(Fraction(self.rate, SECOND), self.burst))
        subnet = self.nets.setdefault(net, Bucket(Fraction(self.net_rate, SECOND), self.net_burst))
        self.count_abuse(ip, source, now_us)
        if now_us < self.muted_until.get(ip, 0):
            return False
        if source.fill(now_us) < 1 or subnet.fill(now_us) < 1:
            return False
        source.tokens -= 1
        subnet.tokens -= 1
        return True

    def count_abuse(self, ip: bytes, source: Bucket, now_us: int) -> None:
        """More than ten seconds' worth at `mute_factor` times the rate, less what has leaked, mutes."""
        limit = self.rate * self.mute_factor * 10
        abuse = self.abuse.setdefault(ip, Bucket(Fraction(self.rate * self.mute_factor, SECOND), limit))
        if abuse.fill(now_us) < 1:
            abuse.tokens, abuse.filled_us = Fraction(limit), now_us
            self.muted_until[ip] = now_us + self.mute_s * SECOND
            source.tokens, source.filled_us = Fraction(1), self.muted_until[ip]     # it begins again with one
        else:
            abuse.tokens -= 1
