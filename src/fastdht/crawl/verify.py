"""Compares what a crawl wrote with the truth of the network it crawled. Rate class: command.

A found row is a key of 26 bytes, or 38 of IPv6: ip (4 or 16), port (2) and id (20) in network order, as a truth gives
them. Recall is the
share of the reachable nodes that were found, precision the share of the rows that the truth lists as answering.
"""
from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastdht.crawl.layout import node_parts
from fastdht.crawl.zones import Zone
from fastdht.errors import PersistError

BATCH_ROWS = 1 << 17
ID_SIZE = 20            # the end of a key


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a crawl compares with the truth."""

    recall: float
    precision: float
    found: int              # different rows
    reachable: int          # nodes of the truth that a perfect crawl lists
    missed: int
    false_rows: int         # found, and not in the truth
    doubled_rows: int       # written more than once
    msgs_per_found: float
    bep42_share: float      # of the found rows
    complete: bool          # what the crawl said of itself
    part_time: int = 0          # nodes of the truth that were there only for a part of the crawl
    part_time_found: int = 0    # of them
    recall_estimate: float | None = None    # what the crawl itself said; and its interval
    recall_low: float | None = None
    recall_high: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(self).items()}


def verify(directory: Path, reachable: AbstractSet[bytes], answering: AbstractSet[bytes],
           part_time: AbstractSet[bytes] = frozenset()) -> Verdict:
    """Read a crawl's directory and compare; the zone it was limited to limits the truth as well.

    Recall counts the `reachable`, who were there all the time; `part_time` are those who came or went, and both their
    number and how many of them were found are told beside it.
    Raises PersistError when the directory holds no finished crawl.
    """
    summary = read_summary(directory)
    zone = Zone.parse(summary.get("zone"))
    if zone.bits:
        reachable = {key for key in reachable if key[-ID_SIZE:] in zone}
        part_time = {key for key in part_time if key[-ID_SIZE:] in zone}
    found: set[bytes] = set()
    rows = secure = 0
    for keys, secure_rows in read_nodes(directory):
        found.update(keys)
        rows += len(keys)
        secure += secure_rows
    right = len(found & reachable)
    false_rows = len(found - answering)
    return Verdict(
        recall=right / len(reachable) if reachable else 1.0, precision=1 - false_rows / len(found) if found else 1.0,
        found=len(found), reachable=len(reachable), missed=len(reachable) - right, false_rows=false_rows,
        doubled_rows=rows - len(found), msgs_per_found=summary["sent"] / len(found) if found else 0.0,
        bep42_share=secure / rows if rows else 0.0, complete=bool(summary.get("complete")),
        part_time=len(part_time), part_time_found=len(found & part_time),
        **{name: summary.get(name) for name in ("recall_estimate", "recall_low", "recall_high")})


def read_summary(directory: Path) -> dict[str, Any]:
    path = directory / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PersistError(f"{directory} holds no finished crawl: {path.name}: {error.strerror}") from None
    except ValueError:
        summary = None
    if not isinstance(summary, dict) or not isinstance(summary.get("sent"), int):
        raise PersistError(f"{path} is no summary of a crawl")
    return summary


def read_nodes(directory: Path) -> Iterator[tuple[list[bytes], int]]:
    """Keys of the found rows, and how many of them BEP 42 accepts, a batch at a time; raises PersistError."""
    for path in node_parts(directory):
        yield from read_parquet(path) if path.suffix == ".parquet" else read_lines(path)


def read_parquet(path: Path) -> Iterator[tuple[list[bytes], int]]:
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError:
        raise PersistError(f"{path} is Parquet: install pyarrow (pip install 'fastdht[crawl]') to read it") from None
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(BATCH_ROWS, columns=["ip", "port", "id", "bep42"]):
            ip, port, node_id, bep42 = (batch.column(i) for i in range(4))
            keys = pack_keys(ip.to_pylist(), port.to_pylist(), node_id.to_pylist(), path)
            yield keys, pyarrow.compute.sum(bep42).as_py() or 0
    except pyarrow.ArrowException as error:
        raise PersistError(f"{path} cannot be read: {error}") from None


def read_lines(path: Path) -> Iterator[tuple[list[bytes], int]]:
    with path.open(encoding="utf-8") as file:
        while lines := file.readlines(BATCH_ROWS * 128):
            try:
                rows = [json.loads(line) for line in lines]
                keys = pack_keys([row["ip"] for row in rows], [row["port"] for row in rows],
                                 [row["id"] for row in rows], path)
                yield keys, sum(row["bep42"] for row in rows)
            except (ValueError, KeyError, TypeError) as error:
                raise PersistError(f"{path} is not JSON lines of nodes: {error!r}") from None


def pack_keys(ips: Iterable[str], ports: Iterable[int], ids: Iterable[str], path: Path) -> list[bytes]:
    """Keys of a batch."""
    pack, inet = struct.Struct(">H").pack, socket.inet_aton
    try:
        return [(inet(ip) if ":" not in ip else socket.inet_pton(socket.AF_INET6, ip)) + pack(port) + bytes.fromhex(id_)
                for ip, port, id_ in zip(ips, ports, ids, strict=True)]
    except (OSError, ValueError, struct.error) as error:
        raise PersistError(f"{path} holds a row that is no node: {error}") from None
