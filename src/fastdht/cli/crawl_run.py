"""Runs a planned crawl for a command: here, in processes or on Dask, and shows how it goes. Rate class: command."""
from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from fastdht.cli.progress import open_display
from fastdht.cli.render import Row, count, emit_json, emit_remark, percent, print_summary, seconds
from fastdht.cli.run import run_async
from fastdht.cli.watching import Latest, watched
from fastdht.crawl.crawler import Crawl
from fastdht.crawl.job import stopped_by_signals
from fastdht.crawl.plan import Plan
from fastdht.crawl.records import CrawlResult, Progress
from fastdht.crawl.remote import STAGES
from fastdht.crawl.runner import Dask, Tally, Team, begin, crawl_here, finish, open_pool, stopping
from fastdht.crawl.sinks import NullSink, StreamSink
from fastdht.crawl.timeline import Timeline
from fastdht.errors import ConfigError, DHTError
from fastdht.types import Endpoint

# Arrow's own allocator gives the buffers of each row group back to the system, which clears their pages anew.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")


def run_plan(plan: Plan, folder: Path, workers: int, scheduler: str, remarks: Mapping[str, Any],
             note: dict[str, Any] | None = None, metrics: Endpoint | None = None,
             progress: str = "auto") -> CrawlResult:
    """Crawl into a folder, a new one or (with its note) one that is gone on with, and keep its notes true."""
    if metrics is not None and (workers > 1 or scheduler):
        raise ConfigError("--metrics tells of one process; it goes with neither --workers nor --scheduler")
    if scheduler:
        require_dask()
        if folder.is_relative_to(STAGES.expanduser()):
            raise ConfigError("--scheduler needs a directory that all workers share; a URL is only copied to")
    if note is None:
        note = begin(folder, plan, remarks)
    result, reason = None, "ended by an error"
    try:
        result = (run_team(plan, folder, workers, scheduler) if workers > 1 or scheduler
                  else run_alone(plan, folder, metrics, progress))
    except DHTError as error:
        reason = str(error)
        raise
    finally:
        try:
            finish(folder, note, result, reason)
        except DHTError:
            if result is not None:      # else the crawl's own error is the one to report
                raise
    return result


def require_dask() -> None:
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise ConfigError("--scheduler needs Dask: pip install 'fastdht[dask]'") from None


@contextmanager
def shown(folder: Path | None, latest: Latest, kind: str) -> Iterator[Any]:
    """A function that shows a Progress and keeps it, the last one and in the timeline of the folder."""
    gc.freeze()         # what start-up made stays; without it each full collection would pause the loop
    with Timeline(folder) as timeline, open_display(kind) as display:
        def show(progress: Progress) -> None:
            latest.add(progress)
            timeline.add(progress)
            display.show(progress)

        yield show


def run_alone(plan: Plan, folder: Path, metrics: Endpoint | None, progress: str) -> CrawlResult:
    latest = Latest()
    with shown(folder, latest, progress) as show:
        return run_async(watched(metrics, latest.figures, crawl_here(plan, folder, show)))


def run_unkept(plan: Plan, stream: BinaryIO | None, metrics: Endpoint | None, progress: str) -> CrawlResult:
    """Crawl without a folder: rows go to a stream, or are counted."""
    async def crawl_all() -> CrawlResult:
        tally = Tally(plan)
        for zone in plan.split():
            config = tally.left().config_of(zone)
            if tally.reason:
                break
            crawl = Crawl(config, StreamSink(stream) if stream is not None else NullSink(), on_progress=show)
            with stopped_by_signals(crawl.stop):
                result = await crawl.run()
            tally.add(zone, {"complete": result.complete, "result": result.as_dict()})
        return tally.total()

    latest = Latest()
    with shown(None, latest, progress) as show:
        return run_async(watched(metrics, latest.figures, crawl_all()))


def run_team(plan: Plan, folder: Path, workers: int, scheduler: str) -> CrawlResult:
    def show(total: CrawlResult, zones: str) -> None:
        emit_remark(f"zone {zones} | found {count(total.found)} | sent {count(total.sent)}")

    if not scheduler:
        team = Team(plan, folder, workers, show)
        with stopping(team):
            return team.run(lambda: open_pool(workers))
    dask = Dask(scheduler)
    team = Team(plan, folder.absolute(), dask.count_workers(), show)
    with stopping(team):
        return team.run(dask.open, dask.is_lost)


def emit_result(result: CrawlResult, bootstrap: tuple[str, ...], *, as_json: bool, is_silent: bool = False) -> None:
    """Print the summary; raises DHTError when nobody answered."""
    if as_json:
        emit_json(result.as_dict())
    elif not is_silent:
        print_summary("Census" if result.complete else f"Census, incomplete: {result.reason}", summarise(result))
    if not result.answered and not result.reason.startswith("stopped"):
        raise DHTError(f"{result.reason}: asked {', '.join(bootstrap)}")


def recall_rows(result: CrawlResult) -> list[Row]:
    """The estimate of recall, where there is one."""
    if result.recall_estimate is None or result.recall_low is None or result.recall_high is None:
        return []
    return [Row("recall, estimated", percent(result.recall_estimate),
                f"{100 * result.recall_low:.1f} to {percent(result.recall_high)}")]


def summarise(result: CrawlResult) -> list[Row]:
    filtered = ", ".join(f"{name} {count(number)}" for name, number in result.filtered.items())
    return [
        Row("found", count(result.found), f"of {count(result.contacts)} contacts"),
        *(Row(name.replace("ipv", "IPv"), count(each["found"]), f"found, {count(each['answered'])} of "
              f"{count(each['sent'])} queries answered") for name, each in result.families.items()),
        *([Row("edges", count(result.edges), f"{count(result.edges_dropped)} dropped")] if result.edges else []),
        *recall_rows(result),
        Row("sent", count(result.sent), f"{result.msgs_per_found:.2f} per found node"),
        Row("answered", percent(result.answered / max(result.sent, 1)), f"{count(result.timeouts)} timed out"),
        Row("rate", f"{count(result.rpc_per_s)}/s", f"{count(result.found_per_s)} nodes found per second"),
        Row("most to one address", count(result.max_packets_per_ip), "packets"),
        Row("lost in the kernel", count(result.kernel_drops), "datagrams"),
        Row("not counted", count(sum(result.filtered.values())), filtered),
        Row("time", seconds(result.elapsed_s)),
    ]
