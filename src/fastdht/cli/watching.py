"""`--metrics` of the crawl modes: the figures of a crawl, served over HTTP while it runs. Rate class: second.

Without the option nothing of it is loaded; with it, a missing extra is told before anything is sent or written.
"""
from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import click

from fastdht.cli.params import HTTP
from fastdht.cli.render import emit_remark
from fastdht.crawl.records import Progress
from fastdht.errors import ConfigError
from fastdht.types import Endpoint

T = TypeVar("T")
Figures = Mapping[str, float | None]        # by their name in crawl_metrics.METRICS


def require_metrics(context: click.Context, option: click.Parameter, where: Endpoint | None) -> Endpoint | None:
    """Raises ConfigError where the extra is missing."""
    if where is not None:
        try:
            importlib.import_module("fastdht.cli.metrics")
        except ModuleNotFoundError as error:
            raise ConfigError(f"--metrics needs {error.name}, which is not installed: pip install 'fastdht[metrics]'"
                              ) from None
    return where


metrics_option = click.option(
    "--metrics", type=HTTP, metavar="[IP]:PORT", callback=require_metrics,
    help="Serve Prometheus metrics at http://IP:PORT/metrics meanwhile; :PORT on 127.0.0.1 only.")


@contextlib.asynccontextmanager
async def served(where: Endpoint | None, read: Callable[[], Figures]) -> AsyncIterator[None]:
    """Serve what `read` returns, if it is wanted. Raises ConfigError when it cannot listen."""
    if where is None:
        yield
        return
    from fastdht.cli.crawl_metrics import CrawlCollector
    from fastdht.cli.metrics import serve_metrics

    async with serve_metrics(CrawlCollector(read), where) as url:
        emit_remark(f"metrics at {url}")
        yield


async def watched(where: Endpoint | None, read: Callable[[], Figures], work: Coroutine[Any, Any, T]) -> T:
    """Do the work while what `read` returns is served."""
    with contextlib.closing(work):      # which never begins where nobody can listen
        async with served(where, read):
            return await work


class Latest:
    """The last Progress of a crawl."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def add(self, progress: Progress) -> None:
        self._progress = progress

    def figures(self) -> Figures:
        return figures_of(self._progress) if self._progress is not None else {}


def figures_of(progress: Progress) -> Figures:
    return {
        "found_total": progress.found, "sent_total": progress.sent, "answered_total": progress.answered,
        "kernel_drops_total": progress.kernel_drops, "contacts": progress.contacts, "queued": progress.queued,
        "in_flight": progress.in_flight, "rate_packets_per_second": progress.rate,
        "found_per_second": progress.found_rate, "elapsed_seconds": progress.elapsed_s, "pass": progress.pass_number,
        "control_answered_ratio": progress.control, "infohashes": progress.infohashes,
        "coverage_ratio": progress.coverage,
    }
