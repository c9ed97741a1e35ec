"""The progress of a crawl on stderr: a live frame on a terminal, a plain line every 5 seconds elsewhere, or as told.

Rate class: second.
"""
from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

import click

from fastdht.cli.render import count, emit_remark, percent
from fastdht.crawl.records import Progress

if TYPE_CHECKING:
    from rich.live import Live

PLAIN_SECONDS = 5.0


class Display(Protocol):
    """Shows the state of a crawl."""

    def show(self, progress: Progress) -> None: ...


class LiveFrame:
    """Rewrites a few lines of a terminal."""

    def __init__(self, live: Live) -> None:
        from fastdht.cli.crawl_view import CrawlView

        self._live = live
        self._view = CrawlView()

    def show(self, progress: Progress) -> None:
        self._live.update(self._view.draw(progress), refresh=True)


class PlainLines:
    """A line now and then, for logs."""

    def __init__(self) -> None:
        self._next = 0.0

    def show(self, progress: Progress) -> None:
        if progress.elapsed_s >= self._next:
            self._next = progress.elapsed_s + PLAIN_SECONDS
            emit_remark(describe(progress))


class JsonLines:
    """An object a line, for programs."""

    def show(self, progress: Progress) -> None:
        sys.stderr.write(json.dumps(asdict(progress)) + "\n")
        sys.stderr.flush()


class Silence:
    def show(self, progress: Progress) -> None:
        return


DISPLAYS: dict[str, Callable[[], Display]] = {"json": JsonLines, "none": Silence}
progress_option = click.option(
    "--progress", type=click.Choice(("auto", "bar", *DISPLAYS)), default="auto", show_default=True,
    help="On stderr: a live frame (bar), an object a line (json), or nothing. auto: bar on a terminal, else lines.")


@contextlib.contextmanager
def open_display(kind: str = "auto") -> Iterator[Display]:
    """A live frame when stderr is a terminal, plain lines otherwise; or what `kind`, of the option's, says."""
    if kind in DISPLAYS:
        yield DISPLAYS[kind]()
        return
    if kind == "auto" and not sys.stderr.isatty():
        yield PlainLines()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False) as live:
        yield LiveFrame(live)


def describe(progress: Progress) -> str:
    answered = percent(progress.answered / progress.sent) if progress.sent else "-"
    parts = [
        f"{int(progress.elapsed_s) // 60}:{int(progress.elapsed_s) % 60:02}",
        f"found {count(progress.found)} (+{count(progress.found_rate)}/s)",
        f"sent {count(progress.sent)} ({count(progress.rate)}/s), {answered} answered",
        f"queue {count(progress.queued)}",
        f"in flight {count(progress.in_flight)}",
        f"drops {count(progress.kernel_drops)}",
    ]
    if progress.zone:
        parts.insert(1, f"zone {progress.zone}")
    return (f"pass {progress.pass_number} | " if progress.pass_number > 1 else "") + " | ".join(parts)
