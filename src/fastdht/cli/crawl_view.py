"""The frame a terminal shows of a running crawl: figures, time left, and how the rates went. Rate class: second.

78 columns, so that none is cut where there are 80. Colours are the terminal's own (bold, dim, cyan), so that it reads
on light and dark ones.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from fastdht.cli.render import count, percent
from fastdht.crawl.records import Progress

BARS = "▁▂▃▄▅▆▇█"
LABEL = 8
FIGURES = 34
HISTORY = 32            # samples kept, the oldest leave first: as many as the last column is wide
SMOOTHING = 0.1         # weight of a new rate: at two a second, what is older than five seconds counts a third
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


class CrawlView:
    """Remembers the last rates and draws a frame of each state."""

    def __init__(self) -> None:
        self._rates: deque[float] = deque(maxlen=HISTORY)
        self._found: deque[float] = deque(maxlen=HISTORY)
        self._part = ("", 0)            # zone and pass of the last state
        self._rate = 0.0                # smoothed

    def draw(self, progress: Progress) -> Table:
        """The frame of this state, the next one in time."""
        self._take(progress)
        grid = Table.grid(padding=(0, 2))
        for style, width in (("dim", LABEL), ("bold", FIGURES), ("", HISTORY)):
            grid.add_column(style=style, width=width, no_wrap=True, overflow="ellipsis")
        for row in self._rows(progress):
            grid.add_row(*row)
        return grid

    def _take(self, progress: Progress) -> None:
        part = (progress.zone, progress.pass_number)
        if self._rates and part != self._part:      # the first rate of a zone tells of its beginning, not of the crawl
            self._rates.append(self._rates[-1])
            self._found.append(self._found[-1])
        else:
            self._rate += (progress.rate - self._rate) * (SMOOTHING if self._rates else 1.0)
            self._rates.append(progress.rate)
            self._found.append(progress.found_rate)
        self._part = part

    def _rows(self, progress: Progress) -> Iterable[tuple[str, str, str | Text]]:
        elapsed = " ".join(filter(None, (clock(progress.elapsed_s), time_left(progress.queued, self._rate))))
        where = f"pass {progress.pass_number}" + (f", zone {progress.zone}" if progress.zone else "")
        answered = percent(progress.answered / progress.sent) if progress.sent else "-"
        yield "time", elapsed, where
        yield "found", f"{count(progress.found)} (+{count(progress.found_rate)}/s)", bars(self._found)
        yield "sent", f"{count(progress.sent)} ({count(progress.rate)}/s)", bars(self._rates)
        yield "answered", answered, f"{count(progress.kernel_drops)} lost in the kernel"
        yield "queue", count(progress.queued), f"{count(progress.in_flight)} in flight"
        if progress.infohashes is not None:
            seen = "-" if progress.coverage is None else percent(progress.coverage)
            yield "hashes", f"{count(progress.infohashes)} infohashes", f"coverage {seen}, estimated"
        if progress.control is not None:
            yield "control", percent(progress.control), "answered"


def clock(seconds: float) -> str:
    """As 1:05, 10:00:00 or 12 days."""
    whole = int(seconds)
    if whole >= 2 * DAY_S:
        return f"{count(whole // DAY_S)} days"
    hours, rest = divmod(whole, HOUR_S)
    return (f"{hours}:{rest // MINUTE_S:02}" if hours else f"{rest // MINUTE_S}") + f":{rest % MINUTE_S:02}"


def time_left(queued: int, rate: float) -> str:
    """A lower bound: the queue still grows while answers name new nodes, and other zones and passes may follow."""
    return f"at least {clock(queued / rate)} left" if rate > 0 else ""


def bars(values: deque[float]) -> Text:
    return Text(spark(values), style="cyan")


def spark(values: deque[float]) -> str:
    """A bar for each value, against the largest."""
    top = max(values, default=0.0)
    return "".join(BARS[int(max(each, 0.0) / top * (len(BARS) - 1))] if top > 0 else BARS[0] for each in values)
