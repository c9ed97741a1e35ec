"""When something kept alive is looked after, and how. Rate class: second.

A *full* round looks the target up and writes to those of the closest nodes that miss it or hold an old copy. Half-way
to the next one a *probe* asks only the nodes that were written to whether they still hold it: eight queries instead
of some thirty. Fewer than half of them left, or none reached, and the next full round is at once. So nothing depends
on a schedule being short, and the packets stay below those of blind repetition every 15 or 60 minutes.
"""
from __future__ import annotations

from dataclasses import dataclass
from random import Random

MINUTE_S = 60.0
ENOUGH_SHARE = 0.5          # of those written to; below, a lookup pays for itself
BACKOFF = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in seconds.

    full_s: between full rounds; shorter than what nodes keep, by a margin for slow rounds. fresh_s: a copy written
    less than this ago is not written again. jitter: each wait is so much longer or shorter, by chance, so that what
    began together does not stay together. retry_s: after a round that failed, doubled until full_s.
    """

    full_s: float
    fresh_s: float
    jitter: float = 0.1
    retry_s: float = 15.0

    def wait_s(self, rng: Random) -> float:
        """Until the next round: two waits, a probe between them, make a full one."""
        return self.full_s / 2 * (1 + self.jitter * (2 * rng.random() - 1))

    def retry_wait_s(self, failures: int, rng: Random) -> float:
        """After so many rounds that failed in a row, at least one."""
        wait = min(self.retry_s * BACKOFF ** min(failures - 1, 16), self.full_s / 2)
        return wait * (1 + self.jitter * (2 * rng.random() - 1))


# BEP 5 names no lifetime. Implementations forget announces after 30 to 45 minutes.
ANNOUNCES = Plan(full_s=26 * MINUTE_S, fresh_s=10 * MINUTE_S)
# BEP 44: nodes may forget items after two hours. 90 minutes leave time for a failed round and its repetitions.
ITEMS = Plan(full_s=90 * MINUTE_S, fresh_s=30 * MINUTE_S)


def is_enough(holding: int, written: int) -> bool:
    """Whether so many holders of those written to can be left alone until the next full round."""
    return holding > 0 and holding >= ENOUGH_SHARE * written
