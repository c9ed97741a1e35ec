"""How fast a crawl asks, how long it waits, and how much may be out. Rate class: second.

Theory of operation. `tick` runs five times a second. The rate falls by three tenths when packets get lost on our own
side (the receive buffer overflowed, the kernel ran out of room to send) or beyond (the control group answers less than
it did), at most once a second, and grows again by a fiftieth of the full rate per second. When hardly any of the
control group answers, it falls to its least at once: what is asked now is wasted. A loop that stays late has lost
nothing yet, and there are two reasons for it. When its own thread had the processor nearly all the time, it has too
much to do: the rate falls likewise. When it had not, somebody else had: asking less would make it no earlier, so the
rate only stays where it is. The share of answers is no signal: it moves with the share of dead contacts. A query
stalls, and frees its place in the window, when most answers would be there; it is given up far later. The window is
what the rate keeps out; at unlimited rate, 512 that may still answer: 64 to 512 saturate a core, and more only fill
buffers.
Source: docs/crawl.md, "Pace"; the stall follows mldht's rule (a quantile of recent round-trip times).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastdht.crawl.control import Verdict

SECOND_US = 1_000_000
PACE_US = 200_000
CUT = 0.7
REGAINED_PER_S = 0.02
LEAST_SHARE = 0.02
LATE_US = 20_000            # of the loop; more is a sign of too much work …
LATE_TICKS = 3              # … when it lasts …
BUSY_SHARE = 0.9            # … and it is our own work: below, somebody else had the processor
LIVE_WINDOW = 512
LEAST_WINDOW = 64
MAX_WINDOW = 65_536     # half the transactions: the other half are late and not yet given up
ENOUGH_ANSWERS = 200        # before round-trip times mean anything
FIRST_STALL_US = 500_000
STALL_BOUNDS_US = (20_000, 2_000_000)
TIMEOUT_BOUNDS_US = (1_000_000, 10_000_000)
DECAY_TICKS = 50            # the histogram of round-trip times forgets half in 10 s


@dataclass(slots=True)
class Signals:
    """What a tick sees; totals since the start."""

    kernel_drops: int
    congested: int          # sends that the system had no room for
    silent: int             # queries that stalled and have not been answered since
    loop_late_us: int       # of this tick
    busy_us: int            # processor time of the loop's thread
    control: Verdict = Verdict.STEADY


class Pace:
    """Keeps `rate` (packets/s, 0: no limit), the window, the stall and the timeout of one crawl."""

    def __init__(self, rate: float, max_in_flight: int, timeout_us: int | None) -> None:
        self.full_rate = rate
        self.share = 1.0
        self.stall_us = min(FIRST_STALL_US, timeout_us or FIRST_STALL_US)
        self.timeout_us = timeout_us or TIMEOUT_BOUNDS_US[1]
        self.cuts = 0
        self._fixed_window = max_in_flight
        self._fixed_timeout = timeout_us is not None
        self._last = Signals(0, 0, 0, 0, 0)
        self._since_cut_us = SECOND_US
        self._late_ticks = 0
        self._silent_per_s = 0.0
        self._bins: list[float] = []
        self._seen_bins: list[int] = []

    @property
    def rate(self) -> float:
        """Packets/s now; 0: no limit."""
        return self.full_rate * self.share

    @property
    def window(self) -> int:
        """How many queries may be out that are not late."""
        if self._fixed_window:
            return self._fixed_window
        if self.full_rate:
            return max(LEAST_WINDOW, int(self.full_rate * self.stall_us / SECOND_US * 1.25) + LEAST_WINDOW)
        live = max(LEAST_WINDOW, LIVE_WINDOW * self.share)
        return min(MAX_WINDOW, int(live + self._silent_per_s * self.stall_us / SECOND_US))

    def tick(self, elapsed_us: int, signals: Signals, rtt_bins: Sequence[int]) -> None:
        """Take in what happened in the last `elapsed_us`; then read rate, window, stall_us and timeout_us."""
        silent = max(0, signals.silent - self._last.silent) * SECOND_US / max(elapsed_us, 1)
        self._silent_per_s += (silent - self._silent_per_s) * 0.5
        self._since_cut_us += elapsed_us
        is_late = signals.loop_late_us > LATE_US
        is_busy = signals.busy_us - self._last.busy_us > BUSY_SHARE * elapsed_us
        self._late_ticks = self._late_ticks + 1 if is_late and is_busy else 0
        is_lossy = (signals.kernel_drops > self._last.kernel_drops or signals.congested > self._last.congested
                    or signals.control is Verdict.FALLEN)
        if signals.control is Verdict.GONE:
            self.share = LEAST_SHARE
            self._since_cut_us = 0
            self.cuts += 1
        elif (is_lossy or self._late_ticks >= LATE_TICKS) and self._since_cut_us >= SECOND_US:
            self.share = max(LEAST_SHARE, self.share * CUT)
            self._since_cut_us = 0
            self._late_ticks = 0
            self.cuts += 1
        elif not is_late:
            self.share = min(1.0, self.share + REGAINED_PER_S * elapsed_us / SECOND_US)
        self._last = signals
        self._learn(rtt_bins)

    def _learn(self, rtt_bins: Sequence[int]) -> None:
        if not self._bins:
            self._bins = [0.0] * len(rtt_bins)
            self._seen_bins = [0] * len(rtt_bins)
        keep = 0.5 ** (1 / DECAY_TICKS)
        news = [now - seen for now, seen in zip(rtt_bins, self._seen_bins, strict=True)]
        self._bins = [old * keep + new for old, new in zip(self._bins, news, strict=True)]
        self._seen_bins = list(rtt_bins)
        if sum(self._bins) < ENOUGH_ANSWERS:
            return
        stall = max(2 * self.quantile(0.90), self.quantile(0.10) + STALL_BOUNDS_US[0])
        self.stall_us = clamp(stall, STALL_BOUNDS_US)
        if not self._fixed_timeout:
            self.timeout_us = clamp(4 * self.quantile(0.99), TIMEOUT_BOUNDS_US)
        self.stall_us = min(self.stall_us, self.timeout_us)

    def quantile(self, share: float) -> float:
        """A round-trip time in µs that `share` of the recent answers did not exceed: the end of its bin."""
        wanted = share * sum(self._bins)
        for i, count in enumerate(self._bins):
            wanted -= count
            if wanted <= 0:
                return bin_end(i)
        return bin_end(len(self._bins) - 1)


def bin_end(index: int) -> float:
    """Where bin `index` of Frontier.rtt_histogram ends, in µs."""
    octave, quarter = divmod(index, 4)
    return float((1 << (8 + octave)) * (1 + (quarter + 1) / 4))


def clamp(value: float, bounds: tuple[int, int]) -> int:
    return int(min(max(value, bounds[0]), bounds[1]))
