"""Learning our own address from what others say (BEP 42). Rate class: second.

Counted are only answers to our own queries, one voice per /24 or /64, over ten minutes. An address is adopted with at
least five voices and three fifths of them; another takes its place with twelve, at most every ten minutes. Five voices
of a quiet ten minutes are mostly liars now and then when a third of all nodes lie; twelve hardly ever.
"""
from __future__ import annotations

from collections import Counter, OrderedDict

MINUTE_US = 60_000_000
WINDOW_US = 10 * MINUTE_US
HOLD_US = 10 * MINUTE_US
MIN_VOICES = 5
CHANGE_VOICES = 12
MIN_SHARE = 0.6
MAX_VOICES = 512            # the oldest goes first: newer answers know better


class ExternalAddress:
    """The vote about one socket's address; addresses are packed (4 or 16 bytes)."""

    def __init__(self) -> None:
        self.adopted: bytes | None = None
        self._is_fixed = False
        self._adopted_us = -HOLD_US
        self._voices: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()

    def vote(self, voter: bytes, claimed: bytes, now_us: int) -> None:
        """Note that the node at `voter` sees us at `claimed`, compact endpoints of one family."""
        subnet = voter[:3] if len(voter) == 6 else voter[:8]
        self._voices.pop(subnet, None)
        self._voices[subnet] = (claimed[:-2], now_us)
        if len(self._voices) > MAX_VOICES:
            self._voices.popitem(last=False)

    def fix(self, address: bytes) -> None:
        """Take what the user says; votes change it no more."""
        self.adopted, self._is_fixed = address, True

    def decide(self, now_us: int) -> bytes | None:
        """The address newly adopted, or None when nothing changes."""
        self._forget(now_us)
        if self._is_fixed or now_us - self._adopted_us < HOLD_US or not self._voices:
            return None
        counts = Counter(claimed for claimed, _ in self._voices.values())
        winner, voices = counts.most_common(1)[0]
        needed = MIN_VOICES if self.adopted is None else CHANGE_VOICES
        if winner == self.adopted or voices < needed or voices < MIN_SHARE * counts.total():
            return None
        self.adopted = winner
        self._adopted_us = now_us
        return winner

    def _forget(self, now_us: int) -> None:
        while self._voices:
            subnet, (_, voted_us) = next(iter(self._voices.items()))
            if now_us - voted_us <= WINDOW_US:
                return
            del self._voices[subnet]
