"""Pace: what lowers and raises the rate, and what follows from round-trip times."""
from __future__ import annotations

from dataclasses import replace

import pytest

from fastdht.crawl.control import Verdict
from fastdht.crawl.pace import SECOND_US, PACE_US, Pace, Signals, bin_end

QUIET = Signals(0, 0, 0, 0, 0)
NO_RTT = [0] * 64


def run(pace: Pace, seconds: float, signals: Signals = QUIET) -> None:
    for _ in range(round(seconds * SECOND_US / PACE_US)):
        pace.tick(PACE_US, signals, NO_RTT)


def test_rate_when_the_kernel_drops_falls_by_three_tenths_and_regains_a_fiftieth_per_second() -> None:
    pace = Pace(1000, 0, None)
    pace.tick(PACE_US, Signals(1, 0, 0, 0, 0), NO_RTT)
    assert pace.rate == pytest.approx(700)
    run(pace, 5, Signals(1, 0, 0, 0, 0))
    assert pace.rate == pytest.approx(800)
    run(pace, 60, Signals(1, 0, 0, 0, 0))
    assert pace.rate == 1000


def test_rate_when_drops_go_on_is_cut_once_a_second() -> None:
    pace = Pace(1000, 0, None)
    for i in range(5):
        pace.tick(PACE_US, Signals(i + 1, 0, 0, 0, 0), NO_RTT)
    assert pace.cuts == 1


def test_rate_when_sends_are_refused_falls() -> None:
    pace = Pace(1000, 0, None)
    pace.tick(PACE_US, Signals(0, 1, 0, 0, 0), NO_RTT)
    assert pace.rate == pytest.approx(700)


def run_late(pace: Pace, seconds: float, busy_share: float) -> None:
    """A loop that is 50 ms late in every tick, while its thread has the processor for `busy_share` of the time."""
    busy_us = 0
    for _ in range(round(seconds * SECOND_US / PACE_US)):
        busy_us += int(busy_share * PACE_US)
        pace.tick(PACE_US, Signals(0, 0, 0, 50_000, busy_us), NO_RTT)


def test_loop_that_is_late_by_its_own_work_is_cut_when_that_lasts() -> None:
    pace = Pace(1000, 0, None)
    run_late(pace, 2 * PACE_US / SECOND_US, 1.0)
    assert pace.cuts == 0
    pace = Pace(1000, 0, None)
    run_late(pace, 3 * PACE_US / SECOND_US, 1.0)
    assert pace.rate == pytest.approx(700)


def test_loop_that_is_late_by_the_work_of_others_keeps_its_rate_for_an_hour() -> None:
    pace = Pace(20_000, 0, None)
    run_late(pace, 3600, 0.3)
    assert (pace.cuts, pace.rate) == (0, 20_000)


def test_late_loop_that_also_loses_packets_is_cut_and_does_not_regain_while_it_is_late() -> None:
    pace = Pace(1000, 0, None)
    pace.tick(PACE_US, Signals(1, 0, 0, 50_000, 0), NO_RTT)
    for _ in range(25):
        pace.tick(PACE_US, Signals(1, 0, 0, 50_000, 0), NO_RTT)
    assert pace.rate == pytest.approx(700)
    run(pace, 5, Signals(1, 0, 0, 0, 0))
    assert pace.rate == pytest.approx(800)


def test_window_of_a_rate_holds_what_a_stall_keeps_out() -> None:
    pace = Pace(10_000, 0, None)
    assert pace.window >= 10_000 * pace.stall_us / SECOND_US
    assert Pace(10_000, 77, None).window == 77


def test_window_without_a_rate_leaves_room_for_the_silent() -> None:
    pace = Pace(0, 0, None)
    assert pace.window == 512
    silent = 0
    for _ in range(100):
        silent += 4000                      # 20,000 a second
        pace.tick(PACE_US, Signals(0, 0, silent, 0, 0), NO_RTT)
    assert pace.window == pytest.approx(512 + 20_000 * pace.stall_us / SECOND_US, rel=0.02)


def test_stall_follows_the_round_trip_times_and_the_timeout_stays_above() -> None:
    pace = Pace(1000, 0, None)
    bins = [0] * 64
    bins[36] = 1000                         # 131 to 164 ms
    pace.tick(PACE_US, QUIET, bins)
    assert bin_end(36) == 256 * 2**9 * 1.25
    assert pace.stall_us == 2 * bin_end(36)
    assert pace.timeout_us == SECOND_US
    assert Pace(1000, 0, 300_000).timeout_us == 300_000


def test_fall_of_the_control_group_cuts_the_rate_once_a_second() -> None:
    pace = Pace(1000.0, 0, None)
    pace.tick(PACE_US, replace(QUIET, control=Verdict.FALLEN), NO_RTT)
    assert pace.rate == pytest.approx(700.0)
    pace.tick(PACE_US, replace(QUIET, control=Verdict.FALLEN), NO_RTT)
    assert pace.rate == pytest.approx(700.0, rel=0.02)


def test_silence_of_the_control_group_leaves_the_least_rate() -> None:
    pace = Pace(1000.0, 0, None)
    pace.tick(PACE_US, replace(QUIET, control=Verdict.GONE), NO_RTT)
    assert pace.rate == pytest.approx(20.0)
