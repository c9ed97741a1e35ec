"""Compares what a harvest wrote with the truth of the network it sampled. Rate class: command.

*Coverage* is the share of the network's infohashes that were seen. One question per node cannot see all: what the
formula allows is the mean over all infohashes of 1 - Π(1 - samples/num) over the holders that answer samples.
"""
from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastdht.crawl.verify import BATCH_ROWS, read_summary
from fastdht.errors import PersistError

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class HarvestVerdict:
    """How a harvest compares with the truth."""

    coverage: float
    allowed: float                  # the coverage that the formula allows for one sweep
    share: float                    # coverage of that
    infohashes: int                 # seen, and real
    existing: int
    false_hashes: int               # seen, and not in the network
    misplaced: int                  # rows of an honest node that does not hold the infohash
    lies: int                       # rows that adversaries told
    doubled_rows: int               # the same infohash from the same node
    total_error: float | None       # of the estimated total: 0.1 is ten percent too many
    msgs_per_found: float
    contacts_per_found: float
    violations: int | None          # questions before the interval had ended, as the network counted them
    complete: bool                  # what the harvest said of itself

    def as_dict(self) -> dict[str, Any]:
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


def verify_harvest(directory: Path, index: Mapping[bytes, int], holders: Callable[[int], tuple[int, ...]],
                   allowed: float, places: Mapping[Place, int], violations: int | None = None,
                   honest: int | None = None) -> HarvestVerdict:
    """`index` numbers the infohashes, `holders` tells whose each is; `places`: whose place an (ip, port) is,
    of which the first `honest` tell the truth (None: all).

    Raises PersistError when the directory holds no finished harvest.
    """
    summary = read_summary(directory)
    seen: set[bytes] = set()
    pairs: set[tuple[bytes, int]] = set()
    rows = misplaced = lies = 0
    liars_from = len(places) if honest is None else honest
    for info_hash, place in read_samples(directory):
        serial = places.get(place, -1)
        if serial >= liars_from:
            lies += 1
        else:
            misplaced += info_hash not in index or serial not in holders(index[info_hash])
        seen.add(info_hash)
        pairs.add((info_hash, serial))
        rows += 1
    real = sum(info_hash in index for info_hash in seen)
    existing = max(len(index), 1)
    coverage = real / existing
    found, total = max(summary["found"], 1), summary.get("total")
    return HarvestVerdict(
        coverage=coverage, allowed=allowed, share=coverage / allowed if allowed else 1.0, infohashes=real,
        existing=len(index), false_hashes=len(seen) - real, misplaced=misplaced, lies=lies,
        doubled_rows=rows - len(pairs), total_error=total / existing - 1 if total is not None else None,
        msgs_per_found=summary["sent"] / found, contacts_per_found=summary["contacts"] / found,
        violations=violations, complete=bool(summary.get("complete")))


def is_harvest(directory: Path) -> bool:
    """Whether the directory is that of a harvest; raises PersistError when it holds no finished crawl."""
    return read_summary(directory).get("mode") == "harvest"


def read_samples(directory: Path) -> Iterator[tuple[bytes, Place]]:
    """Infohash and node of each row; raises PersistError."""
    parts = directory / "parts" / "samples"
    for path in sorted(parts.glob("part-*.parquet")):
        yield from read_parquet(path)
    for path in sorted(parts.glob("part-*.jsonl")):
        yield from read_lines(path)


def read_parquet(path: Path) -> Iterator[tuple[bytes, Place]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise PersistError(f"{path} is Parquet: install pyarrow (pip install 'fastdht[crawl]') to read it") from None
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(BATCH_ROWS, columns=["info_hash", "ip", "port"]):
            columns = [batch.column(i).to_pylist() for i in range(3)]
            for info_hash, ip, port in zip(*columns, strict=True):
                yield bytes.fromhex(info_hash), (ip, port)
    except (pyarrow.ArrowException, ValueError) as error:
        raise PersistError(f"{path} cannot be read: {error}") from None


def read_lines(path: Path) -> Iterator[tuple[bytes, Place]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                row = json.loads(line)
                yield bytes.fromhex(row["info_hash"]), (row["ip"], row["port"])
            except (ValueError, KeyError, TypeError) as error:
                raise PersistError(f"{path} is not JSON lines of samples: {error!r}") from None


def place_of(record: bytes) -> Place:
    """The (ip, port) at the start of a packed row of the truth."""
    return socket.inet_ntoa(record[:4]), int.from_bytes(record[4:6], "big")
