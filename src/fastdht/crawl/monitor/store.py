"""What a monitor keeps on disk, and how it is read again: the results are the checkpoint. Rate class: second.

`cohort`, `visits`, `targets` and `moves` are written as they come, whole parts at a time; `sessions` and `rounds`
follow from the visits and are written at the end. Whoever goes on after a crash reads the visits, and all else is
there again.
"""
from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from fastdht.crawl.monitor.settings import Member
from fastdht.crawl.records import (
    COHORT_COLUMNS,
    MOVE_COLUMNS,
    ROUND_COLUMNS,
    SESSION_COLUMNS,
    TARGET_COLUMNS,
    VISIT_COLUMNS,
    Column,
)
from fastdht.crawl.sinks import refusal
from fastdht.crawl.tables import TableSink, json_line, whole_parts
from fastdht.errors import PersistError
from fastdht.types import Endpoint

Rows = Sequence[Mapping[str, Any]]
TABLES: Mapping[str, tuple[Column, ...]] = {
    "cohort": COHORT_COLUMNS, "visits": VISIT_COLUMNS, "sessions": SESSION_COLUMNS, "rounds": ROUND_COLUMNS,
    "targets": TARGET_COLUMNS, "moves": MOVE_COLUMNS}
DERIVED = ("sessions", "rounds")
BATCH_ROWS = 1 << 16


class Store(Protocol):
    """Where rows of TABLES go. Any method may raise PersistError; all are called from one thread at a time."""

    def add(self, table: str, rows: Rows) -> None: ...
    def roll(self) -> None: ...


class NullStore:
    """Keeps nothing."""

    def add(self, table: str, rows: Rows) -> None:
        return

    def roll(self) -> None:
        return


class StreamStore:
    """Visits as JSON lines to an open binary stream."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._names = [column.name for column in VISIT_COLUMNS]

    def add(self, table: str, rows: Rows) -> None:
        if table == "visits":
            self._stream.write("".join(json_line(row, self._names) for row in rows).encode())

    def roll(self) -> None:
        self._stream.flush()


class FolderStore:
    """Parts below a directory; numbers of parts go on after those that are there."""

    def __init__(self, directory: Path, format_: str) -> None:
        self._directory = directory
        self._format = format_
        self._tables: dict[str, TableSink] = {}

    def add(self, table: str, rows: Rows) -> None:
        if table not in self._tables:
            self._tables[table] = TableSink(self._directory, table, TABLES[table], self._format)
        for row in rows:
            self._tables[table].add(row)

    def roll(self) -> None:
        """Complete all parts that are being written: their rows are then safe."""
        for table in self._tables.values():
            table.close()

    def forget(self, tables: Iterable[str]) -> None:
        """Remove tables that will be written anew."""
        for table in tables:
            try:
                shutil.rmtree(self._directory / "parts" / table)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise refusal(self._directory / "parts" / table, error) from error


def read_rows(directory: Path, table: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Rows of a table in the order they were written, with these columns. Raises PersistError."""
    for path in whole_parts(directory, table):
        yield from read_parquet(path, names) if path.suffix == ".parquet" else read_lines(path, names)


def read_parquet(path: Path, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise PersistError(f"{path} is Parquet: install pyarrow (pip install 'fastdht[crawl]') to read it") from None
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(BATCH_ROWS, columns=list(names)):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise PersistError(f"{path} cannot be read: {error}") from None


def read_lines(path: Path, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                yield {name: row[name] for name in names}
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise PersistError(f"{path} is not JSON lines of a monitor: {error!r}") from None


def cohort_rows(members: Iterable[Member]) -> list[dict[str, Any]]:
    return [describe(member) for member in members]


def describe(member: Member) -> dict[str, Any]:
    """The columns that say which node."""
    place = Endpoint.unpack(member.endpoint)
    return {"ip": place.ip, "port": place.port, "id": member.id.hex()}


def read_cohort(directory: Path, table: str = "cohort") -> list[Member]:
    """The nodes of a cohort; raises PersistError."""
    try:
        return [Member(bytes.fromhex(row["id"]), pack(row["ip"], row["port"]))
                for row in read_rows(directory, table, ("ip", "port", "id"))]
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise PersistError(f"{directory} holds a row that is no node: {error}") from None


def pack(ip: str, port: int) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) + port.to_bytes(2, "big")
