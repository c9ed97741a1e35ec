"""The live frame of a crawl."""
from __future__ import annotations

import io
from collections import deque

import pytest
from rich.console import Console

from fastdht.cli.crawl_view import CrawlView, spark, time_left
from fastdht.crawl.records import Progress

STATE = Progress(elapsed_s=65.0, pass_number=1, found=4_710_000, sent=9_800_000, answered=4_900_000, contacts=1,
                 queued=120_000, in_flight=31_000, rate=1000.0, found_rate=500.0, kernel_drops=0, zone="3/256")


@pytest.mark.parametrize("width", [80, 120])
def test_view_at_a_width_cuts_nothing(width: int) -> None:
    console, view = Console(width=width, record=True, file=io.StringIO()), CrawlView()
    for _ in range(100):
        frame = view.draw(STATE)
    console.print(frame)
    text = console.export_text()
    assert "…" not in text and "zone 3/256" in text and "at least 2:00 left" in text


def test_time_left_of_a_queue_at_a_rate_is_their_quotient() -> None:
    assert time_left(STATE) == "at least 2:00 left"


def test_spark_of_rising_values_rises() -> None:
    assert spark(deque([0.0, 7.0])) == "▁█"
