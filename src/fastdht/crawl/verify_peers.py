"""Compares the peers or the sizes of swarms that a run found with the truth of the network. Rate class: command.

*Recall* is the share of the announced peers of the infohashes asked for that was found; *precision* the share of the
found ones that was announced. Both need whole addresses. Where they were cut or hashed only numbers can be compared:
recall is then what was found, at most as much as was announced of each, and precision is unknown.
Of a scrape it is counted how often the truth lies within the printed bounds.
"""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from fastdht.crawl.verify import BATCH_ROWS, read_summary
from fastdht.errors import DecodeError, PersistError
from fastdht.types import Endpoint

MODES = ("peers", "scrape")


class Announced(Protocol):
    """The peers of one infohash, as compact endpoints."""

    def __len__(self) -> int: ...
    def __contains__(self, peer: object, /) -> bool: ...


class Counted(Protocol):
    """The numbers of one infohash's peers."""

    @property
    def seeds(self) -> int: ...
    @property
    def others(self) -> int: ...


@dataclass(frozen=True, slots=True)
class PeersVerdict:
    """How found peers compare with the truth."""

    recall: float
    precision: float | None     # None: addresses were not kept whole
    infohashes: int             # asked for and in the network
    unknown: int                # asked for and in no truth
    announced: int              # peers of those asked for
    found: int
    false_peers: int | None
    doubled_rows: int
    msgs_per_hash: float
    hashes_per_s: float
    complete: bool              # what the run said of itself


@dataclass(frozen=True, slots=True)
class ScrapeVerdict:
    """How counted swarms compare with the truth."""

    seeds_held: float           # share of the infohashes whose seeds lie within the bounds
    downloaders_held: float
    seeds_error: float          # median of |estimate / truth - 1| where there are any
    downloaders_error: float
    infohashes: int
    unknown: int
    saturated: int
    msgs_per_hash: float
    hashes_per_s: float
    complete: bool


def as_plain(verdict: PeersVerdict | ScrapeVerdict) -> dict[str, Any]:
    """For JSON; figures rounded to what they are worth."""
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(verdict).items()}


def mode_of(directory: Path) -> str:
    """What kind of run wrote the directory; raises PersistError when it holds no finished one."""
    return str(read_summary(directory).get("mode", ""))


def verify_peers(directory: Path, truth: Mapping[bytes, Announced]) -> PeersVerdict:
    """Compare found peers with those of each infohash; raises PersistError when the directory holds no finished run."""
    summary = read_summary(directory)
    is_whole = summary.get("anonymize") == "none"
    numbers = {info_hash: row["peers"] for info_hash, row in read_rows(directory, "swarms")}
    asked = {info_hash: truth[info_hash] for info_hash in numbers if info_hash in truth}
    announced = sum(map(len, asked.values()))
    if is_whole:
        pairs = [(info_hash, row["peer"]) for info_hash, row in read_rows(directory, "peers")]
        different = set(pairs)
        right = sum(pack(peer) in asked.get(info_hash, ()) for info_hash, peer in different)
        found, false, doubled = len(different), len(different) - right, len(pairs) - len(different)
    else:
        right = sum(min(numbers[info_hash], len(peers)) for info_hash, peers in asked.items())
        found, false, doubled = sum(numbers.values()), None, 0
    return PeersVerdict(
        recall=right / announced if announced else 1.0,
        precision=None if false is None else 1 - false / found if found else 1.0,
        infohashes=len(asked), unknown=len(numbers) - len(asked), announced=announced, found=found, false_peers=false,
        doubled_rows=doubled, msgs_per_hash=summary["msgs_per_hash"], hashes_per_s=summary["hashes_per_s"],
        complete=bool(summary.get("complete")))


def verify_scrape(directory: Path, truth: Mapping[bytes, Counted]) -> ScrapeVerdict:
    """Compare counted swarms with the truth; raises as `verify_peers`."""
    summary = read_summary(directory)
    rows = dict(read_rows(directory, "scrapes"))
    known = [(row, truth[info_hash]) for info_hash, row in rows.items() if info_hash in truth]
    seeds = judge_counts(known, "seeds", lambda each: each.seeds)
    downloaders = judge_counts(known, "downloaders", lambda each: each.others)
    return ScrapeVerdict(
        seeds_held=seeds[0], downloaders_held=downloaders[0], seeds_error=seeds[1], downloaders_error=downloaders[1],
        infohashes=len(known), unknown=len(rows) - len(known), saturated=sum(row["is_saturated"] for row, _ in known),
        msgs_per_hash=summary["msgs_per_hash"], hashes_per_s=summary["hashes_per_s"],
        complete=bool(summary.get("complete")))


def judge_counts(known: list[tuple[dict[str, Any], Counted]], name: str, number_of: Callable[[Counted], int]
                 ) -> tuple[float, float]:
    """The share of the rows whose bounds hold the truth, and the median error."""
    held, errors = 0, []
    for row, counted in known:
        number, high = number_of(counted), row[f"{name}_high"]
        held += row[f"{name}_low"] <= number and (high is None or number <= high)
        if number:
            errors.append(abs(row[name] / number - 1))
    errors.sort()
    return held / len(known) if known else 1.0, errors[len(errors) // 2] if errors else 0.0


def pack(peer: str) -> bytes:
    try:
        return Endpoint.parse(peer).pack()
    except DecodeError as error:
        raise PersistError(f"the peers table holds {peer!r}: {error}") from None


def read_rows(directory: Path, table: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Infohash and row of a table; raises PersistError."""
    parts = directory / "parts" / table
    for path in sorted(parts.glob("part-*.*")):
        if path.suffix not in (".parquet", ".jsonl"):
            continue
        try:
            for row in read_parquet(path) if path.suffix == ".parquet" else read_lines(path):
                yield bytes.fromhex(row["info_hash"]), row
        except (ValueError, KeyError, TypeError) as error:
            raise PersistError(f"{path} is no table of {table}: {error!r}") from None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise PersistError(f"{path} is Parquet: install pyarrow (pip install 'fastdht[crawl]') to read it") from None
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(BATCH_ROWS):
            yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise PersistError(f"{path} cannot be read: {error}") from None
