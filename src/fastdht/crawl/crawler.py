"""Runs a crawl: pass after pass, with a thread that writes what they find. Rate class: second.

Ten times a second Python lets the frontier's sets grow, hands rows to the writer when they are many or old, and sets
the pace; packets it never sees. A writer that falls behind stops the asking, for the frontier's rows then fill up.
"""
from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from fastdht._ext.frontier import FILTER_NAMES, Frontier
from fastdht.config import SECOND_US
from fastdht.crawl.checkpoint import Saved, Saver
from fastdht.crawl.harvest import SampleKeeper
from fastdht.crawl.passes import Pass, make_frontier
from fastdht.crawl.recall import ENOUGH_CONTACTS, MOST_NAMED, Sightings, recall_fields
from fastdht.crawl.records import CrawlResult, Progress
from fastdht.crawl.settings import DEPTHS, CrawlConfig, as_plain
from fastdht.crawl.sinks import NullSink, Sink
from fastdht.crawl.watch import Watch
from fastdht.engine.clock import monotonic_us, thread_busy_us
from fastdht.engine.names import HostList
from fastdht.engine.transport import Transport, open_transport
from fastdht.errors import ConfigError
from fastdht.types import Endpoint

__all__ = ["DEPTHS", "Crawl", "CrawlConfig", "as_plain"]

TICK_US = 100_000
GROWTH_TICK_US = 20_000     # while a set grows: each step is short, and asking waits for the last
BLOCK_ROWS = 16_384         # handed over at once: a thread woken for a few rows costs more than it writes …
BLOCK_US = 1_000_000        # … or what there is after a second
WRITES_AHEAD = 4            # blocks handed to the writer and not yet written
PROGRESS_US = 500_000
WRITER_NICE = 5             # above the loop's niceness: a third of its share where both want one processor
STOPPED = "stopped before its end"


def open_crawl_transport(bind: Endpoint) -> Transport:
    """A socket whose datagrams never ask to be split: ours are small, and the kernel is spared their numbering."""
    return open_transport(bind, for_crawl=True)


def step_back() -> None:
    """Have the system prefer the loop to this thread: what a writer takes at once, the loop is late by.

    Only where niceness is a thread's own, and not the whole process's.
    """
    if sys.platform == "linux":
        own = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, own, os.getpriority(os.PRIO_PROCESS, own) + WRITER_NICE)


def count_sightings(frontier: Frontier, totals: Mapping[str, int]) -> Sightings:
    """What a pass that has ended tells of the nodes it missed."""
    every = max(1, totals["contacts"] // ENOUGH_CONTACTS)
    found = totals["found"] + totals["found_before"]    # a second pass writes only who is new
    return Sightings(found, *frontier.referrer_histogram(MOST_NAMED, every), totals["known_answered"],
                     totals["known_silent"])


class Crawl:
    """One crawl: `await run()` once; `stop()` ends it early with what was found.

    `sink` takes the rows (without one they are only counted), `edges` those of who names whom; `on_progress` is called
    twice a second. With `samples` it is a harvest: each node is asked for samples of its infohashes once, where the
    keeper's ledger allows. `saver` keeps what is needed to go on after a crash; `saved` is where an earlier attempt
    left off. `disk_used` tells the bytes that the results take. With `keeps_contacts` the last `frontier` outlives the
    run.
    """

    def __init__(self, config: CrawlConfig, sink: Sink | None = None, *, samples: SampleKeeper | None = None,
                 edges: Sink | None = None,
                 on_progress: Callable[[Progress], None] | None = None, saver: Saver | None = None,
                 saved: Saved | None = None, disk_used: Callable[[], int] = lambda: 0,
                 keeps_contacts: bool = False, clock: Callable[[], int] = monotonic_us,
                 busy_clock: Callable[[], int] = thread_busy_us,
                 transport: Callable[[Endpoint], Transport] = open_crawl_transport) -> None:
        self.config = config
        self.is_stopped = False
        if samples is not None and (config.depth != "standard" or config.passes != 1):
            raise ConfigError(f"a harvest of depth {config.depth}, {config.passes} passes; only standard, 1 pass")
        self._stop_reason = STOPPED
        self._saver = saver
        self._saved = saved
        self._disk_used = disk_used
        self._keeps_contacts = keeps_contacts
        self._sink = sink or NullSink()
        self._edges = edges or NullSink()
        self._samples = samples
        self._on_progress = on_progress
        self._clock = clock
        self._busy_clock = busy_clock
        self._open_transport = transport
        self._passes: list[dict[str, int]] = []
        self._pass: Pass | None = None
        self.frontier: Frontier | None = None       # of the last pass that has ended; empty unless contacts are kept
        self._watch = Watch(config.rate, clock)
        self._packets_per_ip = 0
        self.sightings: list[Sightings] = []        # of each pass that has ended
        self._longest_late_us = 0
        self._started_us = 0
        self._taken_us = 0
        self._writes: list[asyncio.Future[None]] = []
        self._reported = (0, 0, 0)      # time, sent and found at the last report

    def stop(self, reason: str = STOPPED) -> None:
        """End soon; what has been found is written. May be called from a signal handler of the loop."""
        if not self.is_stopped:
            self.is_stopped, self._stop_reason = True, reason

    async def run(self) -> CrawlResult:
        """Crawl to the end; raises ConfigError (no seed, no socket), PersistError (disk)."""
        self._started_us = self._clock() - int((self._saved.elapsed_s if self._saved else 0) * SECOND_US)
        hosts = HostList(self.config.bootstrap)
        seeds: dict[int, bytes] = {family: b"".join(await hosts(family)) for family in self.config.families}
        if not any(seeds.values()):
            families = " or ".join(f"IPv{family}" for family in seeds)
            raise ConfigError(f"no {families} address for {', '.join(self.config.bootstrap)}")
        with ThreadPoolExecutor(1, thread_name_prefix="crawl-writer", initializer=step_back) as writer:
            try:
                await self._run_passes(seeds, writer)
                await asyncio.gather(*self._writes)
            finally:
                await asyncio.get_running_loop().run_in_executor(writer, self._close_sinks)
        return self._summarize()

    def _close_sinks(self) -> None:
        with ExitStack() as stack:          # each is closed, whatever becomes of the others
            stack.callback(self._edges.close)
            if self._samples is not None:
                stack.callback(self._samples.close)
            self._sink.close()

    async def _run_passes(self, seeds: Mapping[int, bytes], writer: ThreadPoolExecutor) -> None:
        previous = None
        for number in range(self.config.passes):
            if self.is_stopped and number:
                break
            saved = self._saved.passes[number] if self._saved and number < len(self._saved.passes) else None
            frontier = make_frontier(self.config, number, previous, self._samples.ledger if self._samples else None)
            if saved is not None and self._saved is not None:
                await self._in_thread(writer, self._saved.load, number, frontier)
            if saved is not None and saved["is_done"]:
                self._passes.append(saved["totals"])
            else:
                await self._run_pass(number, frontier, saved["totals"] if saved else {}, seeds, writer)
            self._packets_per_ip += await self._in_thread(writer, frontier.max_packets_per_address)
            self.sightings.append(await self._in_thread(writer, count_sightings, frontier, self._passes[-1]))
            previous = self.frontier = frontier
        while previous is not None and not self._keeps_contacts:
            await self._in_thread(writer, previous.forget_all)
            previous = previous.previous

    async def _run_pass(self, number: int, frontier: Frontier, before: Mapping[str, int],
                        seeds: Mapping[int, bytes], writer: ThreadPoolExecutor) -> None:
        current = Pass(self.config, number, frontier, before, self._clock, self._busy_clock, self._open_transport)
        self._pass = current
        try:
            for family, packed in seeds.items():
                frontier.offer(packed, family)
            await self._in_thread(writer, frontier.make_ready)
            current.start()
            await self._drive(current, writer)
        finally:
            self._passes.append(current.totals())
            self._pass = None
            current.close()

    async def _in_thread(self, writer: ThreadPoolExecutor, task: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(writer, task, *arguments)

    async def _drive(self, current: Pass, writer: ThreadPoolExecutor) -> None:
        last_us = self._clock()
        tick_us = TICK_US
        while not self.is_stopped and not current.frontier.is_exhausted():
            await asyncio.sleep(tick_us / SECOND_US)
            now_us = self._clock()
            late_us = max(0, now_us - last_us - tick_us)
            self._longest_late_us = max(self._longest_late_us, late_us)
            tick_us = GROWTH_TICK_US if current.frontier.tend() else TICK_US
            if self._samples is not None:
                self._samples.tend(now_us)
            current.frontier.give_up_crowded(now_us, int(self.config.crowd_wait_s * SECOND_US))
            self._reap()
            waiting = max(current.frontier.rows_waiting(), current.frontier.samples_waiting(),
                          current.frontier.edges_waiting())
            is_due = waiting >= BLOCK_ROWS or now_us - self._taken_us >= BLOCK_US
            if is_due and len(self._writes) < WRITES_AHEAD:
                self._take_rows(current.frontier, writer, now_us)
            self._save(current, writer, now_us)
            self._watch.tend(current, now_us)
            current.tick(now_us, late_us)
            self._report(now_us)
            self._check_limits(now_us)
            last_us = now_us
        await asyncio.gather(*self._writes)
        self._take_rows(current.frontier, writer, self._clock())
        if not self.is_stopped and (silence := await self._watch.find_silence(current)):
            self.stop(silence)
            return          # with the last state that was saved: what has been asked since will be asked again
        if self._saver is not None and not self._is_all_done(current):
            self._finish_saving(current, writer, self._clock(), not self.is_stopped)

    def _is_all_done(self, current: Pass) -> bool:
        """Whether nothing is left for another attempt."""
        return current.number + 1 == self.config.passes and not self._reason(*self._outcome())

    def _save(self, current: Pass, writer: ThreadPoolExecutor, now_us: int) -> None:
        if self._saver is None or len(self._writes) >= WRITES_AHEAD or self._watch.is_in_doubt(current):
            return
        if self._saver.tick(current.frontier, self.config.families, now_us, self._submitter(writer)):
            self._take_rows(current.frontier, writer, now_us)
            self._finish_saving(current, writer, now_us, False)

    def _finish_saving(self, current: Pass, writer: ThreadPoolExecutor, now_us: int, is_pass_done: bool) -> None:
        assert self._saver is not None
        answered, elapsed_s = self.totals("answered")[0], (now_us - self._started_us) / SECOND_US
        values = {"answered": answered, "elapsed_s": elapsed_s, "pass": {"totals": current.totals()}}
        self._saver.finish(current.frontier, self.config.families, now_us, values, is_pass_done,
                           self._submitter(writer))

    def _submitter(self, writer: ThreadPoolExecutor) -> Callable[..., None]:
        def submit(task: Callable[..., Any], *arguments: Any) -> None:
            self._writes.append(asyncio.get_running_loop().run_in_executor(writer, task, *arguments))

        return submit

    def _check_limits(self, now_us: int) -> None:
        config = self.config
        if config.time_s and now_us - self._started_us >= config.time_s * SECOND_US:
            self.stop(f"its {config.time_s:g} s were over")
        if config.max_nodes and self.totals("found")[0] >= config.max_nodes:
            self.stop(f"{config.max_nodes} nodes were found")
        if config.max_disk and self._disk_used() >= config.max_disk:
            self.stop(f"the results took {config.max_disk} bytes")

    def _reap(self) -> None:
        """Forget the writes that are done; raises what the writer raised."""
        for write in [each for each in self._writes if each.done()]:
            self._writes.remove(write)
            write.result()

    def _take_rows(self, frontier: Frontier, writer: ThreadPoolExecutor, now_us: int) -> None:
        self._taken_us = now_us
        blocks = frontier.take_found(), frontier.take_samples(), frontier.take_edges()
        self._watch.take(blocks[0])
        if self._saver is not None:
            self._saver.keep_rows(blocks[0], self._submitter(writer))
        self._submitter(writer)(self._write, *blocks, now_us)

    def _write(self, found: bytes, samples: bytes, edges: bytes, now_us: int) -> None:
        self._sink.write(found, now_us)
        self._edges.write(edges, now_us)
        if self._samples is not None:
            self._samples.write(samples, now_us)

    def _report(self, now_us: int) -> None:
        then_us, sent, found = self._reported
        if self._on_progress is None or now_us - max(then_us, self._started_us) < PROGRESS_US or self._pass is None:
            return
        all_sent, all_found, answered, drops = self.totals("sent", "found", "answered", "kernel_drops")
        self._reported = (now_us, all_sent, all_found)
        counts = self._pass.totals()
        seconds = (now_us - max(then_us, self._started_us)) / SECOND_US
        infohashes, coverage = (self._samples.seen(all_found, self.totals("samplers")[0])
                                if self._samples is not None else (None, None))
        self._on_progress(Progress(
            elapsed_s=(now_us - self._started_us) / SECOND_US, pass_number=self._pass.number + 1,
            found=all_found, sent=all_sent, answered=answered, contacts=counts["contacts"], queued=counts["queued"],
            in_flight=counts["in_flight"], rate=(all_sent - sent) / seconds,
            found_rate=(all_found - found) / seconds, kernel_drops=drops,
            infohashes=infohashes, coverage=coverage, control=self._watch.group.share))

    def totals(self, *names: str) -> tuple[int, ...]:
        """Counters of the frontiers of all passes, summed."""
        passes = self._passes + ([self._pass.totals()] if self._pass is not None else [])
        return tuple(sum(counts[name] for counts in passes) for name in names)

    def _summarize(self) -> CrawlResult:
        elapsed = max((self._clock() - self._started_us) / SECOND_US, 1e-6)
        found, sent, answered, timeouts, drops = self.totals("found", "sent", "answered", "timeouts", "kernel_drops")
        _, filtered = self._outcome()
        reason = self._reason(answered, filtered)
        zone = self.config.zone
        return CrawlResult(
            found=found, contacts=max((counts["contacts"] for counts in self._passes), default=0), sent=sent,
            answered=answered, timeouts=timeouts, filtered=filtered, msgs_per_found=sent / found if found else 0.0,
            rpc_per_s=answered / elapsed, found_per_s=found / elapsed, elapsed_s=elapsed, kernel_drops=drops,
            max_packets_per_ip=self._packets_per_ip + self._watch.group.most_per_address,
            complete=not reason, reason=reason, depth=self.config.depth,
            zone=str(zone) if zone.bits else None, passes=self.config.passes, seed=self.config.seed,
            renamed=self.totals("renamed")[0], retries=self.totals("retries")[0],
            found_twice=self.totals("found_before")[0], not_asked=self.totals("not_asked")[0],
            longest_pause_ms=self._longest_late_us / 1000, edges=self.totals("edges")[0],
            edges_dropped=self.totals("edges_dropped")[0], families=self._by_family(),
            control_asked=self._watch.group.asked, control_answered=self._watch.group.answered,
            **({} if reason else recall_fields(found, self.sightings)))

    def _by_family(self) -> dict[str, dict[str, int]]:
        """What each family has come to, where both are crawled."""
        if len(self.config.families) == 1:
            return {}
        counted = {}
        for name in ("found", "contacts", "sent", "answered"):
            each = [(counts[name], counts[f"{name}_v6"]) for counts in self._passes] or [(0, 0)]
            counted[name] = max(each) if name == "contacts" else tuple(map(sum, zip(*each, strict=True)))
        return {"ipv4": {name: both - v6 for name, (both, v6) in counted.items()},
                "ipv6": {name: v6 for name, (_, v6) in counted.items()}}

    def _outcome(self) -> tuple[int, dict[str, int]]:
        """Answers, and what was not counted by reason."""
        filtered = {name: count for name in FILTER_NAMES if (count := self.totals(f"filtered_{name}")[0])}
        return self.totals("answered")[0], filtered

    def _reason(self, answered: int, filtered: dict[str, int]) -> str:
        """Why the crawl is not complete; empty when it is."""
        if self.is_stopped:
            return self._stop_reason
        if not answered:
            return "no bootstrap host answered"
        if "full" in filtered:
            return f"{filtered['full']} contacts had no room; max_contacts is {self.config.max_contacts}"
        return ""
