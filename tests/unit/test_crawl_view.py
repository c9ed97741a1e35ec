"""The live frame of a crawl."""
from __future__ import annotations

import io
from collections import deque
from dataclasses import replace

import pytest
from rich.console import Console

from fastdht.cli.crawl_view import CrawlView, clock, spark, time_left
from fastdht.crawl.records import Progress

STATE = Progress(elapsed_s=65.0, pass_number=1, found=4_710_000, sent=9_800_000, answered=4_900_000, contacts=1,
                 queued=120_000, in_flight=31_000, rate=1000.0, found_rate=500.0, kernel_drops=0, zone="3/256")
LARGE = replace(STATE, elapsed_s=36_000.0, queued=99_000_000, found=12_000_000, sent=99_000_000, pass_number=2,
                zone="65535/65536", infohashes=12_000_000, coverage=0.497, control=0.975)


def drawn(width: int, *states: Progress) -> str:
    console, view = Console(width=width, record=True, file=io.StringIO()), CrawlView()
    for state in states:
        frame = view.draw(state)
    console.print(frame)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 120])
def test_view_at_a_width_cuts_nothing(width: int) -> None:
    text = drawn(width, *[STATE] * 100)
    assert "…" not in text and "zone 3/256" in text and "1:05 at least 2:00 left" in text


def test_view_of_large_values_at_80_columns_cuts_nothing() -> None:
    text = drawn(80, *[LARGE] * 100)
    assert "…" not in text and max(map(len, text.splitlines())) <= 78
    for part in ("10:00:00 at least 27:30:00 left", "12,000,000 (+500/s)", "99,000,000 (1,000/s)", "pass 2, zone 65535/65536",
                 "12,000,000 infohashes", "coverage 49.70 %", "97.50 %"):
        assert part in text


def test_view_of_a_census_has_no_rows_of_others() -> None:
    text = drawn(80, STATE)
    assert "infohashes" not in text and "control" not in text


def test_view_when_a_zone_begins_then_shows_no_dip() -> None:
    text = drawn(80, STATE, STATE, replace(STATE, zone="4/256", rate=1.0, found_rate=0.0))
    assert "███" in text and "▁" not in text


def test_time_left_when_the_rate_jumps_then_follows_slowly() -> None:
    assert "at least 2:00 left" in drawn(80, *[STATE] * 50)
    assert "at least 2:13 left" in drawn(80, *[STATE] * 50, replace(STATE, rate=0.0))     # 120 s / 0.9


def test_time_left_of_a_queue_at_a_rate_is_their_quotient() -> None:
    assert time_left(120_000, 1000.0) == "at least 2:00 left"
    assert time_left(120_000, 0.0) == ""


def test_clock_when_there_are_hours_then_shows_them() -> None:
    assert [clock(each) for each in (65.9, 3600.0, 36_061.0, 864_000.0)] == ["1:05", "1:00:00", "10:01:01", "10 days"]


def test_spark_of_rising_values_rises() -> None:
    assert spark(deque([0.0, 7.0])) == "▁█"
