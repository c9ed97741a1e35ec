"""Where found rows go: parts of Parquet or JSON lines in a directory, or a stream. Rate class: second.

A sink runs in a thread of its own; the packet path never waits for a disk. A part is written under a temporary name,
synced and renamed, so what bears its final name is whole. A part is closed after a million rows, or 30 seconds: that
much can be lost when the machine dies. A disk that fills up ends the crawl; the parts written before stay readable.
"""
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from fastdht.crawl.packed import NODES, PackedTable
from fastdht.errors import ConfigError, PersistError

PART_ROWS = 1_000_000
PART_US = 30_000_000
GROUP_ROWS = 65_536         # of a Parquet row group: large enough to compress well, small enough to buffer


class Sink(Protocol):
    """Takes blocks of packed rows. Any method may raise OSError."""

    def write(self, block: bytes, now_us: int) -> None: ...
    def close(self) -> None: ...


class Part(Protocol):
    """One file being written."""

    def write(self, block: bytes) -> None: ...
    def finish(self) -> None: ...


class JsonPart:
    """JSON lines."""

    suffix = ".jsonl"

    def __init__(self, file: BinaryIO, table: PackedTable = NODES) -> None:
        self._file = file
        self._table = table

    def write(self, block: bytes) -> None:
        self._file.write(self._table.json_lines(block))

    def finish(self) -> None:
        self._file.flush()


class ParquetPart:
    """Parquet, zstd; row groups of 65,536 rows."""

    suffix = ".parquet"

    def __init__(self, file: BinaryIO, table: PackedTable = NODES) -> None:
        import pyarrow.parquet

        self._table = table
        self._schema = table.schema()
        # Ids are random: compressing their digits would halve them, at a twentieth of the whole crawl's time.
        compression = {name: "none" if name in table.plain else "zstd" for name in self._schema.names}
        self._writer = pyarrow.parquet.ParquetWriter(
            file, self._schema, compression=compression, use_dictionary=table.repeated, write_statistics=False)
        self._pending: list[bytes] = []
        self._pending_rows = 0

    def write(self, block: bytes) -> None:
        self._pending.append(block)
        self._pending_rows += len(block) // self._table.row_size
        if self._pending_rows >= GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        block, self._pending, self._pending_rows = b"".join(self._pending), [], 0
        if block:
            self._writer.write_table(self._table.to_arrow(block, self._schema), row_group_size=2 * GROUP_ROWS)

    def finish(self) -> None:
        self._write_group()
        self._writer.close()


class DirectorySink:
    """Parts of `table` below `directory`/parts, numbered from 0; an `attempt` at a zone has the `zone`'s folder.

    `parts` names those that are whole. With `part_us` 0 a part is as old as its owner lets it become (`roll`).
    """

    def __init__(self, directory: Path, format_: str, *, table: PackedTable = NODES, zone: str = "", attempt: str = "",
                 part_rows: int = PART_ROWS, part_us: int = PART_US) -> None:
        self.parts: list[str] = []
        self.closed_bytes = 0
        self._directory = directory / "parts" / table.name / zone
        self._table = table
        self._stem = f"part-{attempt}-" if attempt else "part-"
        self._kind: type[JsonPart | ParquetPart] = ParquetPart if format_ == "parquet" else JsonPart
        self._part_rows = part_rows
        self._part_us = part_us
        self._number = 0
        self._file: BinaryIO | None = None
        self._part: Part | None = None
        self._path = self._directory
        self._rows = 0
        self._opened_us = 0
        self._directory.mkdir(parents=True, exist_ok=True)

    def write(self, block: bytes, now_us: int) -> None:
        """Append a block; raises PersistError when the disk refuses."""
        try:
            is_old = self._part_us and now_us - self._opened_us > self._part_us
            if self._part is not None and (self._rows >= self._part_rows or is_old):
                self._finish_part()
            if block:
                self._open_part(now_us).write(block)
                self._rows += len(block) // self._table.row_size
        except OSError as error:
            self._abandon_part()
            raise refusal(self._path, error) from error

    def close(self) -> None:
        """Complete the last part; raises PersistError when the disk refuses."""
        self.roll()

    def roll(self) -> None:
        """Complete the part that is being written: all rows so far are then safe. Raises PersistError."""
        try:
            self._finish_part()
        except OSError as error:
            self._abandon_part()
            raise refusal(self._path, error) from error

    def _open_part(self, now_us: int) -> Part:
        if self._part is None:
            self._path = self._directory / f"{self._stem}{self._number}{self._kind.suffix}"
            self._file = temporary(self._path).open("wb")
            self._part = self._kind(self._file, self._table)
            self._rows = 0
            self._opened_us = now_us
        return self._part

    def _finish_part(self) -> None:
        if self._part is None or self._file is None:
            return
        self._part.finish()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(temporary(self._path), self._path)
        self.parts.append(self._path.name)
        self.closed_bytes += self._path.stat().st_size
        self._part = self._file = None
        self._number += 1

    def _abandon_part(self) -> None:
        """Drop the part that could not be completed: a torn file would be worse than a missing one."""
        if self._file is not None:
            with_error = self._file
            self._part = self._file = None
            try:
                with_error.close()
            except OSError:             # what it still buffered has no room either
                pass
            temporary(self._path).unlink(missing_ok=True)


class StreamSink:
    """JSON lines to an open binary stream, for pipes."""

    def __init__(self, stream: BinaryIO, table: PackedTable = NODES) -> None:
        self._stream = stream
        self._table = table

    def write(self, block: bytes, now_us: int) -> None:
        self._stream.write(self._table.json_lines(block))

    def close(self) -> None:
        self._stream.flush()


class NullSink:
    """Counts only: rows are dropped."""

    def write(self, block: bytes, now_us: int) -> None:
        return

    def close(self) -> None:
        return


def has_parquet() -> bool:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return False
    return True


def prepare_directory(directory: Path) -> None:
    """Create the output directory; raises ConfigError when it is taken, PersistError when it cannot be made."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise ConfigError(f"{directory} is not empty; a crawl needs a directory of its own")
        probe = directory / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise refusal(directory, error) from error


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write one JSON file whole or not at all; raises PersistError."""
    try:
        with temporary(path).open("w", encoding="utf-8") as file:
            json.dump(values, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary(path), path)
    except OSError as error:
        temporary(path).unlink(missing_ok=True)
        raise refusal(path, error) from error


def temporary(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def refusal(path: Path, error: OSError) -> PersistError:
    return PersistError(f"cannot write {error.filename or path}: {error.strerror or error}")
