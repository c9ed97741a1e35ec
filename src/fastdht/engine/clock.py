"""The only file that reads clocks, with its compiled part, `_ext/clock.pyx`. Rate class: batch.

Everything else is told the time: microseconds of a clock that never goes back and stands still while the machine
sleeps. How long it slept is a second reading, so that whoever keeps deadlines can see that they mean nothing any more.
Wall time jumps: it only dates what is kept in files.
"""
from __future__ import annotations

import time

from fastdht._ext.clock import monotonic_us as monotonic_us

# The clock that counts sleep as well; on macOS that is CLOCK_MONOTONIC, as its time.monotonic() stops in sleep.
_SLEEPLESS_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def suspended_us() -> int:
    """Microseconds the machine has slept, plus a constant: only a growth by seconds means something.

    Always 0 where no clock can tell.
    """
    if _SLEEPLESS_CLOCK is None:
        return 0
    return time.clock_gettime_ns(_SLEEPLESS_CLOCK) // 1000 - monotonic_us()


def wall_s() -> float:
    """Seconds since 1970, as this machine believes; may jump, so that no deadline may hang on it."""
    return time.time()


def thread_busy_us() -> int:
    """Processor time of the calling thread, in microseconds: what it did, whatever others did meanwhile."""
    return time.thread_time_ns() // 1000
