"""A monitor and its directory: begun, killed, gone on with. Rate class: command.

  crawl.json        what is wanted, since when, and the state
  parts/cohort, visits, targets, sessions, rounds
  exclude.txt       the opt-out list, when there is one
  summary.json      at the end
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastdht import __version__
from fastdht.blocklist import Blocklist, Range
from fastdht.config import SECOND_US
from fastdht.crawl.job import stopped_by_signals
from fastdht.crawl.layout import EXCLUDE, NOTE, SUMMARY, read_json
from fastdht.crawl.monitor.book import READ_COLUMNS, RoundCount
from fastdht.crawl.monitor.cohort import Sampler, read_candidates
from fastdht.crawl.monitor.run import Monitor, MonitorResult, steady_wall
from fastdht.crawl.monitor.settings import Member, MonitorConfig, choose_members
from fastdht.crawl.monitor.store import DERIVED, TABLES, FolderStore, Store, cohort_rows, read_cohort, read_rows
from fastdht.crawl.plan import new_id
from fastdht.crawl.runner import read_ranges, write_ranges
from fastdht.crawl.sinks import prepare_directory, write_json
from fastdht.errors import ConfigError, DHTError

LAYOUT = 1
Told = Callable[[int, RoundCount], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done: by whom it is asked, and where it goes. `store` takes rows where there is no `folder`."""

    config: MonitorConfig
    exclude: tuple[Range, ...] = ()
    cohort: Path | None = None          # a census; None: a fresh sample
    folder: Path | None = None
    format_: str = "jsonl"
    store: Store | None = None
    remarks: Mapping[str, Any] | None = None    # kept in crawl.json

    @property
    def blocklist(self) -> Blocklist | None:
        return Blocklist(self.exclude) if self.exclude else None


async def begin(job: Job, told: Told | None = None) -> MonitorResult:
    """Choose a cohort and visit it. Raises ConfigError and PersistError."""
    if job.folder is not None:
        prepare_directory(job.folder)
    members, crowded = await choose(job)
    if not members:
        raise ConfigError("no node to visit: " + (f"{job.cohort} has none that fits" if job.cohort is not None
                                                  else f"asked {', '.join(job.config.bootstrap)}"))
    if job.folder is None:
        return await run_until_signal(Monitor(job.config, members, job.store, blocklist=job.blocklist, told=told))
    timeline = steady_wall()
    started_us = timeline()
    note = {"layout": LAYOUT, "state": "running", "mode": "monitor", "version": __version__, "id": new_id(),
            "format": job.format_, "started": started_us / SECOND_US, **(job.remarks or {}),
            "cohort_from": str(job.cohort) if job.cohort is not None else None, "crowded": crowded,
            "config": job.config.as_plain(),
            **{name: {each.name: f"{each.kind}: {each.meaning}" for each in columns}
               for name, columns in TABLES.items()}}
    if job.exclude:
        write_ranges(job.folder / EXCLUDE, job.exclude)
    store = FolderStore(job.folder, job.format_)
    store.add("cohort", cohort_rows(members))
    store.roll()
    write_json(job.folder / NOTE, note)
    return await keep(job.folder, note, Monitor(job.config, members, store, started_us=started_us, told=told,
                                                blocklist=job.blocklist, timeline=timeline))


async def go_on(folder: Path, duration_s: float | None = None, told: Told | None = None) -> MonitorResult:
    """Go on with a monitor that was stopped or killed; rounds missed meanwhile were not observed.

    `duration_s` counts from its beginning; None: as before. Raises ConfigError and PersistError.
    """
    note = read_json(folder / NOTE)
    if note is None or note.get("mode") != "monitor" or note.get("layout") != LAYOUT:
        raise ConfigError(f"{folder} holds no monitor that could go on")
    config = MonitorConfig.from_plain(note["config"])
    if duration_s is not None:
        config = replace(config, duration_s=duration_s)
    exclude = read_ranges(folder / EXCLUDE)
    store = FolderStore(folder, note["format"])
    store.forget(DERIVED)
    monitor = Monitor(config, read_cohort(folder), store, started_us=int(note["started"] * SECOND_US), told=told,
                      blocklist=Blocklist(exclude) if exclude else None)
    monitor.replay(read_rows(folder, "visits", READ_COLUMNS))
    note = {**note, "state": "running", "config": config.as_plain()}
    write_json(folder / NOTE, note)
    return await keep(folder, note, monitor)


async def choose(job: Job) -> tuple[Sequence[Member], int]:
    """The cohort, and how many were left out because their address has too many."""
    if job.cohort is not None:
        return choose_members(read_candidates(job.cohort, job.config), job.config, job.exclude)
    job.config.check_rate(job.config.nodes)     # before anybody is asked for nothing
    sampler = Sampler(job.config, blocklist=job.blocklist)
    with stopped_by_signals(sampler.stop):
        found = await sampler.run()
    if sampler.is_stopped:
        raise ConfigError("stopped before there was a cohort")
    return choose_members(found, job.config, job.exclude)


async def keep(folder: Path, note: Mapping[str, Any], monitor: Monitor) -> MonitorResult:
    """Run, and leave crawl.json and summary.json true to what happened."""
    state = "failed"
    try:
        result = await run_until_signal(monitor)
        state = "complete" if result.complete else "partial"
        write_json(folder / SUMMARY, result.as_dict())
    finally:
        try:
            write_json(folder / NOTE, {**note, "state": state})
        except DHTError:
            if state != "failed":       # else the monitor's own error is the one to report
                raise
    return result


async def run_until_signal(monitor: Monitor) -> MonitorResult:
    with stopped_by_signals(monitor.stop):
        return await monitor.run()
