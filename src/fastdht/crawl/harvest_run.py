"""A harvest into a directory, from its beginning or from where it was left off. Rate class: command.

Checkpoints are those of a census of one zone. On going on, nodes found since the last one are asked again, so parts of
nodes that it does not name are dropped; but no question for samples is repeated, so every part of samples counts, and
the tally is made of them anew. What a killed process had not written is lost: at most a checkpoint's interval.
"""
from __future__ import annotations

import itertools
import json
import shutil
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from fastdht.config import SECOND_US
from fastdht.crawl.checkpoint import Saver
from fastdht.crawl.crawler import Crawl
from fastdht.crawl.harvest import COUNTED, HarvestResult, LedgerKeeper, SampleKeeper, summarize
from fastdht.crawl.job import DiskMeter, find_saved, stopped_by_signals
from fastdht.crawl.layout import checkpoint_folder
from fastdht.crawl.packed import NODES, SAMPLES
from fastdht.crawl.plan import Plan, new_id
from fastdht.crawl.records import Progress
from fastdht.crawl.sinks import DirectorySink, refusal
from fastdht.crawl.tables import whole_parts
from fastdht.errors import PersistError

ROW = struct.Struct("=20s16sIIIHH")         # samples.pxd: SampleRow
NAMES = ("info_hash", "ip", "port", "num", "interval", "t")
BATCH_ROWS = 65_536
MAPPED = bytes(10) + b"\xff\xff"            # before an IPv4 address

Sample = tuple[str, str, int, int, int, int]    # NAMES


async def run_harvest(plan: Plan, keeper: LedgerKeeper, folder: Path, offset: Callable[[], int],
                      on_progress: Callable[[Progress], None]) -> HarvestResult:
    """Harvest until all is asked, or SIGINT; `offset` as for SampleKeeper. Raises ConfigError and PersistError."""
    zone, attempt = plan.config.zone, new_id().replace("-", "")
    saved = find_saved(folder, zone, plan.config_hash)
    forget_nodes(folder, saved.values["parts"] if saved is not None else ())
    nodes, samples = (DirectorySink(folder, plan.format_, table=table, attempt=attempt, part_us=0)
                      for table in (NODES, SAMPLES))
    kept = SampleKeeper(keeper, samples, offset, plan.config.seed)
    for block in read_blocks(folder):
        kept.tally.add(block)
    saver = Saver(checkpoint_folder(folder, zone), attempt, plan.config_hash, nodes,
                  int(plan.checkpoint_s * SECOND_US), saved, samples=samples)
    crawl = Crawl(plan.config_of(zone), nodes, samples=kept, on_progress=on_progress, saver=saver, saved=saved,
                  disk_used=DiskMeter(folder))
    with stopped_by_signals(crawl.stop):
        found = await crawl.run()
    if found.complete:
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    return summarize(found, crawl.totals(*COUNTED), kept.tally)


def forget_nodes(folder: Path, kept: tuple[str, ...] | list[str]) -> None:
    """Remove the parts of nodes that the checkpoint does not name, and what is not whole. Raises PersistError."""
    parts = folder / "parts"
    try:
        for path in [*parts.glob("nodes/part-*"), *parts.glob("samples/part-*.tmp")]:
            if path.name not in kept:
                path.unlink()
    except OSError as error:
        raise refusal(parts, error) from error


def read_blocks(folder: Path) -> Iterator[bytes]:
    """The samples that are there, packed as they came, some ten thousand at a time. Raises PersistError."""
    by_answer = itertools.groupby(read_samples(folder), key=lambda row: row[1:])
    answers = (pack_answer(list(shown)) for _, shown in by_answer)
    while block := b"".join(itertools.islice(answers, BATCH_ROWS // 16)):
        yield block


def read_samples(folder: Path) -> Iterator[Sample]:
    """The rows of all parts of samples. Raises PersistError."""
    for path in whole_parts(folder, "samples"):
        yield from read_parquet(path) if path.suffix == ".parquet" else read_lines(path)


def pack_answer(rows: list[Sample]) -> bytes:
    """The rows of one answer."""
    _, ip, port, num, interval, told = rows[0]
    address = socket.inet_pton(socket.AF_INET6, ip) if ":" in ip else MAPPED + socket.inet_aton(ip)
    return b"".join([ROW.pack(bytes.fromhex(row[0]), address, num, interval, told, port, len(rows)) for row in rows])


def read_parquet(path: Path) -> Iterator[Sample]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise PersistError(f"{path} is Parquet: install pyarrow (pip install 'fastdht[crawl]') to read it") from None
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(BATCH_ROWS, columns=list(NAMES)):
            yield from zip(*[column.to_pylist() for column in batch.columns], strict=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise PersistError(f"{path} cannot be read: {error}") from None


def read_lines(path: Path) -> Iterator[Sample]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                row: dict[str, Any] = json.loads(line)
                yield row["info_hash"], row["ip"], row["port"], row["num"], row["interval"], row["t"]
            except (ValueError, KeyError, TypeError) as error:
                raise PersistError(f"{path} is not JSON lines of samples: {error!r}") from None
