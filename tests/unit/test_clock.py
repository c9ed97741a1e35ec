"""The clock: units, direction, and what counts as sleep."""
from __future__ import annotations

import time

from fastdht.engine.clock import monotonic_us, suspended_us


def test_monotonic_when_read_lies_between_two_readings_of_the_system() -> None:
    before = time.monotonic()
    now_us = monotonic_us()
    after = time.monotonic()
    assert int(before * 1e6) - 1 <= now_us <= after * 1e6 + 1


def test_suspended_when_the_machine_did_not_sleep_stands_still() -> None:
    first = suspended_us()
    assert abs(suspended_us() - first) < 1_000_000


def test_suspended_when_the_machine_slept_grows_by_the_sleep(monkeypatch) -> None:
    first = suspended_us()
    honest = time.clock_gettime_ns
    monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: honest(clock) + 3600 * 10**9)
    assert abs(suspended_us() - first - 3_600_000_000) < 1_000_000
