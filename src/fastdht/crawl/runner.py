"""Runs the zones of a plan into a directory, here or on workers, and keeps crawl.json true. Rate class: command.

One interface for all who may do the work: concurrent.futures.Executor. Zones are few and fat, so how fast it hands them
out does not matter; a zone whose worker dies is handed out again, and goes on from its checkpoint.
"""
from __future__ import annotations

import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from fastdht import __version__
from fastdht.blocklist import Range
from fastdht.crawl.job import ZoneRun, crawl_zone
from fastdht.crawl.layout import EXCLUDE, LAYOUT, NOTE, STOP, SUMMARY, read_entry, read_note
from fastdht.crawl.plan import Plan, from_note, new_id
from fastdht.crawl.records import NODE_COLUMNS, CrawlResult, Progress, combine
from fastdht.crawl.settings import as_plain
from fastdht.crawl.sinks import prepare_directory, refusal, write_json
from fastdht.crawl.zones import Zone
from fastdht.errors import ConfigError, DHTError

TRIES = 5               # of a zone that raises; what fails so often fails for a reason
RECONNECT_S = 60        # how long a scheduler may be away
MAX_BREAKS = 100        # of a pool that loses its workers
STOPPED = "stopped before its end"

OpenExecutor = Callable[[], AbstractContextManager[Executor]]


def begin(directory: Path, plan: Plan, remarks: Mapping[str, Any]) -> dict[str, Any]:
    """Take a new or empty directory for a crawl; returns its note. Raises ConfigError and PersistError."""
    prepare_directory(directory)
    if plan.exclude:
        write_ranges(directory / EXCLUDE, plan.exclude)
    note = {"layout": LAYOUT, "state": "running", "reason": "", "version": __version__, "id": new_id(),
            "seed": plan.config.seed, "format": plan.format_, "zones": plan.zones, "checkpoint_s": plan.checkpoint_s,
            **remarks, "config": as_plain(plan.config), "config_hash": plan.config_hash,
            "nodes": {column.name: f"{column.kind}: {column.meaning}" for column in NODE_COLUMNS}}
    write_json(directory / NOTE, note)
    return note


def reopen(directory: Path) -> tuple[Plan, dict[str, Any]]:
    """The plan and the note of a crawl that is to go on. Raises ConfigError and PersistError."""
    note = read_note(directory)
    mode = note.get("mode", "census")
    if mode == "monitor":
        raise ConfigError(f"{directory} holds a monitor's visits: `fastdht crawl monitor --resume` goes on with them")
    if mode != "census":
        raise ConfigError(f"{directory} holds results of {mode}, which keeps nothing to resume from")
    if note["layout"] != LAYOUT:
        raise ConfigError(f"{directory} has layout {note['layout']}, which keeps nothing to resume from")
    plan = from_note(note, read_ranges(directory / EXCLUDE))
    (directory / STOP).unlink(missing_ok=True)
    note.update(state="running", reason="")
    write_json(directory / NOTE, note)
    return plan, note


def finish(directory: Path, note: Mapping[str, Any], result: CrawlResult | None, reason: str = "") -> None:
    """Write the summary and the last note; without a result the crawl has failed, for `reason`."""
    state = "failed"
    if result is not None:
        write_json(directory / SUMMARY, result.as_dict())
        reason = result.reason
        state = "complete" if result.complete else "partial" if result.answered else "failed"
    write_json(directory / NOTE, {**note, "state": state, "reason": reason})


def write_ranges(path: Path, ranges: tuple[Range, ...]) -> None:
    import ipaddress

    kinds = {4: ipaddress.IPv4Address, 6: ipaddress.IPv6Address}
    try:
        path.write_text("".join(f"{kinds[family](first)}-{kinds[family](last)}\n" for family, first, last in ranges))
    except OSError as error:
        raise refusal(path, error) from error


def read_ranges(path: Path) -> tuple[Range, ...]:
    from fastdht.blocklist import read_ranges as read

    return tuple(read(path)) if path.exists() else ()


@dataclass(slots=True)
class Tally:
    """What the zones have come to."""

    plan: Plan
    entries: dict[Zone, dict[str, Any]] = field(default_factory=dict)
    reason: str = ""            # why no more zones are begun
    workers: int = 1            # who shared the time that the zones took

    def add(self, zone: Zone, entry: dict[str, Any]) -> None:
        self.entries[zone] = entry
        result = entry["result"]
        if not entry["complete"] and "full" not in result["filtered"]:
            self.reason = self.reason or result["reason"]

    def results(self) -> list[CrawlResult]:
        return [CrawlResult.from_dict(entry["result"]) for entry in self.entries.values()]

    def left(self) -> Plan:
        """The plan with what is left of its limits; sets the reason when nothing is."""
        config, total = self.plan.config, self.total()
        if config.time_s and total.elapsed_s >= config.time_s:
            self.reason = f"its {config.time_s:g} s were over"
        if config.max_nodes and total.found >= config.max_nodes:
            self.reason = f"{config.max_nodes} nodes were found"
        return replace(self.plan, config=replace(
            config, time_s=max(config.time_s - total.elapsed_s, 0.0), max_nodes=max(config.max_nodes - total.found, 0)))

    def total(self) -> CrawlResult:
        zones, zone = self.plan.split(), self.plan.config.zone
        reason = self.reason or (f"{len(self.entries)} of {len(zones)} zones were crawled"
                                 if len(self.entries) < len(zones) else "")
        return replace(combine(self.results(), reason, self.workers), zone=str(zone) if zone.bits else None,
                       depth=self.plan.config.depth, passes=self.plan.config.passes, seed=self.plan.config.seed)


async def crawl_here(plan: Plan, directory: Path, on_progress: Callable[[Progress], None]) -> CrawlResult:
    """Crawl the zones one after another in this process; raises ConfigError and PersistError."""
    tally = Tally(plan)
    zones = plan.split()
    done: Progress | None = None
    latest: Progress | None = None

    def show(progress: Progress) -> None:
        nonlocal latest
        latest = progress.after(done, f"{number}/{len(zones)}" if len(zones) > 1 else "")
        on_progress(latest)

    for number, zone in enumerate(zones, 1):    # noqa: B007  `show` uses the number
        left = tally.left()
        if tally.reason:
            break
        tally.add(zone, await ZoneRun(zone, left, directory, show).run())
        done = latest
    return tally.total()


class Team:
    """Crawls the zones of a plan with an executor: `run()` once; `stop()` from a signal handler."""

    def __init__(self, plan: Plan, directory: Path, workers: int, on_zone: Callable[[CrawlResult, str], None]) -> None:
        self.tally = Tally(plan, workers=workers)
        self._directory = directory
        self._workers = workers
        self._on_zone = on_zone
        self._zones = deque(plan.split())
        self._failures: Counter[Zone] = Counter()
        self._breaks = 0
        self._is_stopped = threading.Event()

    def stop(self) -> None:
        """Have all workers end their zones soon."""
        self._is_stopped.set()
        (self._directory / STOP).touch()

    def run(self, open_executor: OpenExecutor, is_lost: Callable[[Executor], bool] = lambda _: False) -> CrawlResult:
        """Crawl all; workers that are lost are replaced, or their zones given to others.

        `is_lost` is asked every second whether an executor will bring nothing any more; then another is opened.
        """
        self._take_done()
        while self._zones and not self.tally.reason and not self._is_stopped.is_set():
            try:
                with open_executor() as executor:
                    self._hand_out(executor, partial(is_lost, executor))
            except BrokenExecutor:
                self._breaks += 1
            if self._breaks > MAX_BREAKS:
                self.tally.reason = f"workers were lost {self._breaks} times"
        if self._is_stopped.is_set():
            self.tally.reason = STOPPED
        return self.tally.total()

    def _take_done(self) -> None:
        for zone in tuple(self._zones):
            entry = read_entry(self._directory, zone)
            if entry is not None:
                self._zones.remove(zone)
                self.tally.add(zone, entry)

    def _hand_out(self, executor: Executor, is_lost: Callable[[], bool]) -> None:
        """Keep every worker busy until no zone is left; zones of lost workers go back into the queue."""
        running: dict[Future[dict[str, Any]], Zone] = {}
        try:
            while (self._zones and not self.tally.reason) or running:
                while self._zones and len(running) < self._workers and self._may_begin():
                    zone = self._zones.popleft()
                    running[executor.submit(crawl_zone, zone, self.tally.left().share(self._workers),
                                            str(self._directory))] = zone
                finished, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in finished:
                    self._settle(running[future], future)
                    del running[future]
                if not finished and is_lost():
                    raise BrokenExecutor("the scheduler was lost")
                if not running and not self._may_begin():
                    return
        finally:
            self._zones.extendleft(running.values())

    def _may_begin(self) -> bool:
        self.tally.left()
        return not self.tally.reason and not self._is_stopped.is_set()

    def _settle(self, zone: Zone, future: Future[dict[str, Any]]) -> None:
        try:
            self.tally.add(zone, future.result())
        except (BrokenExecutor, CancelledError):        # of a scheduler that has gone, its futures are cancelled
            raise BrokenExecutor("a worker was lost") from None
        except Exception as error:      # of a worker, in another process: whatever it is, the crawl goes on or says it
            self._failures[zone] += 1
            if self._failures[zone] >= TRIES or isinstance(error, ConfigError):
                self.tally.reason = f"zone {zone} failed: {error}"
            self._zones.append(zone)
            return
        self._on_zone(self.tally.total(), f"{len(self.tally.entries)}/{self.tally.plan.zones}")


@contextmanager
def stopping(team: Team) -> Iterator[None]:
    """While inside, SIGINT and SIGTERM stop the team; the second one ends the process."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]

    def on_signal(_number: int, _frame: object) -> None:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        team.stop()

    for number in numbers:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def open_pool(workers: int) -> Iterator[Executor]:
    """Processes of this machine, each started anew: a fork would share this process's sockets and threads."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as executor:
        yield executor


class Dask:
    """The workers of a Dask scheduler: one client at a time, and a new one when the scheduler was started anew."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client: Any = None

    def count_workers(self) -> int:
        """How many zones are crawled at a time. Raises DHTError when there is no scheduler, or nobody works for it."""
        with self._connect() as client:
            count = sum(client.nthreads().values())
        if not count:
            raise DHTError(f"the Dask scheduler at {self.address} has no workers")
        return int(count)

    def _connect(self) -> Any:
        from distributed import Client

        try:
            return Client(self.address, timeout=RECONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise DHTError(f"no Dask scheduler at {self.address}: {error}") from None

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """An executor for Team.run."""
        self._client = self._connect()
        try:
            yield self._client.get_executor(pure=False, retries=TRIES)
        finally:
            self._client.close(timeout=1)

    def is_lost(self, _executor: Executor) -> bool:
        return bool(self._client.status != "running")
