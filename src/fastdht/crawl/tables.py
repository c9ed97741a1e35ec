"""Tables of records beside the nodes: metadata, samples, peers. Rate class: second.

Rows are few (thousands a second, not hundreds of thousands), so they come as dictionaries. Parts are rotated, synced
and renamed as those of the nodes are: what bears its final name is whole.
"""
from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from fastdht.crawl.records import FORMATS, Column
from fastdht.crawl.sinks import refusal, temporary

GROUP_ROWS = 50_000         # held before they become a row group
PART_ROWS = 1_000_000


class TableSink:
    """Writes rows to parts of `directory`/parts/`name`, numbered on from those that are there.

    `format_` is parquet or jsonl. After `close` rows may be added again: to a new part. Raises PersistError.
    """

    def __init__(self, directory: Path, name: str, columns: Sequence[Column], format_: str) -> None:
        self._folder = directory / "parts" / name
        self._columns = columns
        self._format = format_
        self._rows: list[Mapping[str, Any]] = []
        self._written = 0
        self._writer: Any = None
        self._path = self._folder
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._number = 1 + max((number_of(path) for path in self._folder.glob("part-*.*")), default=-1)
        except OSError as error:
            raise refusal(self._folder, error) from error

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one row: the names of the columns and their values."""
        self._rows.append(row)
        if len(self._rows) >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is held; a part that is full is closed."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            if self._writer is None:
                self._open()
            self._writer.write(rows)
            self._written += len(rows)
            if self._written >= PART_ROWS:
                self._finish()
        except OSError as error:
            raise refusal(self._path, error) from error

    def close(self) -> None:
        """Complete the last part."""
        self.flush()
        try:
            self._finish()
        except OSError as error:
            raise refusal(self._path, error) from error

    def _open(self) -> None:
        self._path = self._folder / f"part-{self._number}.{self._format}"
        kind = ParquetRows if self._format == "parquet" else JsonRows
        self._writer = kind(temporary(self._path), self._columns)

    def _finish(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        os.replace(temporary(self._path), self._path)
        self._writer = None
        self._written = 0
        self._number += 1


def number_of(part: Path) -> int:
    """N of part-[ATTEMPT-]N.FORMAT; -1 for one that was never completed."""
    return order_of(part)[1]


def order_of(part: Path) -> tuple[str, int]:
    """ATTEMPT and N of a part, by which parts sort as they were written: ids of attempts begin with their time."""
    stem, _, kind = part.name.partition(".")
    attempt, _, number = stem.partition("-")[2].rpartition("-")
    return attempt, int(number) if number.isdigit() and kind in FORMATS else -1


def whole_parts(directory: Path, name: str) -> list[Path]:
    """The parts of a table without zones that were completed, as they were written."""
    parts = (directory / "parts" / name).glob("part-*.*")
    return sorted((path for path in parts if number_of(path) >= 0), key=order_of)


class JsonRows:
    """JSON lines, keys in the order of the columns."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._names = [column.name for column in columns]

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._file.write(json_line(row, self._names))

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


class ParquetRows:
    """Parquet, zstd; a row group per block."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        import pyarrow.parquet

        self._schema = arrow_schema(columns)
        self._file = path.open("wb")
        self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema, compression="zstd")

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        import pyarrow

        self._writer.write_table(pyarrow.Table.from_pylist(list(rows), schema=self._schema))

    def close(self) -> None:
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def json_line(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return json.dumps({name: row.get(name) for name in names}, ensure_ascii=False, separators=(",", ":")) + "\n"


def arrow_schema(columns: Sequence[Column]) -> Any:
    """The columns as an Arrow schema; each field carries its meaning."""
    import pyarrow

    return pyarrow.schema([
        pyarrow.field(column.name, pyarrow.type_for_alias(column.kind), metadata={"meaning": column.meaning})
        for column in columns])
