"""Crawls one zone into a directory: the unit of work that is repeated, killed and handed out. Rate class: command.

Pure and idempotent: a zone that the manifest has is returned from there; one that an earlier attempt has begun is
continued from its best checkpoint; and of two attempts that end, the manifest takes the first.
"""
from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastdht.config import SECOND_US
from fastdht.crawl.checkpoint import Saved, Saver, is_sound
from fastdht.crawl.crawler import Crawl
from fastdht.crawl.layout import STOP, checkpoint_folder, checkpoints, commit_entry, read_entry
from fastdht.crawl.packed import EDGES
from fastdht.crawl.plan import Plan, new_id
from fastdht.crawl.records import Progress
from fastdht.crawl.sinks import DirectorySink
from fastdht.crawl.zones import Zone

LOOK_S = 1.0
DISK_EVERY = 10         # limits are looked at ten times a second, the disk once


def crawl_zone(zone: Zone, plan: Plan, out: str) -> dict[str, Any]:
    """Crawl one zone; returns its entry of the manifest: `parts`, `complete`, and the `result`'s fields.

    For executors: arguments and result can be pickled. A zone that ends early has an entry with `complete` false, which
    the manifest does not get. Raises ConfigError and PersistError.
    """
    return asyncio.run(ZoneRun(zone, plan, Path(out)).run())


class ZoneRun:
    """One attempt at a zone: `await run()` once; `stop()` ends it early, with a checkpoint."""

    def __init__(self, zone: Zone, plan: Plan, directory: Path,
                 on_progress: Callable[[Progress], None] | None = None) -> None:
        self.zone = zone
        self._plan = plan
        self._directory = directory
        self._attempt = new_id().replace("-", "")
        self._on_progress = on_progress
        self._crawl: Crawl | None = None

    def stop(self) -> None:
        if self._crawl is not None:
            self._crawl.stop()

    async def run(self) -> dict[str, Any]:
        """As crawl_zone."""
        entry = read_entry(self._directory, self.zone)
        if entry is not None and entry.get("config_hash") == self._plan.config_hash:
            return entry
        sink = DirectorySink(self._directory, self._plan.format_, zone=self.zone.folder, attempt=self._attempt,
                             part_us=0)
        edges = DirectorySink(self._directory, self._plan.format_, table=EDGES, zone=self.zone.folder,
                              attempt=self._attempt, part_us=0) if self._plan.config.edges else None
        folder = checkpoint_folder(self._directory, self.zone)
        saved = find_saved(self._directory, self.zone, self._plan.config_hash)
        saver = Saver(folder, self._attempt, self._plan.config_hash, sink,
                      int(self._plan.checkpoint_s * SECOND_US), saved, edges)
        self._crawl = Crawl(self._plan.config_of(self.zone), sink, on_progress=self._on_progress, saver=saver,
                            saved=saved, disk_used=DiskMeter(self._directory), edges=edges)
        watcher = asyncio.create_task(self._watch_for_stop())
        try:
            with stopped_by_signals(self.stop):
                result = await self._crawl.run()
        finally:
            watcher.cancel()
        entry = {"zone": str(self.zone), "attempt": self._attempt, "config_hash": self._plan.config_hash,
                 "complete": result.complete, "parts": saver.parts, "edge_parts": saver.edge_parts,
                 "result": result.as_dict()}
        if not result.complete:
            return entry
        if not commit_entry(self._directory, self.zone, entry):
            entry = read_entry(self._directory, self.zone) or entry
        shutil.rmtree(folder, ignore_errors=True)
        return entry

    async def _watch_for_stop(self) -> None:
        while not (self._directory / STOP).exists():    # noqa: ASYNC110  another process makes it
            await asyncio.sleep(LOOK_S)
        self.stop()


class DiskMeter:
    """Bytes of all files below a folder: called ten times a second, it looks once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looks = 0
        self._bytes = 0

    def __call__(self) -> int:
        self._looks += 1
        if self._looks % DISK_EVERY == 1:
            self._bytes = folder_bytes(self._folder)
        return self._bytes


def find_saved(directory: Path, zone: Zone, config_hash: str) -> Saved | None:
    """Where to go on: the sound checkpoint of a zone that has come farthest."""
    folder = checkpoint_folder(directory, zone)
    for values in checkpoints(directory, zone, config_hash):
        saved = Saved(folder, values)
        if is_sound(saved):
            return saved
    return None


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """While inside, SIGINT and SIGTERM call `stop`; the second one ends the process. Only in a main thread."""
    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def on_signal() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
        stop()

    for number in numbers:
        loop.add_signal_handler(number, on_signal)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below; one that vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total
