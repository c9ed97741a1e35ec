"""The truth about a virtual network, as a file. Rate class: command.

One row a contact (ip, port): its id, what it is and whether a census ought to, or may, list it. Two forms, told apart
by their first bytes: Parquet (pyarrow needed) and a packed one whose layout docs/swarm.md gives. The packet counters
that a swarm writes when it ends lie beside it, in the order of the rows.
"""
from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fastdht.errors import PersistError

MAGIC = b"FDHTTRU1"
COUNTERS_MAGIC = b"FDHTCNT1"
HEADER = struct.Struct("<8sIIQQ")           # magic, record size, alive nodes, rows, seed
COUNTERS_HEADER = struct.Struct("<8sIIQQ")  # magic, kernel drops, interval violations, rows, datagrams received
RECORD = struct.Struct(">4sH20sBB")         # ip, port, id, flags, kind
KEY_SIZE = 26                               # ip, port and id: a found row in the same form
ROWS_AT_ONCE = 1 << 18

REACHABLE, ANSWERS, BEP42, LISTED, CHURNS = 1, 2, 4, 8, 16
KINDS = ("honest", "dead", "ring", "invented-id", "same-id", "bogons", "reflector", "id-mirror", "wrong-tid",
         "other-port", "big-reply", "many-nodes", "ragged", "unsorted", "deep", "two-replies", "limited",
         "huge-num", "odd-interval", "ragged-samples", "invented-samples", "repeated-samples", "many-ids")


class TruthRow(NamedTuple):
    """One contact of the network."""

    ip: str
    port: int
    id: bytes           # 20 bytes
    reachable: bool     # honest and always there: recall is the share of these that was found
    answers: bool       # a found row with this ip, port and id is right: what precision counts
    bep42: bool         # the id is valid at this address
    listed: bool        # honest tables may name it; otherwise only its accomplices do
    churns: bool        # honest, but comes and goes: testing/sessions.py says when
    kind: str


def unpack_rows(records: bytes) -> Iterator[TruthRow]:
    """Rows from packed records."""
    for ip, port, node_id, flags, kind in RECORD.iter_unpack(records):
        yield TruthRow(".".join(map(str, ip)), port, node_id, bool(flags & REACHABLE), bool(flags & ANSWERS),
                       bool(flags & BEP42), bool(flags & LISTED), bool(flags & CHURNS), KINDS[kind])


@dataclass(frozen=True, slots=True)
class Truth:
    """A truth file in memory: 28 bytes a row."""

    nodes: int          # alive and honest
    seed: int
    records: bytes

    def __len__(self) -> int:
        return len(self.records) // RECORD.size

    def rows(self) -> Iterator[TruthRow]:
        """All rows as tuples: about 1 µs each; `keys` is the fast way."""
        return unpack_rows(self.records)

    def keys(self, flag: int) -> set[bytes]:
        """The 26 bytes (ip 4, port 2, id 20, network order) of each row with one of the flags, as ANSWERS."""
        records, size = self.records, RECORD.size
        flags = records[KEY_SIZE::size]
        return {records[i * size : i * size + KEY_SIZE] for i, value in enumerate(flags) if value & flag}


def write_truth(path: Path, seed: int, nodes: int, count: int, records: Callable[[int, int], bytes]) -> None:
    """Write `count` rows, that `records(start, count)` gives packed, under a temporary name, then rename.

    Parquet when the name ends in .parquet and pyarrow imports, else packed. Raises OSError.
    """
    temporary = path.with_name(path.name + ".tmp")
    chunks = (records(first, min(ROWS_AT_ONCE, count - first)) for first in range(0, count, ROWS_AT_ONCE))
    try:
        if path.suffix == ".parquet" and has_pyarrow():
            write_parquet(temporary, seed, nodes, chunks)
        else:
            with temporary.open("wb") as file:
                file.write(HEADER.pack(MAGIC, RECORD.size, nodes, count, seed & 0xFFFFFFFFFFFFFFFF))
                for chunk in chunks:
                    file.write(chunk)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_truth(path: Path) -> Truth:
    """Load either form. Raises PersistError for a file that is neither, or cut short; OSError when unreadable."""
    with path.open("rb") as file:
        start = file.read(HEADER.size)
        if start[:4] == b"PAR1":
            return read_parquet(path)
        if len(start) < HEADER.size or start[:8] != MAGIC:
            raise PersistError(f"{path} is no truth file: it starts with {start[:8]!r}; {MAGIC!r} or b'PAR1' expected")
        _, size, nodes, count, seed = HEADER.unpack(start)
        records = file.read()
    if size != RECORD.size or len(records) != size * count:
        raise PersistError(f"{path} has {len(records)} bytes of rows; {count} rows of {RECORD.size} bytes expected")
    return Truth(nodes, seed, records)


def write_counters(path: Path, kernel_drops: int, received: int, asked: memoryview, *, violations: int = 0) -> None:
    """Write the datagrams received by each row's contact (uint32, little-endian), the whole file or nothing."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(COUNTERS_HEADER.pack(COUNTERS_MAGIC, min(kernel_drops, 0xFFFFFFFF), min(violations, 0xFFFFFFFF),
                                            len(asked), received))
            file.write(asked)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Counters:
    """What a swarm counted: `asked[i]` datagrams reached the contact of row i."""

    kernel_drops: int
    received: int
    asked: array[int]
    violations: int = 0     # sample_infohashes before the interval had ended


def read_counters(path: Path) -> Counters:
    """Load packet counters. Raises PersistError, OSError."""
    data = path.read_bytes()
    if len(data) < COUNTERS_HEADER.size or data[:8] != COUNTERS_MAGIC:
        raise PersistError(f"{path} holds no packet counters: it starts with {data[:8]!r}")
    _, drops, violations, count, received = COUNTERS_HEADER.unpack_from(data)
    if len(data) != COUNTERS_HEADER.size + 4 * count:
        raise PersistError(f"{path} has {len(data) - COUNTERS_HEADER.size} bytes of counters; {count} of 4 expected")
    return Counters(drops, received, array("I", data[COUNTERS_HEADER.size :]), violations)


def has_pyarrow() -> bool:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        return False
    return True


def write_parquet(path: Path, seed: int, nodes: int, chunks: Iterator[bytes]) -> None:
    """One row group a chunk: ip (string), port, id (20 bytes), reachable, answers, bep42, listed, churns, kind."""
    import pyarrow
    import pyarrow.parquet

    fields = [("ip", pyarrow.string()), ("port", pyarrow.uint16()), ("id", pyarrow.binary(20)),
              ("reachable", pyarrow.bool_()), ("answers", pyarrow.bool_()), ("bep42", pyarrow.bool_()),
              ("listed", pyarrow.bool_()), ("churns", pyarrow.bool_()), ("kind", pyarrow.string())]
    schema = pyarrow.schema(fields, metadata={"seed": str(seed), "nodes": str(nodes)})
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for chunk in chunks:
            columns = list(zip(*unpack_rows(chunk), strict=True))
            writer.write_table(pyarrow.table([pyarrow.array(column, type_) for column, (_, type_)
                                              in zip(columns, fields, strict=True)], schema=schema))


def read_parquet(path: Path) -> Truth:
    """Raises PersistError when pyarrow is missing or a column is."""
    if not has_pyarrow():
        raise PersistError(f"{path} is Parquet: install pyarrow (pip install 'fastdht[crawl]') to read it")
    import pyarrow.parquet

    kinds = {name: i for i, name in enumerate(KINDS)}
    records = bytearray()
    try:
        file = pyarrow.parquet.ParquetFile(path)
        for batch in file.iter_batches(columns=list(TruthRow._fields)):
            for ip, port, node_id, reachable, answers, bep42, listed, churns, kind in zip(
                    *(batch.column(name).to_pylist() for name in TruthRow._fields), strict=True):
                flags = (reachable * REACHABLE | answers * ANSWERS | bep42 * BEP42 | listed * LISTED
                         | churns * CHURNS)
                records += RECORD.pack(bytes(map(int, ip.split("."))), port, node_id, flags, kinds[kind])
        metadata = file.schema_arrow.metadata or {}
        return Truth(int(metadata[b"nodes"]), int(metadata[b"seed"]), bytes(records))
    except (KeyError, ValueError, pyarrow.ArrowException) as error:
        raise PersistError(f"{path} is Parquet, but no truth: {error}") from None
