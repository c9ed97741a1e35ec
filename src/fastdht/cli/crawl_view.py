"""The frame a terminal shows of a running crawl: figures, time left, and how the rates went. Rate class: second.

Colours are the terminal's own (bold, dim), so that it reads on light and dark ones.
"""
from __future__ import annotations

from collections import deque

from rich.table import Table
from rich.text import Text

from fastdht.cli.render import count, percent
from fastdht.crawl.records import Progress

BARS = "▁▂▃▄▅▆▇█"
HISTORY = 40        # samples kept, the oldest leave first: what fits beside the figures in 80 columns


class CrawlView:
    """Remembers the last rates and draws a frame of each state."""

    def __init__(self) -> None:
        self._rates: deque[float] = deque(maxlen=HISTORY)
        self._found: deque[float] = deque(maxlen=HISTORY)

    def draw(self, progress: Progress) -> Table:
        self._rates.append(progress.rate)
        self._found.append(progress.found_rate)
        seconds = int(progress.elapsed_s)
        where = f"pass {progress.pass_number}" + (f", zone {progress.zone}" if progress.zone else "")
        answered = percent(progress.answered / progress.sent) if progress.sent else "-"
        grid = Table.grid(padding=(0, 2))
        for style, width in (("dim", 8), ("bold", 24), ("", None)):
            grid.add_column(style=style, width=width, no_wrap=True, overflow="ellipsis")
        grid.add_row("time", f"{seconds // 60}:{seconds % 60:02}  {time_left(progress)}", where)
        grid.add_row("found", f"{count(progress.found)} (+{count(progress.found_rate)}/s)", Text(spark(self._found)))
        grid.add_row("sent", f"{count(progress.sent)} ({count(progress.rate)}/s)", Text(spark(self._rates)))
        grid.add_row("answered", answered, f"drops {count(progress.kernel_drops)}")
        grid.add_row("queue", count(progress.queued), f"in flight {count(progress.in_flight)}")
        return grid


def time_left(progress: Progress) -> str:
    """A lower bound: the queue still grows while answers name new nodes, and other zones and passes may follow."""
    if progress.rate <= 0:
        return ""
    seconds = int(progress.queued / progress.rate)
    return f"at least {seconds // 60}:{seconds % 60:02} left"


def spark(values: deque[float]) -> str:
    """A bar for each value, against the largest."""
    top = max(values, default=0.0)
    return "".join(BARS[int(max(each, 0.0) / top * (len(BARS) - 1))] if top > 0 else BARS[0] for each in values)
